//! [`Pressure`]: how a log comes under space pressure, and out of it again.
//!
//! # Protocol
//! Two facts make the level: the last preparation failed for want of space (`failure`), and an append found no segment
//! but the reserve (`is_short`). Without a failure there is no pressure: a preallocator that is merely behind is a metric.
//!
//! | failure | an append was short | level |
//! |---|---|---|
//! | no | either | `None` |
//! | yes | no | `Low` |
//! | yes | yes | `Full` |
//!
//! `failure` ends when as many segments are ready as are asked for, the reserve among them; `is_short` when one is ready
//! beyond the reserve, or the log moved on. This hysteresis is for hooks and metrics alone: whoever waits for a segment is
//! woken by each one that becomes ready.
//!
//! # Invariants
//! * Y1. Hooks learn of each change of the level, in order: a change and its announcement are one step under the lock.
//!
//! # Memory orderings
//! The word is a copy of the level for whoever glances at it; nothing is read through it.

use crate::error::{Error, ErrorKind, Result};
use crate::stats::{Counter, Counters, Stats};
use crate::sync::{AtomicU8, Mutex, Ordering};
use crate::sys::clock;

use super::Wal;
use super::hooks::Hooks;
use super::space::{SpaceCause, SpacePressure};

/// The pressure of one log.
#[derive(Debug)]
pub(crate) struct Pressure {
    word: AtomicU8,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    failure: Option<(SpaceCause, Error)>,
    is_short: bool,
    shown: SpacePressure,
    /// Since when the present cause is shown.
    since_ns: u64,
}

impl State {
    fn level(&self) -> SpacePressure {
        match (&self.failure, self.is_short) {
            (None, _) => SpacePressure::None,
            (Some((cause, _)), false) => SpacePressure::Low(*cause),
            (Some((cause, _)), true) => SpacePressure::Full(*cause),
        }
    }
}

/// What the pressure's changes are told to.
#[derive(Clone, Copy)]
pub(crate) struct Audience<'a> {
    pub(crate) counters: &'a Counters,
    pub(crate) hooks: &'a Hooks,
}

impl Pressure {
    /// Nothing has failed yet.
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU8::new(SpacePressure::None.to_byte()),
            state: Mutex::new(State {
                failure: None,
                is_short: false,
                shown: SpacePressure::None,
                since_ns: 0,
            }),
        }
    }

    #[inline]
    pub(crate) fn level(&self) -> SpacePressure {
        // Relaxed: a copy; nothing is read through it.
        SpacePressure::from_byte(self.word.load(Ordering::Relaxed))
    }

    /// Why the last preparation failed.
    pub(crate) fn failure(&self) -> Option<Error> {
        let state = self.state.lock();
        state.failure.as_ref().map(|(_, error)| error.clone())
    }

    /// A preparation failed.
    pub(crate) fn failed(&self, cause: SpaceCause, error: Error, audience: Audience<'_>) {
        self.change(audience, |state| state.failure = Some((cause, error)));
    }

    /// An append found nothing but the reserve.
    pub(crate) fn short(&self, audience: Audience<'_>) {
        self.change(audience, |state| state.is_short = true);
    }

    /// A segment is ready beyond the reserve, or the log moved on.
    pub(crate) fn eased(&self, audience: Audience<'_>) {
        self.change(audience, |state| state.is_short = false);
    }

    /// As many segments are ready as were asked for, the reserve among them.
    pub(crate) fn relieved(&self, audience: Audience<'_>) {
        self.change(audience, |state| {
            state.is_short = false;
            state.failure = None;
        });
    }

    fn change(&self, audience: Audience<'_>, make: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        make(&mut state);
        let (before, now) = (state.shown, state.level());
        if before == now {
            return;
        }
        if before.cause() != now.cause() {
            let now_ns = clock::now_ns();
            if let Some((_, ns)) = before
                .cause()
                .and_then(|it| counters(it, audience.counters))
            {
                ns.add(now_ns.saturating_sub(state.since_ns));
            }
            if let Some((times, _)) = now.cause().and_then(|it| counters(it, audience.counters)) {
                times.add(1);
            }
            state.since_ns = now_ns;
        }
        state.shown = now;
        // Relaxed: as `level`.
        self.word.store(now.to_byte(), Ordering::Relaxed);
        audience.hooks.tell_pressure(now);
    }

    /// Adds the time since the present cause was first shown.
    pub(crate) fn add_running(&self, stats: &mut Stats) {
        let state = self.state.lock();
        let ns = clock::now_ns().saturating_sub(state.since_ns);
        match state.shown.cause() {
            Some(SpaceCause::DiskFull) => stats.enospc_ns += ns,
            Some(SpaceCause::Quota) => stats.edquot_ns += ns,
            Some(SpaceCause::FileSize) => stats.efbig_ns += ns,
            Some(SpaceCause::Limit) => stats.limit_ns += ns,
            Some(SpaceCause::Positions) | None => {}
        }
    }
}

/// How often the log came under pressure for `cause`, and for how long. The end of all positions is no want of space.
fn counters(cause: SpaceCause, counters: &Counters) -> Option<(&Counter, &Counter)> {
    Some(match cause {
        SpaceCause::DiskFull => (&counters.enospc_times, &counters.enospc_ns),
        SpaceCause::Quota => (&counters.edquot_times, &counters.edquot_ns),
        SpaceCause::FileSize => (&counters.efbig_times, &counters.efbig_ns),
        SpaceCause::Limit => (&counters.limit_times, &counters.limit_ns),
        SpaceCause::Positions => return None,
    })
}

/// The error of a preparation that was not begun.
pub(crate) fn not_begun(cause: SpaceCause) -> Error {
    Error::new(ErrorKind::NoSpace, cause.to_string())
}

impl Wal {
    /// Whether there is room for the segments to come. Costs one load.
    ///
    /// [`Low`](SpacePressure::Low): a segment could not be made ready, and appends still fit.
    /// [`Full`](SpacePressure::Full): an append found only the reserve; ordinary appends wait or fail, as
    /// [`on_full`](crate::WalOptions::on_full) says, until space returns, and [`append_critical`](Self::append_critical)
    /// goes on. Either lasts until as many segments are ready as are asked for, the reserve among them.
    pub fn space_pressure(&self) -> SpacePressure {
        self.shared().pressure.level()
    }

    /// Calls `callback` with each new [`space_pressure`](Self::space_pressure): the place to begin a checkpoint.
    ///
    /// It runs on a thread of its own and may call the log, [`discard_before`](Self::discard_before) and
    /// [`append_critical`](Self::append_critical) too. Several changes are told one after the other, so the pressure may
    /// have changed again when it runs. If it has a clone of the log, dropping the other handles does not end the log:
    /// [`close`](Self::close) does, and lets go of the callback.
    ///
    /// # Errors
    /// [`OutOfResources`](ErrorKind::OutOfResources) if the thread cannot be started; once the log has ended, its error.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-pressure-{}", std::process::id()));
    /// use segwal::{SpacePressure, Wal};
    ///
    /// let wal = Wal::open(&dir)?;
    /// wal.on_space_pressure(|pressure| match pressure {
    ///     SpacePressure::None => println!("there is room again"),
    ///     pressure => println!("time for a checkpoint: {pressure:?}"),
    /// })?;
    /// assert_eq!(wal.space_pressure(), SpacePressure::None);
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_space_pressure(
        &self,
        callback: impl Fn(SpacePressure) + Send + Sync + 'static,
    ) -> Result<()> {
        let shared = self.shared();
        shared.check()?;
        shared.hooks.start()?;
        shared.hooks.add_on_pressure(std::sync::Arc::new(callback));
        Ok(())
    }
}
