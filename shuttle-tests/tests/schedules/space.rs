//! Appends that wait for space, on a full disk and at the limit of the log: as soon as there is some they go on.

use segwal::internals::twin::Twin;
use shuttle_tests::{Crash, Mistake, Reached, Scenario, Stage, join, small};

const LEN: usize = 1300;

static FULL_DISK: Scenario = Scenario {
    name: "full disk",
    states: &["a preparation failed", "an append had to wait"],
    body: full_disk,
};

/// The disk is full until somebody makes room on it.
fn full_disk(reached: &Reached, number: u64) {
    let stage = Stage::new(&small(), number);
    stage.disk.set_free_bytes(Some(0));
    let mut actors = writers(&stage);
    actors.push(stage.actor(|stage| stage.disk.set_free_bytes(None)));
    actors.push(stage.crash_at_some_time(Crash::Power));
    join(actors);
    let stats = stage.wal.stats();
    reached.add("a preparation failed", stats.failed_preparations);
    reached.add("an append had to wait", stats.ready_misses);
    stage.finish();
}

static LIMIT: Scenario = Scenario {
    name: "limit",
    states: &["an append had to wait", "a segment was reused"],
    body: limit,
};

/// The log may have five segments; what is read is discarded.
fn limit(reached: &Reached, number: u64) {
    let mut options = small();
    options
        .max_unsynced_segments(2)
        .max_wal_bytes(Some(5 * 8192));
    let stage = Stage::new(&options, number);
    let mut actors = writers(&stage);
    actors.push(stage.actor(|stage| {
        // As many as the writers append; each round makes room, or waits for them.
        for _ in 0..200 {
            let end = stage.wal.end();
            stage.discard_before(end);
            if stage.ledger.now().appended().count() == 18 {
                return;
            }
            shuttle::thread::yield_now();
        }
    }));
    actors.push(stage.crash_at_some_time(Crash::Power));
    join(actors);
    let stats = stage.wal.stats();
    reached.add("an append had to wait", stats.ready_misses);
    reached.add("a segment was reused", stats.reused_segments);
    stage.finish();
}

fn writers(stage: &Stage) -> Vec<shuttle_tests::Actor> {
    let write = |writer| {
        stage.actor(move |stage| {
            for _ in 0..9 {
                stage.append(writer, LEN).unwrap();
            }
        })
    };
    (0..2).map(write).collect()
}

#[test]
fn appends_go_on_when_the_disk_has_space_again() {
    FULL_DISK.holds();
}

#[test]
fn appends_at_the_limit_go_on_after_a_discard() {
    LIMIT.holds();
}

#[test]
fn a_ready_segment_that_does_not_change_the_word_is_found() {
    FULL_DISK.must_fail(
        Mistake::Twin(Twin::ReadyWithoutChange),
        &["nobody had woken", "deadlock"],
    );
}

#[test]
fn reading_the_word_after_the_look_is_found() {
    LIMIT.must_fail(
        Mistake::Twin(Twin::WordAfterLook),
        &["nobody had woken", "deadlock"],
    );
}
