//! A process that appends from several threads is killed two hundred times; the same log lives through all of it.
//!
//! The child prints each acknowledgement to a pipe after its sync, and each attempt before its append, so that the parent
//! knows what must be there and what may be. Killing a process leaves what is in the page cache: this holds the engine to
//! the promise about processes, not to the one about power, which the simulated disk is for.

use std::env;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use segwal::{EndKind, Wal, WalOptions};
use testkit::{Rng, TempDir, seed};

use crate::scene::{names, payload, small};

const DIR: &str = "SEGWAL_TEST_KILL_DIR";
const FIRST: &str = "SEGWAL_TEST_KILL_FIRST";
const WRITERS: usize = 3;
const KILLS: u32 = 200;

fn options() -> WalOptions {
    let mut options = small();
    options.segment_size(16 << 10).max_unsynced_segments(6);
    options
}

/// One line by one system call, so that a kill cannot tear it: it is shorter than what a pipe takes whole.
fn say(line: &str) {
    stdout().lock().write_all(line.as_bytes()).unwrap();
}

fn append_for_ever(wal: &Wal, writer: u32, first: u64) {
    for sequence in first.. {
        say(&format!("try {writer} {sequence}\n"));
        let bytes = payload(writer, sequence);
        let lsn = match sequence % 5 {
            0 => wal.append_batch([&bytes]).unwrap().start,
            _ => wal.append(&bytes).unwrap(),
        };
        wal.sync_to(lsn).unwrap();
        say(&format!("ack {writer} {sequence}\n"));
    }
}

/// What the parent starts; does nothing in a run of all tests.
#[test]
fn child() {
    let (Some(dir), Ok(first)) = (env::var_os(DIR), env::var(FIRST)) else {
        return;
    };
    let wal = options().open(dir).unwrap();
    let first: Vec<u64> = first
        .split(',')
        .map(|number| number.parse().unwrap())
        .collect();
    thread::scope(|scope| {
        for (writer, first) in (0..).zip(first) {
            let wal = &wal;
            scope.spawn(move || append_for_ever(wal, writer, first));
        }
    });
}

/// How far each writer got.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// One beyond the last acknowledged sequence.
    acknowledged: [u64; WRITERS],
    /// One beyond the last attempted sequence.
    attempted: [u64; WRITERS],
}

impl Progress {
    /// Takes one line of the child's; whether it was an acknowledgement.
    fn take(&mut self, line: &str) -> bool {
        let words: Vec<_> = line.split(' ').collect();
        let [what, writer, sequence] = words[..] else {
            return false;
        };
        let side = match what {
            "try" => &mut self.attempted,
            "ack" => &mut self.acknowledged,
            _ => return false,
        };
        let (writer, sequence): (usize, u64) = (writer.parse().unwrap(), sequence.parse().unwrap());
        assert_eq!(side[writer], sequence, "{line}");
        side[writer] = sequence + 1;
        what == "ack"
    }
}

fn spawn(dir: &Path, first: &[u64; WRITERS]) -> Child {
    let first = first.map(|number| number.to_string()).join(",");
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "kill::child", "--nocapture"])
        .env(DIR, dir)
        .env(FIRST, first);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Runs one life of the log up to `acks` acknowledgements, kills it, and takes what was still in the pipe.
fn live(dir: &Path, progress: &mut Progress, acks: u64) {
    let mut child = spawn(dir, &progress.acknowledged);
    let mut seen = 0;
    // What the test harness prints is not for us.
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        seen += u64::from(progress.take(&line));
        if seen == acks {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        seen >= acks,
        "the child ended on its own after {seen} of {acks} acknowledgements"
    );
}

/// Checks what recovery gives back against what is known, and where each writer goes on.
fn check(wal: &Wal, low: &mut [Option<u64>; WRITERS], progress: &mut Progress) -> u64 {
    let mut next = *low;
    let mut records = 0;
    for record in wal.records(wal.head()).unwrap() {
        let (writer, sequence) = names(&record.unwrap());
        let slot = &mut next[writer as usize];
        assert_eq!(
            sequence,
            slot.unwrap_or(sequence),
            "a gap of writer {writer}"
        );
        *slot = Some(sequence + 1);
        records += 1;
    }
    for writer in 0..WRITERS {
        let recovered = next[writer].unwrap_or(progress.acknowledged[writer]);
        let known = progress.acknowledged[writer]..=progress.attempted[writer];
        assert!(
            known.contains(&recovered),
            "writer {writer}: {recovered} is not in {known:?}"
        );
        // What was recovered is part of the log now, acknowledged or not.
        progress.acknowledged[writer] = recovered;
        progress.attempted[writer] = recovered;
    }
    records
}

/// The first sequence of each writer at or behind the head; `None` for a writer of whom nothing is left.
fn lowest(wal: &Wal) -> [Option<u64>; WRITERS] {
    let mut low = [None; WRITERS];
    for record in wal.records(wal.head()).unwrap() {
        let (writer, sequence) = names(&record.unwrap());
        low[writer as usize].get_or_insert(sequence);
    }
    low
}

#[test]
fn every_acknowledged_record_is_back_after_each_of_two_hundred_kills() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    let dir = TempDir::in_memory();
    let mut progress = Progress::default();
    let mut low = [Some(0); WRITERS];
    let (mut checked, mut cuts, mut reused) = (0, 0, 0);
    for kill in 0..KILLS {
        let acks = if rng.chance(1, 10) {
            rng.range(1..4)
        } else {
            rng.range(1..150)
        };
        live(dir.path(), &mut progress, acks);
        let wal = options().open(dir.path()).unwrap();
        cuts += u64::from(wal.recovery().cut().is_some());
        assert_ne!(wal.recovery().kind(), EndKind::Created, "kill {kill}");
        checked += check(&wal, &mut low, &mut progress);
        if rng.chance(1, 8) {
            let records: Vec<_> = wal
                .records(wal.head())
                .unwrap()
                .map(Result::unwrap)
                .collect();
            wal.discard_before(rng.pick(&records).lsn()).unwrap();
            low = lowest(&wal);
        }
        if rng.chance(1, 6) {
            wal.close().unwrap();
        }
        reused += wal.stats().reused_segments;
        drop(wal);
        // The lowest sequences stay known: nothing below them may come back, nothing at them may vanish.
        let wal = Wal::open_read_only(dir.path()).unwrap();
        assert_eq!(
            wal.verify().kind(),
            segwal::VerdictKind::Clean,
            "{:?}",
            wal.verify()
        );
    }
    println!(
        "seed {seed}: {KILLS} kills, {checked} records checked, {cuts} tails cut, {reused} segments reused, {progress:?}"
    );
    assert!(
        progress.acknowledged.iter().all(|&count| count > 1000),
        "{progress:?}"
    );
}
