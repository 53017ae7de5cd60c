//! [`OwnedRecord`]: one record, copied out of the log.

use std::fmt;
use std::ops::Range;

use crate::format::{FrameKind, ScannedFrame, batch};
use crate::lsn::Lsn;

/// One record, copied out of the log.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    lsn: Lsn,
    end: Lsn,
    index: u16,
    tag: u8,
    payload: Vec<u8>,
    known_durable: Durability,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    Known,
    NotKnown,
}

impl OwnedRecord {
    /// The position: its own, or that of the batch it belongs to.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Where the frame that holds it ends.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Its place in its batch, from 0 on; 0 for a lone record.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The tag that it was appended with.
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// The bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether `COOKIE` said, before the record was read, that it is durable. If not, it may be all the same.
    pub fn is_known_durable(&self) -> bool {
        self.known_durable == Durability::Known
    }

    /// The records of a frame, the last one first; `durable` is what `COOKIE` said before the frame was read.
    pub(super) fn all_of(frame: ScannedFrame, payload: Vec<u8>, durable: Lsn) -> Vec<Self> {
        let known_durable = if frame.lsn < durable {
            Durability::Known
        } else {
            Durability::NotKnown
        };
        let end = Lsn::new(frame.lsn.segment(), frame.end_offset).unwrap_or(frame.lsn);
        let record = |index, tag, payload| Self {
            lsn: frame.lsn,
            end,
            index,
            tag,
            payload,
            known_durable,
        };
        match frame.header.kind {
            FrameKind::Record => vec![record(0, frame.header.tag, payload)],
            FrameKind::Batch => {
                let count = frame.header.count;
                let bytes = |range: Range<u64>| {
                    let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
                    payload[at(range.start)..at(range.end)].to_vec()
                };
                let located = (0..count)
                    .rev()
                    .filter_map(|index| Some((index, batch::locate(&payload, count, index)?)));
                located
                    .map(|(index, (range, tag))| record(index, tag, bytes(range)))
                    .collect()
            }
            FrameKind::Aborted | FrameKind::Epoch | FrameKind::Rewind => Vec::new(),
        }
    }
}

impl fmt::Debug for OwnedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the payload: it may be a secret, and messages end up in logs.
        f.debug_struct("OwnedRecord")
            .field("lsn", &self.lsn)
            .field("index", &self.index)
            .field("tag", &self.tag)
            .field("len", &self.payload.len())
            .finish_non_exhaustive()
    }
}
