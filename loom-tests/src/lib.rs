//! Models of segwal's lock-free core: every interleaving of a few threads, within a bound, on the code that users run.
//!
//! The checker is loom. It replaces atomics, mutexes and threads; this crate supplies what the core borrows from outside:
//! waiting and time (`ModelHost`), storage (`Cells`), fresh segments (`Shelf`) and a device (`Ledger`). Storage is
//! one checked cell for each grain, so bytes that are read before their writing happened before are a failure.
//!
//! A model that holds is worth something only if it can fail, so each has *twins*: the same model with one deliberate
//! defect in the core, chosen at run time. A twin must fail, and in the way that its test names.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --release -p loom-tests
//! ```
//!
//! Rules of a model: its main thread only prepares, spawns and joins, because the checker misses interleavings of
//! observers that run there; at most four other threads; and it marks the states that make it interesting, which the
//! runner then demands to have been reached. Without `--cfg loom` this crate is empty.
#![cfg(loom)]

mod cells;
mod host;
mod ledger;
mod runner;
mod shelf;
mod world;

pub use cells::{Cells, Content};
pub use host::{FOREVER, ModelHost, STEP_NS};
pub use ledger::{Failing, Ledger, some_error};
pub use runner::Model;
pub use shelf::Shelf;
pub use testkit::check::Reached;
pub use world::{Plan, Take, World, at, grains_of, spawn};
