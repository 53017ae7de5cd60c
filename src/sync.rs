//! The one place that names the standard library's synchronisation, or that of a checker in its stead.
//!
//! With `--cfg loom` and the feature `loom` the types below are the model checker's, so the code of [`log`](crate::log) that
//! users run is the code that is checked. With `--cfg shuttle` and the feature `shuttle` they are those of a scheduler that
//! runs the whole engine, its threads included, in random orders (`sync/scheduled.rs`). There is no fence here, and no
//! `SeqCst`: every ordering is an acquire or a release on a named word.

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
mod types {
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
    };
    pub(crate) use std::{hint, thread, thread_local};

    use std::cell::Cell;
    use std::sync::PoisonError;

    /// A mutex whose holder's panic is not an error of the next one: every critical section here leaves the data whole.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    pub(crate) type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;

    /// After so many pauses, some 50 microseconds, a leader stops waiting for its own frame if it can serve others.
    pub(crate) const PATIENT_TURNS: u32 = 64;

    /// A small number that differs between the threads of a process, as far as it can.
    pub(crate) fn thread_hint() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static HINT: Cell<usize> = const { Cell::new(usize::MAX) });
        HINT.with(|hint| {
            if hint.get() == usize::MAX {
                // Relaxed: the number orders nothing; it only spreads threads over slots.
                hint.set(NEXT.fetch_add(1, Ordering::Relaxed));
            }
            hint.get()
        })
    }
}

#[cfg(all(loom, feature = "loom"))]
mod types {
    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

    use std::cell::Cell;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    pub(crate) type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

    /// A model has no time to lose.
    pub(crate) const PATIENT_TURNS: u32 = 1;

    loom::thread_local!(static HINT: Cell<usize> = Cell::new(0));

    /// The number that the model gave to its thread.
    pub(crate) fn thread_hint() -> usize {
        HINT.with(Cell::get)
    }

    /// Gives the calling thread of a model its number.
    pub fn set_thread_hint(hint: usize) {
        HINT.with(|cell| cell.set(hint));
    }
}

#[cfg(all(shuttle, feature = "shuttle"))]
#[path = "sync/scheduled.rs"]
mod types;

pub(crate) use crossbeam_utils::CachePadded;
pub(crate) use types::*;

/// Raises `word` to `least` if it is below, by `order`; returns what it was.
#[cfg(not(segwal_tsan))]
#[inline]
pub(crate) fn raise(word: &AtomicU64, least: u64, order: Ordering) -> u64 {
    word.fetch_max(least, order)
}

/// The same for `ThreadSanitizer`, to which the compiler shows every operation on an atomic but the maximum: what is handed on
/// through one looks like a race to it.
#[cfg(segwal_tsan)]
pub(crate) fn raise(word: &AtomicU64, least: u64, order: Ordering) -> u64 {
    // Relaxed: only the exchange that succeeds counts, and that has the caller's order.
    let mut before = word.load(Ordering::Relaxed);
    loop {
        // The caller's order. Relaxed: what another thread made of the word is tried again.
        match word.compare_exchange(before, before.max(least), order, Ordering::Relaxed) {
            Ok(before) => return before,
            Err(now) => before = now,
        }
    }
}

#[cfg(all(loom, feature = "loom"))]
pub use types::set_thread_hint;

/// Deliberate weakenings, one for each thing that a model claims to need. A model that holds is only worth something if
/// its twin, the same model with one of these, fails. They exist in the model checker's build alone.
pub mod twin {
    #![allow(unreachable_pub, reason = "public to the models, in their build alone")]

    use super::Ordering;

    /// One deliberate defect.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[cfg_attr(
        not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))),
        expect(dead_code, reason = "constructed by the models alone")
    )]
    pub enum Twin {
        /// A slot becomes busy by a relaxed store or exchange.
        BusyRelaxed,
        /// A slot is claimed without acquiring what its last owner filled.
        ClaimWithoutAcquire,
        /// A slot becomes idle by a relaxed store.
        IdleRelaxed,
        /// The frontier loads the tail relaxed.
        TailRelaxed,
        /// The frontier loads the slots relaxed.
        SlotsRelaxed,
        /// The frontier looks at the slots before it looks at the tail.
        SlotsBeforeTail,
        /// The high-water mark of used slots is raised after the addition.
        UsedAfterTake,
        /// The published bound is raised by a relaxed maximum.
        PublishedRelaxed,
        /// An end wakes without changing the words.
        RouseWithoutChange,
        /// Reservations of the same bytes: the tail is read and stored in two steps.
        TakeInTwoSteps,
        /// A reservation changes the tail by a relaxed addition or exchange.
        TakeRelaxed,
        /// The tail moves to the next segment by a relaxed swap.
        InstallRelaxed,
        /// An over-run tail counts as the segment's end, not as its seal.
        OverrunIsEnd,
        /// A place that was sealed for a later segment counts as not sealed yet.
        LaterSealIsNone,
        /// The straddler goes idle before it records the seal.
        SealAfterIdle,
        /// What the next activation must know is noted after the rotation's lock was given up.
        NoteAfterRotation,
        /// A thread rotates without taking the lock.
        RotateUnlocked,
        /// The tail moves before the segment is in the window.
        TailBeforeInstall,
        /// A segment goes into a place of the window that is still taken.
        WindowOverwrite,
        /// A waiter for a segment reads the word after it looked for the segment.
        WordAfterLook,
        /// A waiter for a segment reads the word after it looked whether the log has ended.
        WordAfterEnding,
        /// A watch is looked at before its word is marked.
        WatchLookFirst,
        /// An announcement looks at the word by a load, not by an exchange.
        WatchGlance,
        /// An announcement takes the mark off, and wakes without counting the word up.
        WatchWakeWithoutChange,
        /// The ticker is rung for without changing its word.
        BellWithoutChange,
        /// A new ready segment wakes without changing the word.
        ReadyWithoutChange,
        /// Leadership is handed over without changing the word of the next round.
        HandOverWithoutChange,
        /// The leader reports what it saw before the sync, plus what came during it.
        FrontierAfterFlush,
        /// Poison wakes one round only.
        PoisonOneRound,
        /// A leader behind a hole serves nobody until the hole is filled.
        HoleHoldsAll,
        /// A failed leader keeps the leadership.
        LeaderKeepsFlag,
        /// A position equal to the durable bound counts as durable.
        DurableInclusive,
        /// A waiter that gives up after being chosen keeps the baton.
        BatonDropped,
        /// A retired segment is reused although a reader has it.
        ReuseWhilePinned,
        /// A segment is retired before the frontier has left it.
        RetireEarly,
        /// The tail is stopped by somebody without a slot.
        StopWithoutSlot,
        /// The emergency position is stored before the frame in front of it is filled.
        EmergencyBeforeFill,
        /// The emergency position is stored relaxed.
        EmergencyRelaxed,
        /// The emergency position is loaded relaxed.
        EmergencySeenRelaxed,
        /// Who finds an emergency position does not look at the tail again.
        EmergencyUnconfirmed,
        /// An emergency position of a segment that the tail has reached or left counts.
        OldEmergency,
        /// Ordinary rotation takes the reserve.
        ReserveForAll,
        /// Ordinary rotation activates a segment although critical records lie behind the tail's.
        ActivateOverEmergency,
        /// The tail moves to the first frame of the emergency position's segment, not to the position.
        CatchUpToFirst,
        /// A rotation does not look whether the log has ended.
        RotateAfterEnd,
        /// A dropped reservation leaves its bytes as they are.
        DropWithoutAbort,
        /// A padded sync goes on to the frontier, beyond the end of its pad.
        PadPassed,
        /// A pad takes the seal for the end, although critical records lie behind it.
        PadBeforeEmergency,
        /// The block that critical records end in is not ended.
        EmergencyUnpadded,
        /// A padded sync does not wait until everything below the end of its pad is filled.
        PadUnfilled,
        /// Who is about to doze looks at the tail without changing it.
        DozeUnconfirmed,
        /// A callback that is asked for while the log ends is forgotten.
        WishAtTheEnd,
    }

    #[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
    mod active {
        use super::Twin;
        use std::cell::Cell;

        // A checker runs all threads of a model on one thread of the system, so this is one cell for each model.
        std::thread_local!(static ACTIVE: Cell<Option<Twin>> = const { Cell::new(None) });

        /// Chooses the defect of the models that this thread runs from now on.
        pub fn choose(twin: Option<Twin>) {
            ACTIVE.with(|active| active.set(twin));
        }

        /// Whether the chosen defect is `twin`.
        pub fn is(twin: Twin) -> bool {
            ACTIVE.with(|active| active.get() == Some(twin))
        }
    }

    #[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
    mod active {
        #[inline]
        pub(crate) const fn is(_: super::Twin) -> bool {
            false
        }
    }

    #[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
    pub(crate) use active::is;
    #[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
    pub use active::{choose, is};

    /// `ordering`, unless `twin` is active: then relaxed.
    #[inline]
    pub(crate) fn unless(twin: Twin, ordering: Ordering) -> Ordering {
        if is(twin) {
            Ordering::Relaxed
        } else {
            ordering
        }
    }
}
