//! [`Gate`]: group commit. One sync answers everybody who waited when it began.
//!
//! One of the waiters is the *leader*: it syncs inline, so a lone writer pays no hand-off and no wake-up. The others
//! sleep on one of two words, by rounds: those who came before the leader looked at the frontier are in the round that
//! its sync covers, those who come later in the next. So one system call wakes a whole round, and one more wakes a
//! single thread of the next one, which becomes leader.
//!
//! # Protocol
//! 1. Under the lock: ended? durable? If there is no leader, become it; otherwise count oneself in the collecting round
//!    and sleep on its word, as it was read under the lock.
//! 2. The leader waits until the frontier passes *its own* record, but if that stands behind a hole it serves the others
//!    first: nobody waits for another's hole. It gathers (see [`Gather`]), closes the round, and only then takes the
//!    frontier, which is what it syncs.
//!    If syncs are padded it ends the tail's block before it closes the round, waits until the frontier has reached that
//!    end, holes of others included, and syncs up to there and no further: a block that a sync covers is not stored into
//!    again. Who published behind it meanwhile goes into the next round.
//! 3. It stores the cookie, advances `durable`, gives leadership up, changes the words and wakes.
//! 4. Whoever wakes looks again from 1. Who is not covered, because it stood behind a hole, joins the next round.
//!
//! # Invariants
//! * G1. `durable` is stored by the leader only, and only after a sync of everything below it.
//! * G2. Every wake-up first changes, under the lock, the word that its sleeper compares: the hand-over, poison, close, and
//!   the baton of a waiter that gives up as well. Without that a thread between the lock and its sleep is lost.
//! * G3. Leadership ends on every path: [`Leadership`] releases it when dropped, and a panic poisons.
//! * G4. If a thread sleeps there is a leader, or a wake-up is on its way to a thread of the collecting round. A thread
//!   that was woken from that round and leaves without leading, because it found its record durable or gave up, passes the
//!   baton on.
//!
//! # Memory orderings
//! * `durable` stored (Release) → loaded (Acquire): nothing but the value is read through it, yet a caller may act on it.
//! * The words are read and changed under the lock; the host compares them again without it.

use crate::error::{Error, ErrorKind, Result};
use crate::lsn::Lsn;
use crate::seeded::{self, Bug};
use crate::sync::twin::{self, Twin};
use crate::sync::{AtomicU32, AtomicU64, CachePadded, Mutex, MutexGuard, Ordering, PATIENT_TURNS};

use super::ending::Ending;
use super::gather::{Gather, GatherLimits};
use super::host::{Host, Sleepers, Waited};

/// What a leader does.
pub trait Work {
    /// The bound below which every frame is filled.
    fn frontier(&self) -> Lsn;

    /// If syncs are padded, ends the block that the tail stands in, and returns where everything reserved so far ends: the
    /// sync must end there, neither before nor behind.
    fn pad(&self) -> Option<Lsn> {
        None
    }

    /// Makes everything from `from` up to `to` durable, and notes it in the cookie.
    ///
    /// # Errors
    /// Any error ends the log: what a failed sync left on the device is unknown.
    fn flush(&self, from: Lsn, to: Lsn) -> Result<()>;

    /// The durable bound has advanced; leadership is already given up. `answered` threads return.
    fn advanced(&self, from: Lsn, to: Lsn, answered: u32);
}

/// A wish to be told that a position is durable.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The first byte of the frame.
    pub lsn: Lsn,
    /// When to give up, by the host's clock.
    pub deadline_ns: Option<u64>,
}

/// Group commit.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    words: [CachePadded<AtomicU32>; 2],
    /// How many the gathering leader still waits for, and how many wait for it: `Gather` beside the lock.
    missing: CachePadded<AtomicU32>,
    collected: AtomicU32,
    durable: CachePadded<AtomicU64>,
    limits: GatherLimits,
}

#[derive(Debug, Default)]
struct State {
    led: bool,
    /// The round that a newcomer joins, 0 or 1.
    collecting: usize,
    waiting: [u32; 2],
    gather: Gather,
    /// Calls that ended with their record durable, by a sync of their own or of another.
    answered: u64,
}

impl Gate {
    /// A gate at which everything below `durable` is durable.
    pub fn new(durable: Lsn, limits: GatherLimits) -> Self {
        let word = || CachePadded::new(AtomicU32::new(0));
        Self {
            state: Mutex::new(State::default()),
            words: [word(), word()],
            missing: CachePadded::new(AtomicU32::new(0)),
            collected: AtomicU32::new(0),
            durable: CachePadded::new(AtomicU64::new(durable.to_word())),
            limits,
        }
    }

    /// Every record below it survives power loss.
    #[inline]
    pub fn durable(&self) -> Lsn {
        // Acquire: pairs with `Leadership::succeed`.
        Lsn::from_word(self.durable.load(Ordering::Acquire)).unwrap_or(Lsn::MAX)
    }

    /// Whether the frame at `lsn` survives power loss.
    #[inline]
    pub fn is_durable(&self, lsn: Lsn) -> bool {
        let durable = self.durable();
        let inclusive = twin::is(Twin::DurableInclusive) || seeded::is(Bug::DurableInclusive);
        lsn < durable || (inclusive && lsn == durable)
    }

    /// Returns once the frame at `wish.lsn`, which is published or being filled by the caller's elders, is durable.
    ///
    /// # Errors
    /// `TimedOut`, or the error that ended the log, which may be this call's own failed sync.
    pub fn pass(
        &self,
        wish: Wish,
        ending: &Ending,
        host: &dyn Host,
        work: &dyn Work,
    ) -> Result<()> {
        let mut state = self.state.lock();
        let missing = state.gather.arrive();
        self.show_missing(missing);
        loop {
            ending.check()?;
            if self.is_durable(wish.lsn) {
                state.answered += 1;
                return Ok(());
            }
            if !state.led {
                state.led = true;
                drop(state);
                let leadership = Leadership {
                    gate: self,
                    ending,
                    host,
                    work,
                    tenure: Tenure::Held,
                };
                leadership.lead(wish)?;
                state = self.state.lock();
                continue;
            }
            let side = state.collecting;
            let waited;
            (state, waited) = self.sleep(state, side, wish, host);
            if self.is_durable(wish.lsn) {
                self.pass_baton(&state, side, host);
            } else if waited == Waited::TimedOut {
                self.pass_baton(&state, side, host);
                ending.check()?;
                return Err(Error::new(
                    ErrorKind::TimedOut,
                    "the record did not become durable in time",
                )
                .at_lsn(wish.lsn));
            }
        }
    }

    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        side: usize,
        wish: Wish,
        host: &dyn Host,
    ) -> (MutexGuard<'a, State>, Waited) {
        state.waiting[side] += 1;
        self.show_collected(state.waiting[side]);
        // Relaxed: read under the lock, under which every change is made (G2).
        let seen = self.words[side].load(Ordering::Relaxed);
        drop(state);
        let waited = host.wait(&self.words[side], seen, wish.deadline_ns);
        let mut state = self.state.lock();
        state.waiting[side] -= 1;
        (state, waited)
    }

    /// Calls that ended with their record durable.
    pub fn answered(&self) -> u64 {
        self.state.lock().answered
    }

    /// Whether somebody syncs at this moment, or is about to.
    pub fn is_led(&self) -> bool {
        self.state.lock().led
    }

    /// Wakes everybody, because the log has ended.
    pub fn rouse(&self, host: &dyn Host) {
        let state = self.state.lock();
        for (side, word) in self.words.iter().enumerate() {
            if twin::is(Twin::PoisonOneRound) && side != state.collecting {
                continue;
            }
            if !twin::is(Twin::RouseWithoutChange) {
                change(word);
            }
            host.wake(word, Sleepers::All);
        }
    }

    /// Who leaves the collecting round without leading may be the one that was woken to lead (G4).
    fn pass_baton(&self, state: &State, side: usize, host: &dyn Host) {
        let may_hold_it = side == state.collecting && !state.led;
        if may_hold_it && state.waiting[side] > 0 && !twin::is(Twin::BatonDropped) {
            change(&self.words[side]);
            host.wake(&self.words[side], Sleepers::One);
        }
    }

    fn show_missing(&self, missing: u32) {
        // Relaxed: a polling leader reads it; a stale value only changes how long it gathers.
        self.missing.store(missing, Ordering::Relaxed);
    }

    fn show_collected(&self, collected: u32) {
        // Relaxed: as `show_missing`.
        self.collected.store(collected, Ordering::Relaxed);
    }
}

/// Changes a word that sleepers compare; the caller holds the gate's lock.
fn change(word: &AtomicU32) {
    // Relaxed: the lock orders it against the reader's load, and the host compares the value itself (G2).
    word.fetch_add(1, Ordering::Relaxed);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tenure {
    Held,
    Over,
}

/// The right to sync; given up when dropped (G3).
struct Leadership<'a> {
    gate: &'a Gate,
    ending: &'a Ending,
    host: &'a dyn Host,
    work: &'a dyn Work,
    tenure: Tenure,
}

impl Leadership<'_> {
    /// Syncs once, and returns the new durable bound.
    fn lead(self, wish: Wish) -> Result<Lsn> {
        self.await_own_frame(wish)?;
        self.gather();
        self.ending.check()?;
        let pad = self.pad(wish)?;
        let side = self.close_round();
        // After closing: everybody in the round published before it looked at the gate.
        let from = self.gate.durable();
        let mut to = pad.unwrap_or_else(|| self.work.frontier()).max(from);
        let began_ns = self.host.now_ns();
        if seeded::is(Bug::AckBeforeSync) {
            // Release: as in `succeed`; the defect is its place.
            self.gate.durable.store(to.to_word(), Ordering::Release);
        }
        self.flush(from, to)?;
        if twin::is(Twin::FrontierAfterFlush) {
            to = self.work.frontier().max(from);
        }
        let sync_ns = self.host.now_ns().saturating_sub(began_ns);
        let work = self.work;
        let answered = self.succeed(side, to, sync_ns);
        work.advanced(from, to, answered);
        Ok(to)
    }

    fn flush(&self, from: Lsn, to: Lsn) -> Result<()> {
        let mut unfinished = Unfinished {
            ending: self.ending,
            tenure: Tenure::Held,
        };
        let result = self.work.flush(from, to);
        unfinished.tenure = Tenure::Over;
        if seeded::is(Bug::MissingPoison) {
            return result;
        }
        result.map_err(|failure| self.ending.poison(failure))
    }

    /// Its own frame only, and not while others could be served: a hole further on is nobody else's affair.
    fn await_own_frame(&self, wish: Wish) -> Result<()> {
        let mut turn = 0;
        loop {
            let frontier = self.work.frontier();
            if frontier > wish.lsn || (turn >= PATIENT_TURNS && self.could_serve(frontier)) {
                return Ok(());
            }
            self.may_go_on(wish)?;
            self.host.pause(turn);
            turn = turn.saturating_add(1);
        }
    }

    /// Where a padded sync ends, once everything below is filled.
    fn pad(&self, wish: Wish) -> Result<Option<Lsn>> {
        let Some(pad) = self.work.pad() else {
            return Ok(None);
        };
        let mut turn = 0;
        while self.work.frontier() < pad && !twin::is(Twin::PadUnfilled) {
            self.may_go_on(wish)?;
            self.host.pause(turn);
            turn = turn.saturating_add(1);
        }
        Ok((!twin::is(Twin::PadPassed)).then_some(pad))
    }

    /// An error once the log has ended, or the caller's time.
    fn may_go_on(&self, wish: Wish) -> Result<()> {
        self.ending.check()?;
        let is_over = |deadline_ns| self.host.now_ns() >= deadline_ns;
        if wish.deadline_ns.is_some_and(is_over) {
            return Err(Error::new(
                ErrorKind::TimedOut,
                "an earlier record is still being written",
            )
            .at_lsn(wish.lsn));
        }
        Ok(())
    }

    fn could_serve(&self, frontier: Lsn) -> bool {
        if twin::is(Twin::HoleHoldsAll) {
            return false;
        }
        // Relaxed: see `show_collected`.
        frontier > self.gate.durable() && self.gate.collected.load(Ordering::Relaxed) > 0
    }

    fn gather(&self) {
        // Relaxed: see `show_missing`.
        if self.gate.missing.load(Ordering::Relaxed) == 0 {
            return;
        }
        let patience_ns = self.gate.state.lock().gather.patience_ns(&self.gate.limits);
        let deadline_ns = self.host.now_ns().saturating_add(patience_ns);
        let mut turn = 0;
        while !self.has_gathered() && self.host.now_ns() < deadline_ns {
            self.host.pause(turn.max(1));
            turn = turn.saturating_add(1);
        }
    }

    fn has_gathered(&self) -> bool {
        // Relaxed: see `show_missing` and `show_collected`.
        let missing = self.gate.missing.load(Ordering::Relaxed);
        let collected = self.gate.collected.load(Ordering::Relaxed);
        missing == 0
            || collected >= self.gate.limits.max_waiters
            || self.ending.has_ended()
            || self.waiting_bytes() >= self.gate.limits.max_bytes
    }

    fn waiting_bytes(&self) -> u64 {
        if self.gate.limits.max_bytes == u64::MAX {
            return 0;
        }
        let (from, to) = (self.gate.durable(), self.work.frontier());
        if from.segment() == to.segment() {
            to.offset().saturating_sub(from.offset())
        } else {
            u64::MAX
        }
    }

    /// From here on newcomers wait for the next sync. Returns the round that this one covers.
    fn close_round(&self) -> usize {
        let mut state = self.gate.state.lock();
        let side = state.collecting;
        state.collecting = 1 - side;
        self.gate.show_collected(state.waiting[1 - side]);
        side
    }

    /// Advances the durable bound, gives leadership up, wakes. Returns how many threads return.
    fn succeed(mut self, side: usize, to: Lsn, sync_ns: u64) -> u32 {
        let (gate, host) = (self.gate, self.host);
        self.tenure = Tenure::Over;
        let mut state = gate.state.lock();
        // Release: pairs with `durable`.
        gate.durable.store(to.to_word(), Ordering::Release);
        state.led = false;
        let answered = state.waiting[side] + 1;
        let missing = state.gather.depart(answered, sync_ns);
        gate.show_missing(missing);
        let next = state.waiting[1 - side];
        if answered > 1 {
            change(&gate.words[side]);
        }
        if next > 0 && !twin::is(Twin::HandOverWithoutChange) {
            change(&gate.words[1 - side]);
        }
        drop(state);
        if answered > 1 {
            host.wake(&gate.words[side], Sleepers::All);
        }
        if next > 0 {
            host.wake(&gate.words[1 - side], Sleepers::One);
        }
        answered
    }
}

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        let keeps = twin::is(Twin::LeaderKeepsFlag) || seeded::is(Bug::LeaderFlagLeftSet);
        if self.tenure == Tenure::Over || keeps {
            return;
        }
        let mut state = self.gate.state.lock();
        state.led = false;
        let sleepers = if self.ending.has_ended() {
            Sleepers::All
        } else {
            Sleepers::One
        };
        for (side, word) in self.gate.words.iter().enumerate() {
            if twin::is(Twin::PoisonOneRound) && side != state.collecting {
                continue;
            }
            change(word);
            self.host.wake(word, sleepers);
        }
    }
}

/// A sync that has begun and not returned: if its leader panics, nothing is known of what it covered (G3).
struct Unfinished<'a> {
    ending: &'a Ending,
    tenure: Tenure,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.tenure == Tenure::Held {
            self.ending.poison(Error::new(
                ErrorKind::Internal,
                "the thread that led a sync panicked",
            ));
        }
    }
}
