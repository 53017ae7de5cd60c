//! [`prefix`]: the part of a log that a repair can keep.

use crate::error::Result;
use crate::format::FrameFault;
use crate::format::verdict::{Behind, StopKind};
use crate::lsn::Lsn;
use crate::segment::Salts;

use super::Walk;

/// The valid frames from a head on, whatever is known to be durable.
#[derive(Debug)]
pub(crate) struct Prefix {
    pub(crate) end: Lsn,
    /// Everything below was durable.
    pub(crate) known: Lsn,
    pub(crate) salts: Salts,
    pub(crate) records: u64,
    /// Why no valid frame stands at the end.
    pub(crate) fault: FrameFault,
    /// Whether the end is that of its segment, and only the next one can be at fault.
    pub(crate) is_whole_segment: bool,
}

/// As [`follow`](super::follow), without a judgement: what a repair can keep. The segment of `head` is activated, and everything below
/// `stated` is known to be durable.
pub(crate) fn prefix(walk: Walk<'_>, head: Lsn, stated: Lsn) -> Result<Prefix> {
    let mut sealed = Vec::new();
    let (mut scan, _) = walk.scan_from(head.segment(), &mut sealed)?;
    walk.search_behind(&mut scan)?;
    Ok(Prefix {
        end: scan.end,
        known: scan.known.map_or(stated, |known| known.max(stated)),
        is_whole_segment: scan.stop.kind() == StopKind::Clean && scan.behind == Behind::Nothing,
        salts: scan.salts,
        records: scan.records,
        fault: scan.stop.fault,
    })
}
