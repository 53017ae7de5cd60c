//! What the tests of this workspace share: replayable seeds, temporary directories, waiting without sleep, checks in
//! processes of their own, and ones that put on record that they ran or why they could not.
//!
//! It knows nothing of the log, so that every crate of the workspace may use it.
#![allow(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    reason = "a test tool prints, panics and reads the clock; the narrowed numbers are random or in range"
)]

pub mod check;
pub mod record;
mod rng;
mod temp;
pub mod volume;
mod wait;

pub use rng::{Rng, seed};
pub use temp::TempDir;
pub use volume::Volume;
pub use wait::{Stopwatch, wait_until};
