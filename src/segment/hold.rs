//! [`HoldFile`]: the position of one named hold, kept in place.
//!
//! # Protocol
//! Made aside with its first position, synced, renamed, and the directory synced by the caller: from then on it is there.
//! Moving forwards stores one slot and syncs nothing. Moving back syncs twice, until both slots say so. Releasing removes
//! the name. So nothing on the way to freeing space takes a free block.
//!
//! # Invariants
//! * O1. What is on the device is never above the position that the hold was given last: an older position only keeps more.
//! * O2. As J4 of `COOKIE`: of the two slots the one that is durable is not stored into until a sync has made the other so.
//!   Opening makes durable what it read, first of all.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{HOLD_SIZE, HoldSlot, SlotFault, Uuid, hold_slot_offset};
use crate::lsn::Lsn;
use crate::sys::{Access, DiskFile};

use super::cookie::Turn;
use super::{Directory, name};

/// The open file of one named hold.
#[derive(Debug)]
pub(crate) struct HoldFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    name: String,
    uuid: Uuid,
    turn: Turn,
}

impl HoldFile {
    /// Makes the file of a new hold. The caller makes its name durable by syncing the directory.
    pub(crate) fn create(directory: &Directory, name: &str, uuid: Uuid, lsn: Lsn) -> Result<Self> {
        let slot = HoldSlot {
            generation: 1,
            lsn,
            uuid,
        };
        let mut bytes = vec![0; size()];
        let at = usize::try_from(hold_slot_offset(1)).unwrap_or(0);
        let encoded = slot.encode(name);
        bytes[at..at + encoded.len()].copy_from_slice(&encoded);
        let file_name = name::hold(name);
        let made = directory
            .stage(&file_name, &bytes)
            .and_then(|()| Self::of(directory, name, uuid, 1));
        made.inspect_err(|_| {
            // The first error is the one to report; what stays keeps more than it must, or is reclaimed at the next open.
            drop(directory.remove(&name::unfinished(&file_name)));
            drop(directory.remove(&file_name));
        })
    }

    fn of(directory: &Directory, name: &str, uuid: Uuid, generation: u64) -> Result<Self> {
        let file_name = name::hold(name);
        Ok(Self {
            path: directory.file(&file_name),
            file: directory.open(&file_name, Access::Write)?,
            name: name.to_owned(),
            uuid,
            turn: Turn::synced(generation),
        })
    }

    /// What the file of the hold `name` says.
    ///
    /// # Errors
    /// Of kind `Corrupt`, or `Incompatible` if it belongs to another log, if it says nothing.
    pub(crate) fn read(directory: &Directory, name: &str, uuid: &Uuid) -> Result<HoldSlot> {
        let file_name = name::hold(name);
        let path = directory.file(&file_name);
        let file = directory.open(&file_name, Access::Read)?;
        let bytes =
            read_file(&*file).map_err(|error| Error::io("cannot read a hold", &path, error))?;
        HoldSlot::decode(&bytes, name, uuid).map_err(|fault| {
            let kind = match fault {
                SlotFault::WrongUuid => ErrorKind::Incompatible,
                _ => ErrorKind::Corrupt,
            };
            Error::new(kind, "the file of a hold is damaged, so nothing says what must be kept")
                .at_path(&path)
                .advise("restore the file; or, if whoever held the log needs nothing of it any more, remove it")
                .caused_by(fault)
        })
    }

    /// Opens the file that was read as `known`, makes durable what it holds, and moves it back to `end` if it lies beyond:
    /// records that were never durable are gone, and others will stand there.
    pub(crate) fn open(
        directory: &Directory,
        name: &str,
        known: &HoldSlot,
        end: Lsn,
    ) -> Result<Self> {
        let mut hold = Self::of(directory, name, known.uuid, known.generation)?;
        let again = read_file(&*hold.file).and_then(|bytes| hold.file.write_at(0, &bytes));
        again.map_err(|error| Error::io("cannot store a hold again", &hold.path, error))?;
        hold.sync()?;
        if known.lsn > end {
            hold.move_back(end)?;
        }
        Ok(hold)
    }

    /// Notes that only what begins at `lsn`, further on, must be kept. Not synced (O1).
    pub(crate) fn advance(&mut self, lsn: Lsn) -> Result<()> {
        let slot = HoldSlot {
            generation: self.turn.next(),
            lsn,
            uuid: self.uuid,
        };
        let stored = self
            .file
            .write_at(hold_slot_offset(slot.generation), &slot.encode(&self.name));
        stored.map_err(|error| {
            Error::io("cannot store the position of a hold", &self.path, error).at_lsn(lsn)
        })
    }

    /// Notes that what begins at `lsn`, further back, must be kept too; durable on return, in both slots (O1).
    pub(crate) fn move_back(&mut self, lsn: Lsn) -> Result<()> {
        for _ in 0..2 {
            self.advance(lsn)?;
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.file
            .sync()
            .map_err(|error| Error::io("cannot make a hold durable", &self.path, error))?;
        self.turn.settle();
        Ok(())
    }
}

fn size() -> usize {
    usize::try_from(HOLD_SIZE).unwrap_or(0)
}

/// As much of it as means anything.
fn read_file(file: &dyn DiskFile) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; size()];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}
