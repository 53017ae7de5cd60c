//! Hostile bytes: the directory of a log with a history, damaged or forged in each of very many ways, given to every way of
//! reading a log. Each outcome is one row of the decision table; nothing panics, holds memory without bound, is lost in
//! silence below what is left of what the log says is durable, or is given back although nobody wrote it; a refusal and a
//! reader change nothing.
//!
//! `SEGWAL_CAMPAIGN=full` takes every input, as `cargo xtask campaign hostile` does; otherwise a slice of them, always the
//! same.

#![expect(
    clippy::print_stdout,
    reason = "the count of inputs by row is what this test is asked for"
)]

mod claims;
#[path = "../entry/mod.rs"]
mod entry;
mod forge;
mod forgery;
mod history;
mod image;
mod input;
mod judge;
mod memory;
mod structure;

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::thread;

use forgery::Forgery;
use history::Log;
use image::Image;
use judge::{Honesty, Judged, judge};

/// How many inputs came to which row.
#[derive(Clone, Debug, Default)]
struct Histogram {
    opened: BTreeMap<char, u64>,
    verified: BTreeMap<char, u64>,
    inputs: u64,
    peak: usize,
}

impl Histogram {
    fn note(&mut self, judged: Judged) {
        *self.opened.entry(judged.opened).or_default() += 1;
        *self.verified.entry(judged.verified).or_default() += 1;
        self.inputs += 1;
        self.peak = self.peak.max(judged.peak);
    }

    fn add(&mut self, other: &Self) {
        for (row, count) in &other.opened {
            *self.opened.entry(*row).or_default() += count;
        }
        for (row, count) in &other.verified {
            *self.verified.entry(*row).or_default() += count;
        }
        self.inputs += other.inputs;
        self.peak = self.peak.max(other.peak);
    }
}

impl Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} inputs, at most {} KiB held\n  opened:  ",
            self.inputs,
            self.peak / 1024
        )?;
        for (row, count) in &self.opened {
            write!(f, " {row} {count}")?;
        }
        write!(f, "\n  verified:")?;
        for (row, count) in &self.verified {
            write!(f, " {row} {count}")?;
        }
        Ok(())
    }
}

/// One of so many inputs is taken.
fn stride(release: usize, debug: usize) -> usize {
    if std::env::var("SEGWAL_CAMPAIGN").is_ok_and(|what| what == "full") {
        1
    } else if cfg!(debug_assertions) {
        debug
    } else {
        release
    }
}

/// Judges every `stride`th input, on two threads; all that breaks a promise is in the message.
fn judge_all<I: Display + Sync>(
    what: &str,
    log: &Log,
    inputs: impl Iterator<Item = I>,
    stride: usize,
    apply: impl Fn(&I) -> (Image, Honesty) + Sync,
) -> Histogram {
    let inputs: Vec<I> = inputs.step_by(stride).collect();
    let half = |inputs: &[I]| {
        let mut histogram = Histogram::default();
        let mut broken = Vec::new();
        for input in inputs {
            let (image, honesty) = apply(input);
            match judge(&image, log, honesty) {
                Ok(judged) => histogram.note(judged),
                Err(what) => broken.push(format!("{input}: {what}")),
            }
        }
        (histogram, broken)
    };
    let (low, high) = inputs.split_at(inputs.len() / 2);
    let [low, high] = thread::scope(|scope| {
        let halves = [scope.spawn(|| half(low)), scope.spawn(|| half(high))];
        halves.map(|half| half.join().expect("panics are caught"))
    });
    let mut histogram = low.0;
    histogram.add(&high.0);
    println!("hostile bytes: {what} of {}: {histogram}", log.name);
    let broken = [low.1, high.1].concat();
    let shown = &broken[..broken.len().min(20)];
    assert!(
        broken.is_empty(),
        "{what} of {}: {} inputs break a promise: {shown:#?}",
        log.name,
        broken.len()
    );
    histogram
}

fn damage(
    log: &Log,
    what: &str,
    inputs: impl Iterator<Item = input::Input>,
    stride: usize,
) -> Histogram {
    judge_all(what, log, inputs, stride, |input| {
        (input.apply(log), Honesty::Damage)
    })
}

#[test]
fn every_bit_of_a_log_turned_over_is_one_row_and_loses_nothing_in_silence() {
    for log in history::all() {
        let size = log.image.size();
        assert!(size <= 72 << 10, "{} has {size} bytes", log.name);
        damage(&log, "bits", input::bits(&log), stride(83, 1999));
    }
}

#[test]
fn every_length_of_every_file_is_one_row_and_loses_nothing_in_silence() {
    for log in history::all() {
        damage(&log, "cuts", input::cuts(&log), stride(83, 499));
    }
}

#[test]
fn sectors_files_and_names_of_other_times_are_one_row_and_lose_nothing_in_silence() {
    for log in history::all() {
        damage(
            &log,
            "misplaced",
            input::rest(&log).into_iter(),
            stride(13, 59),
        );
    }
}

#[test]
fn damage_of_a_log_whose_cookie_says_less_loses_nothing_in_silence() {
    for log in history::all() {
        damage(&log, "unsaid", input::unsaid(&log), stride(97, 1999));
    }
}

#[test]
fn forged_bytes_are_one_row_and_take_away_nothing() {
    for log in history::all() {
        let forgeries = forgery::all(&log);
        let apply = |forgery: &Forgery| forgery.apply(&log);
        judge_all(
            "forgeries",
            &log,
            forgeries.iter(),
            stride(5, 13),
            |forgery| apply(forgery),
        );
    }
}

#[test]
fn pairs_of_forgeries_are_one_row() {
    for log in history::all() {
        let forgeries = forgery::all(&log);
        let count = forgeries.len();
        let pairs = (0..20 * count).map(|turn| {
            let (one, other) = (turn % count, (turn * 7919 + 13) % count);
            forgeries[one].and(&forgeries[other])
        });
        judge_all(
            "pairs of forgeries",
            &log,
            pairs,
            stride(127, 997),
            |pair| pair.apply(&log),
        );
    }
}

#[test]
fn every_row_is_reached() {
    let logs = history::all();
    let killed = logs.iter().find(|log| log.name == "killed").unwrap();
    let mut rows = Histogram::default();
    let forgeries = forgery::all(killed);
    let apply = |forgery: &&Forgery| forgery.apply(killed);
    rows.add(&judge_all("forgeries", killed, forgeries.iter(), 1, apply));
    rows.add(&damage(
        killed,
        "misplaced",
        input::rest(killed).into_iter(),
        5,
    ));
    let hole = logs.iter().find(|log| log.name == "hole").unwrap();
    rows.add(&damage(hole, "cuts", input::cuts(hole), 997));
    rows.add(&damage(hole, "bits", input::bits(hole), 997));
    // Bytes can always be read on a healthy disk: row I is reached where operations fail, in `tests/sweep`.
    let expected: Vec<char> = ('A'..='O').filter(|row| *row != 'I').collect();
    let reached: Vec<char> = rows.opened.into_keys().filter(|row| *row != '-').collect();
    assert_eq!(reached, expected);
}

#[test]
fn sound_logs_come_to_the_rows_that_they_are_made_for() {
    let rows = [
        ("closed", 'A'),
        ("killed", 'A'),
        ("torn", 'B'),
        ("hole", 'C'),
        ("young", 'A'),
    ];
    for (log, (name, row)) in history::all().iter().zip(rows) {
        assert_eq!(log.name, name);
        let judged = judge(&log.image, log, Honesty::Damage).unwrap();
        assert_eq!((judged.opened, judged.verified), (row, row), "{name}");
    }
}
