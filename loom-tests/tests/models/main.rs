//! The models, one file for each thing that the core claims.
#![cfg(loom)]
#![expect(
    clippy::unwrap_used,
    reason = "whatever is no success here fails the model"
)]

mod abort;
mod commit;
mod doze;
mod emergency;
mod ending;
mod frontier;
mod gate;
mod noted;
mod pad;
mod recycle;
mod reserve;
mod rotate;
mod space;
mod stop;
mod watch;
mod window;
