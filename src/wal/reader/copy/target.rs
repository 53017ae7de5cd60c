//! [`Target`]: the file of one segment of a copy.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::{ACTIVATION_OFFSET, Activation, Manifest, Prepared, encode_block};
use crate::segment::Directory;
use crate::sys::DiskFile;

/// How much is written at a time.
const STEP: usize = 1 << 20;

/// The file of one segment of the copy.
pub(super) struct Target {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    at: u64,
}

impl Target {
    pub(super) fn create(
        directory: &Directory,
        activation: &Activation,
        manifest: &Manifest,
    ) -> Result<Self> {
        let path = directory.segment(activation.segment);
        let fail = |what| {
            let path = path.clone();
            move |error| Error::io(what, &path, error)
        };
        let file = directory
            .disk()
            .create(&path)
            .map_err(fail("cannot create a segment of the copy"))?;
        file.allocate(manifest.segment_size)
            .map_err(fail("cannot allocate a segment of the copy"))?;
        let prepared = Prepared {
            uuid: manifest.uuid,
            segment: activation.segment,
            size: manifest.segment_size,
            incompat: manifest.incompat,
        };
        let mut header = encode_block(&prepared);
        let at = usize::try_from(ACTIVATION_OFFSET).unwrap_or(512);
        let part = activation.encode(&prepared);
        header[at..at + part.len()].copy_from_slice(&part);
        let mut target = Self {
            path,
            file,
            buffer: Vec::with_capacity(STEP),
            at: 0,
        };
        target.take(&header)?;
        Ok(target)
    }

    /// Takes bytes in order; returns how many were written out.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<u64> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < STEP {
            return Ok(0);
        }
        self.write()
    }

    fn write(&mut self) -> Result<u64> {
        let len = self.buffer.len() as u64;
        self.file
            .write_at(self.at, &self.buffer)
            .map_err(|error| Error::io("cannot write a segment of the copy", &self.path, error))?;
        self.at += len;
        self.buffer.clear();
        Ok(len)
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.write()?;
        self.file.sync().map_err(|error| {
            Error::io(
                "cannot make a segment of the copy durable",
                &self.path,
                error,
            )
        })?;
        // Advice: a cache that stays is no error.
        drop(self.file.drop_cache());
        Ok(())
    }
}
