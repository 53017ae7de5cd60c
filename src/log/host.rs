//! [`Host`]: waiting and time, which the core borrows from whoever runs it.
//!
//! The engine's host is the operating system's futex and clock; a model's is the checker's mutex and condition variable
//! *with the same compare-and-block meaning*. That meaning matters: a condition variable releases its mutex and sleeps
//! in one step, a futex does not, and a wake-up that falls between is lost unless it changed the word first.

use std::fmt::Debug;

use crate::sync::AtomicU32;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The word changed, or something woke the thread. It may be spurious: look again.
    Woken,
    /// The deadline passed.
    TimedOut,
}

/// How many sleepers a wake-up reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleepers {
    /// One of them.
    One,
    /// All of them.
    All,
}

/// Waiting and time.
pub trait Host: Debug + Send + Sync {
    /// Sleeps if `word` holds `expected` at the moment of going to sleep, until woken or until `deadline_ns`.
    fn wait(&self, word: &AtomicU32, expected: u32, deadline_ns: Option<u64>) -> Waited;

    /// Wakes threads that sleep on `word`. The caller has changed the word before.
    fn wake(&self, word: &AtomicU32, sleepers: Sleepers);

    /// A monotonic clock, in nanoseconds.
    fn now_ns(&self) -> u64;

    /// Lets time pass while polling: a spin in the first `turn`s, then a yield, then sleeps that grow.
    fn pause(&self, turn: u32);
}
