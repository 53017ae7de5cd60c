//! segwal (crate documentation to be written)
#![deny(unsafe_code)]

mod error;
mod log;
mod lsn;
mod sync;

pub use error::{Error, ErrorKind, Place, Result};
pub use lsn::{Lsn, ParseLsnError};

/// The core, for the models under `loom-tests/`. Not covered by semantic versioning.
#[cfg(all(loom, feature = "loom"))]
#[doc(hidden)]
pub mod internals {
    pub use crate::log::*;
    pub use crate::sync::{set_thread_hint, twin};
}
