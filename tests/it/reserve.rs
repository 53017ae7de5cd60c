//! Reservations: written in place, given up, held by others, and misused.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use segwal::{ErrorKind, Health, Lsn, Wal};
use testkit::{TempDir, wait_until};

use crate::scene::{LIMIT, read_all, refused, small, within};

fn payloads(wal: &Wal) -> Vec<Vec<u8>> {
    read_all(wal, wal.head())
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect()
}

#[test]
fn a_record_is_written_in_place() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut appender = wal.appender().unwrap();
    let mut reservation = appender.reserve(12).unwrap();
    assert_eq!(reservation.len(), 12);
    let lsn = reservation.lsn();
    refused(wal.get(lsn), ErrorKind::NotFound);
    write!(reservation, "one").unwrap();
    write!(reservation, " two").unwrap();
    reservation.write_at(7, b" 3456").unwrap();
    reservation.write_at(0, b"O").unwrap();
    refused(reservation.write_at(8, b"12345"), ErrorKind::TooLarge);
    refused(reservation.write_at(u32::MAX, b"1"), ErrorKind::TooLarge);
    reservation.write_at(12, b"").unwrap();
    reservation.tag(77);
    assert_eq!(reservation.publish(), lsn);
    let record = wal.get(lsn).unwrap();
    assert_eq!((&*record, record.tag()), (&b"One two 3456"[..], 77));
}

#[test]
fn what_is_not_written_is_zero_in_a_reused_segment_too() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut appender = wal.appender().unwrap();
    for round in 0..40_u32 {
        appender.append(&[0xff; 1500]).unwrap();
        let mut reservation = appender.reserve(1500).unwrap();
        reservation.write_at(700, &round.to_le_bytes()).unwrap();
        let lsn = reservation.publish();
        let mut expected = vec![0; 1500];
        expected[700..704].copy_from_slice(&round.to_le_bytes());
        assert_eq!(&*wal.get(lsn).unwrap(), &expected[..]);
        wal.discard_before(lsn).unwrap();
    }
    assert!(wal.stats().reused_segments > 0, "{:?}", wal.stats());
}

#[test]
fn a_full_reservation_takes_no_more_through_io_write() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut appender = wal.appender().unwrap();
    let mut reservation = appender.reserve(4).unwrap();
    assert_eq!(reservation.write(b"123456").unwrap(), 4);
    assert_eq!(reservation.write(b"56").unwrap(), 0);
    reservation.flush().unwrap();
    let lsn = reservation.publish();
    assert_eq!(&*wal.get(lsn).unwrap(), b"1234");
    let empty = appender.reserve(0).unwrap().publish();
    assert_eq!(&*wal.get(empty).unwrap(), b"");
}

#[test]
fn a_dropped_reservation_is_stepped_over_for_ever() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut appender = wal.appender().unwrap();
    appender.append(b"before").unwrap();
    let mut reservation = appender.reserve(100).unwrap();
    reservation.write_at(0, b"half").unwrap();
    let lsn = reservation.lsn();
    drop(reservation);
    let after = appender.append(b"after").unwrap();
    refused(wal.get(lsn), ErrorKind::NotFound);
    wal.sync().unwrap();
    assert!(after < wal.durable());
    assert_eq!(payloads(&wal), [&b"before"[..], b"after"]);
    drop((appender, wal));
    let wal = Wal::open(dir.path()).unwrap();
    assert_eq!(payloads(&wal), [&b"before"[..], b"after"]);
    refused(wal.get(lsn), ErrorKind::NotFound);
}

#[test]
fn a_panic_gives_the_reservation_up() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut appender = wal.appender().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut reservation = appender.reserve(64).unwrap();
        reservation.write_at(0, b"half").unwrap();
        panic!("the encoder fails");
    }));
    assert!(panic.is_err());
    appender.append(b"goes on").unwrap();
    within(move || {
        wal.sync().unwrap();
        assert_eq!(payloads(&wal), [b"goes on"]);
    });
}

#[test]
fn the_thread_that_holds_a_reservation_is_refused_what_could_hang() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let first = wal.append(b"first").unwrap();
    within(move || {
        let other = wal.clone();
        let mut second_appender = wal.appender().unwrap();
        let mut appender = wal.appender().unwrap();
        let reservation = appender.reserve(8).unwrap();
        let lsn = reservation.lsn();
        let kind = ErrorKind::InvalidState;
        refused(other.append(b"x"), kind);
        refused(other.append_batch([b"x"]), kind);
        refused(second_appender.append(b"x"), kind);
        refused(second_appender.reserve(1), kind);
        refused(other.sync(), kind);
        refused(other.sync_to(first), kind);
        refused(other.sync_to(lsn), kind);
        refused(other.sync_to_timeout(lsn, Duration::ZERO), kind);
        refused(other.close(), kind);
        assert_eq!(&*other.get(first).unwrap(), b"first", "reads go on");
        reservation.publish();
        other.append(b"x").unwrap();
        other.sync().unwrap();
        assert_eq!(payloads(&other).len(), 3);
        drop((appender, second_appender));
        other.close().unwrap();
    });
}

#[test]
fn discarding_beyond_ones_own_reservation_is_refused() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    within(move || {
        let mut appender = wal.appender().unwrap();
        let reservation = appender.reserve(8).unwrap();
        let other = wal.clone();
        let behind = thread::spawn(move || other.append(b"behind").unwrap())
            .join()
            .unwrap();
        refused(wal.discard_before(behind), ErrorKind::InvalidState);
        refused(wal.discard_before(wal.end()), ErrorKind::InvalidState);
        reservation.publish();
        wal.discard_before(behind).unwrap();
        assert_eq!(wal.head(), behind);
    });
}

#[test]
fn a_reservation_of_one_log_does_not_bar_another() {
    let (dir, other_dir) = (TempDir::in_memory(), TempDir::in_memory());
    let wal = small().open(dir.path()).unwrap();
    let other = small().open(other_dir.path()).unwrap();
    let mut appender = wal.appender().unwrap();
    let reservation = appender.reserve(8).unwrap();
    other.append(b"x").unwrap();
    other.sync().unwrap();
    other.close().unwrap();
    reservation.publish();
}

/// Holds a reservation on a thread of its own while `meanwhile` runs with its position.
fn while_held<R>(wal: &Wal, meanwhile: impl FnOnce(Lsn) -> R) -> R {
    let (position, held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut appender = wal.appender().unwrap();
            let reservation = appender.reserve(16).unwrap();
            position.send(reservation.lsn()).unwrap();
            // Ends with an error when the other side is dropped, panicking or not.
            assert!(released.recv().is_err());
            reservation.publish();
        });
        let result = meanwhile(held.recv().unwrap());
        drop(release);
        result
    })
}

#[test]
fn a_sync_behind_anothers_reservation_waits_until_it_is_published() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let (sender, receiver) = mpsc::channel();
    let (behind, waiter) = while_held(&wal, |held| {
        let behind = wal.append(b"behind").unwrap();
        let other = wal.clone();
        let waiter = thread::spawn(move || sender.send(other.sync_to(behind)).unwrap());
        let early = receiver.recv_timeout(Duration::from_millis(30));
        assert!(early.is_err(), "it returned before the hole was filled");
        assert!(wal.durable() <= held);
        assert!(
            wal.published() <= held,
            "nothing behind the hole is published"
        );
        assert!(matches!(wal.health(), Health::Stalled { oldest } if oldest <= held));
        (behind, waiter)
    });
    receiver.recv_timeout(LIMIT).unwrap().unwrap();
    waiter.join().unwrap();
    assert!(behind < wal.durable());
    assert!(wait_until(LIMIT, || matches!(wal.health(), Health::Ok)));
}

#[test]
fn a_whole_sync_covers_an_append_that_returned_behind_anothers_reservation() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let (sender, receiver) = mpsc::channel();
    let behind = while_held(&wal, |_| {
        let behind = wal.append(b"behind").unwrap();
        let other = wal.clone();
        thread::spawn(move || {
            let synced = other.sync();
            sender
                .send(synced.map(|bound| (bound, other.durable())))
                .unwrap();
        });
        let early = receiver.recv_timeout(Duration::from_millis(30));
        assert!(
            early.is_err(),
            "it returned without the record: {early:?}, {behind}"
        );
        behind
    });
    let (bound, durable) = receiver.recv_timeout(LIMIT).unwrap().unwrap();
    assert!(behind < bound && bound <= durable);
}

#[test]
fn a_record_before_anothers_reservation_is_not_held_up_by_it() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let before = wal.append(b"before").unwrap();
    while_held(&wal, |_| {
        let wal = wal.clone();
        within(move || wal.sync_to(before)).unwrap();
    });
}

#[test]
fn waiting_behind_anothers_reservation_times_out() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let behind = while_held(&wal, |held| {
        let behind = wal.append(b"behind").unwrap();
        for lsn in [held, behind] {
            refused(
                wal.sync_to_timeout(lsn, Duration::from_millis(5)),
                ErrorKind::TimedOut,
            );
            refused(
                wal.sync_to_timeout(lsn, Duration::ZERO),
                ErrorKind::TimedOut,
            );
        }
        behind
    });
    wal.sync_to_timeout(behind, LIMIT).unwrap();
    assert!(behind < wal.durable());
}

#[test]
fn more_than_half_of_the_places_are_not_given_to_reservations() {
    const MOST: usize = 64;
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let (held, done) = (Barrier::new(MOST + 1), Barrier::new(MOST + 1));
    thread::scope(|scope| {
        for _ in 0..MOST {
            scope.spawn(|| {
                let mut appender = wal.appender().unwrap();
                let reservation = appender.reserve(8).unwrap();
                held.wait();
                done.wait();
                reservation.publish();
            });
        }
        held.wait();
        let mut appender = wal.appender().unwrap();
        let refusal = appender.reserve(8);
        let refusal = refusal.map(|_| ()).map_err(|error| error.kind());
        let appended = appender.append(b"still possible");
        done.wait();
        assert_eq!(refusal, Err(ErrorKind::OutOfResources));
        appended.unwrap();
    });
    wal.sync().unwrap();
    assert_eq!(payloads(&wal).len(), MOST + 1);
    let mut appender = wal.appender().unwrap();
    appender.reserve(8).unwrap().publish();
}

#[test]
fn closing_over_anothers_reservation_reports_it_and_keeps_the_lock() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let before = wal.append(b"before").unwrap();
    while_held(&wal, |_| {
        let other = wal.clone();
        let error = within(move || other.close()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidState, "{error}");
        refused(wal.append(b"x"), ErrorKind::Closed);
        refused(wal.sync_to(before), ErrorKind::Closed);
        refused(Wal::open(dir.path()), ErrorKind::Locked);
    });
    refused(Wal::open(dir.path()), ErrorKind::Locked);
    drop(wal);
    let wal = Wal::open(dir.path()).unwrap();
    assert_eq!(payloads(&wal)[0], b"before");
}
