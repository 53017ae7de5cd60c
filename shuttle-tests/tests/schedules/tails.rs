//! Tails beside writers, syncs and the end: each record once and in order, none before its time, and nobody sleeps on.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use segwal::internals::Bug;
use segwal::internals::twin::Twin;
use segwal::{ErrorKind, Lsn, Record, Tail, Visibility};
use shuttle::thread::{self, Thread};
use shuttle_tests::{Crash, Mistake, Name, Reached, Scenario, Stage, join, small};

/// Three of these fill a segment.
const LEN: usize = 1300;
const WRITERS: u8 = 2;
const RECORDS: u8 = 3;

static TAILS: Scenario = Scenario {
    name: "tails",
    states: &[
        "a tail saw everything",
        "a tail was ended by the close",
        "a segment was left",
    ],
    body: tails,
};

/// In every other schedule tails end when they have seen everything, else with the log.
fn tails(reached: &Reached, number: u64) {
    let stage = Stage::new(&small(), number);
    let sees_all = number % 2 == 0;
    let polls = number / 2 % 4;
    let readers: Vec<_> = [Visibility::Published, Visibility::Durable]
        .into_iter()
        .zip([polls % 2, polls / 2])
        .map(|(visibility, polls)| {
            let marks = reached.clone();
            let next = if polls == 1 { await_next } else { Tail::next };
            stage.actor(move |stage| read(stage, visibility, sees_all, &marks, next))
        })
        .collect();
    let mut others: Vec<_> = (0..WRITERS)
        .map(|writer| {
            stage.actor(move |stage| {
                for _ in 0..RECORDS {
                    let record = stage.append(writer, LEN).unwrap();
                    if writer == 0 {
                        stage.sync_to(record);
                    }
                }
                stage.wal.sync().unwrap();
            })
        })
        .collect();
    others.push(stage.crash_at_some_time(Crash::Power));
    join(others);
    if !sees_all {
        stage.wal.close().unwrap();
    }
    join(readers);
    let is_idle = || stage.wal.stats().waiting_tails == 0;
    // A task that found its record by itself counts until the ticker has dealt with its waker.
    for _ in 0..1000 {
        if is_idle() {
            break;
        }
        thread::yield_now();
    }
    assert!(is_idle(), "tails that are gone count as waiting");
    reached.add("a segment was left", stage.wal.stats().rotations);
    stage.finish();
}

/// Reads on by `next` until everything was seen, or the log has ended.
fn read(
    stage: &Stage,
    visibility: Visibility,
    sees_all: bool,
    marks: &Reached,
    next: fn(&mut Tail) -> Option<segwal::Result<Record>>,
) {
    let mut tail = match stage.wal.tail(stage.wal.head(), visibility) {
        Ok(tail) => tail,
        Err(error) => {
            assert!(!sees_all && error.kind() == ErrorKind::Closed, "{error}");
            return;
        }
    };
    let mut seen = BTreeMap::new();
    let mut last = None;
    let all = usize::from(WRITERS * RECORDS);
    while !(sees_all && seen.len() == all) {
        let Some(record) = next(&mut tail) else {
            assert!(!sees_all, "a tail ended after {} records", seen.len());
            marks.mark("a tail was ended by the close");
            return;
        };
        let record = record.unwrap();
        check(stage, visibility, &record);
        assert!(last < Some(record.lsn()), "{last:?} before {record:?}");
        last = Some(record.lsn());
        let name = Name::of(&record);
        let before = seen
            .keys()
            .filter(|seen: &&Name| seen.writer == name.writer);
        assert_eq!(before.count(), usize::from(name.sequence), "{name:?}");
        seen.insert(name, record.lsn());
    }
    marks.mark("a tail saw everything");
}

fn check(stage: &Stage, visibility: Visibility, record: &Record) {
    let bound: Lsn = match visibility {
        Visibility::Published => stage.wal.published(),
        Visibility::Durable => stage.wal.durable(),
    };
    assert!(record.lsn() < bound, "{record:?} was seen at {bound}");
}

/// As an asynchronous reader does it.
fn await_next(tail: &mut Tail) -> Option<segwal::Result<Record>> {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut tail = pin!(tail);
    loop {
        match tail.poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(next) => return next,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn every_tail_sees_every_record_in_order_and_nobody_sleeps_on() {
    TAILS.holds();
}

#[test]
fn ringing_without_changing_the_word_is_found() {
    TAILS.must_fail(
        Mistake::Twin(Twin::BellWithoutChange),
        // The ticker sleeps through what it should deal with.
        &["deadlock", "max_steps", "count as waiting"],
    );
}

#[test]
fn publishing_before_filling_is_found() {
    TAILS.must_fail(
        Mistake::Bug(Bug::PublishBeforeFill),
        &["Corrupt", "are others", "is lost", "damaged"],
    );
}
