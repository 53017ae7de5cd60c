//! What is measured: so many threads write records of one size and make them durable by one policy.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde::Serialize;

/// When a thread asks for durability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SyncPolicy {
    /// Not at all.
    None,
    /// After each record.
    Each,
    /// After so many records.
    Batch(NonZeroU64),
}

impl SyncPolicy {
    /// How many records one sync makes durable; none if there is no sync.
    pub(crate) fn records_per_sync(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Each => Some(1),
            Self::Batch(count) => Some(count.get()),
        }
    }
}

impl FromStr for SyncPolicy {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "each" => Ok(Self::Each),
            Some(("batch", count)) => Ok(Self::Batch(
                count.parse().with_context(|| format!("batch:{count}"))?,
            )),
            _ => bail!("`{text}` is no sync policy; write none, each or batch:N"),
        }
    }
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Each => f.pad("each"),
            Self::Batch(count) => f.pad(&format!("batch:{count}")),
        }
    }
}

/// One thing to measure.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Workload {
    /// Bytes in a record.
    pub(crate) record_len: usize,
    pub(crate) thread_count: usize,
    pub(crate) sync: SyncPolicy,
    /// How often each thread does it: records without a sync, or syncs.
    pub(crate) operation_count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reads_what_it_prints() {
        for text in ["none", "each", "batch:16"] {
            assert_eq!(text.parse::<SyncPolicy>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in ["", "batch", "batch:0", "batch:x", "each:1"] {
            assert!(text.parse::<SyncPolicy>().is_err(), "{text}");
        }
    }
}
