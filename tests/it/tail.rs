//! Tails: records as they come, in this process.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use segwal::fault::{Op, Repeat, SimDisk, When};
use segwal::{ErrorKind, Lsn, Record, Result, Tail, Visibility, Wal};
use testkit::{Stopwatch, TempDir, wait_until};

use crate::scene::{LIMIT, names, payload, refused, sized_payload, small, within};

const NOW: Duration = Duration::ZERO;
/// Long enough for a tick.
const SOON: Duration = Duration::from_millis(20);
const WRITERS: u32 = 3;
const EACH: u64 = 3000;

const BOTH: [Visibility; 2] = [Visibility::Published, Visibility::Durable];

/// Waits until as many tails wait.
#[track_caller]
fn until_waiting(wal: &Wal, count: u64) {
    let waits = wait_until(LIMIT, || wal.stats().waiting_tails == count);
    assert!(waits, "{} wait, not {count}", wal.stats().waiting_tails);
}

/// Reads until all records of all writers were seen, each once and in its writer's order.
fn see_all(mut tail: Tail) -> Tail {
    let mut next = BTreeMap::new();
    let mut last = None;
    let mut left = u64::from(WRITERS) * EACH;
    while left > 0 {
        let record = tail.next_timeout(LIMIT).unwrap().expect("it comes");
        let at = (record.lsn(), record.index());
        assert!(last < Some(at), "{at:?} after {last:?}");
        last = Some(at);
        let (writer, sequence) = names(&record);
        let expected = next.insert(writer, sequence + 1).unwrap_or_default();
        assert_eq!(sequence, expected, "of writer {writer} at {at:?}");
        left -= 1;
    }
    tail
}

fn write(wal: &Wal, writer: u32) {
    let mut appender = wal.appender().unwrap();
    let mut sequence = 0;
    while sequence < EACH {
        match sequence % 7 {
            0 if sequence + 3 <= EACH => {
                let batch = (sequence..sequence + 3).map(|number| payload(writer, number));
                let batch = wal.append_batch(batch).unwrap();
                sequence += 3;
                if sequence % 5 == 0 {
                    wal.sync_to(batch.start).unwrap();
                }
                continue;
            }
            3 => drop(appender.reserve(300).unwrap()),
            _ => {}
        }
        appender.append(&payload(writer, sequence)).unwrap();
        sequence += 1;
    }
    wal.sync().unwrap();
}

#[test]
fn tails_beside_appenders_rotation_and_recycling_give_each_record_once() {
    let dir = TempDir::in_memory();
    let wal = small().preallocate_segments(8).open(dir.path()).unwrap();
    let tails: Vec<_> = BOTH
        .into_iter()
        .flat_map(|visibility| [visibility; 2])
        .map(|visibility| wal.tail(wal.head(), visibility).unwrap())
        .collect();
    thread::scope(|scope| {
        let readers: Vec<_> = tails
            .into_iter()
            .map(|tail| scope.spawn(|| see_all(tail)))
            .collect();
        let wal = &wal;
        for writer in 0..WRITERS {
            scope.spawn(move || write(wal, writer));
        }
        for reader in readers {
            let tail = reader.join().unwrap();
            assert_eq!(tail.next_lsn(), wal.end());
        }
    });
    assert_eq!(wal.stats().waiting_tails, 0);
}

/// The tail itself says what may be discarded: it never falls behind, and the files go round.
#[test]
fn a_tail_goes_on_through_recycled_segments() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut tail = wal.tail(wal.head(), Visibility::Published).unwrap();
    let writer = wal.clone();
    let writer = thread::spawn(move || {
        (0..5000).for_each(|sequence| _ = writer.append(&payload(1, sequence)).unwrap());
    });
    for sequence in 0..5000 {
        let record = tail.next_timeout(LIMIT).unwrap().unwrap();
        assert_eq!(names(&record), (1, sequence));
        if sequence % 50 == 49 {
            drop(record);
            wal.discard_before(tail.next_lsn()).unwrap();
        }
    }
    writer.join().unwrap();
    assert!(wal.stats().reused_segments > 20, "{:?}", wal.stats());
}

#[test]
fn a_tail_of_durable_records_gives_what_a_sync_has_covered() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut tail = wal.tail(wal.end(), Visibility::Durable).unwrap();
    wal.append(b"one").unwrap();
    assert!(tail.next_timeout(SOON).unwrap().is_none());
    let log = wal.clone();
    let reader = thread::spawn(move || tail.next_timeout(LIMIT).map(|record| (record, tail)));
    until_waiting(&wal, 1);
    wal.sync().unwrap();
    let (record, mut tail) = reader.join().unwrap().unwrap();
    assert_eq!(&*record.unwrap(), b"one");
    log.append(b"two").unwrap();
    log.sync().unwrap();
    assert_eq!(&*tail.next_timeout(NOW).unwrap().unwrap(), b"two");
    assert_eq!(
        wal.stats().tail_ticks,
        0,
        "nobody ticks for durable records"
    );
}

#[test]
fn a_record_that_is_being_written_keeps_back_all_behind_it() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let (hold, held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let wal = &wal;
        scope.spawn(move || {
            let mut appender = wal.appender().unwrap();
            let mut reservation = appender.reserve(5).unwrap();
            hold.send(reservation.lsn()).unwrap();
            released.recv().unwrap();
            reservation.write_at(0, b"first").unwrap();
            reservation.publish();
        });
        let first: Lsn = held.recv().unwrap();
        let second = wal.append(b"second").unwrap();
        let mut tail = wal.tail(first, Visibility::Published).unwrap();
        // From a place that cannot be looked at yet.
        let mut end = wal.tail(wal.end(), Visibility::Published).unwrap();
        let mut within = wal.tail(
            Lsn::new(1, second.offset() + 8).unwrap(),
            Visibility::Published,
        );
        assert!(tail.next_timeout(SOON).unwrap().is_none());
        assert!(end.next_timeout(NOW).unwrap().is_none());
        release.send(()).unwrap();
        for (bytes, lsn) in [(&b"first"[..], first), (b"second", second)] {
            let record = tail.next_timeout(LIMIT).unwrap().unwrap();
            assert_eq!((&*record, record.lsn()), (bytes, lsn));
        }
        let third = wal.append(b"third").unwrap();
        assert_eq!(end.next_timeout(LIMIT).unwrap().unwrap().lsn(), third);
        refused(
            within.as_mut().unwrap().next_timeout(LIMIT),
            ErrorKind::NotFound,
        );
    });
}

#[test]
fn positions_that_are_no_records_are_refused() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns: Vec<_> = (0..100)
        .map(|sequence| wal.append(&payload(0, sequence)).unwrap())
        .collect();
    wal.discard_before(lsns[50]).unwrap();
    for visibility in BOTH {
        let refusal = |lsn, kind| refused(wal.tail(lsn, visibility), kind);
        let discarded = refusal(lsns[49], ErrorKind::Discarded);
        assert!(discarded.to_string().contains(&wal.head().to_string()));
        refusal(Lsn::MAX, ErrorKind::NotFound);
        let end = wal.end();
        refusal(
            Lsn::new(end.segment(), end.offset() + 8).unwrap(),
            ErrorKind::NotFound,
        );
        refusal(
            Lsn::new(lsns[60].segment(), lsns[60].offset() + 8).unwrap(),
            ErrorKind::NotFound,
        );
        for from in [lsns[50], lsns[99], end, wal.get(lsns[98]).unwrap().end()] {
            assert_eq!(wal.tail(from, visibility).unwrap().next_lsn(), from);
        }
    }
}

#[test]
fn a_wait_takes_as_long_as_it_is_told() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    for visibility in BOTH {
        let mut tail = wal.tail(wal.head(), visibility).unwrap();
        let watch = Stopwatch::start();
        assert!(tail.next_timeout(SOON).unwrap().is_none());
        assert!(watch.elapsed() >= SOON);
        assert!(tail.next_timeout(NOW).unwrap().is_none());
    }
}

#[test]
fn an_overtaken_tail_is_told_where_the_log_begins_and_held_nothing_back() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let batch = [payload(0, 0), payload(0, 1), payload(0, 2)];
    wal.append_batch(batch).unwrap();
    let mut at_record = wal.tail(wal.head(), Visibility::Published).unwrap();
    let mut in_batch = wal.tail(wal.head(), Visibility::Published).unwrap();
    let first = in_batch.next_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(names(&first), (0, 0));
    drop(first);
    for sequence in 3..300 {
        let lsn = wal.append(&payload(0, sequence)).unwrap();
        wal.discard_before(lsn).unwrap();
    }
    let reused = || wal.stats().reused_segments > 0 && wal.stats().pinned_segments == 0;
    assert!(wait_until(LIMIT, reused), "{:?}", wal.stats());
    for tail in [&mut at_record, &mut in_batch] {
        let before = tail.next_lsn();
        let error = refused(tail.next_timeout(LIMIT), ErrorKind::Discarded);
        assert!(
            error.to_string().contains(&wal.head().to_string()),
            "{error}"
        );
        assert_eq!(tail.next_lsn(), before);
        assert!(matches!(tail.next(), Some(Err(_))) && tail.next().is_none());
    }
    let record = wal.tail(wal.head(), Visibility::Published).unwrap().next();
    assert_eq!(names(&record.unwrap().unwrap()), (0, 299));
}

#[test]
fn a_waker_makes_a_call_return_and_the_next_call_goes_on() {
    for visibility in BOTH {
        let dir = TempDir::in_memory();
        let wal = small().open(dir.path()).unwrap();
        let mut tail = wal.tail(wal.head(), visibility).unwrap();
        let mut other = wal.tail(wal.head(), visibility).unwrap();
        let (waker, others) = (tail.waker(), other.waker());
        let reader = thread::spawn(move || (tail.next().is_none(), tail));
        let bystander = thread::spawn(move || other.next_timeout(LIMIT).unwrap().is_none());
        until_waiting(&wal, 2);
        waker.wake();
        let (returned, mut tail) = reader.join().unwrap();
        assert!(returned);
        until_waiting(&wal, 1);
        others.wake();
        assert!(bystander.join().unwrap());
        // Before the call: it is not lost.
        waker.wake();
        waker.wake();
        assert!(tail.next().is_none());
        wal.append(b"then").unwrap();
        wal.sync().unwrap();
        waker.wake();
        assert_eq!(
            &*tail.next().unwrap().unwrap(),
            b"then",
            "a record comes first"
        );
        assert!(tail.next_timeout(LIMIT).unwrap().is_none());
    }
}

#[test]
fn closing_ends_every_tail_at_once() {
    for visibility in BOTH {
        let dir = TempDir::in_memory();
        let wal = small().open(dir.path()).unwrap();
        let mut blocked = wal.tail(wal.head(), visibility).unwrap();
        let mut timed = wal.tail(wal.head(), visibility).unwrap();
        let reader = thread::spawn(move || (blocked.next().is_none(), blocked));
        let other = thread::spawn(move || timed.next_timeout(LIMIT));
        until_waiting(&wal, 2);
        wal.close().unwrap();
        let (ended, mut tail) = within(move || reader.join().unwrap());
        assert!(ended && tail.next().is_none());
        refused(tail.next_timeout(LIMIT), ErrorKind::Closed);
        refused(within(move || other.join().unwrap()), ErrorKind::Closed);
        refused(wal.tail(wal.head(), visibility), ErrorKind::Closed);
    }
}

/// What a tail gives until its end, and the error at the end.
fn until_the_end(tail: Tail) -> (Vec<Vec<u8>>, Option<ErrorKind>) {
    let (records, errors): (Vec<_>, Vec<_>) = tail.partition(Result::is_ok);
    let records = records.into_iter().map(|record| record.unwrap().to_vec());
    let mut errors = errors.into_iter().map(|error| error.unwrap_err().kind());
    (records.collect(), errors.next())
}

#[test]
fn poison_reaches_a_blocked_tail_behind_what_could_be_read() {
    for visibility in BOTH {
        let disk = SimDisk::new();
        let wal = small().open_on(&disk, "/log", 1).unwrap();
        wal.append(b"durable").unwrap();
        wal.sync().unwrap();
        let tail = wal.tail(wal.head(), visibility).unwrap();
        let mut late = wal.tail(wal.head(), visibility).unwrap();
        let reader = thread::spawn(move || until_the_end(tail));
        until_waiting(&wal, 1);
        wal.append(b"published").unwrap();
        disk.fail_at(When::Nth(Op::MapSync, 0), 5, Repeat::Once);
        refused(wal.sync(), ErrorKind::Poisoned);
        let (records, error) = within(move || reader.join().unwrap());
        let mut expected = vec![b"durable".to_vec()];
        expected.extend((visibility == Visibility::Published).then(|| b"published".to_vec()));
        assert_eq!(
            (records, error),
            (expected.clone(), Some(ErrorKind::Poisoned))
        );
        for bytes in expected {
            assert_eq!(*late.next_timeout(NOW).unwrap().unwrap(), bytes);
        }
        refused(late.next_timeout(LIMIT), ErrorKind::Poisoned);
        refused(late.next_timeout(LIMIT), ErrorKind::Poisoned);
    }
}

#[test]
fn a_thread_that_holds_a_reservation_does_not_wait_for_itself() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut tail = wal.tail(wal.head(), Visibility::Published).unwrap();
    let mut appender = wal.appender().unwrap();
    let reservation = appender.reserve(1).unwrap();
    assert!(
        tail.next_timeout(NOW).unwrap().is_none(),
        "it need not wait"
    );
    refused(tail.next_timeout(LIMIT), ErrorKind::InvalidState);
    reservation.publish();
    assert!(tail.next_timeout(LIMIT).unwrap().is_some());
}

#[test]
fn nobody_ticks_when_nobody_waits() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut published = wal.tail(wal.head(), Visibility::Published).unwrap();
    let mut durable = wal.tail(wal.head(), Visibility::Durable).unwrap();
    assert!(published.next_timeout(SOON).unwrap().is_none());
    let ticks = wal.stats().tail_ticks;
    assert!(ticks > 1, "{ticks}");
    // A tail of durable records is a clock that does not tick.
    assert!(durable.next_timeout(SOON).unwrap().is_none());
    let rested = wal.stats().tail_ticks;
    assert!(rested <= ticks + 1, "{rested} after {ticks}");
    assert!(durable.next_timeout(3 * SOON).unwrap().is_none());
    assert_eq!(wal.stats().tail_ticks, rested);
    wal.append(b"nobody looks").unwrap();
    assert!(durable.next_timeout(SOON).unwrap().is_none());
    assert_eq!(wal.stats().tail_ticks, rested);
}

#[test]
fn records_of_before_an_open_are_given_too() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    (0..200).for_each(|sequence| _ = wal.append(&sized_payload(0, sequence, 500)).unwrap());
    drop(wal);
    let wal = small().open(dir.path()).unwrap();
    wal.append(&sized_payload(0, 200, 500)).unwrap();
    let tail = wal.tail(wal.head(), Visibility::Published).unwrap();
    let records: Vec<Record> = tail.take(201).map(Result::unwrap).collect();
    assert!(
        (0..)
            .zip(&records)
            .all(|(sequence, record)| names(record) == (0, sequence))
    );
}

#[test]
fn a_tail_steps_over_what_was_truncated_before_it_came_there() {
    for visibility in BOTH {
        let dir = TempDir::in_memory();
        let wal = small().open(dir.path()).unwrap();
        let kept = wal.append(&payload(0, 0)).unwrap();
        (1..80).for_each(|sequence| _ = wal.append(&payload(0, sequence)).unwrap());
        wal.sync().unwrap();
        let mut before = wal.tail(wal.head(), visibility).unwrap();
        let mut amid = wal.tail(wal.head(), visibility).unwrap();
        for sequence in 0..40 {
            let record = amid.next_timeout(LIMIT).unwrap().unwrap();
            assert_eq!(names(&record), (0, sequence));
        }
        wal.truncate_after(kept).unwrap();
        wal.append(&payload(1, 0)).unwrap();
        wal.sync().unwrap();
        let record = before.next_timeout(LIMIT).unwrap().unwrap();
        assert_eq!(names(&record), (0, 0));
        for tail in [&mut before, &mut amid] {
            let record = tail.next_timeout(LIMIT).unwrap().unwrap();
            assert_eq!(names(&record), (1, 0));
            assert!(tail.next_timeout(NOW).unwrap().is_none());
        }
    }
}
