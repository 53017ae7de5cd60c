//! Making a segment ready: creating its file, or reusing one whose records are discarded.
//!
//! Everything that rotation must not do is done here, before the segment enters the ready queue: allocating, writing every
//! block, the prepared header, its sync, the name, and the sync of the directory.
//!
//! # Protocol
//! New: `N.seg.new` is created, allocated, every page written through the mapping (an allocated block that was never
//! written costs a journal commit at its first sync), header stored, synced, renamed to `N.seg`, directory synced.
//!
//! Reused: the header of the new id is stored over the old one and synced while the file still has its old name, then it
//! is renamed, and the directory synced. A crash between leaves a file whose name and header disagree: it is dead, and
//! recovery reclaims it. If it is to be scrubbed, that is done before it gets its new name. The old activation is cleared with the same store, and could not be valid beside the new header.
//!
//! A failure leaves no partial file behind and is tried again under the same id.
//!
//! # Blocks and pages of a file that was there
//! What another file shares after a copy by reflink is unshared first, while a want of space is an error and not yet a
//! `SIGBUS`. The pages of a reused file that the mapping has lost are refilled, see [`refill`](super::refill); those of a
//! file that an earlier process left are dropped from the cache, so that they come back through the mapping, one by one.

use std::io;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::{Prepared, Salt, Uuid, encode_block};
use crate::options::OldPayloads;
use crate::seeded::{self, Bug};
use crate::stats::Counters;
use crate::sys::{Access, DiskFile, Mapping, Random};

use super::bytes::Exclusive;
use super::refill::{dirty_every_page, refill};
use super::registry::Reusable;
use super::salts::Salts;
use super::scrub::scrub;
use super::{Directory, name};

/// What of a ready segment is kept writable for the first appends.
const WARM: usize = 64 << 10;
const PAGE: usize = 4096;

/// A segment that can be rotated into.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) prepared: Prepared,
    pub(crate) bytes: Exclusive,
    /// The salt of its activation, drawn ahead so that rotation makes no call.
    pub(crate) salt: Salt,
}

/// What every segment of a log has in common.
#[derive(Clone, Debug)]
pub(crate) struct Mold {
    pub(crate) directory: Directory,
    pub(crate) uuid: Uuid,
    pub(crate) size: u64,
    pub(crate) random: Arc<Random>,
    pub(crate) old_payloads: OldPayloads,
}

impl Mold {
    fn prepared(&self, id: u32) -> Prepared {
        Prepared {
            uuid: self.uuid,
            segment: id,
            size: self.size,
            incompat: 0,
        }
    }

    fn map(&self, file: &dyn DiskFile, id: u32) -> Result<Exclusive> {
        Exclusive::map(file, self.size).map_err(self.failed("cannot map a segment", id))
    }

    fn failed(&self, what: &'static str, id: u32) -> impl FnOnce(io::Error) -> Error {
        let path = self.directory.segment(id);
        move |error| Error::io(what, &path, error).at_segment(id)
    }

    /// Makes segment `id` of a new file.
    pub(crate) fn create(&self, id: u32) -> Result<Ready> {
        let made = name::unfinished(&name::segment(id));
        self.directory.remove(&made)?;
        self.create_as(id, &made).inspect_err(|_| {
            // The first error is the one to report; a file that stays is reclaimed at the next open.
            drop(self.directory.remove(&made));
        })
    }

    fn create_as(&self, id: u32, made: &str) -> Result<Ready> {
        let path = self.directory.file(made);
        let file = self
            .directory
            .disk()
            .create(&path)
            .map_err(self.failed("cannot create a segment", id))?;
        file.allocate(self.size)
            .map_err(self.failed("cannot allocate a segment", id))?;
        let mut bytes = self.map(&*file, id)?;
        dirty_every_page(&mut bytes).map_err(self.failed("cannot fill a segment", id))?;
        let prepared = self.prepared(id);
        bytes.store(0, &encode_block(&prepared));
        file.sync()
            .map_err(self.failed("cannot make a new segment durable", id))?;
        self.name(id, made)?;
        self.ready(prepared, bytes, None)
    }

    /// Makes segment `id` of a file whose records are discarded.
    pub(crate) fn reuse(&self, id: u32, old: Reusable, counters: &Counters) -> Result<Ready> {
        let named = name::segment(old.id);
        let file = self.directory.open(&named, Access::Write)?;
        self.unshare(&*file, id)?;
        let (mut bytes, salts) = match old.mapped {
            Some((bytes, salts)) => (bytes, Some(salts)),
            None => (self.map(&*file, id)?, None),
        };
        let refilled = refill(&mut bytes, &*file)
            .map_err(self.failed("cannot refill an evicted segment", id))?;
        counters.refilled_bytes.add(refilled);
        let prepared = self.prepared(id);
        bytes.store(0, &encode_block(&prepared));
        if !seeded::is(Bug::RenameBeforeHeader) {
            bytes
                .mapping()
                .sync(0..PAGE)
                .map_err(self.failed("cannot make the header of a reused segment durable", id))?;
        }
        self.scrub(&mut bytes, id)?;
        if old.id != id {
            self.name(id, &named)?;
        }
        self.ready(prepared, bytes, salts.as_ref())
    }

    fn scrub(&self, bytes: &mut Exclusive, id: u32) -> Result<()> {
        match self.old_payloads {
            OldPayloads::Keep => Ok(()),
            OldPayloads::Scrub => {
                scrub(bytes).map_err(self.failed("cannot overwrite what a reused segment held", id))
            }
        }
    }

    /// Gives the file blocks of its own, wherever a copy by reflink shares them.
    fn unshare(&self, file: &dyn DiskFile, id: u32) -> Result<u64> {
        file.unshare(0..self.size)
            .map_err(self.failed("cannot unshare the blocks of a segment", id))
    }

    /// Maps a file of an earlier process, none of whose pages stay in the cache.
    fn map_afresh(&self, file: &dyn DiskFile, id: u32) -> Result<Exclusive> {
        self.unshare(file, id)?;
        // Advice: what stays costs device writes, and nothing else.
        drop(file.drop_cache());
        self.map(file, id)
    }

    /// Takes a segment that an earlier process made ready and never activated: its name and bytes need not be durable.
    pub(crate) fn adopt(&self, id: u32) -> Result<Ready> {
        let file = self.directory.open(&name::segment(id), Access::Write)?;
        file.sync()
            .map_err(self.failed("cannot make a ready segment durable", id))?;
        let bytes = self.map_afresh(&*file, id)?;
        self.ready(self.prepared(id), bytes, None)
    }

    /// Takes a segment that an abandoned future activated: its activation is cleared, durably, before it can be used.
    pub(crate) fn reset(&self, id: u32) -> Result<Ready> {
        let file = self.directory.open(&name::segment(id), Access::Write)?;
        let mut bytes = self.map_afresh(&*file, id)?;
        let prepared = self.prepared(id);
        bytes.store(0, &encode_block(&prepared));
        file.sync()
            .map_err(self.failed("cannot make a reset segment durable", id))?;
        self.scrub(&mut bytes, id)?;
        self.ready(prepared, bytes, None)
    }

    fn name(&self, id: u32, from: &str) -> Result<()> {
        let (from, to) = (self.directory.file(from), self.directory.segment(id));
        self.directory
            .disk()
            .rename(&from, &to)
            .map_err(self.failed("cannot name a segment", id))?;
        if seeded::is(Bug::NoDirectorySync) {
            return Ok(());
        }
        self.directory.sync()
    }

    fn ready(&self, prepared: Prepared, bytes: Exclusive, old: Option<&Salts>) -> Result<Ready> {
        warm(bytes.mapping());
        let salt = if seeded::is(Bug::SaltKept) || seeded::is(Bug::StaleFrameAccepted) {
            Salt::new(1)
        } else {
            self.draw_salt(|salt| old.is_none_or(|old| old.differ_from(salt)))?
        };
        Ok(Ready {
            prepared,
            bytes,
            salt,
        })
    }

    /// A salt that `fits`, which hardly any does not.
    pub(crate) fn draw_salt(&self, fits: impl Fn(Salt) -> bool) -> Result<Salt> {
        loop {
            let word = self.random.u64().map_err(|error| {
                Error::io("cannot draw a random number", self.directory.path(), error)
            })?;
            if fits(Salt::new(word)) {
                return Ok(Salt::new(word));
            }
        }
    }
}

/// Makes the first pages writable again after the sync write-protected them. Advice only.
fn warm(mapping: &Mapping) {
    drop(mapping.populate_write(0..mapping.size().min(WARM)));
}
