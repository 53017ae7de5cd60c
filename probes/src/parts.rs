//! Inputs of the structures of one part, and of the scanner: flags, what must be known beside, and the bytes.
//!
//! An input that ends early leaves a file that ends early; fields that are missing are zero.

use segwal::probe::{self, Reached};

use crate::frames::{Links, seal_frames, seal_part};

const SEALED: u8 = 1;
/// Besides the checksums, what ties a structure to its place is made right as well.
const TIED: u8 = 2;

/// An input that is read from its beginning.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let bytes = self.bytes(N);
        taken[..bytes.len()].copy_from_slice(bytes);
        taken
    }

    /// As many as there are, up to `len`.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    fn flags(&mut self) -> u8 {
        let [flags] = self.take();
        flags
    }

    fn choice(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }
}

/// Flags, segment, salt, frames.
pub(crate) fn scanner(input: &[u8]) -> Reached {
    let mut input = Input(input);
    let flags = input.flags();
    let segment = u32::from_le_bytes(input.take());
    let salt = u64::from_le_bytes(input.take());
    let mut bytes = vec![0; 4096];
    bytes.extend(input.0);
    if flags & SEALED != 0 {
        let links = if flags & TIED == 0 {
            Links::AsTheyAre
        } else {
            Links::Made
        };
        seal_frames(&mut bytes, segment, salt, links);
    }
    if flags & 4 != 0 {
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
    }
    probe::scanner(segment, salt, &bytes)
}

/// Flags, choice, prepared part, activation part.
pub(crate) fn header(input: &[u8]) -> Reached {
    let mut input = Input(input);
    let (flags, choice) = (input.flags(), input.choice());
    let prepared = input.bytes(64);
    let mut bytes = prepared.to_vec();
    if !input.0.is_empty() {
        bytes.resize(512, 0);
        bytes.extend(input.bytes(64));
    }
    if flags & SEALED != 0 {
        seal_part(&mut bytes, 0, 0);
    }
    if flags & TIED != 0 && bytes.len() >= 532 {
        let (head, activation) = bytes.split_at_mut(512);
        activation[16..20].copy_from_slice(&head[32..36]);
    }
    if flags & (SEALED | TIED) != 0 {
        let before = crc32c::crc32c(&bytes[..bytes.len().min(60)]);
        seal_part(&mut bytes, 512, before);
    }
    probe::header(&bytes, choice)
}

/// Flags, choice, the file.
pub(crate) fn manifest(input: &[u8]) -> Reached {
    let mut input = Input(input);
    let (flags, choice) = (input.flags(), input.choice());
    let mut bytes = input.0.to_vec();
    seal_manifest(&mut bytes, flags);
    probe::manifest(&bytes, choice)
}

fn seal_manifest(bytes: &mut [u8], flags: u8) {
    let Some(user_header_len) = bytes.len().checked_sub(64) else {
        return;
    };
    if flags & TIED != 0 {
        let len = u32::try_from(user_header_len).unwrap();
        bytes[48..52].copy_from_slice(&len.to_le_bytes());
    }
    if flags & SEALED != 0 {
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..60]), &bytes[64..]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Flags, choice, UUID, five slots.
pub(crate) fn cookie(input: &[u8]) -> Reached {
    let mut input = Input(input);
    let (flags, choice, uuid) = (input.flags(), input.choice(), input.take());
    let bytes = slots(&mut input, 5, flags, &uuid, 0);
    probe::cookie(&bytes, uuid, choice)
}

/// Flags, choice, UUID, length of the name, name, two slots.
pub(crate) fn hold(input: &[u8]) -> Reached {
    let mut input = Input(input);
    let (flags, choice, uuid) = (input.flags(), input.choice(), input.take());
    let [len] = input.take();
    let name = String::from_utf8_lossy(input.bytes(len.into())).into_owned();
    let before = crc32c::crc32c(name.as_bytes());
    let bytes = slots(&mut input, 2, flags, &uuid, before);
    probe::hold(&bytes, &name, uuid, choice)
}

/// Slots at the beginning of blocks; the file ends where the input does.
fn slots(input: &mut Input<'_>, count: usize, flags: u8, uuid: &[u8; 16], before: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in 0..count {
        if input.0.is_empty() {
            break;
        }
        bytes.resize(block * 4096, 0);
        let slot = input.bytes(64);
        bytes.extend(slot);
        if slot.len() == 64 && slot.iter().any(|byte| *byte != 0) {
            if flags & TIED != 0 {
                bytes[block * 4096 + 24..block * 4096 + 40].copy_from_slice(uuid);
            }
            if flags & SEALED != 0 {
                seal_part(&mut bytes, block * 4096, before);
            }
        }
    }
    bytes
}

/// Inputs that say what stands in these bytes.
pub(crate) mod written {
    use super::SEALED;

    fn begun(flags: u8, beside: &[&[u8]]) -> Vec<u8> {
        let mut input = vec![flags];
        input.extend(beside.concat());
        input
    }

    pub(crate) fn scanner(segment: u32, salt: [u8; 8], frames: &[u8]) -> Vec<u8> {
        begun(SEALED | 4, &[&segment.to_le_bytes(), &salt, frames])
    }

    pub(crate) fn header(block: &[u8]) -> Vec<u8> {
        begun(SEALED, &[&[1, 0], &block[..64], &block[512..576]])
    }

    pub(crate) fn manifest(file: &[u8]) -> Vec<u8> {
        begun(SEALED, &[&[2, 0], file])
    }

    pub(crate) fn cookie(file: &[u8], uuid: &[u8]) -> Vec<u8> {
        let mut input = begun(SEALED, &[&[3, 0], uuid]);
        for block in file.chunks(4096) {
            input.extend(&block[..64]);
        }
        input
    }

    pub(crate) fn hold(file: &[u8], uuid: &[u8], name: &str) -> Vec<u8> {
        let len = u8::try_from(name.len()).unwrap();
        let mut input = begun(SEALED, &[&[4, 0], uuid, &[len], name.as_bytes()]);
        for block in file.chunks(4096) {
            input.extend(&block[..64]);
        }
        input
    }
}
