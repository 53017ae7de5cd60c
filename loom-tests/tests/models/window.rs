//! The ring of segments: a place is reused once its segment was retired, and a segment once nobody writes in it (W2, W3).

use loom_tests::{Model, Plan, Reached, Take, World, at, grains_of, spawn};
use segwal::Lsn;
use segwal::internals::Seat;
use segwal::internals::twin::{self, Twin};

/// The third segment is the first one again: wiped by whoever retired it, so a writer still in it would be a race.
const REUSE: Model = Model {
    name: "ring wrap, recycled",
    states: &["waited for a place", "found a place"],
    body: |reached| wrap(reached, 1),
};

/// A fresh third segment is ready at once, but its place is taken.
const FULL: Model = Model {
    name: "ring wrap, fresh",
    states: &["waited for a place", "found a place"],
    body: |reached| wrap(reached, 2),
};

/// Three records in segments of one grain, in a window of two places.
fn wrap(reached: &Reached, ready: usize) {
    let world = World::new(Plan {
        grains: 1,
        take: Take::Addition,
        slots: 2,
        places: 2,
        ready,
    });
    let writer = |hint, count: u32| {
        spawn(hint, &world, move |world: &World| {
            let mut seat = Seat::borrowed();
            for _ in 0..count {
                world.append(&mut seat, 1).unwrap();
            }
        })
    };
    let writers = [writer(0, 2), writer(1, 1)];
    let keeper = spawn(0, &world, keep);
    for writer in writers {
        writer.join().unwrap();
    }
    keeper.join().unwrap();
    assert_eq!(world.shelf.newest(), 3);
    reached.mark(match world.shelf.waits() {
        0 => "found a place",
        _ => "waited for a place",
    });
}

/// What a leader does after its sync, until the first segment is retired.
fn keep(world: &World) {
    let mut durable = at(1, world.first());
    while durable.segment() < 2 {
        let bound = world.core.published();
        assert!(bound >= durable, "the published bound went back");
        for id in durable.segment()..=bound.segment() {
            assert_durable(world, id, bound);
        }
        durable = bound;
        let last = durable.segment() - u32::from(!twin::is(Twin::RetireEarly));
        for id in 1..=last {
            retire(world, id);
        }
        if durable.segment() < 2 {
            loom::thread::yield_now();
        }
    }
}

/// A sync of everything below `bound` finds the segment, and everything in it.
fn assert_durable(world: &World, id: u32, bound: Lsn) {
    let segment = world.core.window().segment(id);
    let segment = segment.expect("a segment that no sync has covered is gone");
    assert_eq!(segment.link().0, id);
    segment.assert_filled(if id < bound.segment() {
        world.core.shape().end
    } else {
        grains_of(bound)
    });
}

fn retire(world: &World, id: u32) {
    if let Some(segment) = world.core.window().retire(id) {
        segment.wipe();
        world.shelf.add(segment);
        world.room.announce(&world.host);
    }
}

#[test]
fn a_recycled_segment_is_nobodys() {
    REUSE.holds();
}

#[test]
fn a_taken_place_is_waited_for() {
    FULL.holds();
}

#[test]
fn an_overwritten_place_is_caught() {
    FULL.must_fail(Twin::WindowOverwrite, "is gone");
}

#[test]
fn a_segment_retired_under_its_writer_is_caught() {
    REUSE.must_fail(Twin::RetireEarly, "is gone");
}
