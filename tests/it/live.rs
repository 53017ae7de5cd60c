//! Readers in processes of their own beside a writer that rotates every few milliseconds, recycles, and is killed.
//!
//! Each record names its writer's thread and life and its number, and all its bytes follow from these. What a thread is
//! about to append it notes in a file first. So a reader knows of each record whether it was attempted, whether one is
//! missing before it, and whether it belongs where it stands. `SEGWAL_LIVE_SECONDS` says for how long; a test run has a
//! slice, `cargo xtask campaign live` a minute.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write, stdout};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use segwal::{
    Appender, ErrorKind, Follower, Lsn, OwnedRecord, Result, VerdictKind, Wal, WalOptions,
    WalReader,
};
use testkit::{Rng, Stopwatch, TempDir, seed, wait_until};

use crate::scene::{LIMIT, names, sized_payload};

const DIR: &str = "SEGWAL_TEST_LIVE_DIR";
const ROLE: &str = "SEGWAL_TEST_LIVE_ROLE";
const LIFE: &str = "SEGWAL_TEST_LIVE_LIFE";
const SECONDS: &str = "SEGWAL_LIVE_SECONDS";
const SLICE: u64 = 3;
/// Writers of one life; writer `life * THREADS + thread` is one thread of it.
const THREADS: u32 = 3;
/// So many of its own records the first thread keeps when it discards.
const KEPT: usize = 600;

fn options() -> WalOptions {
    let mut options = WalOptions::new();
    options.segment_size(64 << 10);
    options.preallocate_segments(4).max_unsynced_segments(8);
    options
}

/// Mostly short, now and then a good part of a segment, though three of them fit into a batch. The length follows from the
/// names, so that a cut one is noticed.
fn record(writer: u32, sequence: u64) -> Vec<u8> {
    let mut rng = Rng::new(u64::from(writer).rotate_left(32) ^ sequence);
    let len = if rng.chance(1, 60) {
        rng.below(18_000)
    } else {
        rng.below(600)
    };
    sized_payload(writer, sequence, len as usize)
}

/// What was attempted: for each writer, one beyond its last sequence.
struct Attempts(File);

impl Attempts {
    fn open(dir: &Path) -> Self {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        Self(options.open(dir.join("attempts")).unwrap())
    }

    fn note(&self, writer: u32, next: u64) {
        let at = u64::from(writer) * 8;
        self.0.write_all_at(&next.to_le_bytes(), at).unwrap();
    }

    fn has(&self, writer: u32, sequence: u64) -> bool {
        let mut next = [0; 8];
        let read = self.0.read_at(&mut next, u64::from(writer) * 8).unwrap();
        read == 8 && sequence < u64::from_le_bytes(next)
    }
}

fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// What the test starts; does nothing in a run of all tests.
#[test]
fn child() {
    let Some(dir) = env::var_os(DIR).map(PathBuf::from) else {
        return;
    };
    match &*env::var(ROLE).unwrap() {
        "writer" => write_for_ever(&dir, env::var(LIFE).unwrap().parse().unwrap()),
        "passes" => Reader::of(&dir).passes(),
        "follow" => Reader::of(&dir).follow(),
        role => panic!("no role {role}"),
    }
}

fn write_for_ever(dir: &Path, life: u32) {
    let wal = options().open(log_dir(dir)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let wal = &wal;
            let discards = if thread == 0 {
                Discards::Yes
            } else {
                Discards::No
            };
            scope.spawn(move || Writer::of(dir, wal, life * THREADS + thread).run(discards));
        }
    });
}

/// Whether a thread also discards, and says that it lives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Discards {
    Yes,
    No,
}

struct Writer<'a> {
    wal: &'a Wal,
    appender: Appender,
    attempts: Attempts,
    number: u32,
    next: u64,
    rng: Rng,
}

impl<'a> Writer<'a> {
    fn of(dir: &Path, wal: &'a Wal, number: u32) -> Self {
        Self {
            wal,
            appender: wal.appender().unwrap(),
            attempts: Attempts::open(dir),
            number,
            next: 0,
            rng: Rng::new(seed() ^ u64::from(number)),
        }
    }

    fn run(mut self, discards: Discards) -> ! {
        let mut kept = Vec::new();
        for burst in 1_u64.. {
            for _ in 0..self.rng.range(1..40) {
                kept.push(self.append());
            }
            if self.rng.chance(1, 6) {
                self.wal.sync_to(*kept.last().unwrap()).unwrap();
            }
            if discards == Discards::Yes && kept.len() > 2 * KEPT {
                let to = self.rng.range(1..KEPT as u64 * 2) as usize;
                self.wal.discard_before(kept[to]).unwrap();
                kept.drain(..to);
            } else if kept.len() > 2 * KEPT {
                kept.clear();
            }
            if discards == Discards::Yes && burst % 4 == 0 {
                stdout().lock().write_all(b"alive\n").unwrap();
            }
            // The others get the processor; a reader that never keeps up would show little.
            let pause = Duration::from_micros(self.rng.below(2_000));
            let _ = wait_until(pause, || false);
        }
        unreachable!("a life is ended from outside")
    }

    fn take(&mut self) -> Vec<u8> {
        let bytes = record(self.number, self.next);
        self.next += 1;
        self.attempts.note(self.number, self.next);
        bytes
    }

    fn append(&mut self) -> Lsn {
        match self.rng.below(12) {
            0 => {
                let batch = [self.take(), self.take(), self.take()];
                self.wal.append_batch(batch).unwrap().start
            }
            1 => {
                // Given up: a frame that readers step over.
                drop(self.appender.reserve(self.rng.below(900) as u32).unwrap());
                let bytes = self.take();
                self.wal.append(&bytes).unwrap()
            }
            2 => {
                let bytes = self.take();
                let mut reservation = self.appender.reserve(bytes.len() as u32).unwrap();
                let (first, second) = bytes.split_at(bytes.len() / 2);
                reservation.write_all(first).unwrap();
                std::thread::yield_now();
                reservation.write_all(second).unwrap();
                reservation.publish()
            }
            _ => {
                let bytes = self.take();
                self.appender.append(&bytes).unwrap()
            }
        }
    }
}

/// Holds what is read against what may be there.
struct Check {
    attempts: Attempts,
    /// What comes next of each writer that was seen since the last gap.
    next: BTreeMap<u32, u64>,
    /// What came next before the last gap.
    floor: BTreeMap<u32, u64>,
    /// The life in which the last gap ended: later ones are seen from their beginning.
    since: Option<u32>,
    last: Option<(Lsn, u16)>,
}

impl Check {
    /// The reader begins, or was told that it missed something.
    fn gap(&mut self) {
        self.floor.append(&mut self.next);
        self.since = None;
    }

    fn take(&mut self, record: &OwnedRecord) {
        let at = (record.lsn(), record.index());
        assert!(self.last < Some(at), "{at:?} after {:?}", self.last);
        let (writer, sequence) = names(record.payload());
        assert_eq!(
            record.payload(),
            self::record(writer, sequence),
            "at {at:?}"
        );
        let attempted = wait_until(LIMIT, || self.attempts.has(writer, sequence));
        assert!(
            attempted,
            "{sequence} of {writer} at {at:?} was never attempted"
        );
        let since = *self.since.get_or_insert(writer / THREADS);
        let floor = self.floor.get(&writer).copied().unwrap_or_default();
        match self.next.get(&writer) {
            Some(next) => assert_eq!(sequence, *next, "a gap of {writer} at {at:?}"),
            None if writer / THREADS > since => assert_eq!(sequence, 0, "of {writer} at {at:?}"),
            None => assert!(sequence >= floor, "{sequence} of {writer} again at {at:?}"),
        }
        self.next.insert(writer, sequence + 1);
        self.last = Some(at);
    }

    fn is_durable(record: &OwnedRecord, log: &WalReader) {
        let durable = log.durable().unwrap();
        assert!(record.lsn() < durable, "{record:?}, durable is {durable}");
    }
}

/// A process that reads.
struct Reader {
    dir: PathBuf,
    log: WalReader,
    check: Check,
    rng: Rng,
    figures: BTreeMap<&'static str, u64>,
}

impl Reader {
    fn of(dir: &Path) -> Self {
        let mut opened = None;
        let there = wait_until(LIMIT, || {
            opened = Wal::open_read_only(log_dir(dir)).ok();
            opened.is_some()
        });
        assert!(there, "no log appeared");
        Self {
            dir: dir.to_owned(),
            log: opened.unwrap(),
            check: Check {
                attempts: Attempts::open(dir),
                next: BTreeMap::new(),
                floor: BTreeMap::new(),
                since: None,
                last: None,
            },
            rng: Rng::new(seed() ^ u64::from(std::process::id())),
            figures: BTreeMap::new(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.figures.entry(what).or_default() += 1;
    }

    fn is_over(&self) -> bool {
        self.dir.join("over").exists()
    }

    fn report(&self) {
        let figures = self.figures.iter();
        let figures: Vec<_> = figures
            .map(|(what, count)| format!("{what} {count}"))
            .collect();
        println!("figures {}", figures.join(", "));
    }

    /// Follows, from the head anew whenever it is told that it fell behind.
    fn follow(&mut self) {
        let reader = Wal::open_read_only(log_dir(&self.dir)).unwrap();
        loop {
            self.check.gap();
            let error = match reader.follow(reader.head().unwrap()) {
                Ok(mut follower) => match self.follow_on(&reader, &mut follower) {
                    Ok(()) => return self.report(),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
            self.count("discarded");
        }
    }

    fn follow_on(&mut self, reader: &WalReader, follower: &mut Follower<'_>) -> Result<()> {
        loop {
            match follower.next_timeout(Duration::from_millis(20))? {
                Some(record) => {
                    self.check.take(&record);
                    self.count("records");
                    if record.is_known_durable() {
                        Check::is_durable(&record, reader);
                        self.count("durable");
                    }
                }
                None if self.is_over() => return Ok(()),
                None => self.count("waits"),
            }
        }
    }

    /// Reads everything there is, again and again; single records between; and has all of it verified now and then.
    fn passes(&mut self) {
        let mut before: Option<OwnedRecord> = None;
        let mut last_pass = false;
        while !last_pass {
            last_pass = self.is_over();
            self.check.gap();
            self.check.floor.clear();
            self.check.last = None;
            if let Some(record) = &before {
                self.is_still_there(&record.clone());
            }
            before = self.pass().or(before);
            self.count("passes");
            if self.rng.chance(1, 8) {
                self.verify();
            }
        }
        self.report();
    }

    /// One pass from the head; returns the last record, or another.
    fn pass(&mut self) -> Option<OwnedRecord> {
        let reader = Wal::open_read_only(log_dir(&self.dir)).unwrap();
        let records = match reader.records(reader.head().unwrap()) {
            Ok(records) => records,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
                return None;
            }
        };
        let (mut seen, mut may_be_durable) = (None, true);
        for record in records {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
                    self.count("discarded");
                    break;
                }
            };
            self.check.take(&record);
            self.count("records");
            assert!(may_be_durable || !record.is_known_durable());
            may_be_durable = record.is_known_durable();
            if seen.is_none() || self.rng.chance(49, 50) {
                seen = Some(record);
            }
        }
        seen
    }

    /// What was seen once is there until it is discarded, whoever dies meanwhile.
    fn is_still_there(&mut self, record: &OwnedRecord) {
        match self.log.get(record.lsn()) {
            Ok(again) => {
                assert_eq!(again.end(), record.end());
                if record.index() == 0 {
                    assert_eq!(again.payload(), record.payload());
                }
                self.count("gets");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
                self.count("gets of discarded");
            }
        }
    }

    fn verify(&mut self) {
        let verdict = self.log.verify();
        assert!(
            !matches!(
                verdict.kind(),
                VerdictKind::Corrupt | VerdictKind::Unreadable
            ),
            "{verdict:?}"
        );
        self.count("verifications");
    }
}

fn spawn(dir: &Path, role: &str, life: u32) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "live::child", "--nocapture"]);
    command
        .env(DIR, dir)
        .env(ROLE, role)
        .env(LIFE, life.to_string());
    command.env("SEGWAL_SEED", seed().to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.spawn().unwrap()
}

/// One life of the writer, ended by a kill after so many signs of life.
fn live(dir: &Path, life: u32, signs: usize) {
    let mut child = spawn(dir, "writer", life);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen = lines
        .map(Result::unwrap)
        .filter(|line| line.ends_with("alive"));
    let seen = seen.take(signs).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen, signs, "the writer ended on its own");
}

/// The figures of a reader that ended well.
fn figures_of(mut child: Child) -> BTreeMap<String, u64> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines: Vec<_> = lines.map(Result::unwrap).collect();
    let figures = lines.iter().find_map(|line| line.split_once("figures "));
    assert!(
        child.wait().unwrap().success(),
        "a reader failed: {lines:#?}"
    );
    let (_, figures) = figures.expect("a reader reports");
    let pairs = figures
        .split(", ")
        .map(|figure| figure.rsplit_once(' ').unwrap());
    pairs
        .map(|(what, count)| (what.to_owned(), count.parse().unwrap()))
        .collect()
}

#[test]
fn readers_beside_a_writer_that_is_killed_see_only_what_it_attempted() {
    let seconds = env::var(SECONDS).map_or(SLICE, |seconds| seconds.parse().unwrap());
    let mut rng = Rng::new(seed());
    let dir = TempDir::in_memory();
    let begun = Stopwatch::start();
    let mut lives = 1;
    live(dir.path(), 0, 1);
    let readers = ["passes", "follow"].map(|role| (role, spawn(dir.path(), role, 0)));
    while begun.elapsed() < Duration::from_secs(seconds) {
        live(dir.path(), lives, rng.range(1..60) as usize);
        lives += 1;
    }
    fs::write(dir.join("over"), b"").unwrap();
    let figures = readers.map(|(role, child)| (role, figures_of(child)));
    let wal = options().open(log_dir(dir.path())).unwrap();
    println!(
        "{lives} lives in {:.1} s up to {}, readers: {figures:?}",
        begun.elapsed().as_secs_f64(),
        wal.end()
    );
    let of = |index: usize, what: &str| figures[index].1.get(what).copied().unwrap_or_default();
    assert!(
        of(0, "passes") > 1 && of(0, "records") > 1000,
        "{figures:?}"
    );
    assert!(
        of(0, "gets") + of(0, "gets of discarded") > 0,
        "{figures:?}"
    );
    assert!(of(1, "records") > 1000, "{figures:?}");
    assert!(
        wal.end().segment() > 50,
        "rotation and recycling were not reached"
    );
}
