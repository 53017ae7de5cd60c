//! The ring of segments: a place is reused once its segment was retired, and a segment once nobody writes in it (W2, W3).

use loom_tests::{Model, Plan, Reached, Take, World, at, grains_of, spawn};
use segwal::Lsn;
use segwal::internals::Seat;
use segwal::internals::twin::{self, Twin};

/// The third segment is the first one again, wiped by whoever retired it.
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

/// Two writers, each with a record that fills a segment: one may linger in the first while the other is in the second.
const LINGER: Model = Model {
    name: "retire beside a writer",
    states: &["retired", "too early"],
    body: |reached| {
        let world = World::new(Plan {
            grains: 1,
            take: Take::Addition,
            slots: 2,
            places: 2,
            ready: 1,
        });
        let writer = |hint| {
            spawn(hint, &world, |world: &World| {
                world.append(&mut Seat::borrowed_facing(None), 1).unwrap();
            })
        };
        let writers = [writer(0), writer(1)];
        let keeper = spawn(0, &world, |world: &World| {
            let bound = world.core.published();
            assert_durable(world, bound.segment(), bound);
            let left = bound.segment() > 1 || twin::is(Twin::RetireEarly);
            let retired = left.then(|| world.core.window().retire(1)).flatten();
            retired.map(|segment| segment.wipe()).is_some()
        });
        for writer in writers {
            writer.join().unwrap();
        }
        reached.mark(if keeper.join().unwrap() {
            "retired"
        } else {
            "too early"
        });
    },
};

/// A look at the frontier that began in the first segment and ends when its place has been sealed for the third: segments
/// of three grains, records of two, so that the end of a segment is no frame boundary.
const STALE: Model = Model {
    name: "a look across a wrap",
    states: &["the first", "a later one"],
    body: |reached| {
        let world = World::new(Plan {
            grains: 3,
            take: Take::Addition,
            slots: 1,
            places: 2,
            ready: 3,
        });
        let writer = spawn(0, &world, |world: &World| {
            let mut seat = Seat::borrowed_facing(None);
            for _ in 0..4 {
                world.append(&mut seat, 2).unwrap();
                let durable = world.core.frontier();
                for id in 1..durable.segment() {
                    world.core.window().retire(id);
                }
            }
        });
        let observer = spawn(0, &world, |world: &World| {
            let bound = world.core.frontier();
            let begin = grains_of(bound) - world.first();
            assert!(begin == 0 || begin == 2, "{bound} is no boundary");
            bound
        });
        writer.join().unwrap();
        reached.mark(match observer.join().unwrap().segment() {
            1 => "the first",
            _ => "a later one",
        });
    },
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
    let writer = spawn(0, &world, |world: &World| {
        let mut seat = Seat::borrowed_facing(None);
        for _ in 0..3 {
            world.append(&mut seat, 1).unwrap();
        }
    });
    let keeper = spawn(0, &world, keep);
    writer.join().unwrap();
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
        for id in 1..durable.segment() {
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
fn a_look_across_a_wrap_ends_at_a_frame() {
    STALE.holds();
}

#[test]
fn a_later_seal_taken_for_none_is_caught() {
    STALE.must_fail(Twin::LaterSealIsNone, "is no boundary");
}

#[test]
fn a_segment_with_a_writer_in_it_is_kept() {
    LINGER.holds();
}

#[test]
fn a_segment_retired_under_its_writer_is_caught() {
    LINGER.must_fail(Twin::RetireEarly, "Causality violation");
}

#[test]
fn a_writer_that_leaves_unseen_is_caught() {
    LINGER.must_fail(Twin::IdleRelaxed, "Causality violation");
    LINGER.must_fail(Twin::SlotsBeforeTail, "Causality violation");
}
