//! [`Salts`]: which salt rules which part of a segment.
//!
//! The activation's salt rules from the first frame on; each epoch frame puts its own in force for what follows. A
//! segment that open did not scan has its table built backwards, one small read for each epoch, from the link that the
//! next segment keeps.

use std::io;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{
    Activation, Checksum, EPOCH_FRAME_SIZE, Epoch, FIRST_FRAME, FRAME_HEADER_LEN, FrameHeader,
    FrameKind, PreviousEnd, Salt, Source,
};
use crate::lsn::Lsn;

/// Which salt rules which part of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Salts {
    /// Each salt with the offset of the first frame that it rules, ascending; the first at [`FIRST_FRAME`].
    ruled: Vec<(u64, Salt)>,
    last_epoch: Option<u64>,
}

impl Salts {
    /// Those of a segment without an epoch.
    pub(crate) fn of_activation(salt: Salt) -> Self {
        Self {
            ruled: vec![(FIRST_FRAME, salt)],
            last_epoch: None,
        }
    }

    /// Notes an epoch frame at `offset` that puts `salt` in force from `end` on.
    pub(crate) fn push_epoch(&mut self, offset: u64, end: u64, salt: Salt) {
        self.ruled.push((end, salt));
        self.last_epoch = Some(offset);
    }

    /// The salt under which the frame at `offset` is valid.
    pub(crate) fn at(&self, offset: u64) -> Salt {
        let after = self.ruled.partition_point(|(from, _)| *from <= offset);
        self.ruled[after.saturating_sub(1)].1
    }

    /// The salt in force at the end.
    pub(crate) fn last(&self) -> Salt {
        self.ruled[self.ruled.len() - 1].1
    }

    /// The offset of the last epoch frame.
    pub(crate) fn last_epoch(&self) -> Option<u64> {
        self.last_epoch
    }

    /// Whether no frame written under one of these could pass under `salt`.
    pub(crate) fn differ_from(&self, salt: Salt) -> bool {
        self.ruled.iter().all(|(_, old)| !old.passes_for(salt))
    }

    /// Builds the table backwards from the end that the next segment's activation states.
    pub(crate) fn read_back<S: Source>(
        source: &mut S,
        activation: &Activation,
        end: &PreviousEnd,
    ) -> Result<Self> {
        let mut ruled = Vec::new();
        let (mut epoch_at, mut salt) = (end.last_epoch, end.salt);
        while let Some(offset) = epoch_at {
            let epoch = read_epoch(source, activation.segment, offset, salt)?;
            ruled.push((offset + EPOCH_FRAME_SIZE, salt));
            if epoch.previous_offset.is_some_and(|before| before >= offset) {
                return Err(broken(activation.segment, offset));
            }
            (epoch_at, salt) = (epoch.previous_offset, epoch.previous_salt);
        }
        if salt != activation.salt {
            return Err(broken(activation.segment, FIRST_FRAME));
        }
        ruled.push((FIRST_FRAME, salt));
        ruled.reverse();
        Ok(Self {
            ruled,
            last_epoch: end.last_epoch,
        })
    }
}

/// The epoch frame at `offset`, which must put `salt` in force. It is checked under the salt that it names as its
/// predecessor's; that is no circle, because the salt it puts in force is known from elsewhere.
fn read_epoch<S: Source>(source: &mut S, segment: u32, offset: u64, salt: Salt) -> Result<Epoch> {
    let bad = || broken(segment, offset);
    let at = Lsn::new(segment, offset).ok_or_else(bad)?;
    let room = source.size().saturating_sub(offset);
    if room < EPOCH_FRAME_SIZE || offset < FIRST_FRAME {
        return Err(bad());
    }
    let frame = source
        .bytes(offset, 64)
        .map_err(|error| unreadable(segment, offset, error))?;
    let (head, payload) = frame.split_at(usize::try_from(FRAME_HEADER_LEN).unwrap_or(24));
    let head: &[u8; 24] = head.try_into().map_err(|_| bad())?;
    let header = FrameHeader::decode(head, at, room).map_err(|_| bad())?;
    let epoch = Epoch::decode(payload, at).map_err(|_| bad())?;
    let whole = header.kind == FrameKind::Epoch && epoch.salt == salt;
    let same = header.encode(Checksum::of(payload), epoch.previous_salt) == *head;
    if whole && same { Ok(epoch) } else { Err(bad()) }
}

fn broken(segment: u32, offset: u64) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the chain of salts of a segment is broken",
    )
    .at_segment(segment)
    .at_offset(offset)
}

fn unreadable(segment: u32, offset: u64, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, "cannot read an epoch frame")
        .at_segment(segment)
        .at_offset(offset)
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_offset_has_the_salt_that_rules_it() {
        let (a, b) = (Salt::new(1), Salt::new(2));
        let mut salts = Salts::of_activation(a);
        salts.push_epoch(4160, 4224, b);
        assert_eq!(
            [4096, 4152, 4160, 4216].map(|offset| salts.at(offset)),
            [a; 4]
        );
        assert_eq!([4224, 9000].map(|offset| salts.at(offset)), [b; 2]);
        assert_eq!((salts.last(), salts.last_epoch()), (b, Some(4160)));
    }
}
