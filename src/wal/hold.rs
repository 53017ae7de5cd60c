//! [`Hold`]: keeps the head back for a replica, an archive or a long reader.
//!
//! # Protocol
//! A hold is registered under the discard lock, where the head stands still, and only then returned. A named one also has a
//! file, which is made, or moved back, before the hold is returned, and is gone, durably, before `release` is. Crashes on the
//! way leave a hold that nobody was told of, or none that anybody was.

use crate::error::{Error, ErrorKind, Result};
use crate::format::is_hold_name;
use crate::lsn::Lsn;
use crate::segment::{HoldFile, hold_name};

use super::Wal;
use super::holds::{Entry, HoldInfo, Tenure};
use super::shared::Shared;

/// Keeps records from [`lsn`](Self::lsn) on: [`Wal::discard_before`] does not go beyond it.
///
/// Dropped, a hold without a name ends. A [named](Wal::hold_named) one stays, in this process and after its death, until
/// somebody takes it over by its name or it is released. A hold is a handle of the log: it keeps it open.
///
/// ```
/// # fn main() -> segwal::Result<()> {
/// # let dir = std::env::temp_dir().join(format!("segwal-hold-{}", std::process::id()));
/// let wal = segwal::Wal::open(&dir)?;
/// let first = wal.append(b"shipped next")?;
/// let second = wal.append(b"shipped after that")?;
///
/// let hold = wal.hold_named("replica-1", first)?;
/// wal.discard_before(second)?;
/// assert_eq!(wal.head(), first); // held back
///
/// hold.advance(second)?; // shipped
/// wal.discard_before(second)?;
/// assert_eq!(wal.head(), second);
///
/// hold.release()?; // the replica is gone for good
/// # wal.close()?;
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropped, a hold without a name keeps nothing"]
pub struct Hold {
    wal: Wal,
    id: u64,
    name: Option<String>,
}

impl Wal {
    /// Keeps records from `lsn` on as long as the returned value lives.
    ///
    /// `lsn` is the position of a record that can be read, or [`published`](Self::published), [`durable`](Self::durable) or
    /// [`end`](Self::end).
    ///
    /// # Errors
    /// [`Discarded`](ErrorKind::Discarded) below the head; [`NotFound`](ErrorKind::NotFound) if no record begins at `lsn`;
    /// [`OutOfResources`](ErrorKind::OutOfResources) beyond 1024 holds; the error that ended the log.
    pub fn hold(&self, lsn: Lsn) -> Result<Hold> {
        let shared = self.shared();
        shared.check_held_position(lsn)?;
        let id = shared.register(None, lsn)?;
        Ok(Hold {
            wal: self.clone(),
            id,
            name: None,
        })
    }

    /// As [`hold`](Self::hold), under a name that outlives the process: the position counts until the hold is
    /// [released](Hold::release), whether somebody has it or not. Durable on return.
    ///
    /// A hold of that name that nobody has is taken over. If its position is before `lsn` it stays there: see
    /// [`Hold::lsn`]. If it is behind, it is moved back to `lsn`.
    ///
    /// It is a file of 8 KiB in the directory. Moving it forwards and releasing it need no space, so what frees space
    /// never waits for any.
    ///
    /// # Errors
    /// As [`hold`](Self::hold). [`InvalidOption`](ErrorKind::InvalidOption) unless the name has 1 to 64 characters from
    /// `a` to `z`, `0` to `9`, `_` and `-`; [`InvalidState`](ErrorKind::InvalidState) if somebody has the hold;
    /// [`OutOfResources`](ErrorKind::OutOfResources) beyond 64 names; [`NoSpace`](ErrorKind::NoSpace), [`Io`](ErrorKind::Io). A
    /// directory that cannot be synced poisons the log.
    pub fn hold_named(&self, name: &str, lsn: Lsn) -> Result<Hold> {
        let shared = self.shared();
        check_name(name)?;
        shared.check_held_position(lsn)?;
        let id = shared.acquire(name, lsn)?;
        Ok(Hold {
            wal: self.clone(),
            id,
            name: Some(name.to_owned()),
        })
    }

    /// Everything that keeps the head back, in the order in which it was found or made.
    pub fn holds(&self) -> Vec<HoldInfo> {
        self.shared().holds.list()
    }

    /// Removes a named hold that nobody has, such as that of a replica that will not come back. Durable on return.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none of that name; [`InvalidState`](ErrorKind::InvalidState) if somebody
    /// has it: use [`Hold::release`]; otherwise as [`Hold::release`].
    pub fn release_hold(&self, name: &str) -> Result<()> {
        let shared = self.shared();
        let none = || {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no hold named {name:?}"),
            )
        };
        let mut files = shared.holds.files();
        shared.check()?;
        let (id, tenure) = {
            let table = shared.holds.table();
            let (id, entry) = table.find(name).ok_or_else(none)?;
            (id, entry.tenure)
        };
        if tenure == Tenure::Live {
            return Err(taken(name));
        }
        shared.remove_hold(&mut files, id, name)
    }
}

impl Hold {
    /// What begins here, and behind, is kept.
    pub fn lsn(&self) -> Lsn {
        let table = self.wal.shared().holds.table();
        table.entry(self.id).map_or(Lsn::MAX, |entry| entry.lsn)
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Lets go of what lies before `lsn`; a position at or before that of the hold changes nothing.
    ///
    /// Discards nothing: call [`Wal::discard_before`] for that. The position of a named hold is stored in place and not
    /// synced: after a power loss it may be an older one, which keeps more.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if no record begins at `lsn`; [`Io`](ErrorKind::Io) if it could not be stored, and
    /// the hold stands where it stood; the error that ended the log.
    pub fn advance(&self, lsn: Lsn) -> Result<()> {
        let shared = self.wal.shared();
        shared.check_held_position(lsn)?;
        let mut files = shared.holds.files();
        shared.check()?;
        if lsn <= self.lsn() {
            return Ok(());
        }
        if let Some(file) = self.name.as_ref().and_then(|name| files.get_mut(name)) {
            file.advance(lsn)?;
        }
        shared
            .holds
            .table()
            .change(self.id, |entry| entry.lsn = lsn);
        Ok(())
    }

    /// Ends the hold. A named one is gone for good, and durably so, when this returns.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the file could not be removed: a named hold then stays, as if this value had been dropped. A
    /// directory that cannot be synced poisons the log.
    pub fn release(self) -> Result<()> {
        let shared = self.wal.shared();
        let mut files = shared.holds.files();
        shared.check()?;
        match &self.name {
            Some(name) => shared.remove_hold(&mut files, self.id, name),
            None => Ok(()),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut table = self.wal.shared().holds.table();
        match self.name {
            None => table.remove(self.id),
            Some(_) => table.change(self.id, |entry| entry.tenure = Tenure::Waiting),
        }
    }
}

impl Shared {
    /// Whether the head could be made to stop at `lsn`.
    fn check_held_position(&self, lsn: Lsn) -> Result<()> {
        self.check()?;
        if lsn < self.head() {
            return Err(discarded(lsn));
        }
        if lsn == self.end() || lsn == self.head() {
            return Ok(());
        }
        self.check_boundary(lsn)
    }

    /// From here on the head does not pass `lsn` (V1 of `holds`).
    fn register(&self, name: Option<&str>, lsn: Lsn) -> Result<u64> {
        let _discarding = self.discarding.lock();
        if lsn < self.head() {
            return Err(discarded(lsn));
        }
        self.holds.table().add(Entry {
            name: name.map(str::to_owned),
            lsn,
            tenure: Tenure::Live,
        })
    }

    /// Takes the hold `name` over, or makes it.
    fn acquire(&self, name: &str, lsn: Lsn) -> Result<u64> {
        let mut files = self.holds.files();
        self.check()?;
        let known = {
            let table = self.holds.table();
            table.find(name).map(|(id, entry)| (id, entry.clone()))
        };
        let Some((id, entry)) = known else {
            let id = self.register(Some(name), lsn)?;
            let file = self
                .make_hold(name, lsn)
                .inspect_err(|_| self.holds.table().remove(id))?;
            files.insert(name.to_owned(), file);
            return Ok(id);
        };
        if entry.tenure == Tenure::Live {
            return Err(taken(name));
        }
        if lsn < entry.lsn {
            self.move_back(id, lsn)?;
            let stored = files
                .get_mut(name)
                .map_or(Ok(()), |file| file.move_back(lsn));
            stored.inspect_err(|_| self.holds.table().change(id, |held| held.lsn = entry.lsn))?;
        }
        let live = |entry: &mut Entry| entry.tenure = Tenure::Live;
        self.holds.table().change(id, live);
        Ok(id)
    }

    fn move_back(&self, id: u64, lsn: Lsn) -> Result<()> {
        let _discarding = self.discarding.lock();
        if lsn < self.head() {
            return Err(discarded(lsn));
        }
        self.holds.table().change(id, |entry| entry.lsn = lsn);
        Ok(())
    }

    fn make_hold(&self, name: &str, lsn: Lsn) -> Result<HoldFile> {
        let file = HoldFile::create(&self.directory, name, self.manifest.uuid, lsn)?;
        self.sync_names()?;
        Ok(file)
    }

    /// Removes the file, and only then the hold (V2 of `holds`).
    fn remove_hold(
        &self,
        files: &mut std::collections::BTreeMap<String, HoldFile>,
        id: u64,
        name: &str,
    ) -> Result<()> {
        self.directory.remove(&hold_name(name))?;
        self.sync_names()?;
        files.remove(name);
        self.holds.table().remove(id);
        Ok(())
    }

    /// Nobody knows, after a failure, under which names the files are.
    fn sync_names(&self) -> Result<()> {
        self.directory.sync().map_err(|error| self.poison(error))
    }
}

fn check_name(name: &str) -> Result<()> {
    if is_hold_name(name) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidOption,
        format!("a hold cannot be named {name:?}"),
    )
    .advise("use 1 to 64 characters from a to z, 0 to 9, `_` and `-`"))
}

fn taken(name: &str) -> Error {
    Error::new(
        ErrorKind::InvalidState,
        format!("somebody has the hold named {name:?}"),
    )
    .advise("release or drop it where it is held")
}

#[cold]
fn discarded(lsn: Lsn) -> Error {
    Error::new(
        ErrorKind::Discarded,
        "the record was discarded, and cannot be held",
    )
    .at_lsn(lsn)
}
