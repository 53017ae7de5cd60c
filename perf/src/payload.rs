//! [`Stamp`]: records that can be told apart, and [`Census`]: whether all of them came back, once and unchanged.
//!
//! A record of at least [`Stamp::LEAST`] bytes begins with its thread and its number; the rest is the same noise in all of
//! them, which no file system compresses.

use anyhow::{Result, ensure};

/// What the noise follows from.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The records of one thread.
#[derive(Debug)]
pub struct Stamp {
    record: Vec<u8>,
    next: u64,
}

impl Stamp {
    /// The shortest record: thread and number.
    pub const LEAST: usize = 16;

    /// Records of `len` bytes.
    ///
    /// # Panics
    /// If they are too short.
    #[must_use]
    pub fn new(thread: usize, len: usize) -> Self {
        assert!(len >= Self::LEAST, "no room for thread and number");
        let mut record = noise(len);
        record[..8].copy_from_slice(&(thread as u64).to_le_bytes());
        Self { record, next: 0 }
    }

    /// The next record.
    #[inline]
    pub fn record(&mut self) -> &[u8] {
        self.record[8..16].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        &self.record
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = SEED;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    bytes.flatten().take(len).collect()
}

/// What came back, by threads.
#[derive(Debug)]
pub struct Census {
    expected: Vec<u64>,
    seen: Vec<Seen>,
    noise: Vec<u8>,
    strange: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    count: u64,
    least: u64,
    most: u64,
}

/// Which records may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// None.
    Never,
    /// The oldest, which were let go.
    Oldest,
}

impl Census {
    /// Of so many records of `len` bytes by each thread.
    #[must_use]
    pub fn new(expected: Vec<u64>, len: usize) -> Self {
        let seen = Seen {
            count: 0,
            least: u64::MAX,
            most: 0,
        };
        Self {
            seen: vec![seen; expected.len()],
            expected,
            noise: noise(len),
            strange: 0,
        }
    }

    /// Counts a record.
    pub fn count(&mut self, record: &[u8]) {
        let number = |at: usize| {
            let bytes = record.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let place = number(0).and_then(|thread| self.seen.get_mut(usize::try_from(thread).ok()?));
        match (place, number(8)) {
            (Some(seen), Some(number)) if record[16..] == self.noise[16..] => {
                seen.count += 1;
                seen.least = seen.least.min(number);
                seen.most = seen.most.max(number);
            }
            _ => self.strange += 1,
        }
    }

    /// How many came back.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.seen.iter().map(|seen| seen.count).sum()
    }

    /// Whether they are those that were written.
    ///
    /// # Errors
    /// What is wrong.
    pub fn judge(&self, missing: Missing) -> Result<()> {
        ensure!(self.strange == 0, "{} strange records", self.strange);
        for (thread, (seen, &expected)) in self.seen.iter().zip(&self.expected).enumerate() {
            if missing == Missing::Never {
                ensure!(
                    seen.count == expected,
                    "{} of {expected} records of thread {thread} came back",
                    seen.count
                );
            }
            if seen.count > 0 {
                ensure!(
                    seen.most + 1 == expected && seen.most - seen.least + 1 == seen.count,
                    "{} records from {} to {} of thread {thread} came back, of {expected}",
                    seen.count,
                    seen.least,
                    seen.most
                );
            }
        }
        ensure!(
            self.total() > 0 || self.expected.iter().all(|count| *count == 0),
            "no record came back"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(thread: usize, count: u64) -> Vec<Vec<u8>> {
        let mut stamp = Stamp::new(thread, 40);
        (0..count).map(|_| stamp.record().to_vec()).collect()
    }

    fn judged(records: &[Vec<u8>], missing: Missing) -> Result<()> {
        let mut census = Census::new(vec![3, 2], 40);
        for record in records {
            census.count(record);
        }
        census.judge(missing)
    }

    #[test]
    fn all_records_once_and_unchanged_are_fine() {
        let all = [records(1, 2), records(0, 3)].concat();
        judged(&all, Missing::Never).unwrap();
    }

    #[test]
    fn a_record_that_is_missing_doubled_or_changed_is_found() {
        let all = [records(0, 3), records(1, 2)].concat();
        for index in 0..all.len() {
            let mut less = all.clone();
            drop(less.remove(index));
            assert!(judged(&less, Missing::Never).is_err(), "{index}");
            let mut double = all.clone();
            double.push(all[index].clone());
            assert!(judged(&double, Missing::Never).is_err(), "{index}");
            let mut changed = all.clone();
            changed[index][30] ^= 1;
            assert!(judged(&changed, Missing::Never).is_err(), "{index}");
        }
    }

    #[test]
    fn of_a_log_that_is_recycled_the_oldest_alone_may_be_missing() {
        let all = [records(0, 3), records(1, 2)].concat();
        judged(&all[1..], Missing::Oldest).unwrap();
        for lost in [1, 2] {
            let mut less = all.clone();
            drop(less.remove(lost));
            assert!(judged(&less, Missing::Oldest).is_err(), "{lost}");
        }
        assert!(judged(&[], Missing::Oldest).is_err());
    }
}
