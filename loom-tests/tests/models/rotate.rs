//! A segment is sealed once and left once, and nothing is written at or beyond its seal (C3, T2, R1, W1).

use loom_tests::{Content, Model, Plan, Reached, Take, World, at, grains_of, spawn};
use segwal::internals::Seat;
use segwal::internals::twin::Twin;

const STATES: &[&str] = &[
    "sealed at the end",
    "sealed before the end",
    "three segments",
];

const BY_ADDITION: Model = Model {
    name: "rotate, by addition",
    states: STATES,
    body: |reached| race(reached, Take::Addition),
};

const BY_EXCHANGE: Model = Model {
    name: "rotate, by exchange",
    states: STATES,
    body: |reached| race(reached, Take::Exchange),
};

/// A segment for each record and one slot that both writers want: a bound may be as old as a segment.
const OBSERVED: Model = Model {
    name: "rotate under an observer",
    states: &["in the first", "in the second", "in the third"],
    body: |reached| {
        let world = World::new(Plan {
            grains: 1,
            take: Take::Addition,
            slots: 2,
            places: 4,
            ready: 2,
        });
        let writer = || {
            spawn(0, &world, |world: &World| {
                world.append(&mut Seat::borrowed_facing(None), 1).unwrap();
            })
        };
        let writers = [writer(), writer()];
        let observer = spawn(0, &world, |world: &World| {
            let bound = world.core.frontier();
            world.assert_filled(bound);
            bound
        });
        for writer in writers {
            writer.join().unwrap();
        }
        let bound = observer.join().unwrap();
        reached.mark(match (bound.segment(), grains_of(bound)) {
            (1, _) => "in the first",
            (2, grains) if grains == world.first() => "in the second",
            _ => "in the third",
        });
    },
};

/// Segments of two grains; one writer has a record of one and one of two grains, the other two of one.
fn race(reached: &Reached, take: Take) {
    let world = World::new(Plan {
        grains: 2,
        take,
        slots: 2,
        places: 4,
        ready: 3,
    });
    let writer = |hint, lengths: [u32; 2]| {
        spawn(hint, &world, move |world: &World| {
            let mut seat = Seat::borrowed_facing(None);
            lengths.map(|grains| world.append(&mut seat, grains).unwrap())
        })
    };
    let writers = [writer(0, [1, 2]), writer(1, [1, 1])];
    for writer in writers {
        let [earlier, later] = writer.join().unwrap();
        assert!(earlier < later, "one thread's records are in its order");
    }
    let end = world.core.frontier();
    world.assert_filled(end);
    assert_eq!(end.segment(), world.shelf.newest());
    for id in 1..end.segment() {
        reached.mark(assert_left_once(&world, id));
    }
    if end.segment() >= 3 {
        reached.mark("three segments");
    }
}

/// The seal is what the next segment says, and nothing lies at or beyond it.
fn assert_left_once(world: &World, id: u32) -> &'static str {
    let shape = world.core.shape();
    let (next, sealed) = world.body(id + 1).link();
    assert_eq!((next, sealed), (id + 1, world.core.window().seal_of(id)));
    let seal = grains_of(sealed.unwrap());
    assert!(
        at(id, seal) > at(id, shape.first),
        "an empty segment was left"
    );
    let held = world.body(id).read(shape.end);
    let beyond = &held[(seal - shape.first) as usize..];
    assert!(
        beyond.iter().all(|&content| content == Content::Empty),
        "something lies beyond the seal"
    );
    if beyond.is_empty() {
        "sealed at the end"
    } else {
        "sealed before the end"
    }
}

#[test]
fn racing_additions_leave_a_segment_once() {
    BY_ADDITION.holds();
}

#[test]
fn racing_exchanges_leave_a_segment_once() {
    BY_EXCHANGE.holds();
}

#[test]
fn an_observer_sees_no_hole_across_a_rotation() {
    OBSERVED.holds();
}

#[test]
fn a_rotation_without_the_lock_is_caught() {
    BY_ADDITION.must_fail(Twin::RotateUnlocked, "left twice");
}

#[test]
fn a_tail_before_its_segment_is_caught() {
    BY_ADDITION.must_fail(Twin::TailBeforeInstall, "two claims");
}

#[test]
fn a_relaxed_move_of_the_tail_is_caught() {
    OBSERVED.must_fail(Twin::InstallRelaxed, "Causality violation");
}
