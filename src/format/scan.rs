//! [`Scanner`] walks the frames of one segment; [`evidence_after`] looks for frames behind the place where it stopped.
//!
//! The scanner holds three things that a frame can change, and only a frame that broke no rule changes them:
//!
//! * W1. The position is the end of the last valid frame, and stays there after a stop: asked again, it answers the same.
//! * W2. The salt is the one in force at the position. An epoch frame is valid under the salt before it, names that salt and
//!   the epoch before it, and puts its own in force.
//! * W3. The known durable bound is the greatest that any valid frame stated.
//!
//! Limits. A length is used only after its frame was seen to end in the segment. The search behind a stop reads the bytes
//! once, and sums at most four times the segment: bytes that were made to look like headers cannot hold it up for ever.

use std::io;

use super::control::Epoch;
use super::field::array_at;
use super::frame::{FrameFault, FrameHeader, FrameKind, HEADER_LEN};
use super::verdict::{Behind, StopKind};
use super::{FIRST_FRAME, FRAME_HEADER_LEN, MAX_SEGMENT_SIZE, Rewind, Salt, batch};
use crate::lsn::{GRAIN, Lsn};

/// The bytes of one segment.
pub(crate) trait Source {
    /// Exactly `len` bytes from `offset` on, which end within [`size`](Self::size).
    fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]>;

    /// The size of the segment, in bytes.
    fn size(&self) -> u64;
}

/// A segment that lies in memory.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

#[cfg(test)]
impl Source for Bytes<'_> {
    fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.0.get(offset..));
        rest.and_then(|rest| rest.get(..len))
            .ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A valid frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScannedFrame {
    pub(crate) lsn: Lsn,
    pub(crate) header: FrameHeader,
    /// Where its payload begins, in bytes.
    pub(crate) payload_offset: u64,
    /// Where the next frame begins, in bytes.
    pub(crate) end_offset: u64,
}

/// The place where no valid frame stands, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// In bytes.
    pub(crate) offset: u64,
    pub(crate) fault: FrameFault,
}

impl Stop {
    /// How the verdict's table sees it.
    pub(crate) fn kind(&self) -> StopKind {
        match self.fault {
            FrameFault::NoRoom | FrameFault::NotThisPosition => StopKind::Clean,
            _ => StopKind::Torn,
        }
    }
}

/// What the scanner met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Frame(ScannedFrame),
    Stop(Stop),
}

/// Walks the frames of one segment; the protocol stands at the head of this file.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    at: Lsn,
    salt: Salt,
    last_epoch: Option<u64>,
    known_durable: Option<Lsn>,
}

impl Scanner {
    /// Begins at `start`, where `salt` is in force and `last_epoch` is the offset of the last epoch frame before.
    pub(crate) fn new(start: Lsn, salt: Salt, last_epoch: Option<u64>) -> Self {
        Self {
            at: start,
            salt,
            last_epoch,
            known_durable: None,
        }
    }

    /// The next valid frame, or the place where none stands.
    pub(crate) fn next<S: Source>(&mut self, source: &mut S) -> io::Result<Step> {
        let stop = |fault| {
            Ok(Step::Stop(Stop {
                offset: self.at.offset(),
                fault,
            }))
        };
        let stored = match StoredHeader::read(source, self.at)? {
            Ok(stored) => stored,
            Err(fault) => return stop(fault),
        };
        let frame = match stored.check(source, &[self.salt])? {
            Ok(frame) => frame,
            Err(fault) => return stop(fault),
        };
        if frame
            .epoch
            .is_some_and(|epoch| epoch.previous_offset != self.last_epoch)
        {
            return stop(FrameFault::BrokenEpoch);
        }
        Ok(Step::Frame(self.advance(&frame)))
    }

    /// The position: the end of the last valid frame.
    pub(crate) fn at(&self) -> Lsn {
        self.at
    }

    /// The salt in force at the position.
    pub(crate) fn salt(&self) -> Salt {
        self.salt
    }

    /// The offset in bytes of the last epoch frame before the position.
    pub(crate) fn last_epoch(&self) -> Option<u64> {
        self.last_epoch
    }

    /// The greatest durable bound that a valid frame stated.
    pub(crate) fn known_durable(&self) -> Option<Lsn> {
        self.known_durable
    }

    fn advance(&mut self, frame: &ValidFrame) -> ScannedFrame {
        let lsn = self.at;
        if let Some(epoch) = frame.epoch {
            self.salt = epoch.salt;
            self.last_epoch = Some(lsn.offset());
        }
        self.known_durable = self.known_durable.max(frame.durable());
        self.at = frame.end();
        ScannedFrame {
            lsn,
            header: frame.header,
            payload_offset: lsn.offset() + FRAME_HEADER_LEN,
            end_offset: self.at.offset(),
        }
    }
}

/// What was found behind a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The valid frames.
    pub(crate) frames: u64,
    /// The records in them, each of a batch counted.
    pub(crate) records: u64,
    /// Where the first of them begins.
    pub(crate) first: Option<Lsn>,
    /// Where the last of them ends.
    pub(crate) last_end: Option<Lsn>,
    /// The greatest durable bound that one of them stated.
    pub(crate) durable: Option<Lsn>,
    /// Whether the search reached the end of the segment within its limit.
    pub(crate) is_complete: bool,
}

impl Evidence {
    /// How the verdict's table sees it. A search that was given up counts as one that found something.
    pub(crate) fn behind(&self) -> Behind {
        if self.frames == 0 && self.is_complete {
            Behind::Nothing
        } else {
            Behind::Frames
        }
    }

    fn note(&mut self, frame: &ValidFrame) {
        self.frames += 1;
        self.records += match frame.header.kind {
            FrameKind::Record => 1,
            FrameKind::Batch => u64::from(frame.header.count),
            FrameKind::Aborted | FrameKind::Epoch | FrameKind::Rewind => 0,
        };
        self.first = self.first.or(Some(frame.header.lsn));
        self.last_end = Some(frame.end());
        self.durable = self.durable.max(frame.durable());
    }
}

/// How many times the segment's size a search may sum.
const SEARCH_LIMIT: u64 = 4;

/// Looks at every multiple of eight from `from` on for a frame that is valid under one of `salts`.
///
/// A valid frame is skipped, and a valid epoch frame adds its salt.
pub(crate) fn evidence_after<S: Source>(
    source: &mut S,
    segment: u32,
    from: u64,
    salts: &[Salt],
) -> io::Result<Evidence> {
    let mut evidence = Evidence {
        frames: 0,
        records: 0,
        first: None,
        last_end: None,
        durable: None,
        is_complete: true,
    };
    let mut salts = salts.to_vec();
    let mut budget = segment_size(source) * SEARCH_LIMIT;
    let mut from = from.max(FIRST_FRAME).next_multiple_of(GRAIN);
    while let Some(at) = next_candidate(source, segment, from)? {
        from = at.offset() + GRAIN;
        let Ok(stored) = StoredHeader::read(source, at)? else {
            continue;
        };
        let Some(left) = budget.checked_sub(stored.header.size()) else {
            evidence.is_complete = false;
            break;
        };
        budget = left;
        let Ok(frame) = stored.check(source, &salts)? else {
            continue;
        };
        evidence.note(&frame);
        salts.extend(frame.epoch.map(|epoch| epoch.salt));
        from = frame.end().offset();
    }
    Ok(evidence)
}

/// The bytes that the search looks at in one go.
const WINDOW: u64 = 64 << 10;

/// The first position from `from` on whose LSN field holds that position.
fn next_candidate<S: Source>(
    source: &mut S,
    segment: u32,
    mut from: u64,
) -> io::Result<Option<Lsn>> {
    let size = segment_size(source);
    while from + FRAME_HEADER_LEN <= size {
        let len = WINDOW.min(size - from);
        let (words, _) = source.bytes(from, as_len(len))?.as_chunks::<8>();
        let expected = position(segment, from).to_word()..;
        let mut pairs = words[1..].iter().zip(expected);
        if let Some((_, word)) = pairs.find(|(field, word)| u64::from_le_bytes(**field) == *word) {
            return Ok(Lsn::from_word(word));
        }
        // The last word of this window may be the LSN field of a frame that begins one word before it: look again from there.
        from += (words.len() as u64 - 1) * GRAIN;
    }
    Ok(None)
}

/// A header that breaks no rule; its checksum is not yet checked.
struct StoredHeader {
    bytes: [u8; HEADER_LEN],
    header: FrameHeader,
}

impl StoredHeader {
    fn read<S: Source>(source: &mut S, at: Lsn) -> io::Result<Result<Self, FrameFault>> {
        let room = segment_size(source).saturating_sub(at.offset());
        if room < FRAME_HEADER_LEN {
            return Ok(Err(FrameFault::NoRoom));
        }
        let bytes = array_at(source.bytes(at.offset(), HEADER_LEN)?, 0);
        Ok(FrameHeader::decode(&bytes, at, room).map(|header| Self { bytes, header }))
    }

    /// Checks payload and checksum under each of the salts.
    fn check<S: Source>(
        &self,
        source: &mut S,
        salts: &[Salt],
    ) -> io::Result<Result<ValidFrame, FrameFault>> {
        let offset = self.header.lsn.offset() + FRAME_HEADER_LEN;
        let payload = source.bytes(offset, self.header.len as usize)?;
        let passes = |salt: &&Salt| self.header.verify(&self.bytes, payload, **salt).is_ok();
        let Some(&salt) = salts.iter().find(passes) else {
            return Ok(Err(FrameFault::BadChecksum));
        };
        Ok(ValidFrame::new(self.header, payload, salt))
    }
}

/// A frame that breaks no rule of its own.
struct ValidFrame {
    header: FrameHeader,
    epoch: Option<Epoch>,
}

impl ValidFrame {
    fn new(header: FrameHeader, payload: &[u8], salt: Salt) -> Result<Self, FrameFault> {
        let mut frame = Self {
            header,
            epoch: None,
        };
        let is_sound = match header.kind {
            FrameKind::Record | FrameKind::Aborted => true,
            FrameKind::Batch => batch::check(payload, header.count).is_ok(),
            FrameKind::Rewind => Rewind::decode(payload, header.lsn).is_ok(),
            FrameKind::Epoch => {
                frame.epoch = Epoch::decode(payload, header.lsn).ok();
                frame.epoch.is_some()
            }
        };
        if !is_sound {
            return Err(FrameFault::BadPayload);
        }
        if frame.epoch.is_some_and(|epoch| epoch.previous_salt != salt) {
            return Err(FrameFault::BrokenEpoch);
        }
        Ok(frame)
    }

    fn durable(&self) -> Option<Lsn> {
        let stated = self.header.distance.durable(self.header.lsn);
        stated.max(self.epoch.map(|epoch| epoch.durable))
    }

    fn end(&self) -> Lsn {
        position(
            self.header.lsn.segment(),
            self.header.lsn.offset() + self.header.size(),
        )
    }
}

/// The size that is looked at: no segment is larger than the limit, whatever its file is.
fn segment_size<S: Source>(source: &S) -> u64 {
    source.size().min(MAX_SEGMENT_SIZE)
}

fn position(segment: u32, offset: u64) -> Lsn {
    Lsn::new(segment, offset)
        .expect("frames begin at multiples of eight in a segment of bounded size")
}

fn as_len(len: u64) -> usize {
    usize::try_from(len).expect("a segment fits the address space")
}

#[cfg(test)]
mod tests;
