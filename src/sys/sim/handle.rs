//! Open files and held locks of a simulated disk.

use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Range;

use super::super::{Access, DiskFile, FileId, Lock, Mapping};
use super::directory::Node;
use super::fault::Op;
use super::machine::{Life, Shared, Way, lock};
use super::mapped::MappedImage;

/// A file of one life of the disk.
pub(super) struct SimFile {
    pub(super) machine: Shared,
    pub(super) life: Life,
    pub(super) node: Node,
    pub(super) access: Access,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut machine = lock(&self.machine);
        machine.begin(self.life, Op::Stat)?;
        Ok(machine.tree.file(self.node).len() as u64)
    }

    fn id(&self) -> io::Result<FileId> {
        let mut machine = lock(&self.machine);
        machine.begin(self.life, Op::Stat)?;
        Ok(FileId {
            device: machine.device,
            inode: self.node as u64,
        })
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut machine = lock(&self.machine);
        let way = machine.begin(self.life, Op::Allocate)?;
        let size = position(size)?;
        if way == Way::Short {
            machine.extend(self.node, size / 2)?;
            return Err(ErrorKind::StorageFull.into());
        }
        machine.extend(self.node, size)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut machine = lock(&self.machine);
        machine.begin(self.life, Op::Truncate)?;
        let file = machine.tree.file_mut(self.node);
        let size = position(size)?;
        if size > file.len() {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "truncate does not extend a file",
            ));
        }
        file.resize(size);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut machine = lock(&self.machine);
        let way = machine.begin(self.life, Op::Read)?;
        let bytes = machine.tree.file(self.node).bytes();
        let bytes = bytes.get(position(offset)?..).unwrap_or_default();
        let mut count = bytes.len().min(buffer.len());
        if way == Way::Short {
            count /= 2;
        }
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_writable()?;
        let mut machine = lock(&self.machine);
        let way = machine.begin(self.life, Op::Write)?;
        let offset = position(offset)?;
        let end = offset
            .checked_add(bytes.len())
            .ok_or(ErrorKind::FileTooLarge)?;
        let end = if way == Way::Short {
            offset + bytes.len() / 2
        } else {
            end
        };
        machine.extend(self.node, end)?;
        machine.own(self.node, &(offset..end))?;
        machine.touch(Op::Write, self.node, offset..end);
        let file = machine.tree.file_mut(self.node);
        match way {
            Way::Torn { words } => {
                file.write(offset, &bytes[..bytes.len().min(8 * words)]);
                machine.stop();
                machine.begin(self.life, Op::Write).map(drop)
            }
            Way::Short => {
                file.write(offset, &bytes[..bytes.len() / 2]);
                Err(ErrorKind::StorageFull.into())
            }
            Way::Honest | Way::Lying => {
                file.write(offset, bytes);
                Ok(())
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut machine = lock(&self.machine);
        machine.begin_sync(self.life, Op::FileSync, |tree, written| {
            tree.file_mut(self.node).sync(written);
        })?;
        let len = machine.tree.file(self.node).len();
        machine.touch(Op::FileSync, self.node, 0..len);
        Ok(())
    }

    fn unshare(&self, range: Range<u64>) -> io::Result<u64> {
        self.check_writable()?;
        let mut machine = lock(&self.machine);
        machine.begin(self.life, Op::Unshare)?;
        let range = position(range.start)?..position(range.end)?;
        Ok(machine.own(self.node, &range)? as u64)
    }

    fn advise_random(&self) -> io::Result<()> {
        lock(&self.machine).begin(self.life, Op::Advise)?;
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        lock(&self.machine).begin(self.life, Op::Advise)?;
        Ok(())
    }

    fn map(&self, size: usize) -> io::Result<Mapping> {
        let mut machine = lock(&self.machine);
        machine.begin(self.life, Op::Map)?;
        let file = machine.tree.file(self.node);
        if size == 0 || file.len() < size {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "the file is too short to be mapped",
            ));
        }
        let shared = Shared::clone(&self.machine);
        let image = MappedImage::new(shared, self.life, self.node, file.memory(), size);
        Ok(Mapping::of_image(image, self.access))
    }
}

/// A lock that ends with its life.
pub(super) struct SimLock {
    pub(super) machine: Shared,
    pub(super) life: Life,
    pub(super) node: Node,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut machine = lock(&self.machine);
        if machine.is_alive(self.life) {
            machine.tree.file_mut(self.node).is_locked = false;
        }
    }
}

/// A position in memory; no simulated file is longer.
fn position(offset: u64) -> io::Result<usize> {
    match usize::try_from(offset) {
        Ok(offset) if offset <= super::LONGEST => Ok(offset),
        _ => Err(ErrorKind::FileTooLarge.into()),
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile")
            .field("node", &self.node)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimLock")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}
