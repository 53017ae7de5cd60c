//! segwal (crate documentation to be written)
#![deny(unsafe_code)]

mod error;
mod format;
mod lsn;
mod sys;

pub use error::{Error, ErrorKind, Place, Result};
pub use lsn::{Lsn, ParseLsnError};
