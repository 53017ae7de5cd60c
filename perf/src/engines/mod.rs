//! The engines that need nothing but this workspace: segwal, and the limits of the machine.

mod limit;
mod segwal;

pub use self::limit::Limit;
pub use self::segwal::Segwal;

use crate::engine::Engine;

/// All of them, the limit first.
#[must_use]
pub fn all() -> Vec<Box<dyn Engine>> {
    vec![Box::new(Limit), Box::new(Segwal)]
}
