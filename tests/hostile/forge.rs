//! Structures with correct checksums, of whatever fields: a checksum is no proof of who wrote something.
//!
//! Written from `docs/format.md` alone, so that it also checks what stands there.

use segwal::Lsn;

pub(crate) const RECORD: u8 = 1;
pub(crate) const BATCH: u8 = 2;
pub(crate) const ABORTED: u8 = 3;
pub(crate) const EPOCH: u8 = 4;
pub(crate) const REWIND: u8 = 5;
/// A frame that states nothing.
pub(crate) const SILENT: u32 = u32::MAX;

/// A frame of any fields.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// What the length field says; the payload need not agree.
    pub(crate) len: u32,
    pub(crate) lsn: u64,
    pub(crate) kind: u8,
    pub(crate) tag: u8,
    pub(crate) count: u16,
    pub(crate) distance: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(lsn: Lsn, kind: u8, payload: &[u8]) -> Self {
        Self {
            len: u32::try_from(payload.len()).expect("it is short"),
            lsn: word(lsn),
            kind,
            tag: 0,
            count: 0,
            distance: SILENT,
            payload: payload.to_vec(),
        }
    }

    /// The bytes, padded, with the checksum under `salt`.
    pub(crate) fn encode(&self, salt: u64) -> Vec<u8> {
        let mut header = [0; 24];
        header[4..8].copy_from_slice(&self.len.to_le_bytes());
        header[8..16].copy_from_slice(&self.lsn.to_le_bytes());
        header[16] = self.kind;
        header[17] = self.tag;
        header[18..20].copy_from_slice(&self.count.to_le_bytes());
        header[20..24].copy_from_slice(&self.distance.to_le_bytes());
        let covered: &[u8] = if self.kind == ABORTED {
            &[]
        } else {
            &self.payload
        };
        let sum = checksum(covered, &header, salt);
        header[..4].copy_from_slice(&sum.to_le_bytes());
        let mut bytes = [&header[..], &self.payload].concat();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }
}

/// The checksum of a frame: payload, header without the checksum, salt.
pub(crate) fn checksum(payload: &[u8], header: &[u8; 24], salt: u64) -> u32 {
    let sum = crc32c::crc32c(payload);
    let sum = crc32c::crc32c_append(sum, &header[4..]);
    crc32c::crc32c_append(sum, &salt.to_le_bytes())
}

/// The payload of an epoch frame.
pub(crate) fn epoch(
    salt: u64,
    previous_salt: u64,
    previous_offset: u64,
    durable: u64,
    opened: u64,
) -> Vec<u8> {
    [salt, previous_salt, previous_offset / 8, durable, opened]
        .map(u64::to_le_bytes)
        .concat()
}

/// Sets the checksum of a 64-byte part that begins at `at`, continuing `before`.
pub(crate) fn seal(bytes: &mut [u8], at: usize, before: u32) {
    let sum = crc32c::crc32c_append(before, &bytes[at..at + 60]);
    bytes[at + 60..at + 64].copy_from_slice(&sum.to_le_bytes());
}

/// Whether the checksum of such a part is right.
pub(crate) fn is_sealed(bytes: &[u8], at: usize, before: u32) -> bool {
    let mut copy = bytes[at..at + 64].to_vec();
    seal(&mut copy, 0, before);
    copy == bytes[at..at + 64]
}

pub(crate) fn word(lsn: Lsn) -> u64 {
    (u64::from(lsn.segment()) << 32) | (lsn.offset() / 8)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
