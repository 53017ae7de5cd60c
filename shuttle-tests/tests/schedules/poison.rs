//! A sync that fails beside others that wait: everybody is told, nobody sleeps on, and nothing acknowledged is lost.

use segwal::ErrorKind;
use segwal::fault::{Op, Repeat, When};
use segwal::internals::Bug;
use segwal::internals::twin::Twin;
use shuttle_tests::{Crash, Mistake, Reached, Scenario, Stage, join, small};

const EIO: i32 = 5;

static POISON: Scenario = Scenario {
    name: "poison",
    states: &["a record was acknowledged before", "a waiter was told"],
    body: poison,
};

fn poison(reached: &Reached, number: u64) {
    let stage = Stage::new(&small(), number);
    let nth = number % 4;
    let repeat = if number % 3 == 0 {
        Repeat::FromThenOn
    } else {
        Repeat::Once
    };
    stage.disk.fail_at(When::Nth(Op::MapSync, nth), EIO, repeat);
    let mut actors: Vec<_> = (0..3)
        .map(|writer| {
            let marks = reached.clone();
            stage.actor(move |stage| {
                for sequence in 0..8 {
                    let Some(record) = stage.append(writer, 400) else {
                        return;
                    };
                    if !stage.sync_to(record) {
                        marks.mark("a waiter was told");
                        let bound = stage.wal.durable();
                        let again = stage.wal.sync().map_err(|error| error.kind());
                        assert_eq!(again, Err(ErrorKind::Poisoned), "a sync after a failed one");
                        assert_eq!(stage.wal.durable(), bound, "durable moved after poison");
                        return;
                    }
                    marks.add("a record was acknowledged before", u64::from(sequence == 0));
                }
            })
        })
        .collect();
    actors.push(stage.crash_at_some_time(Crash::Power));
    join(actors);
    stage.disk.clear_faults();
    stage.finish();
}

#[test]
fn everybody_hears_of_a_failed_sync_and_nothing_acknowledged_is_lost() {
    POISON.holds();
}

#[test]
fn poison_that_reaches_one_round_only_is_found() {
    POISON.must_fail(Mistake::Twin(Twin::PoisonOneRound), &["deadlock"]);
}

#[test]
fn a_failed_sync_that_does_not_poison_is_found() {
    POISON.must_fail(
        Mistake::Bug(Bug::MissingPoison),
        &["sync_to", "is lost", "left"],
    );
}

#[test]
fn a_failed_sync_that_is_tried_again_is_found() {
    POISON.must_fail(
        Mistake::Bug(Bug::RetryAfterFailedSync),
        &["is lost", "below the known durable", "Corrupt"],
    );
}
