//! A reservation that is dropped becomes an aborted frame, and the frontier passes it (K2).

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use loom_tests::{Cells, Content, Model, Plan, Reached, Take, World, at, spawn};
use segwal::internals::twin::Twin;
use segwal::internals::{Patience, Seat};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    Drop,
    Panic,
}

const DROPPED: Model = Model {
    name: "a dropped reservation",
    states: &["the frontier passed it", "the frontier stayed"],
    body: |reached| abandon(reached, Leaving::Drop),
};

const PANICKED: Model = Model {
    name: "a panic while filling",
    states: &["the frontier passed it", "the frontier stayed"],
    body: |reached| abandon(reached, Leaving::Panic),
};

/// One writer abandons its frame and writes another, a second one writes, an observer looks.
fn abandon(reached: &Reached, leaving: Leaving) {
    let world = World::new(Plan {
        grains: 3,
        take: Take::Addition,
        slots: 2,
        places: 2,
        ready: 0,
    });
    let writers = [
        spawn(0, &world, move |world: &World| {
            let mut seat = Seat::borrowed_facing(None);
            let mut claim = world.reserve(&mut seat, 1, Patience::None).unwrap();
            match leaving {
                Leaving::Drop => drop(claim),
                // Without the panic hook, which would take it for a failure of the model.
                Leaving::Panic => {
                    let fill =
                        move || claim.fill(|_: &Cells, _| -> () { resume_unwind(Box::new(())) });
                    catch_unwind(AssertUnwindSafe(fill)).unwrap_err();
                }
            }
        }),
        spawn(1, &world, |world: &World| {
            world.append(&mut Seat::borrowed_facing(None), 1).unwrap();
        }),
    ];
    let observer = spawn(0, &world, |world: &World| {
        let bound = world.core.frontier();
        world.assert_filled(bound);
        bound == at(1, world.first() + 2)
    });
    for writer in writers {
        writer.join().unwrap();
    }
    reached.mark(if observer.join().unwrap() {
        "the frontier passed it"
    } else {
        "the frontier stayed"
    });
    world.assert_filled(at(1, world.first() + 2));
    let held = world.body(1).read(world.first() + 2);
    assert!(
        held.contains(&Content::Aborted),
        "nothing aborted in {held:?}"
    );
    assert_eq!(world.core.frontier(), at(1, world.first() + 2));
}

#[test]
fn a_dropped_reservation_is_stepped_over() {
    DROPPED.holds();
}

#[test]
fn a_panic_while_filling_is_stepped_over() {
    PANICKED.holds();
}

#[test]
fn a_drop_without_an_abort_is_caught() {
    DROPPED.must_fail(Twin::DropWithoutAbort, "a hole");
    PANICKED.must_fail(Twin::DropWithoutAbort, "a hole");
}
