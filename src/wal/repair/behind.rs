//! [`look_behind`]: what can still be read behind the place where the valid frames of a log end.

use std::io;

use crate::error::{Error, Result};
use crate::format::{Activation, FIRST_FRAME, FrameKind, Salt, Scanner, Step, evidence_after};
use crate::lsn::Lsn;
use crate::segment::{FileSource, segment_name};
use crate::sys::Access;

use crate::wal::recover::{Prefix, Walk};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// Records in valid frames, each of a batch counted.
    pub(super) records: u64,
    /// Where the last valid frame ends.
    pub(super) end: Option<Lsn>,
}

/// Looks into the rest of the segment of the end, and into every activated segment after it, linked or not.
pub(super) fn look_behind(walk: Walk<'_>, found: &Prefix) -> Result<Behind> {
    let mut behind = Behind::default();
    let last = found.end.segment();
    let salts = with_link(walk, last, vec![found.salts.last()]);
    behind.search(walk, last, found.end.offset() + 8, &salts)?;
    for id in walk.segments.keys().copied().filter(|id| *id > last) {
        if let Some(activation) = walk.segments.get(&id).and_then(|found| found.activation()) {
            behind.scan(walk, activation)?;
        }
    }
    Ok(behind)
}

/// Adds the salt that the next segment names as in force at the end of segment `id`.
fn with_link(walk: Walk<'_>, id: u32, mut salts: Vec<Salt>) -> Vec<Salt> {
    let next = id.checked_add(1).and_then(|next| walk.segments.get(&next));
    let link = next.and_then(|next| next.activation()?.previous);
    salts.extend(link.map(|link| link.salt));
    salts
}

fn open(walk: Walk<'_>, id: u32) -> Result<FileSource> {
    let file = walk.directory.open(&segment_name(id), Access::Read)?;
    FileSource::new(file, walk.size).map_err(|error| unreadable(walk, id, error))
}

fn unreadable(walk: Walk<'_>, id: u32, error: io::Error) -> Error {
    Error::io("cannot read a segment", &walk.directory.segment(id), error).at_segment(id)
}

impl Behind {
    fn scan(&mut self, walk: Walk<'_>, activation: &Activation) -> Result<()> {
        let id = activation.segment;
        let mut source = open(walk, id)?;
        let first = Lsn::new(id, FIRST_FRAME).unwrap_or(Lsn::MAX);
        let mut scanner = Scanner::new(first, activation.salt, None);
        loop {
            let step = scanner.next(&mut source);
            match step.map_err(|error| unreadable(walk, id, error))? {
                Step::Stop(_) => break,
                Step::Frame(frame) => match frame.header.kind {
                    FrameKind::Record => self.records += 1,
                    FrameKind::Batch => self.records += u64::from(frame.header.count),
                    FrameKind::Aborted | FrameKind::Epoch | FrameKind::Rewind => {}
                },
            }
        }
        self.end = self.end.max(Some(scanner.at()));
        let salts = with_link(walk, id, vec![scanner.salt()]);
        self.search(walk, id, scanner.at().offset() + 8, &salts)
    }

    fn search(&mut self, walk: Walk<'_>, id: u32, from: u64, salts: &[Salt]) -> Result<()> {
        let mut source = open(walk, id)?;
        let evidence = evidence_after(&mut source, id, from, salts)
            .map_err(|error| unreadable(walk, id, error))?;
        self.records += evidence.records;
        self.end = self.end.max(evidence.last_end);
        Ok(())
    }
}
