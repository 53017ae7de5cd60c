//! [`Entry`]: one record, to be compared with what a log gives back.

use std::fmt;
use std::sync::Arc;

use segwal::{Lsn, OwnedRecord, Record};

/// One record that was written, or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) lsn: Lsn,
    pub(crate) index: u16,
    pub(crate) tag: u8,
    pub(crate) payload: Arc<[u8]>,
}

impl Entry {
    /// A record of its own frame.
    pub(crate) fn lone(lsn: Lsn, tag: u8, payload: impl Into<Arc<[u8]>>) -> Self {
        Self {
            lsn,
            index: 0,
            tag,
            payload: payload.into(),
        }
    }

    /// A record of a batch.
    pub(crate) fn of_batch(lsn: Lsn, index: u16, payload: impl Into<Arc<[u8]>>) -> Self {
        Self {
            index,
            ..Self::lone(lsn, 0, payload)
        }
    }
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        Self {
            index: record.index(),
            ..Self::lone(record.lsn(), record.tag(), record.payload())
        }
    }
}

impl From<OwnedRecord> for Entry {
    fn from(record: OwnedRecord) -> Self {
        Self {
            index: record.index(),
            ..Self::lone(record.lsn(), record.tag(), record.payload())
        }
    }
}

/// Which record it is, without its bytes.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lsn,
            index,
            tag,
            payload,
        } = self;
        write!(f, "{lsn}#{index} (tag {tag}, {} bytes)", payload.len())
    }
}
