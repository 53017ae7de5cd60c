//! The models, one file for each thing that the core claims.
#![cfg(loom)]

mod reserve;
mod frontier;
