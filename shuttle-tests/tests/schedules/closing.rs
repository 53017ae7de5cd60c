//! A close beside writers, waiters and another close: everybody is answered, and what it promised is there.

use segwal::ErrorKind;
use segwal::internals::Bug;
use shuttle_tests::{Mistake, Reached, Scenario, Stage, join, small};

static CLOSING: Scenario = Scenario {
    name: "closing",
    states: &["a writer met the end", "a record was acknowledged"],
    body: closing,
};

fn closing(reached: &Reached, number: u64) {
    let stage = Stage::new(&small(), number);
    let mut actors: Vec<_> = (0..2)
        .map(|writer| {
            let marks = reached.clone();
            stage.actor(move |stage| {
                for _ in 0..6 {
                    let record = stage.append(writer, 900);
                    if !record.is_some_and(|record| stage.sync_to(record)) {
                        marks.mark("a writer met the end");
                        return;
                    }
                    marks.mark("a record was acknowledged");
                }
            })
        })
        .collect();
    for _ in 0..2 {
        actors.push(stage.actor(close));
    }
    join(actors);
    let kind = stage.wal.append(b"late").map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::Closed));
    stage.finish();
}

/// What had been published before is durable after.
fn close(stage: &Stage) {
    let before = stage.ledger.now();
    match stage.wal.close() {
        Ok(()) => before
            .appended()
            .for_each(|(lsn, name)| stage.ledger.acknowledged(lsn, name)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{error}"),
    }
}

#[test]
fn everybody_is_answered_and_what_was_published_before_is_durable() {
    CLOSING.holds();
}

#[test]
fn a_leader_that_keeps_its_flag_is_found() {
    CLOSING.must_fail(
        Mistake::Bug(Bug::LeaderFlagLeftSet),
        &["deadlock", "max_steps"],
    );
}
