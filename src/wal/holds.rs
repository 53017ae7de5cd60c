//! [`Holds`]: how far the head may go, by everybody who holds it back.
//!
//! Positions stand in a table under one lock, which a discard takes for an instant; the files of named holds under another,
//! which is held during their I/O, so that calls on names come one after the other.
//!
//! # Invariants
//! * V1. A hold enters the table under the discard lock, at or above the head; so D3 of `discard` holds from then on.
//! * V2. A named hold stays in the table until its name is durably gone from the directory, whether somebody has it or not.
//! * V3. No file is touched once the log has ended and [`quiesce`](Holds::quiesce) has returned.
//!
//! Locks are taken in this order: files, discarding, table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::format::verdict::{Files, Findings, Kept, SOUND, judge};
use crate::format::{HoldSlot, Manifest, Uuid};
use crate::lsn::Lsn;
use crate::segment::{Directory, HoldFile, hold_name};
use crate::sync::{Mutex, MutexGuard};

use super::recover::Survey;

/// Named holds of one log: each is a file, and an open one while the log is.
pub(crate) const MAX_NAMED: usize = 64;
/// All holds of one log.
pub(crate) const MAX_HOLDS: usize = 1024;

/// Whether somebody has a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tenure {
    Live,
    /// Named, and kept until somebody takes it over or releases it.
    Waiting,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Option<String>,
    pub(crate) lsn: Lsn,
    pub(crate) tenure: Tenure,
}

/// Everybody who holds the head back, by number.
#[derive(Debug, Default)]
pub(crate) struct Table {
    next: u64,
    entries: BTreeMap<u64, Entry>,
}

impl Table {
    pub(crate) fn find(&self, name: &str) -> Option<(u64, &Entry)> {
        let named = |entry: &Entry| entry.name.as_deref() == Some(name);
        let found = self.entries.iter().find(|(_, entry)| named(entry));
        found.map(|(id, entry)| (*id, entry))
    }

    /// Adds a hold, if there is room for it.
    pub(crate) fn add(&mut self, entry: Entry) -> Result<u64> {
        let named = self.entries.values().filter(|entry| entry.name.is_some());
        if entry.name.is_some() && named.count() >= MAX_NAMED {
            return Err(too_many("named holds", MAX_NAMED));
        }
        if self.entries.len() >= MAX_HOLDS {
            return Err(too_many("holds", MAX_HOLDS));
        }
        Ok(self.insert(entry))
    }

    fn insert(&mut self, entry: Entry) -> u64 {
        let id = self.next;
        self.next += 1;
        self.entries.insert(id, entry);
        id
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.entries.remove(&id);
    }

    pub(crate) fn entry(&self, id: u64) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(crate) fn change(&mut self, id: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(&id) {
            change(entry);
        }
    }
}

/// Everybody who holds the head back.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    table: Mutex<Table>,
    files: Mutex<BTreeMap<String, HoldFile>>,
}

impl Holds {
    /// The named holds of an earlier process. What lies below the head was let go before the head moved.
    pub(crate) fn reopen(
        directory: &Directory,
        stored: &[StoredHold],
        head: Lsn,
        end: Lsn,
    ) -> Result<Self> {
        let mut table = Table::default();
        let mut files = BTreeMap::new();
        for (name, slot) in stored.iter().filter_map(StoredHold::slot) {
            let file = HoldFile::open(directory, name, &slot, end)?;
            files.insert(name.to_owned(), file);
            table.insert(Entry {
                name: Some(name.to_owned()),
                lsn: slot.lsn.clamp(head, end),
                tenure: Tenure::Waiting,
            });
        }
        Ok(Self {
            table: Mutex::new(table),
            files: Mutex::new(files),
        })
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// The files of named holds; who works on them checks that the log runs while holding this (V3).
    pub(crate) fn files(&self) -> MutexGuard<'_, BTreeMap<String, HoldFile>> {
        self.files.lock()
    }

    /// How far the head may go if it is to go to `lsn`.
    pub(crate) fn limit(&self, lsn: Lsn) -> Lsn {
        let table = self.table.lock();
        let held = table.entries.values().map(|entry| entry.lsn);
        held.min().map_or(lsn, |held| held.min(lsn))
    }

    /// Waits for whoever works on a file; the log has ended, so nobody will begin to.
    pub(crate) fn quiesce(&self) {
        drop(self.files.lock());
    }

    pub(crate) fn list(&self) -> Vec<HoldInfo> {
        let table = self.table.lock();
        table.entries.values().map(HoldInfo::of).collect()
    }
}

fn too_many(what: &str, most: usize) -> Error {
    Error::new(
        ErrorKind::OutOfResources,
        format!("the log has as many {what} as it can have, {most}"),
    )
    .advise("release those that nobody needs; `Wal::holds` lists them")
}

/// One hold of an open log. See [`Wal::holds`](crate::Wal::holds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldInfo {
    name: Option<String>,
    lsn: Lsn,
    tenure: Tenure,
}

impl HoldInfo {
    fn of(entry: &Entry) -> Self {
        Self {
            name: entry.name.clone(),
            lsn: entry.lsn,
            tenure: entry.tenure,
        }
    }

    /// Its name, if it has one and so outlives the process.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What begins here, and behind, is kept.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Whether a [`Hold`](crate::Hold) of this process stands for it; otherwise it waits to be taken over or released.
    pub fn is_live(&self) -> bool {
        self.tenure == Tenure::Live
    }
}

/// What the file of a named hold says. See [`WalReader::holds`](crate::WalReader::holds).
#[derive(Clone, Debug)]
pub struct StoredHold {
    name: String,
    path: PathBuf,
    slot: Result<HoldSlot>,
}

impl StoredHold {
    pub(crate) fn read(directory: &Directory, name: &str, uuid: &Uuid) -> Self {
        Self {
            name: name.to_owned(),
            path: directory.file(&hold_name(name)),
            slot: HoldFile::read(directory, name, uuid),
        }
    }

    fn slot(&self) -> Option<(&str, HoldSlot)> {
        let slot = self.slot.as_ref().ok()?;
        Some((&self.name, *slot))
    }

    /// Whether there was no file any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.problem()
            .is_some_and(|problem| problem.kind() == ErrorKind::NotFound)
    }

    /// The error of an open that met its problem.
    pub(crate) fn refusal(&self) -> Option<Error> {
        let problem = self.problem()?;
        let (kept, files) = (Kept::Unknown, Files::Foreign);
        let row = match problem.kind() {
            ErrorKind::Corrupt => judge(Findings { kept, ..SOUND }),
            ErrorKind::Incompatible => judge(Findings { files, ..SOUND }),
            _ => return Some(problem.clone()),
        };
        let refusal = row
            .refuse("nothing says what must be kept")
            .at_path(&self.path)
            .advise("restore the file; or, if whoever held the log needs nothing of it any more, remove it")
            .caused_by(problem.clone());
        Some(refusal)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What begins here, and behind, is kept; unless the file is damaged. Beside a writer it may be more.
    pub fn lsn(&self) -> Option<Lsn> {
        self.slot().map(|(_, slot)| slot.lsn)
    }

    /// Why the file says nothing. A log with such a file is not opened for writing, since nothing says what must be kept.
    pub fn problem(&self) -> Option<&Error> {
        self.slot.as_ref().err()
    }
}

/// Reads the file of every hold; refuses if one says nothing.
pub(crate) fn read_holds(
    directory: &Directory,
    manifest: &Manifest,
    survey: &Survey,
) -> Result<Vec<StoredHold>> {
    let read = |name: &String| {
        let hold = StoredHold::read(directory, name, &manifest.uuid);
        match hold.refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(hold),
        }
    };
    survey.holds.iter().map(read).collect()
}
