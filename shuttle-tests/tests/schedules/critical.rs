//! Critical records on a full disk, whose discards are what ordinary appends wait for.

use segwal::internals::twin::Twin;
use shuttle_tests::{Crash, Mistake, Reached, Scenario, Stage, join, small};

/// Two of these fill a segment.
const LEN: usize = 1900;
const WRITERS: u8 = 2;
const RECORDS: u8 = 2;

static CRITICAL: Scenario = Scenario {
    name: "critical",
    states: &[
        "a critical record went to the reserve",
        "an append had to wait",
        "a segment was reused",
    ],
    body: critical,
};

/// Nothing can be allocated after the log is made: whoever goes on does so by what the checkpoints discard.
fn critical(reached: &Reached, number: u64) {
    let mut options = small();
    options.reserve_segments(1);
    let stage = Stage::new(&options, number);
    while stage.wal.stats().ready_segments == 0 {
        shuttle::thread::yield_now();
    }
    stage.disk.set_free_bytes(Some(0));
    let mut actors: Vec<_> = (0..WRITERS)
        .map(|writer| {
            stage.actor(move |stage| {
                for _ in 0..RECORDS {
                    stage.append(writer, LEN).unwrap();
                }
            })
        })
        .collect();
    actors.push(stage.actor(checkpoints));
    let crash = [Crash::Power, Crash::Kill][(number % 2) as usize];
    actors.push(stage.crash_at_some_time(crash));
    join(actors);
    let stats = stage.wal.stats();
    reached.add(
        "a critical record went to the reserve",
        stats.critical_appends,
    );
    reached.add("an append had to wait", stats.ready_misses);
    reached.add("a segment was reused", stats.reused_segments);
    stage.finish();
}

/// One after the other until the writers are done: appended whatever the space, made durable, and everything before discarded.
fn checkpoints(stage: &Stage) {
    let writer = WRITERS;
    for _ in 0..100 {
        let name = stage.ledger.attempt(writer);
        match stage.wal.append_critical(&name.payload(100)) {
            Ok(lsn) => {
                stage.ledger.appended(lsn, name);
                assert!(stage.sync_to((lsn, name)), "the log runs");
                stage.discard_before(lsn);
            }
            Err(error) => panic!("a critical append: {:?} {error}", error.kind()),
        }
        let known = stage.ledger.now();
        let ordinary = known.appended().filter(|(_, name)| name.writer < writer);
        if ordinary.count() == usize::from(WRITERS * RECORDS) {
            return;
        }
        for _ in 0..10 {
            shuttle::thread::yield_now();
        }
    }
    panic!("the writers were not done after a hundred checkpoints");
}

#[test]
fn critical_records_find_their_place_and_make_room_for_others() {
    CRITICAL.holds();
}

#[test]
fn an_activation_over_an_emergency_position_is_found() {
    CRITICAL.must_fail(
        Mistake::Twin(Twin::ActivateOverEmergency),
        &["nobody had woken", "max_steps"],
    );
}

#[test]
fn catching_up_to_the_first_frame_is_found() {
    CRITICAL.must_fail(
        Mistake::Twin(Twin::CatchUpToFirst),
        &["given out twice", "beyond the end"],
    );
}
