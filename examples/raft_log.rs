//! The log of a replicated state machine: a follower takes back entries on which its group did not agree.
//!
//! ```text
//! cargo run --example raft_log
//! ```
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use segwal::{Lsn, Result, Wal};

/// One entry: the term of the leader that proposed it, and a command.
struct Entry {
    term: u64,
    command: String,
}

/// A follower's log. The position of each entry is kept beside its term, from the first entry that is still there on.
struct Follower {
    wal: Wal,
    entries: Vec<(Lsn, u64)>,
}

impl Follower {
    /// Reads what is there: entries that were taken back before are not.
    fn open(dir: &std::path::Path) -> Result<Self> {
        let wal = Wal::open(dir)?;
        let entries = wal
            .records(wal.head())?
            .map(|record| record.map(|record| (record.lsn(), u64::from(record.tag()))))
            .collect::<Result<_>>()?;
        Ok(Self { wal, entries })
    }

    /// What a leader sends: entries from index `first` on. One that conflicts with an entry that is there, the same index
    /// with another term, takes it and everything behind it back. Durable on return, as raft demands before the answer.
    fn append(&mut self, first: usize, sent: &[Entry]) -> Result<()> {
        for (index, entry) in (first..).zip(sent) {
            match self.entries.get(index) {
                Some((_, term)) if *term == entry.term => continue,
                Some((conflicting, _)) => {
                    self.wal.truncate_from(*conflicting)?;
                    self.entries.truncate(index);
                }
                None => {}
            }
            // The term fits a tag here; a real log would put it into the record.
            let tag = u8::try_from(entry.term).unwrap_or(u8::MAX);
            let lsn = self.wal.append_tagged(tag, entry.command.as_bytes())?;
            self.entries.push((lsn, entry.term));
        }
        // One sync for the truncation and for what follows it.
        self.wal.sync()?;
        Ok(())
    }

    /// Takes a snapshot of everything for the log.
    fn install_snapshot(&mut self) -> Result<()> {
        self.wal.reset()?;
        self.entries.clear();
        Ok(())
    }
}

fn entries(term: u64, commands: &[&str]) -> Vec<Entry> {
    let entry = |command: &&str| Entry {
        term,
        command: (*command).to_owned(),
    };
    commands.iter().map(entry).collect()
}

fn main() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("segwal-raft-log-{}", std::process::id()));
    let mut follower = Follower::open(&dir)?;
    follower.append(0, &entries(1, &["set x 1", "set y 2", "set z 3"]))?;
    // The leader of term 1 died before a majority had the last two; that of term 2 never saw them.
    follower.append(1, &entries(2, &["set y 5"]))?;
    drop(follower);

    let mut follower = Follower::open(&dir)?;
    for (lsn, term) in &follower.entries {
        let record = follower.wal.get(*lsn)?;
        println!("{lsn} term {term}: {}", String::from_utf8_lossy(&record));
    }
    follower.install_snapshot()?;
    println!("after a snapshot the log begins at {}", follower.wal.head());
    follower.wal.close()?;
    std::fs::remove_dir_all(&dir).ok();
    Ok(())
}
