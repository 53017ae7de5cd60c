//! [`identity_of_segments`]: who a log is, when its `MANIFEST` cannot say.

use crate::error::{Error, Result};
use crate::format::{Manifest, Prepared, decode_prepared};
use crate::segment::{Directory, segment_name};
use crate::sys::Access;

/// What the segments `ids` agree on: UUID and segment size. The user header stands in `MANIFEST` alone.
///
/// `None` if no header is valid, or two of them disagree.
pub(crate) fn identity_of_segments(directory: &Directory, ids: &[u32]) -> Result<Option<Manifest>> {
    let mut agreed: Option<Prepared> = None;
    for id in ids {
        let Some(prepared) = read_prepared(directory, *id)? else {
            continue;
        };
        let differs = |first: &Prepared| (first.uuid, first.size) != (prepared.uuid, prepared.size);
        if agreed.as_ref().is_some_and(differs) {
            return Ok(None);
        }
        agreed = Some(prepared);
    }
    Ok(agreed.map(|prepared| Manifest {
        uuid: prepared.uuid,
        segment_size: prepared.size,
        user_header: Vec::new(),
        compat: 0,
        ro_compat: 0,
        incompat: prepared.incompat,
    }))
}

/// The prepared part of segment `id`, if it is valid and the file's own.
fn read_prepared(directory: &Directory, id: u32) -> Result<Option<Prepared>> {
    let path = directory.segment(id);
    let fail =
        |error| Error::io("cannot read the header of a segment", &path, error).at_segment(id);
    let file = directory.open(&segment_name(id), Access::Read)?;
    let mut block = vec![0; 4096];
    let read = file.read_at(0, &mut block).map_err(fail)?;
    let prepared = decode_prepared(&block[..read]).ok();
    Ok(prepared.filter(|prepared| prepared.segment == id))
}
