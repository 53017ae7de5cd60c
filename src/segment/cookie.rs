//! [`CookieFile`]: the durable position, the head and the mark of a clean close, kept in place.
//!
//! # Invariants
//! * J1. A durable slot is stored only after a successful sync of everything below it, by the leader that synced, before
//!   it gives leadership up. So the slot may say less than the truth, never more, and the append path need not sync it.
//! * J2. A head slot is stored and synced before a discarded file may be reused.
//! * J3. The mark is stored only when everything below it is durable. A valid epoch frame at its position makes it void,
//!   so it needs no clearing.
//! * J4. Of the two slots of a kind one is durable and is not stored into until a sync has made the other one so: however
//!   many stores a power cut finds unsynced, and however it tears them, the durable slot is left. So opening makes durable
//!   what it read, first of all, and a store after an unsynced one goes to the same slot.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::{COOKIE_SIZE, Cookie, Slot, SlotKind, Uuid, cookie};
use crate::lsn::Lsn;
use crate::seeded::{self, Bug};
use crate::sync::Mutex;
use crate::sys::{Access, Mapping};

use super::Directory;
use super::bytes::Exclusive;
use super::name;

/// The open `COOKIE` of one log.
#[derive(Debug)]
pub(crate) struct CookieFile {
    path: PathBuf,
    mapping: Arc<Mapping>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bytes: Exclusive,
    uuid: Uuid,
    boot: [u8; 16],
    durable: Turn,
    head: Turn,
}

/// The generations of one kind of slot: an even one stands in the one block, an odd one in the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    stored: u64,
    synced: u64,
}

impl Turn {
    pub(super) fn synced(generation: u64) -> Self {
        Self {
            stored: generation,
            synced: generation,
        }
    }

    /// The generation to store now (J4).
    pub(super) fn next(&mut self) -> u64 {
        let unheeding = seeded::is(Bug::CookieSlotOverwritten);
        self.stored += if self.stored == self.synced || unheeding {
            1
        } else {
            2
        };
        self.stored
    }

    /// What was stored is durable now.
    pub(super) fn settle(&mut self) {
        self.synced = self.stored;
    }
}

impl CookieFile {
    /// Makes the `COOKIE` of a new log whose first frame will stand at `head`.
    pub(crate) fn create(
        directory: &Directory,
        uuid: Uuid,
        boot: [u8; 16],
        head: Lsn,
    ) -> Result<()> {
        let mut bytes = vec![0; usize::try_from(COOKIE_SIZE).unwrap_or(0)];
        for kind in [SlotKind::Durable, SlotKind::Head] {
            let slot = Slot {
                generation: 1,
                lsn: head,
                uuid,
                boot,
            };
            let at = usize::try_from(cookie::slot_offset(kind, 1)).unwrap_or(0);
            let encoded = slot.encode(kind);
            bytes[at..at + encoded.len()].copy_from_slice(&encoded);
        }
        directory.publish(name::COOKIE, &bytes)
    }

    /// Opens the `COOKIE` that was read as `known`, and makes durable what it holds: after the death of a process, or a failed
    /// sync, it was read from a page cache that the device need not agree with.
    pub(crate) fn open(
        directory: &Directory,
        uuid: Uuid,
        boot: [u8; 16],
        known: &Cookie,
    ) -> Result<Self> {
        let path = directory.file(name::COOKIE);
        let file = directory.open(name::COOKIE, Access::Write)?;
        let size = usize::try_from(COOKIE_SIZE).unwrap_or(0);
        file.unshare(0..COOKIE_SIZE)
            .map_err(|error| Error::io("cannot unshare the blocks of COOKIE", &path, error))?;
        let bytes = Exclusive::map(&*file, COOKIE_SIZE)
            .map_err(|error| Error::io("cannot map COOKIE", &path, error))?;
        let generation = |slot: Option<Slot>| slot.map_or(0, |slot| slot.generation);
        let mut state = State {
            uuid,
            boot,
            durable: Turn::synced(generation(known.durable)),
            head: Turn::synced(generation(known.head)),
            bytes,
        };
        state.bytes.store_again(0..size);
        let cookie = Self {
            path,
            mapping: Arc::clone(state.bytes.mapping()),
            state: Mutex::new(state),
        };
        cookie.sync()?;
        Ok(cookie)
    }

    /// Notes that everything below `lsn` is durable (J1).
    pub(crate) fn store_durable(&self, lsn: Lsn) {
        let mut state = self.state.lock();
        let generation = state.durable.next();
        state.store(SlotKind::Durable, generation, lsn);
    }

    /// Notes that the log begins at `lsn`; durable after [`sync`](Self::sync) (J2).
    pub(crate) fn store_head(&self, lsn: Lsn) {
        let mut state = self.state.lock();
        let generation = state.head.next();
        state.store(SlotKind::Head, generation, lsn);
    }

    /// Notes that the log was closed at `lsn` (J3).
    pub(crate) fn store_clean(&self, lsn: Lsn) {
        let mut state = self.state.lock();
        let generation = state.durable.stored;
        state.store(SlotKind::Clean, generation, lsn);
    }

    /// Makes what was stored durable.
    ///
    /// # Errors
    /// The caller must poison the log.
    pub(crate) fn sync(&self) -> Result<()> {
        let (durable, head) = {
            let state = self.state.lock();
            (state.durable.stored, state.head.stored)
        };
        let synced = self.mapping.sync(0..self.mapping.size());
        synced.map_err(|error| Error::io("cannot make COOKIE durable", &self.path, error))?;
        // What was stored meanwhile need not have been covered.
        let mut state = self.state.lock();
        state.durable.synced = state.durable.synced.max(durable);
        state.head.synced = state.head.synced.max(head);
        Ok(())
    }
}

impl State {
    fn store(&mut self, kind: SlotKind, generation: u64, lsn: Lsn) {
        let slot = Slot {
            generation,
            lsn,
            uuid: self.uuid,
            boot: self.boot,
        };
        let at = usize::try_from(cookie::slot_offset(kind, generation)).unwrap_or(0);
        self.bytes.store(at, &slot.encode(kind));
    }
}
