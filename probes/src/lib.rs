//! What the fuzz targets do with their input: one probe for each, which the targets under `fuzz/` and the test that replays
//! their corpus both call, so that both check the same.
//!
//! A probe reads its input as a small language, because random bytes do not get past a checksum: the input says what stands
//! where, and whether the checksums are made right before a decoder sees the bytes. What comes out of the decoders is held
//! against rules that hold for any bytes; the probes panic where one is broken. The rules of the decoders are in the engine
//! (`segwal::probe`) and in the command line (`segwal_cli::probe`), beside what is private there; those of whole directories
//! are here, in the file `open`, written from `docs/format.md` alone.
//!
//! | file | what |
//! |---|---|
//! | `parts` | inputs of the structures of one part, and of the scanner |
//! | `directory` | the language of directories, read and written |
//! | `frames` | frames by the document: sealing them, and looking one up |
//! | `open`, `going_on` | a directory read, opened, appended to and opened again |
//! | `words` | inputs of the command line |
//! | `seeds`, `rules` | the inputs to begin with, made from logs that the engine wrote; those that break one rule each |
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a probe panics: that is how it tells"
)]

mod directory;
mod frames;
mod going_on;
#[path = "../../tests/hostile/memory.rs"]
mod memory;
mod open;
mod parts;
mod rules;
mod seeds;
mod words;

pub use seeds::{Seed, seeds};
pub use segwal::probe::Reached;

use memory::{LIMIT, peak_of};

/// One probe, under the name of its target.
#[derive(Debug)]
pub struct Probe {
    name: &'static str,
    /// No longer input says anything more.
    max_len: usize,
    /// The most memory that it may hold, in bytes.
    max_held: usize,
    run: fn(&[u8]) -> Reached,
}

/// All of them.
pub static PROBES: [Probe; 7] = [
    small("scanner", 4096, parts::scanner),
    small("header", 192, parts::header),
    small("manifest", 512, parts::manifest),
    small("cookie", 384, parts::cookie),
    small("hold", 256, parts::hold),
    Probe {
        name: "open",
        max_len: 8192,
        max_held: LIMIT,
        run: open::open,
    },
    Probe {
        name: "arguments",
        max_len: 256,
        max_held: 16 << 20,
        run: words::arguments,
    },
];

const fn small(name: &'static str, max_len: usize, run: fn(&[u8]) -> Reached) -> Probe {
    Probe {
        name,
        max_len,
        max_held: 1 << 20,
        run,
    }
}

impl Probe {
    /// The probe of this target.
    pub fn of(target: &str) -> &'static Self {
        let found = PROBES.iter().find(|probe| probe.name == target);
        found.unwrap_or_else(|| panic!("there is no probe {target}"))
    }

    /// The name of its target.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The longest input that makes sense.
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// Gives it an input; returns what that reached, by name.
    pub fn run(&self, input: &[u8]) -> Reached {
        let (reached, held) = peak_of(|| (self.run)(input));
        let name = self.name;
        assert!(held <= self.max_held, "{name}: {held} bytes were held");
        reached
    }
}
