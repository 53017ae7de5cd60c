//! The engine: [`Wal`] and everything that is done with it.
//!
//! | file | what it does |
//! |---|---|
//! | `open`, `create`, `reopen`, `opened`, `recover/` | from a directory to a running log |
//! | `memory` | a log without a directory |
//! | `append`, `appender`, `reservation` | reserve, fill, publish |
//! | `sync` | group commit, callbacks |
//! | `read`, `cursor`, `frame`, `record` | `get`, `records` |
//! | `tail/` | reading on as records come, in this process |
//! | `discard` | the head, and what becomes reusable |
//! | `hold`, `holds` | what keeps the head back |
//! | `truncate`, `rewinds` | taking back the end of the log, and what is void |
//! | `close` | the orderly end |
//! | `shared`, `supply` | the state, and how the core's needs are met |
//! | `pressure`, `space` | whether there is room for the segments to come |
//! | `signals`, `background`, `beat`, `hooks` | threads, and how work reaches them |
//! | `repair/` | what makes a damaged log open again |
//! | `reader/` | the read-only opener, for other processes |

mod append;
mod appender;
mod background;
mod beat;
mod close;
mod create;
mod cursor;
mod discard;
mod frame;
mod health;
mod hold;
mod holds;
mod hooks;
mod memory;
mod open;
mod opened;
mod pressure;
mod progress;
mod read;
mod reader;
mod record;
mod recover;
mod recovery;
mod reopen;
mod repair;
mod reservation;
mod rewinds;
mod shared;
mod signals;
mod space;
mod supply;
mod sync;
mod tail;
mod truncate;

use std::fmt;
use std::io::IoSlice;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;
use crate::format::Uuid;
use crate::log::Patience;
use crate::lsn::Lsn;
use crate::options::WalOptions;
use crate::segment::COOKIE;
use crate::stats::Stats;

pub use appender::Appender;
pub use health::Health;
pub use hold::Hold;
pub use holds::{HoldInfo, StoredHold};
pub use progress::Progress;
pub use read::Records;
pub use reader::{
    CopyReport, Follower, Identity, Inspection, OnDamage, OwnedRecord, Positions, ReaderRecords,
    SegmentContents, SegmentInfo, SegmentState, Verdict, VerdictKind, WalReader,
};
pub use record::Record;
pub use recovery::{EndKind, Recovery};
pub use repair::{Repair, Repaired};
pub use reservation::Reservation;
pub use space::{SpaceCause, SpacePressure};
pub use tail::{Tail, TailWaker, Visibility};

use shared::Shared;

/// A write-ahead log, open for appending.
///
/// Cheap to clone; every clone is the same log. All methods can be called from any thread.
///
/// A record is *published* when `append` returns: readers see it, and it survives the death of the process. It is
/// *durable* when a `sync` that covers it returned: it then survives power loss. See `docs/durability.md`.
///
/// Dropping the last clone stops the threads and releases the lock, without a sync; [`close`](Self::close) syncs first,
/// and reports.
#[derive(Clone)]
pub struct Wal {
    handle: Arc<Handle>,
}

/// What the clones share. The threads share [`Shared`], which does not own them.
struct Handle {
    shared: Arc<Shared>,
    lock: crate::sync::Mutex<Option<Box<dyn crate::sys::Lock>>>,
    /// A second caller of `close` finds the log closed, and not half so.
    closing: close::Closing,
}

impl fmt::Debug for Wal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared();
        f.debug_struct("Wal")
            .field("path", &shared.directory.path())
            .field("head", &shared.head())
            .field("durable", &shared.gate.durable())
            .field("end", &shared.core.end())
            .finish_non_exhaustive()
    }
}

impl Wal {
    /// Opens the log in `dir` for appending, with the default options; creates it if there is none.
    ///
    /// Takes the lock, recovers, and returns as soon as a segment is ready or known to be impossible. What it found is
    /// [`recovery`](Self::recovery).
    ///
    /// # Errors
    /// As [`WalOptions::open`].
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-open-{}", std::process::id()));
    /// let wal = segwal::Wal::open(&dir)?;
    /// let lsn = wal.append(b"to be kept")?;
    /// wal.sync_to(lsn)?;
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        WalOptions::new().open(dir)
    }

    /// Opens the log in `dir` for reading, beside a process that appends to it or alone. Takes no lock, writes nothing.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no log, [`Corrupt`](crate::ErrorKind::Corrupt) or
    /// [`Incompatible`](crate::ErrorKind::Incompatible) if its identity cannot be read.
    pub fn open_read_only(dir: impl AsRef<Path>) -> Result<WalReader> {
        WalReader::open(dir.as_ref())
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Appends one record and returns its position.
    ///
    /// The record is published when this returns, and not yet durable. Takes no lock and makes no system call, unless it
    /// crosses into another segment or there is no space; then it may block as `on_full` says.
    ///
    /// # Errors
    /// [`TooLarge`](crate::ErrorKind::TooLarge), [`NoSpace`](crate::ErrorKind::NoSpace),
    /// [`Backpressure`](crate::ErrorKind::Backpressure): nothing was appended. [`Poisoned`](crate::ErrorKind::Poisoned) or
    /// [`Closed`](crate::ErrorKind::Closed) once the log has ended.
    pub fn append(&self, payload: &[u8]) -> Result<Lsn> {
        self.append_tagged(0, payload)
    }

    /// As [`append`](Self::append), with a tag byte of the caller's, which [`Record::tag`] gives back.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_tagged(&self, tag: u8, payload: &[u8]) -> Result<Lsn> {
        let shared = self.shared();
        shared.with_seat(|seat| shared.append_record(seat, tag, payload, shared.patience))
    }

    /// As [`append`](Self::append), but never waits, whatever `on_full` says.
    ///
    /// # Errors
    /// [`NoSpace`](crate::ErrorKind::NoSpace) if no segment is ready now, [`Backpressure`](crate::ErrorKind::Backpressure) if
    /// too many wait for a sync: nothing was appended. Otherwise as [`append`](Self::append).
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-try-append-{}", std::process::id()));
    /// use segwal::ErrorKind;
    ///
    /// let wal = segwal::Wal::open(&dir)?;
    /// match wal.try_append(b"now or never") {
    ///     Ok(lsn) => wal.sync_to(lsn)?,
    ///     Err(error) if error.kind() == ErrorKind::NoSpace => println!("full: {error}"),
    ///     Err(error) => return Err(error),
    /// }
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_append(&self, payload: &[u8]) -> Result<Lsn> {
        let shared = self.shared();
        shared.with_seat(|seat| shared.append_record(seat, 0, payload, Patience::None))
    }

    /// Appends a record that leads to space being freed, such as the end of a checkpoint: on a full disk it goes to the reserve.
    ///
    /// It never waits for space. If no other segment is ready it is written into the
    /// [`reserve_segments`](crate::WalOptions::reserve_segments), which ordinary appends never use, and those wait or fail
    /// from then on until the reserve is whole again. Several such records fit one after the other; how many, the size and the
    /// number of the reserved segments say. Records are in the order of their positions as always, and are synced and read
    /// as any other.
    ///
    /// # Errors
    /// [`NoSpace`](crate::ErrorKind::NoSpace) if the reserve is used up too. Otherwise as [`append`](Self::append): it waits for
    /// a sync, as `on_full` says, if too many segments wait for one.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-critical-{}", std::process::id()));
    /// let wal = segwal::Wal::open(&dir)?;
    /// let checkpoint = wal.append(b"the state is in the other file")?;
    /// let end = wal.append_critical(b"end of the checkpoint")?;
    /// wal.sync_to(end)?;
    /// wal.discard_before(checkpoint)?;
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn append_critical(&self, payload: &[u8]) -> Result<Lsn> {
        let shared = self.shared();
        shared.with_seat(|seat| shared.append_critical(seat, payload))
    }

    /// Appends one record, given in parts.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-vectored-{}", std::process::id()));
    /// use std::io::IoSlice;
    ///
    /// let wal = segwal::Wal::open(&dir)?;
    /// let lsn = wal.append_vectored(&[IoSlice::new(b"key "), IoSlice::new(b"value")])?;
    /// assert_eq!(&*wal.get(lsn)?, b"key value");
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn append_vectored(&self, parts: &[IoSlice<'_>]) -> Result<Lsn> {
        let shared = self.shared();
        shared.with_seat(|seat| shared.append_parts(seat, parts))
    }

    /// Appends records as one batch: after a crash all of them are there, or none.
    ///
    /// Returns the range that the batch takes: its records have the start as their position, and an index each. Syncing
    /// to the start makes all of them durable.
    ///
    /// # Errors
    /// As [`append`](Self::append), the batch counting as one record; [`TooLarge`](crate::ErrorKind::TooLarge) beyond
    /// 65,535 records, [`InvalidState`](crate::ErrorKind::InvalidState) for none.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-batch-{}", std::process::id()));
    /// let wal = segwal::Wal::open(&dir)?;
    /// let range = wal.append_batch([&b"debit"[..], b"credit"])?;
    /// wal.sync_to(range.start)?;
    /// assert_eq!(&*wal.get_in_batch(range.start, 1)?, b"credit");
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn append_batch<I>(&self, records: I) -> Result<Range<Lsn>>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let shared = self.shared();
        let records: Vec<I::Item> = records.into_iter().collect();
        shared.with_seat(|seat| shared.append_records(seat, &records))
    }

    /// A faster way to append from one thread.
    ///
    /// # Errors
    /// [`OutOfResources`](crate::ErrorKind::OutOfResources) if there are 96 already; as [`append`](Self::append) once the
    /// log has ended.
    pub fn appender(&self) -> Result<Appender> {
        Appender::new(self)
    }

    /// Every record below it is durable.
    pub fn durable(&self) -> Lsn {
        self.shared().gate.durable()
    }

    /// Every record below it can be read.
    pub fn published(&self) -> Lsn {
        self.shared().core.published()
    }

    /// Records below it were discarded.
    pub fn head(&self) -> Lsn {
        self.shared().head()
    }

    /// Where the next record goes, or the end of a full segment. Records that are being written lie below it.
    pub fn end(&self) -> Lsn {
        self.shared().end()
    }

    /// What opening found.
    pub fn recovery(&self) -> &Recovery {
        &self.shared().recovery
    }

    /// What the log has done since it was opened.
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let mut stats = shared.counters.snapshot();
        shared.pressure.add_running(&mut stats);
        Stats {
            commits: shared.gate.answered(),
            retained_segments: shared.registry.count() as u64,
            ready_segments: shared.shelf.ready_count() as u64,
            ready_target: shared.depth.value() as u64,
            recyclable_segments: shared.shelf.reusable_count() as u64,
            pinned_segments: shared.shelf.pinned_count() as u64,
            oldest_pinned_segment: shared.shelf.oldest_pinned(),
            oldest_busy: shared.oldest_busy(),
            waiting_tails: shared.watches.waiting(),
            ..stats
        }
    }

    /// The identity of the log, drawn when it was created.
    pub fn uuid(&self) -> Uuid {
        self.shared().manifest.uuid
    }

    /// The embedder's own bytes, given when the log was created.
    pub fn user_header(&self) -> &[u8] {
        &self.shared().manifest.user_header
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.shared().directory.path()
    }

    /// The file that keeps the durable position and the head.
    pub fn cookie_path(&self) -> PathBuf {
        self.shared().directory.file(COOKIE)
    }

    /// The size of each segment, in bytes.
    pub fn segment_size(&self) -> u64 {
        self.shared().manifest.segment_size
    }

    /// The longest record that the log takes, in bytes.
    pub fn max_record_len(&self) -> u32 {
        self.shared().max_record_len
    }

    /// The options that the log was opened with.
    pub fn options(&self) -> &WalOptions {
        &self.shared().options
    }
}
