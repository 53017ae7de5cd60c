//! No next segment: nothing is left behind, the frontier is a frame boundary, and who waits is woken (C3, R2, R3).

use loom_tests::{FOREVER, Model, Plan, Take, World, at, spawn};
use segwal::internals::twin::Twin;
use segwal::internals::{Patience, Seat};
use segwal::{ErrorKind, Lsn};

const PLAN: Plan = Plan {
    grains: 3,
    take: Take::Addition,
    slots: 2,
    places: 2,
    ready: 1,
};

/// Two records of two grains in a segment of three, and no other segment until one of them has been refused.
const OVERRUN: Model = Model {
    name: "over-run without a segment",
    states: &["over-run", "refused before adding", "at the seal"],
    body: |reached| {
        let world = World::new(PLAN);
        world.shelf.hold_back();
        let writer = |hint| {
            let reached = reached.clone();
            spawn(hint, &world, move |world: &World| {
                let mut seat = Seat::borrowed_facing(None);
                let refused = world.append_within(&mut seat, 2, Patience::None);
                let Err(error) = refused else { return };
                assert_eq!(error.kind(), ErrorKind::NoSpace);
                reached.mark(if world.core.end() < world.core.tail() {
                    "over-run"
                } else {
                    "refused before adding"
                });
                world.shelf.release();
                world.room.announce(&world.host);
                let lsn = world.append_within(&mut seat, 2, Patience::None);
                assert_eq!(lsn.unwrap(), at(2, world.first()), "the log goes on");
            })
        };
        let writers = [writer(0), writer(1)];
        let observer = spawn(0, &world, |world: &World| {
            let bound = world.core.frontier();
            assert!(is_boundary(world, bound), "{bound} is no boundary");
            world.assert_filled(bound);
            world.core.end() < world.core.tail() && bound == at(1, world.first() + 2)
        });
        for writer in writers {
            writer.join().unwrap();
        }
        if observer.join().unwrap() {
            reached.mark("at the seal");
        }
        assert_eq!(world.core.frontier(), at(2, world.first() + 2));
    },
};

fn is_boundary(world: &World, bound: Lsn) -> bool {
    let first = world.first();
    let frames = [
        at(1, first),
        at(1, first + 2),
        at(2, first),
        at(2, first + 2),
    ];
    frames.contains(&bound)
}

/// Two writers, a segment of one grain, and somebody who makes the next one ready at some time.
const WAIT: Model = Model {
    name: "wait for a segment",
    states: &["slept", "went on without"],
    body: |reached| {
        let world = World::new(Plan { grains: 1, ..PLAN });
        world.shelf.hold_back();
        let writer = |hint| {
            spawn(hint, &world, |world: &World| {
                let patience = Patience::ForNs(FOREVER);
                world
                    .append_within(&mut Seat::borrowed_facing(None), 1, patience)
                    .unwrap();
            })
        };
        let threads = [
            writer(0),
            writer(1),
            spawn(0, &world, |world: &World| {
                world.shelf.release();
                world.room.announce(&world.host);
            }),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        reached.mark(match world.host.slept() {
            0 => "went on without",
            _ => "slept",
        });
        assert_eq!(world.core.frontier(), at(2, world.core.shape().end));
    },
};

#[test]
fn a_full_log_has_no_hole_and_goes_on() {
    OVERRUN.holds();
}

#[test]
fn the_end_in_place_of_the_seal_is_caught() {
    OVERRUN.must_fail(Twin::OverrunIsEnd, "is no boundary");
}

#[test]
fn a_seal_after_going_idle_is_caught() {
    OVERRUN.must_fail(Twin::SealAfterIdle, "is no boundary");
}

#[test]
fn who_waits_for_a_segment_is_woken() {
    WAIT.holds();
}

#[test]
fn a_word_read_after_looking_is_caught() {
    WAIT.must_fail(Twin::WordAfterLook, "deadlock");
}

#[test]
fn a_segment_made_ready_without_a_change_is_caught() {
    WAIT.must_fail(Twin::ReadyWithoutChange, "deadlock");
}

/// A writer that finds no segment, and somebody who closes the log.
const CLOSE: Model = Model {
    name: "close while an append waits",
    states: &["slept", "closed before"],
    body: |reached| {
        let world = World::new(Plan { grains: 1, ..PLAN });
        world.shelf.hold_back();
        let writer = spawn(0, &world, |world: &World| {
            let patience = Patience::ForNs(FOREVER);
            let mut seat = Seat::borrowed_facing(None);
            world.append_within(&mut seat, 1, patience).unwrap();
            let refused = world.append_within(&mut seat, 1, patience);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
        });
        let closer = spawn(1, &world, |world: &World| {
            world.ending.close().unwrap();
            world.room.announce(&world.host);
        });
        writer.join().unwrap();
        closer.join().unwrap();
        reached.mark(match world.host.slept() {
            0 => "closed before",
            _ => "slept",
        });
    },
};

#[test]
fn closing_wakes_an_append_that_waits() {
    CLOSE.holds();
}

#[test]
fn an_end_looked_for_before_the_word_is_caught() {
    CLOSE.must_fail(Twin::WordAfterEnding, "deadlock");
}
