//! Many threads commit; one sync answers those that wait together.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use segwal::{Result, Wal};

const THREADS: u32 = 16;
const COMMITS: u32 = 200;

fn main() -> Result<()> {
    let dir = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "example-wal".to_owned());
    let wal = Wal::open(&dir)?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|id| {
                scope.spawn({
                    let wal = &wal;
                    move || work(wal, id)
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    let stats = wal.stats();
    println!("{} commits by {} syncs", stats.commits, stats.syncs);
    wal.close()
}

fn work(wal: &Wal, id: u32) -> Result<()> {
    let mut appender = wal.appender()?;
    for sequence in 0..COMMITS {
        let lsn = appender.append(format!("thread {id}, record {sequence}").as_bytes())?;
        wal.sync_to(lsn)?;
    }
    Ok(())
}
