//! [`Directory`]: the directory of one log, on the disk that it lies on.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::sys::{Access, Disk, DiskFile};

use super::name;

/// The directory of one log.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Directory {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path }
    }

    /// Another directory on the same disk.
    pub(crate) fn beside(&self, path: PathBuf) -> Self {
        Self {
            disk: Arc::clone(&self.disk),
            path,
        }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file `name`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path of segment `id`.
    pub(crate) fn segment(&self, id: u32) -> PathBuf {
        self.file(&name::segment(id))
    }

    pub(crate) fn open(&self, name: &str, access: Access) -> Result<Arc<dyn DiskFile>> {
        let path = self.file(name);
        self.disk
            .open(&path, access)
            .map_err(|error| Error::io("cannot open a file of the log", &path, error))
    }

    pub(crate) fn list(&self) -> Result<Vec<OsString>> {
        let list = self.disk.list(&self.path);
        list.map_err(|error| Error::io("cannot list the directory of the log", &self.path, error))
    }

    /// Makes the names in the directory durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let sync = self.disk.sync_dir(&self.path);
        sync.map_err(|error| unsynced(&self.path, error))
    }

    /// Makes the directory's own name durable.
    pub(crate) fn sync_parent(&self) -> Result<()> {
        let parent = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) => Path::new("."),
            None => return Ok(()),
        };
        let sync = self.disk.sync_dir(parent);
        sync.map_err(|error| unsynced(parent, error))
    }

    /// Removes the file `name`; one that is gone is no error.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("cannot remove a file of the log", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Removes every file in the directory.
    pub(crate) fn remove_files(&self) -> Result<()> {
        for name in self.list()? {
            let path = self.path.join(name);
            let removed = self.disk.remove(&path);
            removed.map_err(|error| Error::io("cannot remove a file", &path, error))?;
        }
        Ok(())
    }

    /// Removes the directory with every file in it.
    pub(crate) fn remove_all(&self) -> Result<()> {
        self.remove_files()?;
        let removed = self.disk.remove_dir(&self.path);
        removed.map_err(|error| Error::io("cannot remove a directory", &self.path, error))
    }

    /// Removes the file `name` and gives its blocks back, although an idle appender may still have it mapped.
    pub(crate) fn remove_and_free(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        let file = self.open(name, Access::Write)?;
        file.truncate(0)
            .map_err(|error| Error::io("cannot empty a file of the log", &path, error))?;
        self.remove(name)
    }

    /// Makes the file `name` with `bytes`, so that it is there whole and durable or not at all.
    pub(crate) fn publish(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.stage(name, bytes)?;
        self.sync()
    }

    /// As [`publish`](Self::publish), but the name is durable only after [`sync`](Self::sync).
    pub(crate) fn stage(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let made = name::unfinished(name);
        self.remove(&made)?;
        let path = self.file(&made);
        let fail = |what| move |error| Error::io(what, &self.file(name), error);
        let file = self
            .disk
            .create(&path)
            .map_err(fail("cannot create a file of the log"))?;
        file.write_at(0, bytes)
            .map_err(fail("cannot write a file of the log"))?;
        file.sync()
            .map_err(fail("cannot make a file of the log durable"))?;
        self.disk
            .rename(&path, &self.file(name))
            .map_err(fail("cannot rename a file of the log"))
    }
}

/// Never a want of space that could be tried again: what a failed sync left on the device is unknown.
fn unsynced(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::Io,
        "the names in a directory could not be made durable",
    )
    .at_path(path)
    .caused_by(error)
}
