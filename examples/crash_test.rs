//! A crash test of one's own: on the simulated disk, cut the power and see what is left.
//!
//! Needs the feature `fault`, which a crate that embeds segwal turns on for its tests.
#![allow(
    clippy::print_stdout,
    clippy::panic_in_result_fn,
    reason = "an example talks to its reader, and a test asserts"
)]

use segwal::fault::SimDisk;
use segwal::{Result, WalOptions};

fn main() -> Result<()> {
    let mut options = WalOptions::new();
    options.segment_size(16 << 10);
    let mut outcomes = [0; 2];
    for seed in 0..200 {
        let disk = SimDisk::new();
        let wal = options.open_on(&disk, "/log", seed)?;
        let durable = wal.append(b"durable")?;
        wal.sync_to(durable)?;
        wal.append(b"perhaps")?;

        // Each sector that was not synced is old or new, at random.
        let after = disk.power_cut(seed);
        let wal = options.open_on(&after, "/log", seed)?;
        let records: Vec<_> = wal.records(wal.head())?.collect::<Result<_>>()?;
        assert_eq!(&*records[0], b"durable");
        outcomes[records.len() - 1] += 1;
    }
    println!(
        "the unsynced record was lost {} times and kept {} times",
        outcomes[0], outcomes[1]
    );
    Ok(())
}
