//! Appending and group commit together: a sync finds every byte that it makes durable (C2, G1).

use std::sync::Arc;

use loom_tests::{Failing, Ledger, Model, Plan, Take, World, spawn};
use segwal::internals::twin::Twin;
use segwal::internals::{Seat, Work};
use segwal::{Lsn, Result};

/// A log, and the gate of a ledger, whose device takes what the log holds.
struct Whole {
    world: Arc<World>,
    ledger: Arc<Ledger>,
}

impl Whole {
    fn commit(&self) {
        let lsn = self
            .world
            .append(&mut Seat::borrowed_facing(None), 1)
            .unwrap();
        self.ledger.pass_with(lsn, None, self).unwrap();
    }
}

impl Work for Whole {
    fn frontier(&self) -> Lsn {
        self.world.core.published()
    }

    fn flush(&self, from: Lsn, to: Lsn) -> Result<()> {
        self.world.assert_filled(to);
        self.ledger.flush(from, to)
    }

    fn advanced(&self, from: Lsn, to: Lsn, answered: u32) {
        self.ledger.advanced(from, to, answered);
    }
}

const COMMIT: Model = Model {
    name: "append and commit",
    states: &["answered together", "answered apart"],
    body: |reached| {
        let world = World::new(Plan {
            grains: 2,
            take: Take::Addition,
            slots: 2,
            places: 2,
            ready: 0,
        });
        let ledger = Ledger::beginning(world.core.published(), Failing::Never);
        let whole = Arc::new(Whole { world, ledger });
        let threads = [0, 1].map(|hint| spawn(hint, &whole, Whole::commit));
        for thread in threads {
            thread.join().unwrap();
        }
        reached.mark(match whole.ledger.most_answered() {
            1 => "answered apart",
            _ => "answered together",
        });
    },
};

#[test]
fn what_is_synced_is_filled() {
    COMMIT.holds();
}

#[test]
fn a_frame_that_is_published_unseen_is_caught() {
    COMMIT.must_fail(Twin::IdleRelaxed, "Causality violation");
    COMMIT.must_fail(Twin::TailRelaxed, "Causality violation");
}

#[test]
fn an_inclusive_bound_is_caught() {
    COMMIT.must_fail(Twin::DurableInclusive, "not flushed");
}
