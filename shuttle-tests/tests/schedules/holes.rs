//! Reservations that are dropped or published late, with syncs that wait behind them, some of which give up.

use std::time::Duration;

use segwal::ErrorKind;
use segwal::internals::Bug;
use segwal::internals::twin::Twin;
use shuttle_tests::{Crash, Mistake, Reached, Scenario, Stage, join, small};

static HOLES: Scenario = Scenario {
    name: "holes",
    states: &["a sync gave up", "a reservation was dropped"],
    body: holes,
};

fn holes(reached: &Reached, number: u64) {
    let stage = Stage::new(&small(), number);
    let mut actors = Vec::new();
    for writer in 0..2 {
        let marks = reached.clone();
        let drops = (number + u64::from(writer)) % 2 == 0;
        actors.push(stage.actor(move |stage| {
            reserve(stage, writer, drops);
            marks.add("a reservation was dropped", drops.into());
        }));
    }
    actors.push(stage.actor(|stage| {
        for _ in 0..3 {
            let record = stage.append(2, 300).unwrap();
            assert!(stage.sync_to(record), "the log runs");
        }
    }));
    let marks = reached.clone();
    actors.push(stage.actor(move |stage| {
        for _ in 0..2 {
            let (lsn, name) = stage.append(3, 100).unwrap();
            match stage.wal.sync_to_timeout(lsn, Duration::from_millis(2)) {
                Ok(()) => stage.ledger.acknowledged(lsn, name),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
                    marks.mark("a sync gave up");
                }
            }
        }
    }));
    actors.push(stage.crash_at_some_time(Crash::Power));
    join(actors);
    stage.finish();
}

/// Reserves, writes half, lets others go on, and ends it the one way or the other.
fn reserve(stage: &Stage, writer: u8, drops: bool) {
    let mut appender = stage.wal.appender().unwrap();
    for _ in 0..2 {
        let len = 500_u32;
        let name = (!drops).then(|| stage.ledger.attempt(writer));
        let mut reservation = appender.reserve(len).unwrap();
        // So long that somebody who waits behind it may give up.
        for _ in 0..30 {
            shuttle::thread::yield_now();
        }
        match name {
            None => {
                reservation.write_at(0, &[0xab; 100]).unwrap();
                drop(reservation);
            }
            Some(name) => {
                let payload = name.payload(500);
                let (left, right) = payload.split_at(250);
                reservation.write_at(250, right).unwrap();
                reservation.write_at(0, left).unwrap();
                let lsn = reservation.publish();
                stage.ledger.appended(lsn, name);
            }
        }
    }
}

#[test]
fn nobody_waits_for_ever_behind_a_hole_and_no_hole_is_left() {
    HOLES.holds();
}

#[test]
fn a_leader_that_keeps_its_flag_is_found() {
    HOLES.must_fail(Mistake::Bug(Bug::LeaderFlagLeftSet), &["deadlock"]);
}

#[test]
fn a_dropped_reservation_that_leaves_its_bytes_is_found() {
    HOLES.must_fail(
        Mistake::Twin(Twin::DropWithoutAbort),
        &["is lost", "after "],
    );
}
