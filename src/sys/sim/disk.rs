//! [`SimDisk`] as a [`Disk`]: names, directories and locks.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use crate::sync::MutexGuard;

use super::super::{Access, Disk, DiskFile, FileSystem, Lock, Made};
use super::SimDisk;
use super::directory::Node;
use super::fault::Op;
use super::file::{FileImage, Written};
use super::handle::{SimFile, SimLock};
use super::machine::{Machine, Shared, lock};
use super::tree::Found;

impl Disk for SimDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<Made> {
        let mut machine = self.begin(Op::MakeDir)?;
        if machine.tree.dir(dir).is_ok() {
            return Ok(Made::Existed);
        }
        let (parent, name) = machine.tree.place(dir)?;
        if machine.tree.find(parent, name) != Found::Nothing {
            return Err(ErrorKind::NotADirectory.into());
        }
        let node = machine.tree.add_dir();
        machine.tree.names_mut(parent).link(name, node);
        Ok(Made::Created)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let machine = self.begin(Op::List)?;
        let dir = machine.tree.dir(dir)?;
        Ok(machine.tree.list(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut machine = lock(&self.machine);
        let node = machine.tree.dir(dir);
        machine.begin_sync(self.life, Op::DirSync, |tree, written| {
            match (&node, written) {
                (Ok(node), Written::Yes) => tree.names_mut(*node).sync(),
                (Ok(_), Written::Stranded) | (Err(_), _) => {}
            }
        })?;
        node.map(drop)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut machine = self.begin(Op::Lock)?;
        let (dir, name) = machine.tree.place(path)?;
        let node = match machine.tree.find(dir, name) {
            Found::Nothing => add_file(&mut machine, dir, name),
            Found::File(node) => node,
            Found::Dir(_) => return Err(ErrorKind::InvalidInput.into()),
        };
        let file = machine.tree.file_mut(node);
        if file.is_locked {
            return Err(ErrorKind::WouldBlock.into());
        }
        file.is_locked = true;
        Ok(Box::new(SimLock {
            machine: Shared::clone(&self.machine),
            life: self.life,
            node,
        }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut machine = self.begin(Op::Create)?;
        let (dir, name) = machine.tree.place(path)?;
        if machine.tree.find(dir, name) != Found::Nothing {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let node = add_file(&mut machine, dir, name);
        Ok(self.handle(node, Access::Write))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let machine = self.begin(Op::Open)?;
        let node = machine.tree.find_file(path)?;
        Ok(self.handle(node, access))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.begin(Op::Rename)?;
        let (dir, from) = machine.tree.place(from)?;
        let (to_dir, to) = machine.tree.place(to)?;
        let found = machine.tree.find(dir, from);
        if found == Found::Nothing {
            return Err(ErrorKind::NotFound.into());
        }
        if dir != to_dir {
            return Err(io::Error::new(
                ErrorKind::CrossesDevices,
                "the simulated disk renames within a directory",
            ));
        }
        match (found, machine.tree.find(dir, to)) {
            (_, Found::Dir(_)) => return Err(ErrorKind::IsADirectory.into()),
            (Found::Dir(_), Found::File(_)) => return Err(ErrorKind::NotADirectory.into()),
            _ => {}
        }
        machine.tree.names_mut(dir).rename(from, to);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.begin(Op::Remove)?;
        machine.tree.find_file(path)?;
        let (dir, name) = machine.tree.place(path)?;
        machine.tree.names_mut(dir).unlink(name);
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut machine = self.begin(Op::Remove)?;
        let node = machine.tree.dir(dir)?;
        if !machine.tree.list(node).is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        let (parent, name) = machine.tree.place(dir)?;
        machine.tree.names_mut(parent).unlink(name);
        Ok(())
    }

    fn file_system(&self, dir: &Path) -> io::Result<FileSystem> {
        let machine = self.begin(Op::FileSystem)?;
        machine.tree.dir(dir)?;
        Ok(machine.file_system)
    }
}

impl SimDisk {
    fn begin(&self, op: Op) -> io::Result<MutexGuard<'_, Machine>> {
        let mut machine = lock(&self.machine);
        machine.begin(self.life, op)?;
        Ok(machine)
    }

    fn handle(&self, node: Node, access: Access) -> Arc<dyn DiskFile> {
        Arc::new(SimFile {
            machine: Shared::clone(&self.machine),
            life: self.life,
            node,
            access,
        })
    }
}

fn add_file(machine: &mut Machine, dir: Node, name: &OsStr) -> Node {
    let node = machine.tree.add_file(FileImage::empty());
    machine.tree.names_mut(dir).link(name, node);
    node
}
