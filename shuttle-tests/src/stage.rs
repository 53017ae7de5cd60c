//! [`Stage`]: a log with threads of its own on a simulated disk, and a ledger beside it.

use std::sync::Arc;
use std::time::Duration;

use segwal::fault::SimDisk;
use segwal::internals::now_ns;
use segwal::{ErrorKind, Lsn, OnFull, Wal, WalOptions};
use shuttle::thread::{self, JoinHandle};

use crate::ledger::{Crash, Ledger, Name};

const DIR: &str = "/log";

/// How long an append may wait for space; no scenario needs so much.
const PATIENCE: Duration = Duration::from_secs(100_000);

/// Options for logs of small segments: four records of a thousand bytes fill one.
pub fn small() -> WalOptions {
    let mut options = WalOptions::new();
    options
        .segment_size(8192)
        .preallocate_segments(1)
        .on_full(OnFull::Block { timeout: PATIENCE });
    options
}

/// A log, its disk and its ledger; clones are the same.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The disk.
    pub disk: SimDisk,
    /// The open log.
    pub wal: Wal,
    /// What is known of it.
    pub ledger: Arc<Ledger>,
    options: WalOptions,
    /// Differs from schedule to schedule, and decides what a power cut leaves.
    seed: u64,
}

/// A thread of a scenario.
pub type Actor = JoinHandle<()>;

impl Stage {
    /// A new log.
    pub fn new(options: &WalOptions, seed: u64) -> Self {
        let disk = SimDisk::new();
        let wal = options
            .open_scheduled(&disk, DIR, 1)
            .expect("an empty disk");
        Self {
            disk,
            wal,
            ledger: Arc::default(),
            options: options.clone(),
            seed,
        }
    }

    /// Starts a thread.
    pub fn actor(&self, body: impl FnOnce(&Self) + Send + 'static) -> Actor {
        let stage = self.clone();
        thread::spawn(move || body(&stage))
    }

    /// Appends the next record of `writer`, unless the log ends.
    ///
    /// # Panics
    /// If anything but the end of the log is in the way.
    pub fn append(&self, writer: u8, len: usize) -> Option<(Lsn, Name)> {
        let name = self.ledger.attempt(writer);
        let began_ns = now_ns();
        let appended = self.wal.append(&name.payload(len));
        let waited = Duration::from_nanos(now_ns() - began_ns);
        assert!(
            waited < PATIENCE / 2,
            "an append waited as if nobody had woken it"
        );
        match appended {
            Ok(lsn) => {
                self.ledger.appended(lsn, name);
                self.ledger.published(self.wal.published());
                Some((lsn, name))
            }
            Err(error) => {
                let kind = error.kind();
                assert!(is_end(kind), "append: {error}");
                None
            }
        }
    }

    /// Waits until a record is durable, unless the log ends; whether it is.
    ///
    /// # Panics
    /// If anything but the end of the log is in the way.
    pub fn sync_to(&self, (lsn, name): (Lsn, Name)) -> bool {
        match self.wal.sync_to(lsn) {
            Ok(()) => {
                self.ledger.acknowledged(lsn, name);
                assert!(
                    lsn < self.wal.durable(),
                    "{lsn} was acknowledged at {}",
                    self.wal.durable()
                );
                true
            }
            Err(error) => {
                assert!(is_end(error.kind()), "sync_to: {error}");
                false
            }
        }
    }

    /// Discards what lies before `lsn`.
    ///
    /// # Panics
    /// If that fails.
    pub fn discard_before(&self, lsn: Lsn) {
        self.ledger.asked(lsn);
        self.wal.discard_before(lsn).expect("a discard");
        self.ledger.discarded(lsn);
    }

    /// A thread that, at its moment, takes what a crash would leave and demands that it holds what was promised.
    pub fn crash_at_some_time(&self, crash: Crash) -> Actor {
        let (disk, ledger) = (self.disk.clone(), Arc::clone(&self.ledger));
        let (options, seed) = (self.options.clone(), self.seed);
        thread::spawn(move || check_after(&disk, &ledger, &options, crash, seed))
    }

    /// Lets go of the log and demands that either crash leaves what was promised.
    pub fn finish(self) {
        let Self {
            disk,
            wal,
            ledger,
            options,
            seed,
        } = self;
        drop(wal);
        for crash in [Crash::Kill, Crash::Power] {
            check_after(&disk, &ledger, &options, crash, seed);
        }
    }
}

fn is_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Closed | ErrorKind::Poisoned)
}

fn check_after(disk: &SimDisk, ledger: &Ledger, options: &WalOptions, crash: Crash, seed: u64) {
    let before = ledger.now();
    let image = match crash {
        Crash::Kill => disk.snapshot(),
        Crash::Power => disk.crash_image(seed),
    };
    let after = ledger.now();
    let open = |image: &SimDisk| {
        let wal = options.open_on(image, DIR, seed ^ 0xdead_beef);
        wal.unwrap_or_else(|error| panic!("after {crash:?}: {error}"))
    };
    let wal = open(&image);
    let recovered = before.check(&after, &wal, crash);
    // What was seen once is kept.
    let wal = open(&image.crash_image(seed));
    let kept = before.check(&after, &wal, crash);
    assert!(
        kept == recovered,
        "after {crash:?} was seen {recovered:?}, and after a power cut {kept:?}"
    );
}

/// Waits for the threads of a scenario.
///
/// # Panics
/// If one of them panicked.
pub fn join(actors: impl IntoIterator<Item = Actor>) {
    for actor in actors {
        actor.join().expect("a thread of the scenario");
    }
}
