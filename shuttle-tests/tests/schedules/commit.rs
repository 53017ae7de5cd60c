//! Appends, syncs, rotation, discards and reuse at the same time, and a crash at any moment.

use segwal::internals::Bug;
use segwal::internals::twin::Twin;
use shuttle_tests::{Crash, Mistake, Reached, Scenario, Stage, join, small};

/// Four of these fill a segment.
const LEN: usize = 1000;
const RECORDS: usize = 5;

static COMMIT: Scenario = Scenario {
    name: "commit",
    states: &[
        "three segments",
        "a segment was reused",
        "a sync answered two",
    ],
    body: commit,
};

/// Two writers that wait for each record, one of which discards what it no longer needs, and a third that only appends.
fn commit(reached: &Reached, number: u64) {
    let stage = Stage::new(&small(), number);
    let mut actors: Vec<_> = (0..2)
        .map(|writer| stage.actor(move |stage| append_and_sync(stage, writer)))
        .collect();
    actors.push(stage.actor(|stage| {
        for _ in 0..2 {
            stage.append(2, 100);
        }
    }));
    let crash = if number % 4 == 0 {
        Crash::Kill
    } else {
        Crash::Power
    };
    actors.push(stage.crash_at_some_time(crash));
    actors.push(stage.crash_at_some_time(Crash::Power));
    join(actors);
    let stats = stage.wal.stats();
    reached.add("three segments", u64::from(stats.rotations >= 2));
    reached.add("a segment was reused", stats.reused_segments);
    reached.add(
        "a sync answered two",
        stats.commits.saturating_sub(stats.syncs),
    );
    stage.finish();
}

fn append_and_sync(stage: &Stage, writer: u8) {
    for sequence in 0..RECORDS {
        let record = stage.append(writer, LEN).expect("the log runs");
        assert!(stage.sync_to(record), "the log runs");
        if writer == 0 && sequence >= 2 {
            stage.discard_before(record.0);
        }
    }
}

#[test]
fn what_is_acknowledged_survives_a_crash_at_any_moment() {
    COMMIT.holds();
}

#[test]
fn acknowledging_before_the_sync_is_found() {
    COMMIT.must_fail(
        Mistake::Bug(Bug::AckBeforeSync),
        &["is lost", "below the known durable"],
    );
}

#[test]
fn taking_the_frontier_after_the_sync_is_found() {
    COMMIT.must_fail(
        Mistake::Twin(Twin::FrontierAfterFlush),
        &["is lost", "below the known durable"],
    );
}

#[test]
fn a_hand_over_that_does_not_change_the_word_is_found() {
    COMMIT.must_fail(Mistake::Twin(Twin::HandOverWithoutChange), &["deadlock"]);
}
