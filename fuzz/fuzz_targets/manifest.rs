//! Any bytes to the probe `manifest`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use probes::Probe;

fuzz_target!(|bytes: &[u8]| {
    Probe::of("manifest").run(bytes);
});
