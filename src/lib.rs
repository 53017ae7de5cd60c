//! An embeddable, segmented write-ahead log.
//!
//! A log is a directory of preallocated segment files, mapped into memory. Any number of threads append at the same time
//! without a lock; one of those that wait for durability syncs for all of them; a background thread makes the next
//! segments ready, so that stepping from one to the next touches no file-system metadata. Opening a log after a crash gives
//! back exactly a prefix of what was appended: every durable record, then possibly some that were never acknowledged.
//!
//! ```
//! # fn main() -> segwal::Result<()> {
//! # let dir = std::env::temp_dir().join(format!("segwal-crate-{}", std::process::id()));
//! use segwal::Wal;
//!
//! let wal = Wal::open(&dir)?;
//! let lsn = wal.append(b"transfer 10 from a to b")?; // published: survives kill -9
//! wal.sync_to(lsn)?; // durable: survives power loss
//!
//! for record in wal.records(wal.head())? {
//!     println!("{} {:?}", record?.lsn(), "...");
//! }
//! wal.discard_before(wal.durable())?; // after a checkpoint: the space is reused
//! wal.close()?;
//! # std::fs::remove_dir_all(&dir).unwrap();
//! # Ok(())
//! # }
//! ```
//!
//! What survives what is `docs/durability.md`, every byte on disk `docs/format.md`, every atomic `docs/concurrency.md`, and
//! where things are `docs/architecture.md`.
//!
//! # Features
//! * `fault`: a simulated disk with live and durable images, for crash tests of this crate and of those that embed it.
//! * `loom`: the model checker's types in the core; takes effect with `--cfg loom` alone.
//! * `shuttle`: a random scheduler's types in the whole engine; takes effect with `--cfg shuttle` alone.
#![deny(unsafe_code)]

#[cfg_attr(
    all(loom, feature = "loom"),
    expect(dead_code, reason = "the models use the core alone")
)]
mod error;
mod log;
mod lsn;
#[cfg_attr(
    all(loom, feature = "loom"),
    expect(dead_code, reason = "the models use the core alone")
)]
mod seeded;
mod sync;

#[cfg(not(all(loom, feature = "loom")))]
mod format;
#[cfg(not(all(loom, feature = "loom")))]
mod options;
#[cfg(not(all(loom, feature = "loom")))]
mod segment;
#[cfg(not(all(loom, feature = "loom")))]
mod stats;
#[cfg(not(all(loom, feature = "loom")))]
mod sys;
#[cfg(not(all(loom, feature = "loom")))]
mod wal;

pub use error::{Error, ErrorKind, Place, Result};
pub use lsn::{Lsn, ParseLsnError};

#[cfg(not(all(loom, feature = "loom")))]
pub use crate::{
    format::Uuid,
    options::{Create, Gather, OldPayloads, OnFull, SyncEvery, UnknownFilesystem, WalOptions},
    stats::Stats,
    sys::sigbus::report_sigbus,
    wal::{
        Appender, CopyReport, EndKind, Follower, Health, Hold, HoldInfo, Identity, Inspection,
        OnDamage, OwnedRecord, Positions, Progress, ReaderRecords, Record, Records, Recovery,
        Repair, Repaired, Reservation, SegmentContents, SegmentInfo, SegmentState, SpaceCause,
        SpacePressure, StoredHold, Tail, TailWaker, Verdict, VerdictKind, Visibility, Wal,
        WalReader,
    },
};

/// A disk that fails, lies, tears and loses power when it is told to, for tests.
#[cfg(all(feature = "fault", not(all(loom, feature = "loom"))))]
pub mod fault {
    pub use crate::sys::FileSystem;
    pub use crate::sys::sim::*;
}

/// The core, for the models under `loom-tests/`. Not covered by semantic versioning.
#[cfg(all(loom, feature = "loom"))]
#[doc(hidden)]
pub mod internals {
    pub use crate::log::*;
    pub use crate::sync::{set_thread_hint, twin};
}

/// What goes wrong on purpose, for the schedules under `shuttle-tests/`. Not covered by semantic versioning.
#[cfg(all(shuttle, feature = "shuttle"))]
#[doc(hidden)]
pub mod internals {
    pub use crate::seeded::{Bug, choose as choose_bug};
    pub use crate::sync::twin;

    /// The clock of the execution.
    pub fn now_ns() -> u64 {
        crate::sys::clock::now_ns()
    }
}

/// The README's code is compiled and run.
#[cfg(all(doctest, not(all(loom, feature = "loom"))))]
#[doc = include_str!("../README.md")]
pub struct Readme;
