//! Following a log that somebody else writes.

use std::time::Duration;

use segwal::{ErrorKind, Wal};
use testkit::{Stopwatch, TempDir};

use crate::scene::{LIMIT, flip_bit, names, payload, refused, segment_path, small};

const NOW: Duration = Duration::ZERO;

#[test]
fn a_follower_gives_each_record_once_through_rotation_batches_and_another_open() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let mut follower = reader.follow(wal.end()).unwrap();
    assert!(follower.next_timeout(NOW).unwrap().is_none());
    let mut wal = Some(wal);
    let mut expected = 0;
    for round in 0..60 {
        let open = wal
            .take()
            .unwrap_or_else(|| small().open(dir.path()).unwrap());
        let first = expected;
        expected += 10;
        (first..expected - 3).for_each(|sequence| _ = open.append(&payload(0, sequence)).unwrap());
        let rest = (expected - 3..expected).map(|sequence| payload(0, sequence));
        let batch = open.append_batch(rest).unwrap();
        for sequence in first..expected {
            let record = follower.next_timeout(LIMIT).unwrap().unwrap();
            assert_eq!(names(record.payload()), (0, sequence), "round {round}");
            let in_batch = sequence >= expected - 3;
            assert_eq!(record.lsn() == batch.start, in_batch);
        }
        assert!(follower.next_timeout(NOW).unwrap().is_none());
        assert_eq!(follower.next_lsn(), batch.end);
        // Every third round ends with the log open, the others with an end of one kind or the other.
        match round % 3 {
            0 => wal = Some(open),
            1 => open.close().unwrap(),
            _ => drop(open),
        }
    }
    assert!(follower.next_lsn().segment() > 20);
}

#[test]
fn a_follower_goes_on_where_another_one_stopped() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    (0..50).for_each(|sequence| _ = wal.append(&payload(0, sequence)).unwrap());
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let mut position = reader.head().unwrap();
    for sequence in 0..50 {
        let mut follower = reader.follow(position).unwrap();
        let record = follower.next_timeout(NOW).unwrap().unwrap();
        assert_eq!(names(record.payload()), (0, sequence));
        position = follower.next_lsn();
    }
}

#[test]
fn a_follower_waits_no_longer_than_it_is_told_and_no_shorter() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let mut follower = reader.follow(wal.head()).unwrap();
    let begun = Stopwatch::start();
    let timeout = Duration::from_millis(40);
    assert!(follower.next_timeout(timeout).unwrap().is_none());
    assert!(begun.elapsed() >= timeout);
    std::thread::scope(|scope| {
        scope.spawn(|| wal.append(b"late").unwrap());
        let record = follower.next_timeout(LIMIT).unwrap().unwrap();
        assert_eq!(record.payload(), b"late");
    });
}

#[test]
fn a_follower_looks_at_the_durable_mark_anew() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let mut follower = reader.follow(wal.head()).unwrap();
    for _ in 0..3 {
        wal.append(b"seen before its sync").unwrap();
        let record = follower.next_timeout(LIMIT).unwrap().unwrap();
        assert!(!record.is_known_durable());
        wal.append(b"seen after its sync").unwrap();
        wal.sync().unwrap();
        let record = follower.next_timeout(LIMIT).unwrap().unwrap();
        assert!(record.is_known_durable());
    }
}

#[test]
fn a_follower_that_falls_behind_is_told_so_with_the_head() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    wal.append(&payload(0, 0)).unwrap();
    wal.append(&payload(0, 1)).unwrap();
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let mut follower = reader.follow(wal.head()).unwrap();
    follower.next_timeout(NOW).unwrap().unwrap();
    for sequence in 2..400 {
        let lsn = wal.append(&payload(0, sequence)).unwrap();
        wal.discard_before(lsn).unwrap();
    }
    assert!(wal.stats().reused_segments > 0);
    let discarded = loop {
        // What it had read ahead it may still give.
        match follower.next_timeout(NOW) {
            Ok(Some(record)) => assert!(names(record.payload()).1 < 100),
            other => break refused(other, ErrorKind::Discarded),
        }
    };
    let head = wal.head();
    assert!(
        discarded.to_string().contains(&head.to_string()),
        "{discarded}"
    );
    refused(follower.next_timeout(NOW), ErrorKind::Discarded);
    let record = reader.follow(head).unwrap().next_timeout(NOW).unwrap();
    assert_eq!(names(record.unwrap().payload()), (0, 399));
}

#[test]
fn a_follower_does_not_take_damage_for_the_end() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    wal.append(&payload(0, 0)).unwrap();
    let damaged = wal.append(&payload(0, 1)).unwrap();
    wal.sync().unwrap();
    flip_bit(&segment_path(dir.path(), 1), damaged.offset() + 26);
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let mut follower = reader.follow(wal.head()).unwrap();
    assert!(follower.next_timeout(NOW).unwrap().is_some());
    let error = refused(follower.next_timeout(LIMIT), ErrorKind::Corrupt);
    assert_eq!(error.place().lsn, Some(damaged), "{error}");
}
