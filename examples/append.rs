//! Append, sync, read back, reopen.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use segwal::{Result, Wal};

fn main() -> Result<()> {
    let dir = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "example-wal".to_owned());

    let wal = Wal::open(&dir)?;
    println!(
        "opened: {}, {} segments",
        wal.recovery().kind(),
        wal.recovery().segments()
    );

    // Published: every reader of this process sees it, and it survives `kill -9`.
    let first = wal.append(b"transfer 10 from a to b")?;
    let last = wal.append(b"transfer 5 from b to c")?;

    // Durable: everything up to and including `last` survives power loss.
    wal.sync_to(last)?;
    println!(
        "{first} and {last} are durable: all below {}",
        wal.durable()
    );

    for record in wal.records(wal.head())? {
        let record = record?;
        println!("{} {}", record.lsn(), String::from_utf8_lossy(&record));
    }
    wal.close()
}
