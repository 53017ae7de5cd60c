//! A thread that sleeps as long as nobody appends: of an append and a settling, one sees the other (Z1).

use std::sync::Arc;

use loom_tests::{Model, Plan, Take, World, spawn};
use segwal::internals::twin::Twin;
use segwal::internals::{Doze, Seat};

struct Bed {
    world: Arc<World>,
    doze: Doze,
}

/// A writer and the owner; whoever appended stirs the owner, unless the owner saw the append.
fn sleep(reached: &loom_tests::Reached, take: Take) {
    let world = World::new(Plan {
        grains: 2,
        take,
        slots: 2,
        places: 2,
        ready: 0,
    });
    let first = world.core.end();
    let doze = Doze::new();
    let bed = Arc::new(Bed { world, doze });
    let writer = spawn(0, &bed, |bed: &Bed| {
        let mut seat = Seat::borrowed_facing(None);
        bed.world.append(&mut seat, 1).unwrap();
        bed.doze.stir()
    });
    let owner = spawn(1, &bed, move |bed: &Bed| {
        bed.doze.settle(&bed.world.core) > first
    });
    let (stirred, seen) = (writer.join().unwrap(), owner.join().unwrap());
    assert!(stirred || seen, "the append was missed");
    match (stirred, seen) {
        (true, true) => reached.mark("both"),
        (true, false) => reached.mark("stirred"),
        _ => reached.mark("seen"),
    }
}

const ADDITION: Model = Model {
    name: "doze, by addition",
    states: &["both", "stirred", "seen"],
    body: |reached| sleep(reached, Take::Addition),
};

const EXCHANGE: Model = Model {
    name: "doze, by exchange",
    states: &["both", "stirred", "seen"],
    body: |reached| sleep(reached, Take::Exchange),
};

#[test]
fn an_append_is_not_slept_through() {
    ADDITION.holds();
    EXCHANGE.holds();
}

#[test]
fn a_look_that_changes_nothing_is_caught() {
    ADDITION.must_fail(Twin::DozeUnconfirmed, "the append was missed");
    EXCHANGE.must_fail(Twin::DozeUnconfirmed, "the append was missed");
}
