//! A process that appends from several threads is killed two hundred times; the same log lives through all of it.
//!
//! The child says on a pipe what it is about to append, what is acknowledged after its sync and where, and what it is about
//! to discard. So the parent knows what must be there and what may be. Killing a process leaves what is in the page
//! cache: this holds the engine to the promise about processes, not to the one about power, which the simulated disk is
//! for.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use segwal::{EndKind, Lsn, VerdictKind, Wal, WalOptions};
use testkit::{Rng, TempDir, seed};

use crate::scene::{names, payload, sized_payload, small};

const DIR: &str = "SEGWAL_TEST_KILL_DIR";
const FIRST: &str = "SEGWAL_TEST_KILL_FIRST";
const WRITERS: usize = 3;
const KILLS: u32 = 200;
/// So many of its own records the first writer keeps when it discards.
const KEPT: usize = 40;

fn options() -> WalOptions {
    let mut options = small();
    options.segment_size(16 << 10).max_unsynced_segments(6);
    options
}

/// Mostly short, now and then most of a segment: a kill in the midst of it leaves a hole.
fn record(writer: u32, sequence: u64) -> Vec<u8> {
    if sequence % 17 == 3 {
        return sized_payload(writer, sequence, 9000);
    }
    payload(writer, sequence)
}

/// One line by one system call, so that a kill cannot tear it: it is shorter than what a pipe takes whole.
fn say(line: &str) {
    stdout().lock().write_all(line.as_bytes()).unwrap();
}

fn append_for_ever(wal: &Wal, writer: u32, first: u64) {
    let mut kept = VecDeque::new();
    for sequence in first.. {
        say(&format!("try {writer} {sequence}\n"));
        let bytes = record(writer, sequence);
        let lsn = match sequence % 5 {
            0 => wal.append_batch([&bytes]).unwrap().start,
            _ => wal.append(&bytes).unwrap(),
        };
        wal.sync_to(lsn).unwrap();
        say(&format!("ack {writer} {sequence} {lsn}\n"));
        kept.push_back(lsn);
        if writer == 0 && kept.len() > 2 * KEPT {
            kept.drain(..KEPT);
            say(&format!("discard {}\n", kept[0]));
            wal.discard_before(kept[0]).unwrap();
            say(&format!("reused {}\n", wal.stats().reused_segments));
        }
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

/// What the parent knows of the log.
#[derive(Debug, Default)]
struct Known {
    /// Every acknowledged record that was not discarded when it was last looked at.
    acknowledged: BTreeMap<Lsn, (u32, u64)>,
    /// One beyond the last sequence of each writer that must be there, and that may be.
    least: [u64; WRITERS],
    most: [u64; WRITERS],
    /// The head that must be there, and the highest that may be.
    head: Option<Lsn>,
    discarding: Option<Lsn>,
    reused: u64,
}

impl Known {
    /// Takes one line of the child's; whether it was an acknowledgement.
    fn take(&mut self, line: &str) -> bool {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["try", writer, sequence] => {
                let writer: usize = writer.parse().unwrap();
                assert_eq!(self.most[writer].to_string(), sequence, "{line}");
                self.most[writer] += 1;
            }
            ["ack", writer, sequence, lsn] => {
                let (writer, sequence): (u32, u64) =
                    (writer.parse().unwrap(), sequence.parse().unwrap());
                self.least[writer as usize] = sequence + 1;
                let before = self
                    .acknowledged
                    .insert(lsn.parse().unwrap(), (writer, sequence));
                assert_eq!(before, None, "a position was used twice: {line}");
                return true;
            }
            ["discard", lsn] => self.discarding = Some(lsn.parse().unwrap()),
            ["reused", count] => self.reused += u64::from(count != "0"),
            // What the test harness prints is not for us.
            _ => {}
        }
        false
    }

    /// Checks what recovery gives back, and takes it as what must be there from now on; how many records it is.
    fn check(&mut self, wal: &Wal) -> usize {
        let head = wal.head();
        assert!(
            self.head.is_none_or(|known| known <= head),
            "the head went back to {head}"
        );
        assert!(
            Some(head) <= self.discarding || self.head.is_none_or(|known| known == head),
            "nobody discarded up to {head}"
        );
        self.head = Some(head);
        self.acknowledged = self.acknowledged.split_off(&head);
        let mut next = [None; WRITERS];
        let mut there = BTreeMap::new();
        for record in wal.records(head).unwrap() {
            let record = record.unwrap();
            let (writer, sequence) = names(&record);
            let slot = &mut next[writer as usize];
            assert_eq!(
                sequence,
                slot.unwrap_or(sequence),
                "a gap of writer {writer}"
            );
            *slot = Some(sequence + 1);
            there.insert(record.lsn(), (writer, sequence));
        }
        for (lsn, names) in &self.acknowledged {
            assert_eq!(
                there.get(lsn),
                Some(names),
                "the acknowledged record at {lsn}"
            );
        }
        for (writer, next) in next.into_iter().enumerate() {
            let next = next.unwrap_or(self.least[writer]);
            let known = self.least[writer]..=self.most[writer];
            assert!(
                known.contains(&next),
                "writer {writer}: {next} is not in {known:?}"
            );
            // Recovered is part of the log now, acknowledged or not.
            (self.least[writer], self.most[writer]) = (next, next);
        }
        self.acknowledged = there;
        self.acknowledged.len()
    }
}

fn spawn(dir: &Path, first: [u64; WRITERS]) -> Child {
    let first = first.map(|number| number.to_string()).join(",");
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "kill::child", "--nocapture"]);
    command.env(DIR, dir).env(FIRST, first);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Runs one life of the log up to `acks` acknowledgements, kills it, and takes what was still in the pipe.
fn live(dir: &Path, known: &mut Known, acks: u64) {
    let mut child = spawn(dir, known.least);
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let acknowledged = known.take(&line.unwrap());
        seen += u64::from(acknowledged);
        if acknowledged && seen == acks {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        seen >= acks,
        "the child ended on its own after {seen} of {acks} acknowledgements"
    );
}

#[test]
fn every_acknowledged_record_is_back_after_each_of_two_hundred_kills() {
    let mut rng = Rng::new(seed());
    let dir = TempDir::in_memory();
    let mut known = Known::default();
    let (mut checked, mut cuts) = (0, 0);
    for kill in 0..KILLS {
        let acks = if rng.chance(1, 10) {
            rng.range(1..4)
        } else {
            rng.range(1..400)
        };
        live(dir.path(), &mut known, acks);
        let wal = options().open(dir.path()).unwrap();
        assert_ne!(wal.recovery().kind(), EndKind::Created, "kill {kill}");
        cuts += u64::from(wal.recovery().cut().is_some());
        checked += known.check(&wal);
        if rng.chance(1, 8) {
            let records: Vec<_> = wal
                .records(wal.head())
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let to = rng.pick(&records).lsn();
            known.discarding = Some(to);
            wal.discard_before(to).unwrap();
            known.check(&wal);
        }
        if rng.chance(1, 6) {
            wal.close().unwrap();
        }
        let end = wal.end();
        drop(wal);
        let verdict = Wal::open_read_only(dir.path()).unwrap().verify();
        // A barrier that fills a hole to the byte leaves what looks like a torn tail.
        let is_sound = matches!(verdict.kind(), VerdictKind::Clean | VerdictKind::TornTail);
        assert!(is_sound && verdict.end() == Some(end), "{end} {verdict:?}");
    }
    let Known {
        least,
        reused,
        head,
        ..
    } = known;
    println!(
        "{KILLS} kills, {checked} records checked, {cuts} tails cut, {reused} discards that reused, {least:?}, head {head:?}"
    );
    assert!(least.iter().all(|&count| count > 1000), "{least:?}");
    assert!(reused > 20, "recycling was not reached: {reused}");
}
