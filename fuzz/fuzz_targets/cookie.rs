//! Any bytes to the probe `cookie`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use probes::Probe;

fuzz_target!(|bytes: &[u8]| {
    Probe::of("cookie").run(bytes);
});
