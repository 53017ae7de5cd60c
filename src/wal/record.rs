//! [`Record`]: the bytes of one record, where they lie in the mapping.

use std::fmt;
use std::ops::{Deref, Range};

use crate::log::Published;
use crate::lsn::Lsn;
use crate::segment::Held;

/// One record, read without a copy.
///
/// Its segment is not reused as long as the record, or a clone of it, is alive: the disk space of discarded segments comes
/// back only then. The checksum was verified when the record was read.
///
/// It outlives the log: after [`close`](crate::Wal::close), or the drop of the last handle, its bytes stay as they are, even
/// if this process opens the log again. Another process that opens it for appending does not know of the record, and may
/// reuse the segment once it is discarded there: copy what is to be kept beyond that. What
/// [`WalReader`](crate::WalReader) reads is copied, and keeps nothing back.
#[derive(Clone)]
pub struct Record {
    held: Held,
    published: Published,
    lsn: Lsn,
    end: Lsn,
    index: u16,
    tag: u8,
    range: Range<u64>,
}

impl Record {
    pub(crate) fn new(held: Held, published: Published, frame: Range<Lsn>, inner: Inner) -> Self {
        let Inner { index, tag, range } = inner;
        Self {
            held,
            published,
            lsn: frame.start,
            end: frame.end,
            index,
            tag,
            range,
        }
    }

    /// The position: its own, or that of the batch it belongs to.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Its place in its batch, from 0 on; 0 for a lone record.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The tag that it was appended with.
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// Where the frame that holds it ends: the next one's position, if it is in the same segment.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// The bytes.
    pub fn payload(&self) -> &[u8] {
        self.held
            .bytes(self.range.clone(), self.published)
            .unwrap_or_default()
    }
}

/// One record within its frame.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    pub(crate) index: u16,
    pub(crate) tag: u8,
    /// Its bytes in the segment.
    pub(crate) range: Range<u64>,
}

impl Deref for Record {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.payload()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the payload: it may be a secret, and messages end up in logs.
        f.debug_struct("Record")
            .field("lsn", &self.lsn)
            .field("index", &self.index)
            .field("tag", &self.tag)
            .field("len", &(self.range.end - self.range.start))
            .finish_non_exhaustive()
    }
}
