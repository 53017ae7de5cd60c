//! Durable bounds, group commit, callbacks and health.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use segwal::{ErrorKind, Health, Lsn};
use testkit::{TempDir, wait_until};

use crate::scene::{LIMIT, names, payload, read_all, refused, small, within};

#[test]
fn the_bounds_stand_in_order_and_meet_after_a_sync() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let start = wal.end();
    assert_eq!(
        (wal.head(), wal.durable(), wal.published()),
        (start, start, start)
    );
    assert_eq!(wal.sync().unwrap(), start, "nothing to sync");
    let lsn = wal.append(b"one").unwrap();
    assert_eq!(lsn, start);
    assert_eq!(wal.durable(), start);
    assert!(wal.published() > lsn && wal.published() == wal.end());
    assert_eq!(wal.sync().unwrap(), wal.end());
    assert_eq!(wal.durable(), wal.end());
    assert_eq!(wal.head(), start);
}

#[test]
fn the_record_that_begins_at_the_durable_bound_is_not_durable() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    for round in 0..50 {
        let bound = wal.durable();
        let lsn = wal.append(b"begins at the bound").unwrap();
        if lsn.segment() == bound.segment() {
            assert_eq!(lsn, bound, "the normal case");
        }
        let syncs = wal.stats().syncs;
        wal.sync_to(lsn).unwrap();
        assert!(lsn < wal.durable(), "round {round}");
        assert!(
            wal.stats().syncs > syncs,
            "round {round}: nothing was synced"
        );
    }
}

#[test]
fn what_is_durable_needs_no_sync() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsn = wal.append(b"one").unwrap();
    wal.sync_to(lsn).unwrap();
    let syncs = wal.stats().syncs;
    wal.sync_to(lsn).unwrap();
    wal.sync_to_timeout(lsn, Duration::ZERO).unwrap();
    wal.sync().unwrap();
    assert_eq!(wal.stats().syncs, syncs);
}

#[test]
fn a_position_at_or_beyond_the_end_is_not_found() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    within(move || {
        let beyond = |end: Lsn| {
            let far = Lsn::new(end.segment() + 1, 4096).unwrap();
            let near = Lsn::new(end.segment(), end.offset() + 8).unwrap();
            [end, near, far, Lsn::MAX]
        };
        for round in 0..3 {
            for lsn in beyond(wal.end()) {
                refused(wal.sync_to(lsn), ErrorKind::NotFound);
                refused(wal.sync_to_timeout(lsn, LIMIT), ErrorKind::NotFound);
                let error = refused(
                    wal.on_durable(lsn, |_| panic!("called")),
                    ErrorKind::NotFound,
                );
                assert_eq!(error.place().lsn, Some(lsn), "{error}");
            }
            let lsn = wal.append(&[round; 3000]).unwrap();
            wal.sync_to(lsn).unwrap();
        }
    });
}

#[test]
fn sixty_four_threads_commit_and_share_syncs() {
    const THREADS: u32 = 64;
    const COMMITS: u64 = 40;
    let dir = TempDir::on_disk();
    let wal = small().segment_size(256 << 10).open(dir.path()).unwrap();
    let start = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for writer in 0..THREADS {
            let (wal, start) = (&wal, &start);
            scope.spawn(move || {
                start.wait();
                for sequence in 0..COMMITS {
                    let lsn = wal.append(&payload(writer, sequence)).unwrap();
                    wal.sync_to(lsn).unwrap();
                    assert!(lsn < wal.durable());
                }
            });
        }
    });
    let stats = wal.stats();
    println!("{} commits, {} syncs", stats.commits, stats.syncs);
    let commits = u64::from(THREADS) * COMMITS;
    assert!(stats.syncs > 0 && stats.syncs < commits, "{stats:?}");
    let records = read_all(&wal, wal.head());
    assert_eq!(records.len() as u64, commits);
    for (_, bytes) in &records {
        names(bytes);
    }
}

#[test]
fn gathering_can_be_turned_off() {
    let dir = TempDir::in_memory();
    let gather = segwal::Gather {
        max_wait: Duration::ZERO,
        ..segwal::Gather::default()
    };
    let wal = small().gather(gather).open(dir.path()).unwrap();
    thread::scope(|scope| {
        for writer in 0..8 {
            let wal = &wal;
            scope.spawn(move || {
                for sequence in 0..100 {
                    let lsn = wal.append(&payload(writer, sequence)).unwrap();
                    wal.sync_to(lsn).unwrap();
                }
            });
        }
    });
    assert_eq!(wal.durable(), wal.end());
}

#[test]
fn thousands_of_records_are_in_flight_from_one_thread() {
    const COUNT: usize = 5000;
    let dir = TempDir::in_memory();
    let wal = small().segment_size(64 << 10).open(dir.path()).unwrap();
    let (sender, receiver) = mpsc::channel();
    for index in 0..COUNT {
        let lsn = wal.append(b"in flight").unwrap();
        let (sender, log) = (sender.clone(), wal.clone());
        let callback = move |result: segwal::Result<()>| {
            let durable = result.is_ok() && lsn < log.durable();
            sender.send((index, durable)).unwrap();
        };
        wal.on_durable(lsn, callback).unwrap();
    }
    let mut called = vec![0; COUNT];
    for _ in 0..COUNT {
        let (index, durable) = receiver.recv_timeout(LIMIT).unwrap();
        assert!(
            durable,
            "callback {index} came before its record was durable"
        );
        called[index] += 1;
    }
    assert!(called.iter().all(|&times| times == 1));
    let stats = wal.stats();
    println!("{COUNT} callbacks, {} syncs", stats.syncs);
    assert!(stats.syncs < COUNT as u64, "{stats:?}");
    drop(sender);
    assert!(receiver.try_recv().is_err(), "each was called once");
}

#[test]
fn a_callback_may_call_the_log_and_panic() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let (sender, receiver) = mpsc::channel();
    let first = wal.append(b"first").unwrap();
    wal.on_durable(first, |_| panic!("a callback's own affair"))
        .unwrap();
    let log = wal.clone();
    let nested = move |result: segwal::Result<()>| {
        result.unwrap();
        let lsn = log.append(b"from a callback").unwrap();
        log.sync_to(lsn).unwrap();
        let again = log.append(b"and another").unwrap();
        log.on_durable(again, move |result| {
            sender.send((lsn, again, result)).unwrap();
        })
        .unwrap();
    };
    wal.on_durable(first, nested).unwrap();
    let (lsn, again, result) = receiver.recv_timeout(LIMIT).unwrap();
    result.unwrap();
    assert!(first < lsn && lsn < again && again < wal.durable());
    within(move || wal.close()).unwrap();
}

#[test]
fn a_callback_may_hold_the_last_handle_of_the_log() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let (sender, receiver) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let lsn = wal.append(b"x").unwrap();
    let last = wal.clone();
    let callback = move |_| {
        gone.recv().unwrap();
        drop(last);
        sender.send(()).unwrap();
    };
    wal.on_durable(lsn, callback).unwrap();
    wal.sync().unwrap();
    drop(wal);
    go.send(()).unwrap();
    receiver.recv_timeout(LIMIT).unwrap();
    assert!(
        wait_until(LIMIT, || small().open(dir.path()).is_ok()),
        "the lock was released"
    );
}

#[test]
fn callbacks_of_a_closed_log_are_called_with_its_end() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    for _ in 0..200 {
        let lsn = wal.append(b"x").unwrap();
        let calls = Arc::clone(&calls);
        let count = move |_| _ = calls.fetch_add(1, Ordering::AcqRel);
        wal.on_durable(lsn, count).unwrap();
    }
    let log = wal.clone();
    within(move || log.close()).unwrap();
    assert_eq!(
        calls.load(Ordering::Acquire),
        200,
        "every callback was called, before close returned"
    );
    refused(
        wal.on_durable(wal.head(), |_| panic!("called")),
        ErrorKind::Closed,
    );
}

#[test]
fn a_closed_log_says_so_and_reports_no_error() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    assert!(matches!(wal.health(), Health::Ok));
    wal.on_error(|error| panic!("reported {error}")).unwrap();
    let lsn = wal.append(b"kept").unwrap();
    let record = wal.get(lsn).unwrap();
    wal.close().unwrap();
    assert!(matches!(wal.health(), Health::Closed));
    let kind = ErrorKind::Closed;
    refused(wal.append(b"x"), kind);
    refused(wal.sync(), kind);
    refused(wal.sync_to(lsn), kind);
    refused(wal.get(lsn), kind);
    refused(wal.records(lsn), kind);
    refused(wal.discard_before(lsn), kind);
    refused(wal.on_error(|_| {}), kind);
    refused(wal.close(), kind);
    assert_eq!(&*record, b"kept", "a record that was read stays valid");
    drop(wal);
    assert_eq!(&*record, b"kept");
}

#[test]
fn a_lost_directory_poisons_and_is_reported_once() {
    let dir = TempDir::in_memory();
    let wal = small()
        .preallocate_segments(1)
        .open(dir.join("log"))
        .unwrap();
    let (sender, receiver) = mpsc::channel();
    wal.on_error(move |error| sender.send(error.kind()).unwrap())
        .unwrap();
    let lsn = wal.append(b"kept").unwrap();
    // Until the background has no file half made in it.
    let gone = wait_until(LIMIT, || std::fs::remove_dir_all(dir.join("log")).is_ok());
    assert!(gone);
    let ended = wait_until(LIMIT, || match wal.append(&[0; 3000]) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
            true
        }
    });
    assert!(ended);
    let Health::Poisoned(cause) = wal.health() else {
        panic!("{:?}", wal.health())
    };
    assert!(cause.place().path.is_some(), "{cause}");
    receiver.recv_timeout(LIMIT).unwrap();
    assert!(receiver.try_recv().is_err(), "reported once");
    for result in [
        wal.sync().map(drop),
        wal.sync_to(lsn),
        wal.discard_before(lsn),
    ] {
        refused(result, ErrorKind::Poisoned);
    }
    assert_eq!(&*wal.get(lsn).unwrap(), b"kept", "reads go on");
    refused(within(move || wal.close()), ErrorKind::Poisoned);
}
