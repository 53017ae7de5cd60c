//! Everything below the frontier is filled, and an observer of the frontier sees it (C2, C3, S1-S3).

use loom_tests::{Model, Plan, Reached, Take, World, at, grains_of, spawn};
use segwal::internals::Seat;
use segwal::internals::twin::Twin;

const PLAN: Plan = Plan {
    grains: 3,
    take: Take::Addition,
    slots: 2,
    places: 2,
    ready: 0,
};

const STATES: &[&str] = &["nothing", "a part", "everything"];

const BORROWED: Model = Model {
    name: "frontier, borrowed seats",
    states: STATES,
    body: |reached| writers_and_observer(reached, PLAN, [Some(0), Some(1)]),
};

/// Both writers want the same slot.
const COLLIDING: Model = Model {
    name: "frontier, one hint",
    states: STATES,
    body: |reached| writers_and_observer(reached, PLAN, [Some(0), Some(0)]),
};

const OWNED: Model = Model {
    name: "frontier, owned seats",
    states: STATES,
    body: |reached| writers_and_observer(reached, PLAN, [None, None]),
};

const LARGE: Model = Model {
    name: "frontier, large frames",
    states: STATES,
    body: |reached| {
        let take = Take::Exchange;
        writers_and_observer(reached, Plan { take, ..PLAN }, [None, None]);
    },
};

/// One writer appends twice, another once, an observer looks. With a hint a writer borrows a slot for each record.
fn writers_and_observer(reached: &Reached, plan: Plan, hints: [Option<usize>; 2]) {
    let world = World::new(plan);
    let writer = |hint: Option<usize>, count: u32| {
        let owned = hint.is_none().then(|| world.core.slots().adopt(2).unwrap());
        spawn(hint.unwrap_or(0), &world, move |world: &World| {
            let mut seat = owned.map_or_else(|| Seat::borrowed_facing(None), Seat::owned);
            for _ in 0..count {
                world.append(&mut seat, 1).unwrap();
            }
        })
    };
    let writers = [writer(hints[0], 2), writer(hints[1], 1)];
    let observer = spawn(0, &world, look);
    for writer in writers {
        writer.join().unwrap();
    }
    let seen = observer.join().unwrap();
    reached.mark(
        STATES[if seen == 0 {
            0
        } else {
            1 + usize::from(seen == 3)
        }],
    );
}

/// Two writers, two observers: what one observer published the other sees.
const PUBLISHED: Model = Model {
    name: "published bound",
    states: &["told by the other"],
    body: |reached| {
        let world = World::new(PLAN);
        let writer = spawn(0, &world, |world: &World| {
            world.append(&mut Seat::borrowed_facing(None), 1).unwrap();
        });
        let observer = || {
            spawn(0, &world, |world: &World| {
                let before = world.core.frontier();
                let bound = world.core.published();
                world.assert_filled(bound);
                (before, bound)
            })
        };
        let observers = [observer(), observer()];
        writer.join().unwrap();
        for observer in observers {
            let (before, bound) = observer.join().unwrap();
            assert!(before <= bound);
            if before < bound {
                reached.mark("told by the other");
            }
        }
    },
};

/// Looks at the frontier and at what lies below; returns how much that is.
fn look(world: &World) -> u32 {
    let bound = world.core.frontier();
    world.assert_filled(bound);
    assert!(bound <= at(1, world.core.shape().end));
    grains_of(bound) - world.first()
}

#[test]
fn borrowed_seats_hide_nothing() {
    BORROWED.holds();
}

#[test]
fn a_shared_slot_hides_nothing() {
    COLLIDING.holds();
}

#[test]
fn owned_seats_hide_nothing() {
    OWNED.holds();
}

#[test]
fn large_frames_hide_nothing() {
    LARGE.holds();
}

#[test]
fn a_relaxed_claim_is_caught() {
    COLLIDING.must_fail(Twin::BusyRelaxed, "Causality violation");
}

#[test]
fn a_claim_that_does_not_acquire_is_caught() {
    COLLIDING.must_fail(Twin::ClaimWithoutAcquire, "Causality violation");
}

#[test]
fn a_relaxed_reservation_is_caught() {
    BORROWED.must_fail(Twin::TakeRelaxed, "Causality violation");
    LARGE.must_fail(Twin::TakeRelaxed, "Causality violation");
}

#[test]
fn a_relaxed_entry_is_caught() {
    OWNED.must_fail(Twin::BusyRelaxed, "Causality violation");
}

#[test]
fn a_relaxed_exit_is_caught() {
    BORROWED.must_fail(Twin::IdleRelaxed, "Causality violation");
    OWNED.must_fail(Twin::IdleRelaxed, "Causality violation");
}

#[test]
fn a_relaxed_look_at_the_tail_is_caught() {
    BORROWED.must_fail(Twin::TailRelaxed, "Causality violation");
}

#[test]
fn a_relaxed_look_at_the_slots_is_caught() {
    BORROWED.must_fail(Twin::SlotsRelaxed, "Causality violation");
}

#[test]
fn slots_before_the_tail_are_caught() {
    BORROWED.must_fail(Twin::SlotsBeforeTail, "Causality violation");
}

#[test]
fn a_late_high_water_mark_is_caught() {
    BORROWED.must_fail(Twin::UsedAfterTake, "Causality violation");
}

#[test]
fn what_is_published_is_visible_to_all() {
    PUBLISHED.holds();
}

#[test]
fn a_relaxed_publication_is_caught() {
    PUBLISHED.must_fail(Twin::PublishedRelaxed, "Causality violation");
}
