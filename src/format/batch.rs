//! [`BatchLayout`], [`check`] and [`locate`]: the payload of a batch frame.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!  0 │ end of record 0               │ tag   │ zero                  │
//!  8 │ end of record 1               │ tag   │ zero                  │
//!    │ …                                                             │
//!    │ record 0 │ record 1 │ …                     back to back
//! ```
//!
//! Ends count from the first byte behind the directory. The directory comes first, so a record is found by its index
//! without a walk. The number of records stands in the frame's header.

use std::fmt;
use std::ops::Range;

use super::field::{is_zero, u32_at};
use super::frame::BATCH_ENTRY_LEN;

const ENTRY_LEN: usize = BATCH_ENTRY_LEN as usize;

/// What a batch of some records needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchLayout {
    /// The records.
    pub(crate) count: u16,
    /// The payload's bytes: directory and records.
    pub(crate) len: u32,
}

impl BatchLayout {
    /// The layout for records of these lengths. `None` for no records, or for more or longer ones than a frame can hold.
    pub(crate) fn of(lens: impl IntoIterator<Item = usize>) -> Option<Self> {
        let mut layout = Self { count: 0, len: 0 };
        for len in lens {
            layout.count = layout.count.checked_add(1)?;
            layout.len = layout
                .len
                .checked_add(u32::try_from(len).ok()?)?
                .checked_add(BATCH_ENTRY_LEN)?;
        }
        (layout.count > 0).then_some(layout)
    }

    /// The bytes before the first record.
    pub(crate) fn directory_len(self) -> usize {
        usize::from(self.count) * ENTRY_LEN
    }
}

/// The entry of a record that ends `end` bytes behind the directory.
pub(crate) fn directory_entry(end: u32, tag: u8) -> [u8; ENTRY_LEN] {
    let [a, b, c, d] = end.to_le_bytes();
    [a, b, c, d, tag, 0, 0, 0]
}

/// The rule of `docs/format.md` that the payload of a batch breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchFault {
    /// B1: the payload is shorter than its directory.
    NoDirectory,
    /// B2: the record ends before the one before it.
    EndsBackwards(u16),
    /// B3: the bytes behind the tag are not zero.
    ReservedNotZero(u16),
    /// B4: the last record does not end where the payload ends.
    BadEnd,
}

/// Checks the directory of a batch of `count` records against its payload.
pub(crate) fn check(payload: &[u8], count: u16) -> Result<(), BatchFault> {
    let directory_len = usize::from(count) * ENTRY_LEN;
    let (directory, data) = payload
        .split_at_checked(directory_len)
        .ok_or(BatchFault::NoDirectory)?;
    let (directory, _) = directory.as_chunks();
    let mut last = 0;
    for (index, entry) in (0..count).zip(directory) {
        if end_of(*entry) < last {
            return Err(BatchFault::EndsBackwards(index));
        }
        if !is_zero(&entry[5..]) {
            return Err(BatchFault::ReservedNotZero(index));
        }
        last = end_of(*entry);
    }
    if last == data.len() {
        Ok(())
    } else {
        Err(BatchFault::BadEnd)
    }
}

/// Where record `index` of a batch that was checked lies in its payload, and its tag.
pub(crate) fn locate(payload: &[u8], count: u16, index: u16) -> Option<(Range<u64>, u8)> {
    let entry = |index: u16| payload[usize::from(index) * ENTRY_LEN..].first_chunk::<ENTRY_LEN>();
    if index >= count || payload.len() < usize::from(count) * ENTRY_LEN {
        return None;
    }
    let data = u64::from(count) * ENTRY_LEN as u64;
    let start = match index.checked_sub(1) {
        Some(before) => end_of(*entry(before)?),
        None => 0,
    };
    let last = entry(index)?;
    let range = data + start as u64..data + end_of(*last) as u64;
    (range.start <= range.end && range.end <= payload.len() as u64).then_some((range, last[4]))
}

fn end_of(entry: [u8; ENTRY_LEN]) -> usize {
    u32_at(&entry, 0) as usize
}

impl fmt::Display for BatchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirectory => f.write_str("the batch is shorter than its directory"),
            Self::EndsBackwards(index) => {
                write!(f, "record {index} of the batch ends before it begins")
            }
            Self::ReservedNotZero(index) => {
                write!(f, "the entry of record {index} has unknown bits")
            }
            Self::BadEnd => f.write_str("the last record does not end where the batch ends"),
        }
    }
}

impl std::error::Error for BatchFault {}

#[cfg(test)]
pub(super) fn encode(records: &[(&[u8], u8)]) -> Vec<u8> {
    let (mut directory, mut data) = (Vec::new(), Vec::new());
    for (record, tag) in records {
        data.extend_from_slice(record);
        directory.extend(directory_entry(u32::try_from(data.len()).unwrap(), *tag));
    }
    directory.append(&mut data);
    directory
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn two() -> Vec<u8> {
        encode(&[(b"abc", 1), (b"de", 2)])
    }

    fn record(payload: &[u8], count: u16, index: u16) -> Option<(&[u8], u8)> {
        let (range, tag) = locate(payload, count, index)?;
        let at = |offset| usize::try_from(offset).unwrap();
        Some((&payload[at(range.start)..at(range.end)], tag))
    }

    fn fault(payload: &[u8]) -> BatchFault {
        check(payload, 2).unwrap_err()
    }

    #[test]
    fn records_come_back_by_index() {
        let payload = two();
        check(&payload, 2).unwrap();
        assert_eq!(record(&payload, 2, 0), Some((&b"abc"[..], 1)));
        assert_eq!(record(&payload, 2, 1), Some((&b"de"[..], 2)));
        assert_eq!(record(&payload, 2, 2), None);
    }

    #[test]
    fn each_rule_refuses_by_its_name() {
        let mut payload = two();
        assert_eq!(fault(&payload[..15]), BatchFault::NoDirectory);
        assert_eq!(fault(&payload[..20]), BatchFault::BadEnd);
        payload[0] = 6;
        assert_eq!(fault(&payload), BatchFault::EndsBackwards(1));
        payload[0] = 3;
        payload[15] = 1;
        assert_eq!(fault(&payload), BatchFault::ReservedNotZero(1));
    }

    #[test]
    fn zeros_with_bytes_behind_are_no_batch() {
        assert_eq!(fault(&[0; 24]), BatchFault::BadEnd);
    }

    #[test]
    fn limits_of_a_layout_are_exact() {
        let layout = |lens: &[usize]| BatchLayout::of(lens.iter().copied());
        assert_eq!(layout(&[]), None);
        assert_eq!(layout(&[0]), Some(BatchLayout { count: 1, len: 8 }));
        let longest = u32::MAX as usize - 8;
        assert_eq!(
            layout(&[longest]),
            Some(BatchLayout {
                count: 1,
                len: u32::MAX
            })
        );
        assert_eq!(layout(&[longest + 1]), None);
        assert_eq!(layout(&[usize::MAX]), None);
        assert!(layout(&vec![0; 65_535]).is_some());
        assert_eq!(layout(&vec![0; 65_536]), None);
    }

    proptest! {
        #[test]
        fn every_batch_round_trips(records in prop::collection::vec((any::<Vec<u8>>(), any::<u8>()), 1..9)) {
            let records: Vec<_> = records.iter().map(|(bytes, tag)| (bytes.as_slice(), *tag)).collect();
            let payload = encode(&records);
            let layout = BatchLayout::of(records.iter().map(|(bytes, _)| bytes.len())).unwrap();
            prop_assert_eq!(payload.len(), layout.len as usize);
            check(&payload, layout.count).unwrap();
            let back = (0..layout.count).map(|index| record(&payload, layout.count, index).unwrap());
            let back: Vec<_> = back.collect();
            prop_assert_eq!(back, records);
        }

        #[test]
        fn arbitrary_bytes_never_panic(payload: Vec<u8>, count in 0_u16..9) {
            let is_sound = check(&payload, count).is_ok();
            for index in 0..=count {
                let found = locate(&payload, count, index);
                prop_assert!(!is_sound || found.is_some() == (index < count));
            }
        }
    }
}
