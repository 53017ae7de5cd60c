//! The models, one file for each thing that the core claims.
#![cfg(loom)]

mod abort;
mod ending;
mod frontier;
mod gate;
mod recycle;
mod reserve;
mod rotate;
mod space;
mod window;
