//! Padded syncs: a block that a sync made durable is not stored into again, and what is synced is filled (A1 to A3).

use std::sync::Arc;

use loom_tests::{Failing, Ledger, Model, Plan, Reached, Take, World, grains_of, spawn};
use segwal::internals::twin::Twin;
use segwal::internals::{Block, Patience, Seat, Work};
use segwal::{Lsn, Result};

const BLOCK: Block = Block { size: 2, least: 1 };

/// A log, and the gate of a ledger whose device takes whole blocks.
struct Whole {
    world: Arc<World>,
    ledger: Arc<Ledger>,
}

impl Whole {
    fn commit(&self) {
        let mut seat = Seat::borrowed_facing(None);
        let lsn = self.world.append(&mut seat, 1).unwrap();
        self.ledger.pass_with(lsn, None, self).unwrap();
    }

    fn commit_critical(&self) {
        let lsn = self
            .world
            .append_critical(&mut Seat::borrowed_facing(None), 1)
            .expect("the reserve is there for it");
        self.ledger.pass_with(lsn, None, self).unwrap();
    }
}

impl Work for Whole {
    fn frontier(&self) -> Lsn {
        self.world.core.published()
    }

    fn pad(&self) -> Option<Lsn> {
        let World {
            core, room, host, ..
        } = &*self.world;
        Some(room.pad(core, BLOCK, host))
    }

    fn flush(&self, from: Lsn, to: Lsn) -> Result<()> {
        self.world.assert_filled(to);
        let blocks = grains_of(to).next_multiple_of(BLOCK.size);
        self.world.body(to.segment()).sync_blocks(blocks);
        self.ledger.flush(from, to)
    }

    fn advanced(&self, from: Lsn, to: Lsn, answered: u32) {
        self.ledger.advanced(from, to, answered);
    }
}

/// Each thread commits, as many times as its number says.
fn commits(reached: &Reached, counts: &'static [u32]) {
    let world = World::new(Plan {
        grains: 6,
        take: Take::Addition,
        slots: 3,
        places: 2,
        ready: 0,
    });
    let first = world.first();
    let ledger = Ledger::beginning(world.core.published(), Failing::Never);
    let whole = Arc::new(Whole { world, ledger });
    let threads: Vec<_> = counts
        .iter()
        .enumerate()
        .map(|(hint, &count)| {
            spawn(hint, &whole, move |whole: &Whole| {
                (0..count).for_each(|_| whole.commit());
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let records: u32 = counts.iter().sum();
    let taken = grains_of(whole.world.core.end()) - first;
    reached.mark(if taken == 2 * records {
        "each in a block of its own"
    } else {
        "a block for two"
    });
    if whole.ledger.most_answered() > 1 {
        reached.mark("answered together");
    }
}

const PAIR: Model = Model {
    name: "padded, a pair",
    states: &[
        "each in a block of its own",
        "a block for two",
        "answered together",
    ],
    body: |reached| commits(reached, &[1, 1]),
};

const AGAIN: Model = Model {
    name: "padded, once and twice",
    states: &[
        "each in a block of its own",
        "a block for two",
        "answered together",
    ],
    body: |reached| commits(reached, &[1, 2]),
};

/// A full log with one segment in reserve, and what its device took.
fn full() -> Arc<Whole> {
    let world = World::with_reserve(
        Plan {
            grains: 4,
            take: Take::Addition,
            slots: 3,
            places: 4,
            ready: 2,
        },
        1,
    );
    world.shelf.hold_back_all_but(1);
    let mut seat = Seat::borrowed_facing(None);
    for _ in 0..4 {
        world.append_within(&mut seat, 1, Patience::None).unwrap();
    }
    let refused = world.append_within(&mut seat, 1, Patience::None);
    refused.expect_err("nothing but the reserve is left");
    let ledger = Ledger::beginning(world.core.published(), Failing::Never);
    Arc::new(Whole { world, ledger })
}

/// Two critical records, each committed by its thread.
const CRITICAL: Model = Model {
    name: "padded, two critical records",
    states: &["each in a block of its own", "a block for two"],
    body: |reached| {
        let whole = full();
        let first = whole.world.first();
        let threads = [0, 1].map(|hint| spawn(hint, &whole, Whole::commit_critical));
        for thread in threads {
            thread.join().unwrap();
        }
        let end = whole.world.core.end();
        assert_eq!((end.segment(), whole.world.core.frontier()), (2, end));
        reached.mark(match grains_of(end) - first {
            2 => "a block for two",
            _ => "each in a block of its own",
        });
    },
};

/// A critical record is committed while space returns, and an ordinary one is committed behind it.
const RETURN: Model = Model {
    name: "padded, space returns",
    states: &["in two blocks", "in one block"],
    body: |reached| {
        let whole = full();
        let first = whole.world.first();
        let saviour = spawn(0, &whole, Whole::commit_critical);
        let writer = spawn(1, &whole, |whole: &Whole| {
            whole.world.shelf.release();
            whole.world.room.announce(&whole.world.host);
            whole.commit();
        });
        saviour.join().unwrap();
        writer.join().unwrap();
        let end = whole.world.core.end();
        assert_eq!((end.segment(), whole.world.core.frontier()), (2, end));
        reached.mark(match grains_of(end) - first {
            2 => "in one block",
            _ => "in two blocks",
        });
    },
};

#[test]
fn a_synced_block_is_not_stored_into() {
    PAIR.holds();
    AGAIN.holds();
}

#[test]
fn a_synced_block_of_critical_records_is_not_stored_into() {
    CRITICAL.holds();
    RETURN.holds();
}

#[test]
fn critical_records_behind_a_pad_are_caught() {
    CRITICAL.must_fail(Twin::PadBeforeEmergency, "maximum number of branches");
}

#[test]
fn critical_records_in_a_block_that_is_not_ended_are_caught() {
    CRITICAL.must_fail(Twin::EmergencyUnpadded, "a store into a synced block");
}

#[test]
fn a_bound_beyond_the_pad_is_caught() {
    AGAIN.must_fail(Twin::PadPassed, "a store into a synced block");
}

#[test]
fn a_pad_that_is_synced_unfilled_is_caught() {
    PAIR.must_fail(Twin::PadUnfilled, "Causality violation");
}
