//! Critical records: those that must not wait for space, because they lead to space being freed.
//!
//! # Protocol
//! Ordinary rotation leaves the reserve, the last ready segments, alone: without another one the tail stays over-run for
//! everybody. A critical append then goes to a position of its own. Under the rotation lock:
//! 1. Seal the tail's segment, unless it is over-run already. From here on nobody reserves by the tail.
//! 2. If the position does not exist yet, or its segment has no room, activate the next segment of the reserve into the
//!    window. The tail is not moved. The segment that the position leaves is sealed at the position first.
//! 3. Fill the frame, then store the position behind it.
//!
//! When the reserve is whole again, ordinary rotation moves the tail to the position instead of activating a segment.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::lsn::Lsn;
use crate::sync::twin::{self, Twin};

use super::core::Core;
use super::room::{Patience, Purpose, Room, Shortage, Terms, await_seal, refuse, shortage};
use super::seat::{Body, Seat, Span};

/// What came of trying to write into the reserve.
enum Written {
    At(Range<Lsn>),
    /// The ordinary way is open again.
    NotNeeded,
}

impl Room {
    /// Reserves, fills and publishes `grains`; by way of the reserve if no other segment is ready. Never waits for space; for
    /// a sync, if too many segments wait for one, as `terms` say.
    ///
    /// # Errors
    /// `NoSpace` when the reserve is used up too, `Backpressure`, or the error that ended the log.
    pub fn append_critical<S: Body>(
        &self,
        core: &Core<S>,
        seat: &mut Seat<S>,
        grains: u32,
        terms: &Terms<'_, S>,
        mut fill: impl FnMut(&S, &mut Span),
    ) -> Result<(Range<Lsn>, Purpose)> {
        let at_once = Terms {
            patience: Patience::None,
            ..*terms
        };
        loop {
            match self.reserve(core, seat, grains, &at_once) {
                Ok(mut claim) => {
                    claim.fill(&mut fill);
                    let end = claim.end();
                    return Ok((claim.publish()..end, Purpose::Ordinary));
                }
                Err(error) if is_shortage(&error) => {}
                Err(error) => return Err(error),
            }
            if let Written::At(range) = self.write_or_wait(core, grains, terms, &mut fill)? {
                return Ok((range, Purpose::Critical));
            }
        }
    }

    /// Writes into the reserve; waits for nothing but a sync.
    #[cold]
    fn write_or_wait<S: Body>(
        &self,
        core: &Core<S>,
        grains: u32,
        terms: &Terms<'_, S>,
        mut fill: impl FnMut(&S, &mut Span),
    ) -> Result<Written> {
        let mut result = Ok(Written::NotNeeded);
        self.wait(terms, || {
            match self.write_in_reserve(core, grains, terms, &mut fill) {
                Ok(Err(Shortage::Unsynced)) => return Err(Shortage::Unsynced),
                Ok(Err(Shortage::NoSegment)) => result = Err(refuse(Shortage::NoSegment)),
                Ok(Ok(written)) => result = Ok(written),
                Err(error) => result = Err(error),
            }
            Ok(())
        })?;
        result
    }

    fn write_in_reserve<S: Body>(
        &self,
        core: &Core<S>,
        grains: u32,
        terms: &Terms<'_, S>,
        mut fill: impl FnMut(&S, &mut Span),
    ) -> Result<Result<Written, Shortage>> {
        let _rotating = self.rotating.lock();
        terms.ending.check()?;
        let tail = core.tail.observe();
        let before = core.emergency.behind(tail.segment());
        let obstacle = match before {
            Some(_) if terms.supply.is_reserve_whole() => None,
            Some(_) => Some(Shortage::NoSegment),
            None if tail.grains() <= core.shape().end - grains => None,
            None => shortage(core, tail.segment(), terms),
        };
        match obstacle {
            None => return Ok(Ok(Written::NotNeeded)),
            Some(Shortage::Unsynced) => return Ok(Err(Shortage::Unsynced)),
            Some(Shortage::NoSegment) => {}
        }
        let has_room = |position: &Lsn| position.grains() <= core.shape().end - grains;
        let position = match before.filter(has_room) {
            Some(position) => position,
            None => match enter_reserve(core, tail.segment(), before, terms)? {
                Ok(position) => position,
                Err(shortage) => return Ok(Err(shortage)),
            },
        };
        let segment = core.window.segment(position.segment()).ok_or_else(|| {
            let what = "the segment of a critical record is not in the window";
            Error::new(ErrorKind::Internal, what).at_lsn(position)
        })?;
        let end = Lsn::at(position.segment(), position.grains() + grains);
        if twin::is(Twin::EmergencyBeforeFill) {
            core.emergency.store(end);
        }
        fill(&segment, &mut Span::new(position, grains));
        core.emergency.store(end);
        Ok(Ok(Written::At(position..end)))
    }
}

/// Activates the segment after the one of the position, or after the tail's: where its first frame goes. The caller has the
/// rotation lock.
fn enter_reserve<S: Body>(
    core: &Core<S>,
    tail: u32,
    position: Option<Lsn>,
    terms: &Terms<'_, S>,
) -> Result<Result<Lsn, Shortage>> {
    let id = position.map_or(tail, Lsn::segment).saturating_add(1);
    if !terms.supply.may_activate(id) || !core.window.has_room(id) {
        return Ok(Err(Shortage::Unsynced));
    }
    if !terms.supply.is_ready(Purpose::Critical) {
        return Ok(Err(Shortage::NoSegment));
    }
    let sealed = if let Some(position) = position {
        core.window.seal(position);
        position
    } else {
        core.stop();
        await_seal(core, tail, terms.host)
    };
    let Some(segment) = terms.supply.activate(sealed)? else {
        return Ok(Err(Shortage::NoSegment));
    };
    core.put_in_window(id, segment)?;
    let first = Lsn::at(id, core.shape().first);
    core.emergency.store(first);
    Ok(Ok(first))
}

fn is_shortage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::Backpressure)
}
