//! Rotation through small segments, reuse, the limits on what waits, pinned records and space pressure.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use segwal::{ErrorKind, Health, OnFull, SpacePressure, Wal, WalOptions};
use testkit::{TempDir, wait_until};

use crate::scene::{
    LIMIT, SMALL, names, payload, read_all, refused, segment_ids, sized_payload, small, snapshot,
    within,
};

/// Appends, over all short refusals of a log that does not wait.
fn append_patiently(wal: &Wal, payload: &[u8]) -> segwal::Lsn {
    let mut lsn = None;
    let appended = wait_until(LIMIT, || match wal.append(payload) {
        Ok(at) => {
            lsn = Some(at);
            true
        }
        Err(error) if matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::Backpressure) => false,
        Err(error) => panic!("{error}"),
    });
    assert!(appended, "no room came");
    lsn.unwrap()
}

#[test]
fn a_thousand_segments_hold_what_was_put_into_them() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    for sequence in 0..2000 {
        wal.append(&sized_payload(0, sequence, 1500)).unwrap();
    }
    assert_eq!(wal.stats().rotations, 999);
    let records = read_all(&wal, wal.head());
    for (index, (_, bytes)) in records.iter().enumerate() {
        assert_eq!(names(bytes), (0, index as u64));
    }
    assert_eq!(records.len(), 2000);
    wal.sync().unwrap();
    assert_eq!(wal.stats().retained_segments, 1000);
}

#[test]
fn the_background_syncs_before_too_many_segments_wait() {
    let dir = TempDir::in_memory();
    let wal = small()
        .max_unsynced_segments(3)
        .on_full(OnFull::Fail)
        .open(dir.path())
        .unwrap();
    for sequence in 0..600 {
        append_patiently(&wal, &payload(0, sequence));
        // The end first: the durable bound only grows.
        let end = wal.end();
        let unsynced = end.segment() - wal.durable().segment() + 1;
        assert!(unsynced <= 3, "{unsynced} segments at {end}");
    }
    assert!(wal.stats().background_syncs > 0, "{:?}", wal.stats());
    assert_eq!(read_all(&wal, wal.head()).len(), 600);
}

/// Fills `wal` until an append is refused as `kind`; what was appended.
fn fill(wal: &Wal, kind: ErrorKind) -> u64 {
    let mut count = 0;
    let refused = wait_until(LIMIT, || match wal.append(&[count as u8; 1000]) {
        Ok(_) => {
            count += 1;
            false
        }
        Err(error) if error.kind() == kind => true,
        // A segment that is not ready yet.
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
            false
        }
    });
    assert!(refused, "{count} records and no {kind:?}");
    count
}

#[test]
fn a_disk_that_is_behind_gives_backpressure_and_nothing_is_appended() {
    let dir = TempDir::in_memory();
    let wal = small()
        .max_unsynced_segments(4)
        .on_full(OnFull::Fail)
        .open(dir.path())
        .unwrap();
    let (position, held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let holder = &wal;
        scope.spawn(move || {
            let mut appender = holder.appender().unwrap();
            let reservation = appender.reserve(8).unwrap();
            position.send(reservation.lsn()).unwrap();
            assert!(released.recv().is_err());
            reservation.publish();
        });
        let first = held.recv().unwrap();
        fill(&wal, ErrorKind::Backpressure);
        let end = wal.end();
        assert!(end.segment() - first.segment() < 4, "{end}");
        refused(wal.append(&[0; 1000]), ErrorKind::Backpressure);
        assert_eq!(wal.end(), end);
        assert!(wal.stats().backpressure > 0);
        drop(release);
    });
    append_patiently(&wal, &[0; 1000]);
    wal.sync().unwrap();
    wal.close().unwrap();
}

#[test]
fn an_append_that_may_block_goes_on_when_the_hole_is_filled() {
    let dir = TempDir::in_memory();
    let block = |timeout| OnFull::Block { timeout };
    let open = |policy| {
        small()
            .max_unsynced_segments(2)
            .on_full(policy)
            .open(dir.path())
            .unwrap()
    };
    let wal = open(block(Duration::from_millis(20)));
    let (release, released) = mpsc::channel::<()>();
    let (position, held) = mpsc::channel();
    thread::scope(|scope| {
        let holder = &wal;
        scope.spawn(move || {
            let mut appender = holder.appender().unwrap();
            let reservation = appender.reserve(8).unwrap();
            position.send(()).unwrap();
            assert!(released.recv().is_err());
            reservation.publish();
        });
        held.recv().unwrap();
        fill(&wal, ErrorKind::Backpressure);
        drop(release);
    });
    drop(wal);
    let wal = open(block(LIMIT));
    (0..200).for_each(|sequence| _ = wal.append(&payload(1, sequence)).unwrap());
}

#[test]
fn discarded_segments_are_reused_and_the_directory_stays_small() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut most = 0;
    for sequence in 0..3000 {
        let lsn = wal.append(&payload(0, sequence)).unwrap();
        if sequence % 20 == 19 {
            wal.discard_before(lsn).unwrap();
            most = most.max(segment_ids(dir.path()).len());
        }
    }
    let stats = wal.stats();
    println!("at most {most} files, {stats:?}");
    assert!(stats.rotations > 100);
    assert!(stats.reused_segments > stats.rotations / 2, "{stats:?}");
    // After misses up to 6 more are ready than at first, and up to 6 more wait for reuse.
    assert!(most <= 28, "{most} files: {stats:?}");
}

#[test]
fn a_head_within_a_segment_keeps_the_rest_of_it() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns: Vec<_> = (0..300)
        .map(|sequence| wal.append(&payload(0, sequence)).unwrap())
        .collect();
    for (index, lsn) in lsns.iter().enumerate().step_by(7) {
        wal.discard_before(*lsn).unwrap();
        assert_eq!(wal.head(), *lsn);
        assert!(wal.head() <= wal.durable());
        assert_eq!(read_all(&wal, *lsn).len(), lsns.len() - index);
        if index > 0 {
            refused(wal.get(lsns[index - 1]), ErrorKind::Discarded);
            refused(wal.records(lsns[index - 1]), ErrorKind::Discarded);
        }
        wal.discard_before(lsns[0]).unwrap();
        assert_eq!(
            wal.head(),
            *lsn,
            "a position below the head changes nothing"
        );
    }
    let end = wal.end();
    wal.discard_before(end).unwrap();
    assert_eq!((wal.head(), wal.durable()), (end, end));
    assert!(read_all(&wal, end).is_empty());
}

#[test]
fn discarding_makes_durable_what_it_passes() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    wal.append(b"one").unwrap();
    let two = wal.append(b"two").unwrap();
    assert!(wal.durable() < two);
    wal.discard_before(two).unwrap();
    assert!(
        wal.head() <= wal.durable(),
        "{} {}",
        wal.head(),
        wal.durable()
    );
}

#[test]
fn a_held_record_keeps_its_segment_and_its_bytes() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsn = wal.append(&payload(7, 7)).unwrap();
    let record = wal.get(lsn).unwrap();
    let held = record.clone();
    drop(record);
    let cycle = |count: u64| {
        for sequence in 0..count {
            let lsn = wal.append(&payload(0, sequence)).unwrap();
            wal.discard_before(lsn).unwrap();
        }
    };
    cycle(1000);
    assert!(wal.stats().reused_segments > 20, "{:?}", wal.stats());
    assert_eq!(names(&held), (7, 7));
    // What was discarded just now counts as pinned until the background has looked at it.
    assert!(
        wait_until(LIMIT, || wal.stats().pinned_segments == 1),
        "{:?}",
        wal.stats()
    );
    assert!(
        segment_ids(dir.path()).contains(&lsn.segment()),
        "its file keeps its name"
    );
    refused(wal.get(lsn), ErrorKind::Discarded);
    drop(held);
    cycle(200);
    let released = wait_until(LIMIT, || wal.stats().pinned_segments == 0);
    assert!(released, "{:?}", wal.stats());
}

#[test]
fn an_iterator_is_told_when_its_records_are_discarded() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    (0..300).for_each(|sequence| _ = wal.append(&payload(0, sequence)).unwrap());
    let mut records = wal.records(wal.head()).unwrap();
    names(&records.next().unwrap().unwrap());
    wal.discard_before(wal.end()).unwrap();
    refused(records.next().unwrap(), ErrorKind::Discarded);
    assert!(records.next().is_none(), "an error is the last item");
}

fn tight() -> WalOptions {
    let mut options = small();
    options
        .max_unsynced_segments(2)
        .preallocate_segments(1)
        .max_wal_bytes(Some(5 * SMALL))
        .on_full(OnFull::Fail);
    options
}

/// Appends and syncs until there is no space left for good.
fn fill_up(wal: &Wal) -> Vec<segwal::Lsn> {
    let mut lsns = Vec::new();
    let full = wait_until(LIMIT, || match wal.append(&payload(0, lsns.len() as u64)) {
        Ok(lsn) => {
            lsns.push(lsn);
            wal.sync().unwrap();
            false
        }
        Err(error) => {
            assert!(
                matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::Backpressure),
                "{error}"
            );
            // Not while a file is on its way from its last reader to its next use, nor before the head has left an earlier
            // segment that holds nothing any more.
            let stats = wal.stats();
            let is_whole = (stats.retained_segments, stats.ready_segments) == (4, 1);
            let first = lsns.first().copied().map(segwal::Lsn::segment);
            let is_full = matches!(wal.space_pressure(), SpacePressure::Full(_));
            is_whole && is_full && first == Some(wal.head().segment())
        }
    });
    assert!(full, "never full");
    lsns
}

#[test]
fn a_log_at_its_limit_refuses_appends_reads_on_and_goes_on_after_a_discard() {
    let dir = TempDir::in_memory();
    let wal = tight().open(dir.path()).unwrap();
    for round in 0..5 {
        let lsns = fill_up(&wal);
        assert!(lsns.len() > 10, "round {round}");
        assert!(matches!(wal.health(), Health::Pressure(_)));
        let (end, files) = (wal.end(), snapshot(dir.path()));
        let ids = segment_ids(dir.path());
        assert!(ids.len() <= 5, "{ids:?} {:?}", wal.stats());
        let error = refused(wal.append(&[0; 4000]), ErrorKind::NoSpace);
        assert!(error.to_string().contains("max_wal_bytes"), "{error}");
        refused(wal.append_batch([&[0; 3000]]), ErrorKind::NoSpace);
        refused(wal.appender().unwrap().reserve(4000), ErrorKind::NoSpace);
        assert_eq!(
            (wal.end(), &snapshot(dir.path())),
            (end, &files),
            "nothing changed"
        );
        for (sequence, lsn) in lsns.iter().enumerate() {
            assert_eq!(names(&wal.get(*lsn).unwrap()), (0, sequence as u64));
        }
        wal.sync().unwrap();
        wal.discard_before(wal.end()).unwrap();
        append_patiently(&wal, &[round; 4000]);
        wal.discard_before(wal.end()).unwrap();
        let is_over = || wal.space_pressure() == SpacePressure::None;
        assert!(wait_until(LIMIT, is_over), "{:?}", wal.stats());
    }
}

#[test]
fn a_full_log_can_be_closed_dropped_and_opened() {
    let dir = TempDir::in_memory();
    let wal = tight().open(dir.path()).unwrap();
    let lsns = fill_up(&wal);
    drop(wal);
    for round in 0..6 {
        let wal = tight().open(dir.path()).unwrap();
        assert_eq!(
            read_all(&wal, wal.head()).len(),
            lsns.len(),
            "round {round}"
        );
        if round % 2 == 0 {
            wal.close().unwrap();
        }
    }
    let wal = tight().open(dir.path()).unwrap();
    wal.discard_before(wal.end()).unwrap();
    append_patiently(&wal, &[1; 4000]);
    append_patiently(&wal, &[2; 4000]);
}

#[test]
fn a_blocked_append_goes_on_as_soon_as_space_is_discarded() {
    let dir = TempDir::in_memory();
    let wal = tight().open(dir.path()).unwrap();
    fill_up(&wal);
    drop(wal);
    let wal = tight()
        .on_full(OnFull::Block { timeout: LIMIT })
        .open(dir.path())
        .unwrap();
    let (sender, receiver) = mpsc::channel();
    let log = wal.clone();
    let appending = thread::spawn(move || sender.send(log.append(&[9; 4000])).unwrap());
    assert!(
        receiver.recv_timeout(Duration::from_millis(20)).is_err(),
        "there was no room"
    );
    wal.discard_before(wal.end()).unwrap();
    let lsn = receiver.recv_timeout(LIMIT).unwrap().unwrap();
    appending.join().unwrap();
    assert_eq!(&*wal.get(lsn).unwrap(), &[9; 4000]);
}

#[test]
fn closing_wakes_an_append_that_waits_for_space() {
    let dir = TempDir::in_memory();
    let wal = tight().open(dir.path()).unwrap();
    fill_up(&wal);
    drop(wal);
    let wal = tight()
        .on_full(OnFull::Block { timeout: LIMIT })
        .open(dir.path())
        .unwrap();
    let log = wal.clone();
    let appending = thread::spawn(move || log.append(&[9; 4000]));
    let waits = wait_until(LIMIT, || wal.stats().ready_misses > 0);
    assert!(waits, "{:?}", wal.stats());
    within(move || wal.close()).unwrap();
    refused(within(move || appending.join().unwrap()), ErrorKind::Closed);
}
