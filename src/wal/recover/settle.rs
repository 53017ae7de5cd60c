//! [`settle`]: makes what recovery accepted true on the device, and puts a barrier behind it.
//!
//! # Protocol
//! 0. Unshare what is going to be stored into: after a copy by reflink a store needs a block, and on a full disk it is a
//!    `SIGBUS` instead of an error.
//! 1. Unless the log was closed at this very end: sync each file that holds accepted bytes above the known durable
//!    position (an error is a refusal), then store those pages again and sync them. After a failed sync in the same boot
//!    the page cache shows bytes that the device never got, and a plain sync of clean pages writes nothing.
//! 2. Write an epoch frame with a fresh salt at the end and sync it. Frames behind a hole can never come back: what
//!    follows is valid under another salt. If it does not fit the segment is sealed where it is; and also if syncs are padded
//!    and the block in which it would stand has bytes that are known to be durable. Then it is the next activation whose
//!    salt keeps frames behind a hole out.
//! 3. Store the end and the head in `COOKIE`, which was made durable as it was read when it was opened, and sync it. Only
//!    now is anything exposed, reused or removed.
//!
//! It may be interrupted anywhere: until the epoch frame is whole the next recovery finds the same end, and from then on the
//! end behind it, with the same records.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::{
    BLOCK_SIZE, Checksum, DurableDistance, EPOCH_FRAME_SIZE, Epoch, FIRST_FRAME, FRAME_HEADER_LEN,
    FrameHeader, FrameKind, Salt,
};
use crate::lsn::Lsn;
use crate::options::SyncPadding;
use crate::seeded::{self, Bug};
use crate::segment::{CookieFile, Exclusive, Mold, Salts, Segment, segment_name};
use crate::sys::Access;

use super::chain::ChainFound;

const SHARED: &str = "a segment shares its blocks with a copy, and cannot have its own";
const UNSHARE: &str =
    "free space or remove the copy, and open the log again; reading it needs no space";
/// How much is stored again at a time.
const STEP: u64 = 64 << 10;

/// The log, ready to be appended to.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The last segment.
    pub(crate) segment: Arc<Segment>,
    /// Where the next frame goes.
    pub(crate) end: Lsn,
    /// Whether it can go there.
    pub(crate) room: Room,
    pub(crate) stored_again_bytes: u64,
}

/// Whether the last segment takes more frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Left,
    /// An epoch frame does not fit, or may not stand there: the segment is sealed at its end.
    Sealed,
}

/// What step 1 may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The log was closed at this end: every byte is on the device.
    Closed,
    /// Nothing above the known durable position is.
    Nothing,
}

/// Settles what `chain` accepted.
pub(crate) fn settle(
    mold: &Mold,
    chain: &ChainFound,
    trust: Trust,
    cookie: &CookieFile,
    cookie_durable: Lsn,
    padding: SyncPadding,
) -> Result<Settled> {
    let from = match trust {
        Trust::Closed => chain.end,
        Trust::Nothing => cookie_durable,
    };
    let mut stored = 0;
    let mut last = None;
    for id in from.segment()..=chain.end.segment() {
        let accepted = accepted(chain, from, id);
        let first = match trust {
            Trust::Closed => accepted.start,
            Trust::Nothing => 0,
        };
        let mut bytes = open(mold, id, first)?;
        if trust == Trust::Nothing && !seeded::is(Bug::NotStoredAgain) {
            stored += store_again(mold, id, &mut bytes, accepted)?;
        }
        last = Some(bytes);
    }
    let mut bytes = last.ok_or_else(|| vanished(mold, chain.end.segment()))?;
    let (salts, end, room) = if padding == SyncPadding::Block && shares_block(from, chain.end) {
        (chain.salts.clone(), chain.end, Room::Sealed)
    } else {
        barrier(mold, chain, &mut bytes, padding)?
    };
    cookie.store_durable(end);
    cookie.store_head(chain.head);
    cookie.sync()?;
    let segment = Segment::new(end.segment(), mold.size, bytes.share(), salts);
    Ok(Settled {
        segment,
        end,
        room,
        stored_again_bytes: stored,
    })
}

fn vanished(mold: &Mold, id: u32) -> Error {
    let path = mold.directory.segment(id);
    Error::new(
        crate::error::ErrorKind::Internal,
        "the end of the log lies before what is durable",
    )
    .at_path(&path)
    .at_segment(id)
}

/// The accepted bytes of segment `id` that are not known to be durable.
fn accepted(chain: &ChainFound, from: Lsn, id: u32) -> Range<u64> {
    let start = if id == from.segment() {
        from.offset()
    } else {
        FIRST_FRAME
    };
    let sealed = chain.sealed.iter().find(|(sealed, _)| *sealed == id);
    start..sealed.map_or(chain.end.offset(), |(_, end)| end.seal)
}

/// Maps a segment that is stored into from `first` on.
fn open(mold: &Mold, id: u32, first: u64) -> Result<Exclusive> {
    let path = mold.directory.segment(id);
    let fail = |what| {
        let path = path.clone();
        move |error| Error::io(what, &path, error).at_segment(id)
    };
    let file = mold.directory.open(&segment_name(id), Access::Write)?;
    file.sync().map_err(fail(
        "a segment could not be written back; its contents are unknown",
    ))?;
    let unshared = file
        .unshare(first - first % FIRST_FRAME..mold.size)
        .map_err(fail(SHARED))
        .map_err(|error| error.advise(UNSHARE))?;
    if unshared > 0 {
        // In large folios now. Advice only.
        drop(file.drop_cache());
    }
    Exclusive::map(&*file, mold.size).map_err(fail("cannot map a segment"))
}

/// The first block, which carries the activation, and the pages of `range`.
fn store_again(mold: &Mold, id: u32, bytes: &mut Exclusive, range: Range<u64>) -> Result<u64> {
    let page = range.start - range.start % FIRST_FRAME;
    let is_new = range.start < range.end;
    for range in [Some(0..FIRST_FRAME), is_new.then_some(page..range.end)]
        .into_iter()
        .flatten()
    {
        let mut start = range.start;
        while start < range.end {
            let end = (start + STEP).min(range.end);
            bytes.store_again(at(start)..at(end));
            start = end;
        }
        sync(mold, id, bytes, range)?;
    }
    Ok(FIRST_FRAME + if is_new { range.end - page } else { 0 })
}

fn sync(mold: &Mold, id: u32, bytes: &Exclusive, range: Range<u64>) -> Result<()> {
    bytes
        .mapping()
        .sync(at(range.start)..at(range.end))
        .map_err(|error| {
            let path = mold.directory.segment(id);
            Error::io("what was recovered could not be made durable", &path, error).at_segment(id)
        })
}

/// Whether bytes that are known to be durable lie in the block in which the log goes on.
fn shares_block(durable: Lsn, end: Lsn) -> bool {
    let block = end.offset() - end.offset() % BLOCK_SIZE;
    durable.segment() == end.segment() && durable.offset() > block
}

/// Writes the epoch frame, if it fits.
fn barrier(
    mold: &Mold,
    chain: &ChainFound,
    bytes: &mut Exclusive,
    padding: SyncPadding,
) -> Result<(Salts, Lsn, Room)> {
    let mut salts = chain.salts.clone();
    if seeded::is(Bug::GhostFrames) {
        return Ok((salts, chain.end, Room::Left));
    }
    let start = chain.end.offset();
    let end = start + EPOCH_FRAME_SIZE;
    let behind = Lsn::new(chain.end.segment(), end).filter(|_| end <= mold.size);
    let Some(behind) = behind else {
        return Ok((salts, chain.end, Room::Sealed));
    };
    let salt = mold.draw_salt(|salt| salts.differ_from(salt))?;
    let epoch = Epoch {
        salt,
        previous_salt: salts.last(),
        previous_offset: salts.last_epoch(),
        durable: chain.end,
        opened: chain.opened.saturating_add(1),
    };
    let payload = epoch.encode();
    let header = FrameHeader {
        len: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        lsn: chain.end,
        kind: FrameKind::Epoch,
        tag: 0,
        count: 0,
        distance: DurableDistance::between(chain.end, chain.end),
    };
    let header = header.encode(Checksum::of(&payload), salts.last());
    let mut frames = [&header[..], &payload[..]].concat();
    salts.push_epoch(start, end, salt);
    let mut end = behind;
    if padding == SyncPadding::Block
        && let Some((pad, padded)) = pad(behind, mold.size, salt)
    {
        frames.extend(pad);
        end = padded;
    }
    bytes.store(at(start), &frames);
    sync(mold, chain.end.segment(), bytes, start..end.offset())?;
    Ok((salts, end, Room::Left))
}

/// The header of an aborted frame that ends the block at `lsn`, and where it ends; `None` if the block ends there, or the
/// segment before a frame could.
fn pad(lsn: Lsn, size: u64, salt: Salt) -> Option<(Vec<u8>, Lsn)> {
    let shortest = lsn.offset() + FRAME_HEADER_LEN;
    let end = shortest.next_multiple_of(BLOCK_SIZE);
    if lsn.offset().is_multiple_of(BLOCK_SIZE) || end > size {
        return None;
    }
    let len = u32::try_from(end - shortest).unwrap_or(u32::MAX);
    let header = FrameHeader::aborted(lsn, len).encode(Checksum::EMPTY, salt);
    Some((header.to_vec(), Lsn::new(lsn.segment(), end)?))
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
