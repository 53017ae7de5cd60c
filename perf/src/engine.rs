//! [`Engine`]: a log under measurement, as the harness drives every one of them.

use std::path::Path;

use anyhow::Result;

use crate::workload::{Extent, Workload};

/// What the harness must know of an engine.
pub trait Engine: Sync {
    /// In tables and records.
    fn name(&self) -> &'static str;

    /// How it is set up for the job, and on whose advice.
    fn setup(&self) -> &'static str;

    /// Why it has no part in a workload, if it has none.
    fn refusal(&self, workload: &Workload) -> Option<&'static str>;

    /// Makes a log in an empty directory.
    ///
    /// # Errors
    /// The engine's.
    fn open(&self, directory: &Path, workload: &Workload, extent: &Extent) -> Result<Box<dyn Log>>;

    /// Opens the log again and gives each record to `each`, in any order. `Ok(false)` if it keeps none: it is a limit, no log.
    ///
    /// # Errors
    /// The engine's.
    fn read_back(&self, directory: &Path, each: &mut dyn FnMut(&[u8])) -> Result<bool>;
}

/// An open log.
pub trait Log: Sync {
    /// A writer for the calling thread.
    ///
    /// # Errors
    /// The engine's.
    fn writer(&self, thread: usize) -> Result<Box<dyn Writer + '_>>;

    /// Lets go of all records but the latest. Called again and again by a thread of its own while writers write.
    ///
    /// # Errors
    /// The engine's.
    fn discard(&self) -> Result<()>;

    /// Reads what came since the last call, and tells how many records that were. Called as `discard` is.
    ///
    /// # Errors
    /// The engine's.
    fn tail(&self) -> Result<u64>;

    /// How many syncs it has made, if it says so.
    fn syncs(&self) -> Option<u64>;

    /// Makes everything durable and ends.
    ///
    /// # Errors
    /// The engine's.
    fn close(self: Box<Self>) -> Result<()>;
}

/// One thread's way into a log.
pub trait Writer {
    /// Appends a record.
    ///
    /// # Errors
    /// The engine's.
    fn append(&mut self, record: &[u8]) -> Result<()>;

    /// Returns when everything that this writer appended survives a power loss.
    ///
    /// # Errors
    /// The engine's.
    fn commit(&mut self) -> Result<()>;
}
