//! A log that is closed: the tail stops where it stands, and the frontier stays a frame boundary (C3).

use loom_tests::{Model, Plan, Take, World, at, spawn};
use segwal::internals::twin::Twin;
use segwal::internals::{Patience, Seat};

const PLAN: Plan = Plan {
    grains: 3,
    take: Take::Addition,
    slots: 2,
    places: 2,
    ready: 1,
};

/// A writer, somebody who stops the tail, and a look at the frontier: what a leader would sync and note as durable.
const STOP: Model = Model {
    name: "stop the tail",
    states: &["written", "refused", "seen stopped"],
    body: |reached| {
        let world = World::new(PLAN);
        world.shelf.hold_back();
        let writer = spawn(0, &world, |world: &World| {
            world
                .append_within(&mut Seat::borrowed_facing(None), 1, Patience::None)
                .is_ok()
        });
        let stopper = spawn(1, &world, |world: &World| world.core.stop());
        let observer = spawn(0, &world, |world: &World| {
            let bound = world.core.frontier();
            let first = world.first();
            let boundaries = [at(1, first), at(1, first + 1)];
            assert!(boundaries.contains(&bound), "{bound} is no boundary");
            world.assert_filled(bound);
            world.core.tail() == at(1, world.core.shape().end)
        });
        let written = writer.join().unwrap();
        stopper.join().unwrap();
        if observer.join().unwrap() {
            reached.mark("seen stopped");
        }
        reached.mark(if written { "written" } else { "refused" });
        let end = at(1, world.first() + u32::from(written));
        assert_eq!(
            world.core.frontier(),
            end,
            "all that was written, and no more"
        );
        assert_eq!(world.core.end(), end);
    },
};

#[test]
fn a_stopped_tail_ends_at_a_frame() {
    STOP.holds();
}

#[test]
fn stopping_without_a_slot_is_caught() {
    STOP.must_fail(Twin::StopWithoutSlot, "is no boundary");
}
