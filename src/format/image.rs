//! [`Image`]: a segment in memory, built frame by frame for the tests of this directory.

use super::{
    BLOCK_SIZE, Checksum, DurableDistance, Epoch, FIRST_FRAME, FRAME_HEADER_LEN, FrameHeader,
    FrameKind, Salt,
};
use crate::lsn::Lsn;

/// Frames behind an empty header block, under one salt and then another.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
    pub(super) salt: Salt,
    pub(super) at: Lsn,
    last_epoch: Option<u64>,
}

impl Image {
    pub(super) fn new(segment: u32, salt: Salt, blocks: u64) -> Self {
        let bytes = vec![0; usize::try_from(blocks * BLOCK_SIZE).unwrap()];
        Self {
            bytes,
            salt,
            at: Lsn::new(segment, FIRST_FRAME).unwrap(),
            last_epoch: None,
        }
    }

    pub(super) fn record(&mut self, payload: &[u8]) -> Lsn {
        self.frame(FrameKind::Record, 0, payload, DurableDistance::NONE)
    }

    pub(super) fn batch(&mut self, records: &[(&[u8], u8)], distance: DurableDistance) -> Lsn {
        let count = u16::try_from(records.len()).unwrap();
        self.frame(
            FrameKind::Batch,
            count,
            &super::batch::encode(records),
            distance,
        )
    }

    pub(super) fn epoch(&mut self, salt: Salt) -> Lsn {
        let payload = Epoch {
            salt,
            previous_salt: self.salt,
            previous_offset: self.last_epoch,
            durable: self.at,
            opened: 2,
        };
        let lsn = self.frame(
            FrameKind::Epoch,
            0,
            &payload.encode(),
            DurableDistance::NONE,
        );
        self.last_epoch = Some(lsn.offset());
        self.salt = salt;
        lsn
    }

    pub(super) fn frame(
        &mut self,
        kind: FrameKind,
        count: u16,
        payload: &[u8],
        distance: DurableDistance,
    ) -> Lsn {
        let len = u32::try_from(payload.len()).unwrap();
        let header = FrameHeader {
            len,
            lsn: self.at,
            kind,
            tag: 0,
            count,
            distance,
        };
        let stored = header.encode(Checksum::of(payload), self.salt);
        let at = self.index(0);
        self.bytes[at..at + stored.len()].copy_from_slice(&stored);
        let at = self.index(FRAME_HEADER_LEN);
        self.bytes[at..at + payload.len()].copy_from_slice(payload);
        self.skip(header.size());
        header.lsn
    }

    /// Leaves a hole of `len` bytes.
    pub(super) fn skip(&mut self, len: u64) {
        self.at = Lsn::new(self.at.segment(), self.at.offset() + len).unwrap();
    }

    fn index(&self, further: u64) -> usize {
        usize::try_from(self.at.offset() + further).unwrap()
    }
}
