//! Reopening: from the files of a log that is there to what is needed to run it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{ActivationFault, Cookie, Manifest};
use crate::options::WalOptions;
use crate::seeded::{self, Bug};
use crate::segment::{CookieFile, Mold, Registry, Segment, Shelf, segment_name};

use super::holds::{Holds, StoredHold};
use super::opened::Opened;
use super::recover::{
    ChainFound, Depth, Found, Header, Survey, Trust, Walk, follow, read_headers, settle,
};
use super::recovery::{EndKind, Recovery};
use super::rewinds::Rewinds;

/// What an earlier process left, as far as it was read.
#[derive(Clone, Copy)]
pub(crate) struct Past<'a> {
    pub(crate) survey: &'a Survey,
    pub(crate) manifest: &'a Manifest,
    pub(crate) known: &'a Cookie,
    pub(crate) holds: &'a [StoredHold],
}

/// A log that is there.
pub(crate) fn reopen(
    mold: &Mold,
    options: &WalOptions,
    boot: [u8; 16],
    past: &Past<'_>,
) -> Result<Opened> {
    let directory = &mold.directory;
    let known = past.known;
    let files = read_headers(directory, &past.survey.segments, past.manifest)?;
    let walk = Walk {
        directory,
        segments: &files,
        size: mold.size,
    };
    let mut chain = follow(walk, Some(known), Depth::Tail).map_err(|refusal| refusal.error)?;
    go_back_by_mistake(&mut chain, known);
    let cookie = CookieFile::open(directory, mold.uuid, boot, known)?;
    // Before anything is appended: beyond the end a hold would miss what will stand there.
    let holds = Holds::reopen(directory, past.holds, chain.head, chain.end)?;
    let closed = known.clean.is_some_and(|slot| slot.lsn == chain.end) && chain.cut.is_none();
    let trust = if closed {
        Trust::Closed
    } else {
        Trust::Nothing
    };
    let durable = known
        .durable
        .map_or(chain.head, |slot| slot.lsn.max(chain.head));
    let settled = settle(mold, &chain, trust, &cookie, durable, options.sync_padding)?;
    let registry = register(&chain, &files, &settled.segment)?;
    let next_id = settled.end.segment().checked_add(1);
    let shelf = Shelf::new(mold.clone(), options.max_wal_bytes, next_id);
    let reclaimed = reclaim(mold, &shelf, &files, &chain)?;
    let recovery = Recovery {
        kind: end_kind(&chain, trust),
        head: chain.head,
        end: chain.end,
        cut: chain.cut.clone(),
        segments: chain.sealed.len() as u64 + 1,
        scanned_bytes: chain.scanned_bytes,
        scanned_records: chain.scanned_records,
        stored_again_bytes: settled.stored_again_bytes,
        duration: Duration::ZERO,
        reclaimed,
        foreign: Vec::new(),
        voids: chain.voids.as_slice().to_vec(),
    };
    Ok(Opened {
        segment: settled.segment,
        end: settled.end,
        room: settled.room,
        head: chain.head,
        cookie,
        shelf,
        registry,
        holds,
        rewinds: Rewinds::new(chain.last_rewind, chain.voids),
        recovery,
    })
}

/// The segments with records, of which `last` is the active one.
fn register(
    chain: &ChainFound,
    files: &BTreeMap<u32, Found>,
    last: &Arc<Segment>,
) -> Result<Registry> {
    let registry = Registry::default();
    for (id, end) in &chain.sealed {
        let found = files.get(id).ok_or_else(|| {
            let what = "a segment of the log was not looked at";
            Error::new(ErrorKind::Internal, what).at_segment(*id)
        })?;
        registry.insert_cold(*id, found.file, *end);
    }
    registry.insert_found(last);
    Ok(registry)
}

/// Takes the durable position for the end, in the same segment.
fn go_back_by_mistake(chain: &mut ChainFound, known: &Cookie) {
    let segment = chain.end.segment();
    if let Some(slot) = known.durable.filter(|slot| slot.lsn.segment() == segment)
        && seeded::is(Bug::LsnReuse)
    {
        chain.end = slot.lsn;
    }
}

fn end_kind(chain: &ChainFound, trust: Trust) -> EndKind {
    match (chain.cut.is_some(), chain.row.letter) {
        (true, 'B') => EndKind::TornTail,
        (true, _) => EndKind::Hole,
        _ if trust == Trust::Closed => EndKind::Closed,
        _ => EndKind::Clean,
    }
}

/// Takes back what is ours and provably dead, and adopts segments that were made ready. `COOKIE` is durable (V4).
fn reclaim(
    mold: &Mold,
    shelf: &Shelf,
    files: &BTreeMap<u32, Found>,
    chain: &ChainFound,
) -> Result<Vec<PathBuf>> {
    let directory = &mold.directory;
    let mut reclaimed = Vec::new();
    for (id, found) in files.range(..chain.head.segment()) {
        if !matches!(found.header, Header::OtherLog(_)) {
            // What is too short to be mapped, or too long, is of no use.
            if found.len == mold.size {
                shelf.reclaim(*id, found.file);
            } else {
                directory.remove(&segment_name(*id))?;
            }
            reclaimed.push(directory.segment(*id));
        }
    }
    let mut next = chain.end.segment().checked_add(1);
    for (id, found) in chain
        .end
        .segment()
        .checked_add(1)
        .map(|first| files.range(first..))
        .into_iter()
        .flatten()
    {
        // Ids are contiguous: what lies behind a gap, or beyond what the shelf holds, is of no use.
        if Some(*id) != next || shelf.is_full() {
            directory.remove(&segment_name(*id))?;
            reclaimed.push(directory.segment(*id));
            continue;
        }
        let untouched = matches!(&found.header, Header::Ours(Err(ActivationFault::Absent)));
        let ready = if untouched {
            mold.adopt(*id)
        } else {
            mold.reset(*id)
        };
        match ready {
            Ok(ready) => {
                shelf.adopt(ready);
                next = id.checked_add(1);
            }
            // It shares its blocks, and there is no space for others: it is made again when there is.
            Err(error) if error.kind() == ErrorKind::NoSpace => {
                directory.remove(&segment_name(*id))?;
            }
            Err(error) => return Err(error),
        }
        if !untouched || next == Some(*id) {
            reclaimed.push(directory.segment(*id));
        }
    }
    Ok(reclaimed)
}
