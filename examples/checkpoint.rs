//! A counter that lives in the log between checkpoints: replay at start, discard after a checkpoint.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::path::Path;
use std::{fs, io};

use segwal::Wal;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "example-wal".to_owned());
    let checkpoint = Path::new(&dir).with_extension("checkpoint");

    let mut total = read_checkpoint(&checkpoint)?;
    let wal = Wal::open(&dir)?;
    // Whatever the log still holds happened after the checkpoint.
    for record in wal.records(wal.head())? {
        total += u64::from(record?.first().copied().unwrap_or(0));
    }
    println!("the total is {total}");

    let mut last = None;
    for amount in [1, 2, 3] {
        last = Some(wal.append(&[amount])?);
        total += u64::from(amount);
    }
    if let Some(lsn) = last {
        wal.sync_to(lsn)?;
    }

    // A checkpoint is durable before the log forgets. A real one would also sync its directory.
    let file = fs::File::create(&checkpoint)?;
    io::Write::write_all(&mut &file, total.to_string().as_bytes())?;
    sync(&file)?;
    wal.discard_before(wal.durable())?;
    println!("checkpoint at {}, head at {}", wal.durable(), wal.head());
    wal.close()?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the file is the example's own, not the log's"
)]
fn sync(file: &fs::File) -> io::Result<()> {
    file.sync_all()
}

fn read_checkpoint(path: &Path) -> Result<u64, Box<dyn Error>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.parse()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}
