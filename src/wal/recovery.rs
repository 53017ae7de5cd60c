//! [`Recovery`]: what opening a log found, decided and did.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::lsn::Lsn;

/// How the end of the log was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndKind {
    /// The log is new.
    Created,
    /// The log was closed, and nothing has happened since.
    Closed,
    /// A clean end, without a close: as after the death of the process.
    Clean,
    /// An incomplete record at the end was cut off; it was never durable.
    TornTail,
    /// Valid records stand behind a hole. They were never durable and were cut off.
    Hole,
}

impl std::fmt::Display for EndKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Closed => "closed",
            Self::Clean => "clean end",
            Self::TornTail => "torn tail, cut",
            Self::Hole => "hole, cut",
        })
    }
}

/// What opening a log found, decided and did.
#[derive(Clone, Debug)]
pub struct Recovery {
    pub(crate) kind: EndKind,
    pub(crate) head: Lsn,
    pub(crate) end: Lsn,
    pub(crate) cut: Option<Range<Lsn>>,
    pub(crate) segments: u64,
    pub(crate) scanned_bytes: u64,
    pub(crate) scanned_records: u64,
    pub(crate) stored_again_bytes: u64,
    pub(crate) duration: Duration,
    pub(crate) reclaimed: Vec<PathBuf>,
    pub(crate) foreign: Vec<PathBuf>,
    pub(crate) voids: Vec<Range<Lsn>>,
}

impl Recovery {
    /// How the end of the log was found.
    pub fn kind(&self) -> EndKind {
        self.kind
    }

    /// The first position that was kept.
    pub fn head(&self) -> Lsn {
        self.head
    }

    /// The end that was accepted: every record below it was kept, and is durable now.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// What was cut off: from the end to the last position behind it that held a valid record.
    pub fn cut(&self) -> Option<Range<Lsn>> {
        self.cut.clone()
    }

    /// Segments that hold records.
    pub fn segments(&self) -> u64 {
        self.segments
    }

    /// Bytes of frames that were checked; segments wholly below the known durable position are not read.
    pub fn scanned_bytes(&self) -> u64 {
        self.scanned_bytes
    }

    /// Records in them, each of a batch and void ones counted.
    pub fn scanned_records(&self) -> u64 {
        self.scanned_records
    }

    /// Bytes that were stored and synced again, because the page cache could not be trusted.
    pub fn stored_again_bytes(&self) -> u64 {
        self.stored_again_bytes
    }

    /// What was made void by truncations, in order: from the first position that is void up to the rewind frame that says so.
    pub fn voids(&self) -> &[Range<Lsn>] {
        &self.voids
    }

    /// How long it took.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Files of this log that held nothing and were taken back for reuse or removed.
    pub fn reclaimed(&self) -> &[PathBuf] {
        &self.reclaimed
    }

    /// Files in the directory that are not this log's. They were left alone.
    pub fn foreign(&self) -> &[PathBuf] {
        &self.foreign
    }
}
