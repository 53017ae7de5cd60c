//! Reservations are disjoint and leave no gap, whatever their lengths (C1, T2).

use loom_tests::{Model, Plan, Reached, Take, World, at, grains_of, spawn};
use segwal::internals::Seat;
use segwal::internals::twin::Twin;

const BY_ADDITION: Model = Model {
    name: "reserve by addition",
    states: &["the long one first", "the long one later"],
    body: |reached| lengths(reached, Take::Addition),
};

const BY_EXCHANGE: Model = Model {
    name: "reserve by exchange",
    states: &["the long one first", "the long one later"],
    body: |reached| lengths(reached, Take::Exchange),
};

/// Two records of one grain and one of two: four grains, filled without a gap.
fn lengths(reached: &Reached, take: Take) {
    let world = World::new(Plan {
        grains: 4,
        take,
        slots: 3,
        places: 2,
        ready: 0,
    });
    let append = |hint, grains| {
        spawn(hint, &world, move |world: &World| {
            let lsn = world.append(&mut Seat::borrowed_facing(None), grains);
            (grains_of(lsn.unwrap()), grains)
        })
    };
    let long = append(0, 2);
    let others = [append(1, 1), append(2, 1)];
    let long = long.join().unwrap();
    let mut claims = vec![long];
    claims.extend(others.map(|other| other.join().unwrap()));
    claims.sort_unstable();
    let mut next = world.first();
    for (begin, grains) in claims {
        assert_eq!(begin, next, "a gap or an overlap");
        next += grains;
    }
    assert_eq!(world.core.frontier(), at(1, next));
    world.assert_filled(at(1, next));
    reached.mark(if long.0 == world.first() {
        "the long one first"
    } else {
        "the long one later"
    });
}

#[test]
fn additions_are_disjoint() {
    BY_ADDITION.holds();
}

#[test]
fn exchanges_are_disjoint() {
    BY_EXCHANGE.holds();
}

#[test]
fn an_addition_in_two_steps_is_caught() {
    BY_ADDITION.must_fail(Twin::TakeInTwoSteps, "Causality violation");
}
