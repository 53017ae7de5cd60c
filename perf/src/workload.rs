//! What is measured: so many threads write records of one size to one log, make them durable in one way, under one condition.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// When records become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum SyncPolicy {
    /// Not before the log is closed.
    None,
    /// Each thread waits after each record.
    Each,
    /// Each thread waits after so many records.
    Batch(NonZeroU64),
    /// Nobody waits; the log syncs every so many milliseconds.
    Interval(NonZeroU64),
}

impl SyncPolicy {
    /// How many records a thread writes for each time it waits; none if it never does.
    #[must_use]
    pub fn records_per_commit(self) -> Option<u64> {
        match self {
            Self::None | Self::Interval(_) => None,
            Self::Each => Some(1),
            Self::Batch(count) => Some(count.get()),
        }
    }
}

impl FromStr for SyncPolicy {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let number = |count: &str| count.parse().with_context(|| format!("in `{text}`"));
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "each" => Ok(Self::Each),
            Some(("batch", count)) => Ok(Self::Batch(number(count)?)),
            Some(("interval", millis)) => Ok(Self::Interval(number(millis)?)),
            _ => bail!("`{text}` is no sync policy; write none, each, batch:N or interval:MS"),
        }
    }
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Each => f.pad("each"),
            Self::Batch(count) => f.pad(&format!("batch:{count}")),
            Self::Interval(millis) => f.pad(&format!("interval:{millis}")),
        }
    }
}

impl From<SyncPolicy> for String {
    fn from(sync: SyncPolicy) -> Self {
        sync.to_string()
    }
}

impl TryFrom<String> for SyncPolicy {
    type Error = anyhow::Error;

    fn try_from(text: String) -> anyhow::Result<Self> {
        text.parse()
    }
}

/// What goes on beside the writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Nothing, and everything that can be made ready ahead is.
    Warm,
    /// Nothing, and nothing is made ready that need not be.
    Cold,
    /// Segments are small, and old ones are discarded all the time.
    Recycled,
    /// A reader follows the end.
    Tailed,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Warm => "warm",
            Self::Cold => "cold",
            Self::Recycled => "recycled",
            Self::Tailed => "tailed",
        })
    }
}

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Bytes in a record.
    pub record_len: usize,
    /// How many threads write.
    pub thread_count: usize,
    /// When records become durable.
    pub sync: SyncPolicy,
    /// What goes on beside.
    pub condition: Condition,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            record_len,
            thread_count,
            sync,
            condition,
        } = self;
        write!(
            f,
            "{record_len} B x {thread_count}, sync {sync}, {condition}"
        )
    }
}

/// How much of a workload a slice does: it ends with whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// From the common start.
    pub time: Duration,
    /// Of payload, by all threads together.
    pub bytes: u64,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(1),
            bytes: 128 << 20,
        }
    }
}

/// How many workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Those on which the table of goals rests.
    Few,
    /// Every size, number of threads and way to sync that is meant to be compared.
    All,
}

const HUNDRED: NonZeroU64 = NonZeroU64::new(100).expect("not zero");

/// The workloads of a run.
#[must_use]
pub fn chosen(choice: Choice) -> Vec<Workload> {
    let workload = |record_len, thread_count, sync, condition| Workload {
        record_len,
        thread_count,
        sync,
        condition,
    };
    let hundred = SyncPolicy::Batch(HUNDRED);
    let millisecond = SyncPolicy::Interval(NonZeroU64::MIN);
    let (sizes, threads): (&[usize], &[usize]) = match choice {
        Choice::Few => (&[256, 4096], &[1, 8]),
        Choice::All => (&[64, 256, 1024, 4096, 64 << 10], &[1, 2, 8, 32, 64]),
    };
    let mut chosen = Vec::new();
    for &thread_count in threads {
        for &record_len in sizes {
            chosen.push(workload(
                record_len,
                thread_count,
                SyncPolicy::None,
                Condition::Warm,
            ));
            chosen.push(workload(
                record_len,
                thread_count,
                SyncPolicy::Each,
                Condition::Warm,
            ));
        }
        for sync in [hundred, millisecond] {
            chosen.push(workload(256, thread_count, sync, Condition::Warm));
        }
    }
    for condition in [Condition::Cold, Condition::Recycled, Condition::Tailed] {
        for thread_count in [1, 8] {
            chosen.push(workload(256, thread_count, SyncPolicy::None, condition));
        }
        chosen.push(workload(256, 8, SyncPolicy::Each, condition));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reads_what_it_prints() {
        for text in ["none", "each", "batch:16", "interval:1"] {
            assert_eq!(text.parse::<SyncPolicy>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in ["", "batch", "batch:0", "batch:x", "each:1", "interval:0"] {
            assert!(text.parse::<SyncPolicy>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_workload_is_chosen_twice_and_a_few_are_among_all() {
        let all = chosen(Choice::All);
        for (index, workload) in all.iter().enumerate() {
            assert!(!all[..index].contains(workload), "{workload}");
        }
        for workload in chosen(Choice::Few) {
            assert!(all.contains(&workload), "{workload}");
        }
    }
}
