//! Scenarios of the whole engine, one file for each thing that may happen at the same time.
#![cfg(shuttle)]
#![expect(
    clippy::unwrap_used,
    reason = "whatever is no success here fails the scenario"
)]

mod callbacks;
mod closing;
mod commit;
mod critical;
mod holes;
mod poison;
mod readers;
mod space;
mod tails;
mod truncation;
