//! Creating a log, so that a crash at any point leaves nothing, or something that the next open completes.
//!
//! # Protocol
//! `MANIFEST`, then `COOKIE`, each made aside, synced, renamed, and the directory synced; then segment 1, made ready and
//! activated, its first block synced; then `COOKIE` again, of which only the second generation says that the log is whole.
//! A `COOKIE` of the first generation with the head at segment 1 is a creation that was interrupted: nothing was
//! ever appended, so segment 1 is made anew.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{Cookie, FIRST_FRAME, Manifest, Uuid};
use crate::lsn::Lsn;
use crate::options::WalOptions;
use crate::segment::{CookieFile, Directory, MANIFEST, Segment, Shelf, segment_name};
use crate::stats::Counters;
use crate::sys::Random;

/// The first position of every log.
pub(crate) fn first_lsn() -> Lsn {
    Lsn::new(1, FIRST_FRAME).unwrap_or(Lsn::MAX)
}

/// Writes the identity of a new log.
pub(crate) fn write_manifest(
    directory: &Directory,
    options: &WalOptions,
    random: &Random,
) -> Result<Manifest> {
    let uuid = random
        .bytes16()
        .map_err(|error| Error::io("cannot draw a random number", directory.path(), error))?;
    let manifest = Manifest {
        uuid: Uuid::from_bytes(uuid),
        segment_size: options.segment_size,
        user_header: options.user_header.clone(),
        compat: 0,
        ro_compat: 0,
        incompat: 0,
    };
    let bytes = manifest.encode();
    let bytes = bytes.ok_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            "a user header that was checked is too long",
        )
    })?;
    directory.publish(MANIFEST, &bytes)?;
    Ok(manifest)
}

/// Whether `cookie` was written by a creation that did not end.
pub(crate) fn is_unfinished(cookie: &Cookie) -> bool {
    let first = |slot: Option<crate::format::Slot>| {
        slot.is_some_and(|slot| slot.generation == 1 && slot.lsn == first_lsn())
    };
    first(cookie.durable) && first(cookie.head)
}

/// Makes and activates segment 1, and says in `COOKIE` that the log is whole.
pub(crate) fn first_segment(
    directory: &Directory,
    shelf: &Shelf,
    cookie: &CookieFile,
    registry: &crate::segment::Registry,
    counters: &Counters,
) -> Result<Arc<Segment>> {
    directory.remove(&segment_name(1))?;
    shelf.prepare(1, registry, counters)?;
    let segment = shelf.activate_first();
    let segment =
        segment.ok_or_else(|| Error::new(ErrorKind::Internal, "the first segment was not made"))?;
    segment.sync(0..FIRST_FRAME).map_err(|error| {
        Error::io(
            "cannot make the first segment durable",
            &directory.segment(1),
            error,
        )
        .at_segment(1)
    })?;
    cookie.store_durable(first_lsn());
    cookie.store_head(first_lsn());
    cookie.sync()?;
    Ok(segment)
}
