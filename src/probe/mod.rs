//! Entry points for bytes of unknown origin: each gives them to a decoder and panics if the answer breaks a rule that any
//! answer must keep.
//!
//! The targets under `fuzz/` and the test that replays their corpus call the same functions, by way of the crate `probes`.
//! What is asserted is what can be known of an answer whatever the bytes are: what was decoded encodes to the same bytes, a
//! stop is one for ever, two ways to the same place agree, one bit turned over is seen. Each function returns the names of what the
//! bytes reached, so that a corpus can be asked whether it still reaches what it is kept for.
//!
//! Feature `probe`. Not covered by semantic versioning.

mod parts;
mod scanner;

pub use parts::{cookie, header, hold, manifest};
pub use scanner::scanner;

use std::collections::BTreeSet;
use std::fmt::Debug;

/// What bytes reached, by name.
pub type Reached = BTreeSet<String>;

/// The name of a variant, without what it holds.
fn name(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find([' ', '(', '{']).unwrap_or(text.len());
    text[..end].to_owned()
}

/// The bytes with one bit turned over: the bit that `choice` falls on.
fn turned(bytes: &[u8], choice: u16) -> Vec<u8> {
    let mut turned = bytes.to_vec();
    if let Some(bits) = (bytes.len() * 8).checked_sub(1) {
        let bit = usize::from(choice) % (bits + 1);
        turned[bit / 8] ^= 1 << (bit % 8);
    }
    turned
}
