//! The harness that measures logs beside the limits of the machine below them.
//!
//! Engines take turns in one run: each *slice* gives one [`Engine`] one [`Workload`] on a fresh directory, and is read back
//! and counted afterwards, so that nobody is fast by losing records. A *lap* is a slice of every engine, with the limit
//! among them; a *series* is several laps. Figures are medians over the laps, and ratios are taken within a lap, because
//! the machine is another one a minute later.
//!
//! | file | what it is |
//! |---|---|
//! | `workload` | what is measured: sizes, threads, syncs, conditions |
//! | `engine`, `engines` | a log under measurement; segwal, and the limits |
//! | `payload` | records that can be told apart, and the count of those that came back |
//! | `slice`, `series` | one measurement; several, taking turns |
//! | `latency`, `cost` | how long, and what it took |
//! | `record`, `environment` | what is kept, and where it was measured |
//! | `table` | for people |
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a measuring tool reads the clock, and rounds its figures"
)]

pub mod cost;
pub mod engine;
pub mod engines;
pub mod environment;
pub mod latency;
pub mod payload;
pub mod record;
pub mod series;
pub mod slice;
pub mod table;
pub mod workload;

pub use engine::{Engine, Log, Writer};
pub use workload::{Condition, SyncPolicy, Workload};
