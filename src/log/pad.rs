//! [`Room::pad`]: ends the block that the tail stands in, so that no later frame is stored into it.
//!
//! For devices on which a power loss may take all of a block that is being written: a block that a sync made durable must not
//! be written again. The leader of a sync pads, waits until everything below the pad's end is filled, and syncs up to there
//! and no further; what was reserved behind it goes into the next round.
//!
//! # Protocol
//! 1. Look at the tail. At a block's beginning: nothing to do. So near to the segment's end that no frame fits: as good as
//!    sealed. Over-run: see 4.
//! 2. Otherwise take the rest of the block, by an exchange from the very word that was looked at; if it is too short for a
//!    frame, the next block as well. Whoever reserved in between makes the exchange fail: look again.
//! 3. Fill it with an aborted frame, and publish.
//! 4. An over-run segment is sealed, or about to be, and nothing is stored behind the seal. But critical records may lie behind
//!    it: then end the block that their position stands in, in the same way, under the rotation lock, by which alone it moves.
//!
//! # Invariants
//! * A1. Every frame that was reserved before the call ends at or below the position that is returned.
//! * A2. Every frame that is reserved after it begins at or behind that position, and stores nothing into the block before.
//! * A3. A pad is a claim like any other: a slot is busy until it is filled, so the frontier waits for it (C2). Behind
//!   critical records it is filled before the position is stored (V2).

use crate::lsn::Lsn;
use crate::sync::twin::{self, Twin};

use super::claim::Claim;
use super::core::Core;
use super::host::Host;
use super::room::Room;
use super::seat::{Body, Seat, Span};
use super::tail::TailWord;

/// The blocks that syncs are padded to, in grains.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The size of a block. Segments begin and end at multiples of it.
    pub size: u32,
    /// The shortest frame.
    pub least: u32,
}

impl Room {
    /// Ends the block that the tail stands in; returns where everything reserved so far ends.
    pub fn pad<S: Body>(&self, core: &Core<S>, block: Block, host: &dyn Host) -> Lsn {
        let mut seat = Seat::borrowed_facing(None);
        let mut turn = 0;
        loop {
            let seen = core.tail.observe();
            let end = if seen.grains() > core.shape().end {
                self.end_behind(core, block, seen)
            } else {
                end_at(core, block, &mut seat, seen)
            };
            if let Some(end) = end {
                return end;
            }
            // A straddler is between two instructions, every slot is busy for an instant, or somebody reserved first.
            host.pause(turn);
            turn = turn.saturating_add(1);
        }
    }

    /// Where everything ends if the tail is over-run at `seen`; `None` to look again.
    fn end_behind<S: Body>(&self, core: &Core<S>, block: Block, seen: TailWord) -> Option<Lsn> {
        if core.emergency.behind(seen.segment()).is_none() || twin::is(Twin::PadBeforeEmergency) {
            return core.window.seal_of(seen.segment());
        }
        let _rotating = self.rotating.lock();
        // Without the lock the tail may have moved on, and records since.
        if core.tail.observe().segment() != seen.segment() {
            return None;
        }
        let position = core.emergency.behind(seen.segment())?;
        let gap = gap(block, position.grains());
        if is_ended(core, block, position.grains()) || twin::is(Twin::EmergencyUnpadded) {
            return Some(position);
        }
        let Some(segment) = core.window.segment(position.segment()) else {
            unreachable!(
                "a critical record that was not synced, in a segment that is not in the window"
            );
        };
        segment.abort(&mut Span::new(position, gap));
        let end = Lsn::at(position.segment(), position.grains() + gap);
        core.emergency.store(end);
        Some(end)
    }
}

/// Where everything ends if the tail is at `seen`, padded if need be; `None` to look again.
fn end_at<S: Body>(
    core: &Core<S>,
    block: Block,
    seat: &mut Seat<S>,
    seen: TailWord,
) -> Option<Lsn> {
    if is_ended(core, block, seen.grains()) {
        return Some(Lsn::at(seen.segment(), seen.grains()));
    }
    take(core, seat, seen, gap(block, seen.grains()))
}

/// How much a pad takes at `grains`, which is within a block.
fn gap(block: Block, grains: u32) -> u32 {
    let rest = block.size - grains % block.size;
    if rest < block.least {
        rest + block.size
    } else {
        rest
    }
}

/// Whether no pad is needed at `grains`, or none fits.
fn is_ended<S: Body>(core: &Core<S>, block: Block, grains: u32) -> bool {
    grains.is_multiple_of(block.size) || grains + gap(block, grains) > core.shape().end
}

/// Takes the bytes from `seen` on, if nobody reserved since.
fn take<S: Body>(core: &Core<S>, seat: &mut Seat<S>, seen: TailWord, gap: u32) -> Option<Lsn> {
    if !seat.enter(&core.slots, seen) {
        return None;
    }
    if core.tail.exchange(seen, gap).is_err() {
        seat.leave(&core.slots);
        return None;
    }
    let claim = Claim::new(
        core,
        seat,
        Span::new(Lsn::at(seen.segment(), seen.grains()), gap),
    );
    let end = claim.end();
    // Dropped unpublished it becomes an aborted frame (K2).
    drop(claim);
    Some(end)
}
