//! The whole engine, its threads included, under random schedules: on the simulated disk, with real background threads, and
//! with a crash at a random moment.
//!
//! The scheduler is shuttle. It runs all threads of an execution on one thread of the system and goes from one to another at
//! each operation on an atomic, a lock or a sleep, by chance or by random priorities (PCT). What it does not know, such as the
//! queues of `crossbeam`, is one step to it; and it knows no weak memory: orderings are the business of `loom-tests/`.
//!
//! A scenario that holds is worth something only if it can fail, so each has twins: the same scenario with one deliberate
//! mistake in the engine, a `Bug` or a `Twin`, which some schedule
//! must find.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --release -p shuttle-tests
//! ```
//!
//! `SEGWAL_SEED` replays a run; `SEGWAL_SCHEDULES` is how many schedules a scenario gets. Without `--cfg shuttle` this crate is
//! empty.
#![cfg(shuttle)]
#![allow(
    clippy::missing_panics_doc,
    reason = "whatever is no success here fails the scenario"
)]

mod ledger;
mod runner;
mod stage;

pub use ledger::{Crash, Known, Ledger, Name};
pub use runner::{Mistake, Scenario};
pub use stage::{Actor, Stage, join, small};
pub use testkit::check::Reached;
