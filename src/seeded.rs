//! [`Bug`]: deliberate mistakes in the engine, for its checks to find.
//!
//! A check that never failed proves little. Built with `--cfg segwal_seeded` the engine has these bugs in it, all of them
//! asleep but the one that the environment variable `SEGWAL_SEEDED` names; `cargo xtask seeded` wakes one after the other
//! and demands that a check which was not written for it fails. In every other build [`is`] is false before the program runs,
//! and nothing is left of it.
//!
//! Those of the models' own build are [`twin`](crate::sync::twin)s.

#![allow(
    unreachable_pub,
    reason = "public to the schedules, in their build alone"
)]

/// One deliberate mistake: what an engine could do wrong, as `cargo xtask seeded` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Waiters are told that their records are durable before the sync.
    AckBeforeSync,
    /// The name of a new segment is never made durable.
    NoDirectorySync,
    /// A sync that failed is tried again, and its success believed.
    RetryAfterFailedSync,
    /// A frame is known by its offset alone: what an earlier life of the file left is accepted.
    StaleFrameAccepted,
    /// Recovery writes no epoch frame: what stands behind a hole comes back.
    GhostFrames,
    /// An opened log goes on at the durable position, over records that it found behind.
    LsnReuse,
    /// Recovery steps over what is damaged to the next valid frame.
    SkippedMiddle,
    /// A failed sync is reported and does not end the log.
    MissingPoison,
    /// A leader that gives up keeps the leadership.
    LeaderFlagLeftSet,
    /// Segments are reused before the head beyond them is durable.
    HeadBeforeDurable,
    /// Opening believes names that need not be durable.
    OpenTrustsDirectory,
    /// A segment that is activated a second time has the salt of the first.
    SaltKept,
    /// A position equal to the durable bound counts as durable.
    DurableInclusive,
    /// A frame counts as published before it is filled.
    PublishBeforeFill,
    /// `COOKIE` states what is durable before it is.
    CookieBeforeSync,
    /// The slot of `COOKIE` that is durable is stored over.
    CookieSlotOverwritten,
    /// A segment is reused while a reader has it.
    ReuseWhilePinned,
    /// A discard passes records that are not durable.
    DiscardBeyondDurable,
    /// What recovery found in the page cache is taken for durable.
    NotStoredAgain,
    /// A reused segment is renamed before its new header is durable.
    RenameBeforeHeader,
    /// A new segment does not say where the last rewind before it stands.
    RewindNotLinked,
    /// Opening knows the rewinds that it scans and no others.
    RewindsNotFollowed,
    /// A truncation takes effect when the log is opened again.
    VoidNotNoted,
    /// A read-only opener gives out what is void.
    VoidGivenOut,
    /// A discard at a void position does not wait for the truncation.
    DiscardBeforeRewind,
}

#[cfg(not(any(segwal_seeded, all(shuttle, feature = "shuttle"))))]
mod active {
    #[inline]
    pub(crate) const fn is(_: super::Bug) -> bool {
        false
    }
}

#[cfg(all(shuttle, feature = "shuttle"))]
mod active {
    use std::cell::Cell;

    use super::Bug;

    // The scheduler runs all threads of an execution on one thread of the system.
    std::thread_local!(static CHOSEN: Cell<Option<Bug>> = const { Cell::new(None) });

    /// Chooses the bug of the executions that this thread runs from now on.
    pub fn choose(bug: Option<Bug>) {
        CHOSEN.with(|chosen| chosen.set(bug));
    }

    pub(crate) fn is(bug: Bug) -> bool {
        CHOSEN.with(|chosen| chosen.get() == Some(bug))
    }
}

#[cfg(all(segwal_seeded, not(all(shuttle, feature = "shuttle"))))]
mod active {
    use std::sync::{Once, OnceLock};

    /// Whether `bug` is the one that `SEGWAL_SEEDED` names. Says once that it was met: a bug that no check comes by is not
    /// found by any.
    #[expect(
        clippy::print_stderr,
        reason = "the step that runs the checks reads it"
    )]
    pub(crate) fn is(bug: super::Bug) -> bool {
        static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
        static MET: Once = Once::new();
        let chosen = CHOSEN.get_or_init(|| std::env::var("SEGWAL_SEEDED").ok());
        let is = chosen
            .as_deref()
            .is_some_and(|chosen| chosen == format!("{bug:?}"));
        if is {
            MET.call_once(|| eprintln!("seeded bug met: {bug:?}"));
        }
        is
    }
}

#[cfg(all(shuttle, feature = "shuttle"))]
pub use active::choose;
pub(crate) use active::is;
