//! Group commit: who is told that its record is durable was covered by a sync, and nobody sleeps for ever (G1, G2, G4).

use loom_tests::{Failing, Ledger, Model, Reached, at, spawn};
use segwal::internals::twin::Twin;

const STATES: &[&str] = &["slept", "answered together", "handed over", "gathered"];

const PAIR: Model = Model {
    name: "gate, a pair",
    states: STATES,
    body: |reached| rounds(reached, &[1, 1]),
};

/// With three a closed round and a collecting one are there at once.
const TRIO: Model = Model {
    name: "gate, three",
    states: STATES,
    body: |reached| rounds(reached, &[2, 1, 1]),
};

/// Three leaders may follow each other, or one answer all.
const FOUR: Model = Model {
    name: "gate, four",
    states: STATES,
    body: |reached| rounds(reached, &[1, 1, 1, 1]),
};

/// Who comes back is gathered.
const GATHER: Model = Model {
    name: "gate, two rounds",
    states: STATES,
    body: |reached| rounds(reached, &[2, 2]),
};

/// Each thread appends and waits for its record, as many times as its number says.
fn rounds(reached: &Reached, counts: &'static [u32]) {
    let ledger = Ledger::new(Failing::Never);
    let threads: Vec<_> = counts
        .iter()
        .map(|&count| {
            spawn(0, &ledger, move |ledger: &Ledger| {
                for _ in 0..count {
                    ledger.pass(ledger.append()).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(ledger.host.sleeping(), 0);
    if ledger.host.slept() > 0 {
        reached.mark("slept");
    }
    if ledger.most_answered() > 1 {
        reached.mark("answered together");
    }
    if ledger.host.chosen_alone() > 0 {
        reached.mark("handed over");
    }
    // No frame is behind a hole here, so only a leader that gathers pauses: for who is on the way back, or never comes.
    if ledger.host.paused() > 0 {
        reached.mark("gathered");
    }
}

/// A record behind a hole, which is filled only after the record before the hole is durable.
const HOLE: Model = Model {
    name: "gate, a hole",
    states: &["led behind the hole", "came later"],
    body: |reached| {
        let ledger = Ledger::new(Failing::Never);
        let behind = spawn(0, &ledger, |ledger: &Ledger| {
            ledger.pass(at(1, 1)).unwrap();
        });
        let before = spawn(0, &ledger, |ledger: &Ledger| {
            let slept = ledger.host.slept();
            ledger.pass(ledger.append()).unwrap();
            let waited = ledger.host.slept() > slept;
            assert_eq!(ledger.append(), at(1, 1), "the hole");
            waited
        });
        behind.join().unwrap();
        reached.mark(if before.join().unwrap() {
            "led behind the hole"
        } else {
            "came later"
        });
    },
};

#[test]
fn a_pair_is_answered() {
    PAIR.holds();
}

#[test]
fn three_are_answered() {
    TRIO.holds();
}

#[test]
fn four_are_answered() {
    FOUR.holds();
}

#[test]
fn who_comes_back_is_answered() {
    GATHER.holds();
}

#[test]
fn nobody_waits_for_the_hole_of_another() {
    HOLE.holds();
}

#[test]
fn a_leader_that_waits_for_its_hole_is_caught() {
    HOLE.must_fail(Twin::HoleHoldsAll, "maximum number of branches");
}

#[test]
fn a_hand_over_without_a_change_is_caught() {
    PAIR.must_fail(Twin::HandOverWithoutChange, "deadlock");
}

#[test]
fn an_inclusive_bound_is_caught() {
    PAIR.must_fail(Twin::DurableInclusive, "not flushed");
}

#[test]
fn a_frontier_taken_after_the_sync_is_caught() {
    PAIR.must_fail(Twin::FrontierAfterFlush, "not flushed");
}
