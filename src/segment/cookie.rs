//! [`CookieFile`]: the durable position, the head and the mark of a clean close, kept in place.
//!
//! # Invariants
//! * J1. A durable slot is stored only after a successful sync of everything below it, by the leader that synced, before
//!   it gives leadership up. So the slot may say less than the truth, never more, and the append path need not sync it.
//! * J2. A head slot is stored and synced before a discarded file may be reused.
//! * J3. The mark is stored only when everything below it is durable. A valid epoch frame at its position makes it void,
//!   so it needs no clearing.
//! * J4. Generations grow by one and alternate between two blocks: a torn slot leaves the one before it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::{COOKIE_SIZE, Cookie, Slot, SlotKind, Uuid, cookie};
use crate::lsn::Lsn;
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
    durable_generation: u64,
    head_generation: u64,
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

    /// Opens the `COOKIE` that was read as `known`.
    pub(crate) fn open(
        directory: &Directory,
        uuid: Uuid,
        boot: [u8; 16],
        known: &Cookie,
    ) -> Result<Self> {
        let path = directory.file(name::COOKIE);
        let file = directory.open(name::COOKIE, Access::Write)?;
        let size = usize::try_from(COOKIE_SIZE).unwrap_or(0);
        let mapping = file
            .map(size)
            .map_err(|error| Error::io("cannot map COOKIE", &path, error))?;
        let bytes = Exclusive::fresh(mapping);
        let generation = |slot: Option<Slot>| slot.map_or(0, |slot| slot.generation);
        let state = State {
            uuid,
            boot,
            durable_generation: generation(known.durable),
            head_generation: generation(known.head),
            bytes,
        };
        Ok(Self {
            path,
            mapping: Arc::clone(state.bytes.mapping()),
            state: Mutex::new(state),
        })
    }

    /// Notes that everything below `lsn` is durable (J1).
    pub(crate) fn store_durable(&self, lsn: Lsn) {
        let mut state = self.state.lock();
        state.durable_generation += 1;
        let generation = state.durable_generation;
        state.store(SlotKind::Durable, generation, lsn);
    }

    /// Notes that the log begins at `lsn`; durable after [`sync`](Self::sync) (J2).
    pub(crate) fn store_head(&self, lsn: Lsn) {
        let mut state = self.state.lock();
        state.head_generation += 1;
        let generation = state.head_generation;
        state.store(SlotKind::Head, generation, lsn);
    }

    /// Notes that the log was closed at `lsn` (J3).
    pub(crate) fn store_clean(&self, lsn: Lsn) {
        let mut state = self.state.lock();
        let generation = state.durable_generation;
        state.store(SlotKind::Clean, generation, lsn);
    }

    /// Stores every block over itself, so that a sync writes it whatever the page cache believes.
    pub(crate) fn store_again(&self) {
        let mut state = self.state.lock();
        let size = state.bytes.mapping().size();
        state.bytes.store_again(0..size);
    }

    /// Makes what was stored durable.
    ///
    /// # Errors
    /// The caller must poison the log.
    pub(crate) fn sync(&self) -> Result<()> {
        let sync = self.mapping.sync(0..self.mapping.size());
        sync.map_err(|error| Error::io("cannot make COOKIE durable", &self.path, error))
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
