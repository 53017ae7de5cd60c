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
//! * `probe`: entry points for bytes of unknown origin, for fuzzing this crate alone.
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
#[cfg(all(feature = "probe", not(all(loom, feature = "loom"))))]
#[doc(hidden)]
pub mod probe;
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
    options::{
        Create, Gather, OldPayloads, OnFull, SyncEvery, SyncPadding, UnknownFilesystem, WalOptions,
    },
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

/// A disk that fails, lies, tears and loses power when it is told to, for crash tests of this crate and of those who embed it.
///
/// [`WalOptions::open_on`] opens a log on a [`SimDisk`](fault::SimDisk), [`WalReader::open_on`] reads one. There are no threads
/// and no time: what the background would do is done by the call that needs it, and random numbers follow from a seed, so
/// the same calls give the same operations. Each can be made to go wrong, by its number or its kind; and what a power cut
/// leaves can be asked for at any moment, at random or choice by choice.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use segwal::fault::{Op, Repeat, SimDisk, When};
/// use segwal::{ErrorKind, WalOptions};
///
/// let mut options = WalOptions::new();
/// options.segment_size(64 << 10);
/// let disk = SimDisk::new();
/// let wal = options.open_on(&disk, "/log", 1)?;
/// let acknowledged = wal.append(b"acknowledged")?;
/// wal.sync_to(acknowledged)?;
/// wal.append(b"perhaps")?;
///
/// // Whatever a power cut leaves, what was acknowledged is there.
/// for seed in 0..20 {
///     let left = options.open_on(&disk.crash_image(seed), "/log", 2)?;
///     assert_eq!(&*left.get(acknowledged)?, b"acknowledged");
/// }
///
/// // The next sync fails: the log is poisoned, and says so.
/// disk.fail_at(When::Nth(Op::MapSync, 0), 5, Repeat::Once);
/// assert_eq!(wal.sync().unwrap_err().kind(), ErrorKind::Poisoned);
/// # Ok(())
/// # }
/// ```
///
/// `examples/crash_test.rs` tests a small key-value engine with it: power cuts, a lying disk and a full one. The errors of
/// [`fail_at`](fault::SimDisk::fail_at) are numbers of the system's; which of them a log survives is in `docs/durability.md`.
///
/// Covered by semantic versioning as everything public. The sequence of operations of a call is not: a later version may
/// need more or fewer.
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
