//! Frames and parts as `docs/format.md` describes them: their checksums made right, and one looked up.
//!
//! Nothing of the engine is used, so that a mistake in the engine is no mistake here.

use std::ops::Range;

/// Whether sealing also makes right what ties a frame to its place: its LSN, and how an epoch continues the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    AsTheyAre,
    Made,
}

const BATCH: u8 = 2;
const ABORTED: u8 = 3;
const EPOCH: u8 = 4;
const REWIND: u8 = 5;

/// Sets the checksum of the 64-byte part at `at`, continuing `before`, if the bytes reach so far.
pub(crate) fn seal_part(bytes: &mut [u8], at: usize, before: u32) {
    if let Some(part) = bytes.get_mut(at..at + 64) {
        let sum = crc32c::crc32c_append(before, &part[..60]);
        part[60..].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Makes the checksum of each frame right, from the first one on, until one stands at another position or does not fit.
pub(crate) fn seal_frames(bytes: &mut [u8], segment: u32, salt: u64, links: Links) {
    let mut at = 4096;
    let mut force = InForce { salt, epoch: 0 };
    while let Some(header) = bytes.get(at..at + 24) {
        if header.iter().all(|byte| *byte == 0) {
            return;
        }
        if links == Links::Made {
            bytes[at + 8..at + 16].copy_from_slice(&word(segment, at).to_le_bytes());
        }
        let Some(frame) = Frame::at(bytes, segment, at) else {
            return;
        };
        if links == Links::Made && frame.kind == EPOCH && frame.payload.len() == 40 {
            force.continue_epoch(&mut bytes[frame.payload.clone()]);
        }
        let sum = frame.checksum(bytes, force.salt);
        bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
        force.step(bytes, at, &frame);
        at = frame.end;
    }
}

/// What an epoch frame puts in force.
#[derive(Clone, Copy, Debug)]
struct InForce {
    salt: u64,
    /// Where the last epoch frame stands; zero for none.
    epoch: usize,
}

impl InForce {
    /// Has an epoch's payload name this salt and this epoch as the ones before it.
    fn continue_epoch(self, payload: &mut [u8]) {
        payload[8..16].copy_from_slice(&self.salt.to_le_bytes());
        let grains = (self.epoch as u64 / 8).to_le_bytes();
        payload[16..24].copy_from_slice(&grains);
    }

    fn step(&mut self, bytes: &[u8], at: usize, frame: &Frame) {
        if frame.kind == EPOCH && frame.payload.len() == 40 {
            self.salt = u64_at(bytes, frame.payload.start);
            self.epoch = at;
        }
    }
}

/// A frame that fits, whatever its checksum is.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) at: usize,
    pub(crate) kind: u8,
    tag: u8,
    count: u16,
    payload: Range<usize>,
    pub(crate) end: usize,
}

impl Frame {
    fn at(bytes: &[u8], segment: u32, at: usize) -> Option<Self> {
        let header = bytes.get(at..at + 24)?;
        let len = u32_at(header, 4) as usize;
        let end = at + 24 + len.next_multiple_of(8);
        if u64_at(header, 8) != word(segment, at) || end > bytes.len() {
            return None;
        }
        Some(Self {
            at,
            kind: header[16],
            tag: header[17],
            count: u16::from_le_bytes([header[18], header[19]]),
            payload: at + 24..at + 24 + len,
            end,
        })
    }

    fn checksum(&self, bytes: &[u8], salt: u64) -> u32 {
        let covered = match self.kind {
            ABORTED => &[],
            _ => &bytes[self.payload.clone()],
        };
        let sum = crc32c::crc32c(covered);
        let sum = crc32c::crc32c_append(sum, &bytes[self.at + 4..self.at + 24]);
        crc32c::crc32c_append(sum, &salt.to_le_bytes())
    }

    /// The frames in the file of a segment that end at or before `limit`: each intact under the salt that rules its place,
    /// and so are all before it.
    pub(crate) fn all(file: &[u8], segment: u32, limit: usize) -> Vec<Self> {
        let mut frames = Vec::new();
        let Some(head) = file.get(..576) else {
            return frames;
        };
        let mut force = InForce {
            salt: u64_at(head, 520),
            epoch: 0,
        };
        let mut at = 4096;
        while let Some(frame) = Self::at(file, segment, at) {
            let is_intact = u32_at(file, at) == frame.checksum(file, force.salt);
            if !is_intact || frame.end > limit {
                break;
            }
            force.step(file, at, &frame);
            at = frame.end;
            frames.push(frame);
        }
        frames
    }

    /// The positions that it makes void, if it is a rewind: from the first one up to itself, as words.
    pub(crate) fn voids(&self, file: &[u8], segment: u32) -> Option<Range<u64>> {
        let is_rewind = self.kind == REWIND && self.payload.len() == 16;
        is_rewind.then(|| u64_at(file, self.payload.start)..word(segment, self.at))
    }

    /// Tag and payload of a record in it.
    pub(crate) fn record<'a>(&self, file: &'a [u8], index: u16) -> Option<(u8, &'a [u8])> {
        let payload = &file[self.payload.clone()];
        match self.kind {
            1 if index == 0 => Some((self.tag, payload)),
            BATCH if index < self.count => {
                let end = |index: u16| u32_at(payload, usize::from(index) * 8) as usize;
                let data = payload.get(usize::from(self.count) * 8..)?;
                let start = index.checked_sub(1).map_or(0, end);
                let tag = payload[usize::from(index) * 8 + 4];
                Some((tag, data.get(start..end(index))?))
            }
            _ => None,
        }
    }
}

/// The position as its word.
pub(crate) fn word(segment: u32, at: usize) -> u64 {
    (u64::from(segment) << 32) | (at as u64 / 8)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of three bytes, a batch of two, and a rewind of both.
    fn segment() -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        let mut frame = |kind, count, payload: &[u8]| {
            let at = bytes.len();
            bytes.extend([0; 4]);
            bytes.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
            bytes.extend(word(3, at).to_le_bytes());
            bytes.extend([kind, 0, count, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
            bytes.extend(payload);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        };
        frame(1, 0, b"abc");
        let mut payload = vec![1, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 8, 0, 0, 0];
        payload.extend(b"xyz");
        frame(BATCH, 2, &payload);
        let from = word(3, 4096).to_le_bytes();
        frame(REWIND, 0, &[from, [0; 8]].concat());
        bytes
    }

    #[test]
    fn frames_are_there_once_they_are_sealed_and_only_under_their_salt() {
        let mut bytes = segment();
        assert!(Frame::all(&bytes, 3, 8192).is_empty());
        seal_frames(&mut bytes, 3, 9, Links::AsTheyAre);
        assert!(
            Frame::all(&bytes, 3, 8192).is_empty(),
            "the file says salt 0"
        );
        bytes[520] = 9;
        let [record, batch, rewind] = &Frame::all(&bytes, 3, 8192)[..] else {
            panic!("three frames")
        };
        assert_eq!(record.record(&bytes, 0), Some((0, &b"abc"[..])));
        assert_eq!(batch.record(&bytes, 0), Some((7, &b"x"[..])));
        assert_eq!(batch.record(&bytes, 1), Some((8, &b"yz"[..])));
        assert_eq!(batch.record(&bytes, 2), None);
        assert_eq!(
            rewind.voids(&bytes, 3),
            Some(word(3, 4096)..word(3, rewind.at))
        );
        assert_eq!(batch.voids(&bytes, 3), None);
        assert_eq!(Frame::all(&bytes, 3, 4160).len(), 1);
        bytes[4121] ^= 1;
        assert!(
            Frame::all(&bytes, 3, 8192).is_empty(),
            "what leads there is damaged"
        );
    }
}
