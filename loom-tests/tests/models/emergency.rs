//! Critical records on a full disk: the frontier sees them whole, ordinary ones never take the reserve, and when space
//! returns the log goes on behind them (V1 to V3, C3a, R4).

use std::sync::Arc;

use loom_tests::{Cells, Model, Plan, Take, World, at, grains_of, spawn};
use segwal::internals::twin::Twin;
use segwal::internals::{Patience, Seat};
use segwal::{ErrorKind, Lsn};

/// Segments of one record, and one of them in reserve.
const PLAN: Plan = Plan {
    grains: 1,
    take: Take::Addition,
    slots: 3,
    places: 4,
    ready: 3,
};

fn ordinary(world: &World) -> Option<Lsn> {
    let mut seat = Seat::borrowed_facing(None);
    match world.append_within(&mut seat, 1, Patience::None) {
        Ok(lsn) => Some(lsn),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
            None
        }
    }
}

fn critical(world: &World) -> Lsn {
    let written = world.append_critical(&mut Seat::borrowed_facing(None), 1);
    written.expect("the reserve is there for it")
}

/// A look at the frontier from a thread of its own: a frame boundary, with nothing unfilled below.
fn look(world: &World) -> Lsn {
    let bound = world.core.frontier();
    world.assert_filled(bound);
    bound
}

/// A log whose first segment is full, with `reserve` segments ready and the others held back.
fn full(plan: Plan, reserve: usize) -> Arc<World> {
    let world = World::with_reserve(plan, reserve);
    world.shelf.hold_back_all_but(reserve);
    for _ in 0..plan.grains {
        ordinary(&world).expect("the first segment has room");
    }
    world
}

/// A critical and an ordinary append at the end of a segment, under an observer.
const BESIDE: Model = Model {
    name: "critical beside ordinary",
    states: &["before", "seen", "the ordinary one fitted"],
    body: |reached| {
        let plan = Plan { grains: 2, ..PLAN };
        let world = World::with_reserve(plan, 1);
        world.shelf.hold_back_all_but(1);
        ordinary(&world).expect("room");
        let first = world.first();
        let writer = spawn(0, &world, ordinary);
        // Too long for what is left of the segment.
        let saviour = spawn(1, &world, |world: &World| {
            let mut seat = Seat::borrowed_facing(None);
            let written = world.append_critical(&mut seat, 2);
            written.expect("the reserve is there for it")
        });
        let observer = spawn(0, &world, look);
        let fitted = writer.join().unwrap();
        assert_eq!(saviour.join().unwrap(), at(2, first));
        if fitted.is_some() {
            reached.mark("the ordinary one fitted");
        }
        let seen = observer.join().unwrap();
        let boundaries = [
            at(1, first + 1),
            at(1, first + 2),
            at(2, first),
            at(2, first + 2),
        ];
        assert!(boundaries.contains(&seen), "{seen} is no boundary");
        reached.mark(if seen.segment() == 1 {
            "before"
        } else {
            "seen"
        });
        let end = at(2, first + 2);
        assert_eq!((world.core.frontier(), world.core.end()), (end, end));
        assert_eq!(world.core.boundary(), Some(end));
    },
};

/// Two critical appends, each with a segment of its own, and an observer of both.
const TWO: Model = Model {
    name: "two critical records",
    states: &["none", "one", "both"],
    body: |reached| {
        let world = full(PLAN, 2);
        let savior = |hint| spawn(hint, &world, critical);
        let saviors = [savior(0), savior(1)];
        let observer = spawn(0, &world, look);
        let mut lsns = saviors.map(|savior| savior.join().unwrap());
        lsns.sort_unstable();
        let first = world.first();
        assert_eq!(lsns, [at(2, first), at(3, first)]);
        assert_eq!(ordinary(&world), None, "nothing is left for others");
        let seen = observer.join().unwrap();
        reached.mark(match (seen.segment(), grains_of(seen) - first) {
            (1, _) | (2, 0) => "none",
            (2, _) | (3, 0) => "one",
            _ => "both",
        });
        assert_eq!(world.core.frontier(), at(3, first + 1));
    },
};

/// An ordinary and a critical append want the one ready segment.
const RESERVED: Model = Model {
    name: "the reserve is not for all",
    states: &["refused"],
    body: |reached| {
        let world = full(PLAN, 1);
        let writer = spawn(0, &world, ordinary);
        let saviour = spawn(1, &world, critical);
        assert_eq!(saviour.join().unwrap(), at(2, world.first()));
        assert_eq!(writer.join().unwrap(), None, "it took the reserve");
        reached.mark("refused");
    },
};

/// A segment of two records; space returns while a critical record is written, and an ordinary one follows it.
const RETURN: Model = Model {
    name: "space returns",
    states: &["behind the critical one", "before it"],
    body: |reached| {
        let plan = Plan { grains: 2, ..PLAN };
        let world = full(plan, 1);
        let saviour = spawn(0, &world, critical);
        let writer = spawn(1, &world, |world: &World| {
            world.shelf.release();
            world.room.announce(&world.host);
            ordinary(world)
        });
        let critical = saviour.join().unwrap();
        let ordinary = writer.join().unwrap().expect("there is space");
        reached.mark(if ordinary > critical {
            "behind the critical one"
        } else {
            "before it"
        });
        world.assert_filled(world.core.frontier());
        assert_eq!(world.core.end(), world.core.frontier());
    },
};

/// Between two emergencies a record that is still being written goes behind the first position: whoever looked at the tail before and finds
/// the second position must look again.
const TWICE: Model = Model {
    name: "two emergencies",
    states: &["at the first", "at the second"],
    body: |reached| {
        let plan = Plan {
            grains: 2,
            ready: 2,
            ..PLAN
        };
        let world = full(plan, 1);
        assert_eq!(critical(&world), at(2, world.first()));
        // One segment: the reserve is whole again, and there is nothing beyond it.
        world.shelf.release();
        let writer = spawn(0, &world, |world: &World| {
            let mut seats = [Seat::borrowed_facing(None), Seat::borrowed_facing(None)];
            let [first, second] = &mut seats;
            let mut unfilled = world.reserve(first, 1, Patience::None).unwrap();
            let written = world.append_critical(second, 2);
            written.expect("the reserve is there for it");
            unfilled.fill(Cells::write);
            unfilled.publish();
        });
        let observer = spawn(0, &world, look);
        writer.join().unwrap();
        reached.mark(match observer.join().unwrap().segment() {
            2 => "at the first",
            _ => "at the second",
        });
        assert_eq!(world.core.frontier(), at(3, world.first() + 2));
        world.assert_filled(world.core.frontier());
    },
};

/// A log that is closed beside a rotation: behind the end nobody gets a position.
const CLOSED: Model = Model {
    name: "close beside a rotation",
    states: &["written", "refused"],
    body: |reached| {
        let world = World::new(Plan { ready: 1, ..PLAN });
        ordinary(&world).expect("room");
        let writer = spawn(0, &world, |world: &World| {
            let mut seat = Seat::borrowed_facing(None);
            world.append_within(&mut seat, 1, Patience::None).is_ok()
        });
        let closer = spawn(1, &world, |world: &World| {
            world.ending.close().unwrap();
            world.room.announce(&world.host);
            world.room.quiesce();
            world.core.stop();
            // Who reserved before holds a slot.
            while world.core.slots().lowest().is_some() {
                loom::thread::yield_now();
            }
            world.core.end()
        });
        let written = writer.join().unwrap();
        let end = closer.join().unwrap();
        reached.mark(if written { "written" } else { "refused" });
        assert_eq!(
            world.core.end(),
            end,
            "something was appended behind the end"
        );
    },
};

#[test]
fn a_critical_record_beside_ordinary_ones_is_seen_whole() {
    BESIDE.holds();
}

#[test]
fn critical_records_follow_one_another() {
    TWO.holds();
}

#[test]
fn ordinary_appends_leave_the_reserve_alone() {
    RESERVED.holds();
}

#[test]
fn the_log_goes_on_behind_a_critical_record() {
    RETURN.holds();
}

#[test]
fn a_second_emergency_hides_nothing() {
    TWICE.holds();
}

#[test]
fn nobody_rotates_behind_the_end() {
    CLOSED.holds();
}

#[test]
fn a_position_stored_before_the_fill_is_caught() {
    BESIDE.must_fail(Twin::EmergencyBeforeFill, "Causality violation");
}

#[test]
fn a_relaxed_position_is_caught() {
    BESIDE.must_fail(Twin::EmergencyRelaxed, "Causality violation");
}

#[test]
fn a_relaxed_look_at_the_position_is_caught() {
    BESIDE.must_fail(Twin::EmergencySeenRelaxed, "Causality violation");
}

#[test]
fn a_position_that_is_not_confirmed_is_caught() {
    TWICE.must_fail(Twin::EmergencyUnconfirmed, "Causality violation");
}

#[test]
fn an_old_position_is_caught() {
    TWICE.must_fail(Twin::OldEmergency, "maximum number of branches");
}

#[test]
fn a_rotation_into_the_reserve_is_caught() {
    RESERVED.must_fail(Twin::ReserveForAll, "the reserve is there for it");
}

#[test]
fn a_rotation_past_the_critical_records_is_caught() {
    RETURN.must_fail(Twin::ActivateOverEmergency, "too many segments wait");
}

#[test]
fn a_tail_before_the_critical_records_is_caught() {
    RETURN.must_fail(Twin::CatchUpToFirst, "two claims");
}

#[test]
fn a_rotation_after_the_end_is_caught() {
    CLOSED.must_fail(Twin::RotateAfterEnd, "behind the end");
}
