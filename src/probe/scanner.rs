//! The frames of a segment, walked and searched for.

use std::io;

use super::{Reached, name};
use crate::format::{
    Checksum, Epoch, FIRST_FRAME, FrameKind, Rewind, Salt, ScannedFrame, Scanner, Source, Step,
    Stop, batch, evidence_after,
};
use crate::lsn::Lsn;

/// A segment in memory, of whatever size it has.
struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let rest = usize::try_from(offset).ok();
        let rest = rest.and_then(|offset| self.0.get(offset..)?.get(..len));
        rest.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A frame, and the scanner before it.
type Walked = (Scanner, ScannedFrame);

/// The bytes of a segment in which `salt` is in force from the first frame on: frames are scanned, then looked for.
///
/// # Panics
/// * If a frame lies outside of the segment, does not begin where the last one ended, or does not encode to the same bytes.
/// * If a bound is stated that lies behind the frame which states it.
/// * If the scanner moves on from a stop, or a walk that begins halfway sees something else.
/// * If the search sees less than the walk, or something where nothing can be.
pub fn scanner(segment: u32, salt: u64, bytes: &[u8]) -> Reached {
    let mut reached = Reached::new();
    let Some(start) = Lsn::new(segment, FIRST_FRAME) else {
        return reached;
    };
    let salt = Salt::new(salt);
    let mut scanner = Scanner::new(start, salt, None);
    let (walked, stop) = walk(&mut scanner, bytes);
    for (before, frame) in &walked {
        check_frame(before, frame, bytes);
        reached.insert(name(&frame.header.kind));
    }
    reached.insert(name(&stop.fault));
    let last = walked.last().map(|(_, frame)| frame.lsn);
    assert!(
        scanner.known_durable() <= last,
        "stated before it was written"
    );
    assert_eq!(stop.offset, scanner.at().offset());
    let again = walk(&mut scanner, bytes);
    assert_eq!(
        (again.0.len(), again.1),
        (0, stop),
        "a stop is one for ever"
    );
    if let Some((before, _)) = walked.get(walked.len() / 2) {
        let (rest, end) = walk(&mut before.clone(), bytes);
        assert_eq!((rest.len(), end), (walked.len() - walked.len() / 2, stop));
    }
    search(start, salt, &scanner, &walked, bytes, &mut reached);
    reached
}

fn walk(scanner: &mut Scanner, bytes: &[u8]) -> (Vec<Walked>, Stop) {
    let mut walked = Vec::new();
    loop {
        let before = scanner.clone();
        let step = scanner.next(&mut Bytes(bytes));
        match step.expect("nothing is read outside of the segment") {
            Step::Stop(stop) => return (walked, stop),
            Step::Frame(frame) => {
                assert_eq!(
                    (frame.lsn, frame.end_offset),
                    (before.at(), scanner.at().offset())
                );
                let bound = scanner.known_durable();
                assert!(bound >= before.known_durable(), "a bound went back");
                if frame.header.kind != FrameKind::Epoch {
                    assert_eq!(scanner.salt(), before.salt());
                    assert_eq!(scanner.last_epoch(), before.last_epoch());
                }
                walked.push((before, frame));
            }
        }
    }
}

fn check_frame(before: &Scanner, frame: &ScannedFrame, bytes: &[u8]) {
    let at = |offset: u64| usize::try_from(offset).expect("in the segment");
    let (start, payload_at) = (at(frame.lsn.offset()), at(frame.payload_offset));
    let payload = &bytes[payload_at..payload_at + frame.header.len as usize];
    assert!(payload_at + payload.len() <= at(frame.end_offset));
    assert!(at(frame.end_offset) <= bytes.len() && frame.end_offset.is_multiple_of(8));
    let encoded = frame.header.encode(Checksum::of(payload), before.salt());
    assert_eq!(encoded[..], bytes[start..payload_at], "{:?}", frame.header);
    match frame.header.kind {
        FrameKind::Batch => check_batch(payload, frame.header.count),
        FrameKind::Epoch => {
            let epoch = Epoch::decode(payload, frame.lsn).expect("the frame is valid");
            assert_eq!(epoch.encode()[..], *payload);
            assert!(epoch.previous_salt == before.salt() && epoch.durable <= frame.lsn);
            assert_eq!(epoch.previous_offset, before.last_epoch());
        }
        FrameKind::Rewind => {
            let rewind = Rewind::decode(payload, frame.lsn).expect("the frame is valid");
            assert_eq!(rewind.encode()[..], *payload);
            assert!(rewind.from <= frame.lsn && rewind.previous < Some(frame.lsn));
        }
        FrameKind::Record | FrameKind::Aborted => {}
    }
}

/// The records lie one behind the other and fill the payload.
fn check_batch(payload: &[u8], count: u16) {
    let mut end = u64::from(count) * 8;
    for index in 0..count {
        let (range, _) = batch::locate(payload, count, index).expect("the batch is valid");
        assert_eq!(range.start, end, "record {index} of {count}");
        assert!(range.start <= range.end);
        end = range.end;
    }
    assert_eq!(end, payload.len() as u64);
    assert_eq!(batch::locate(payload, count, count), None);
}

fn search(
    start: Lsn,
    salt: Salt,
    scanner: &Scanner,
    walked: &[Walked],
    bytes: &[u8],
    reached: &mut Reached,
) {
    let look = |from: u64, salts: &[Salt]| {
        let found = evidence_after(&mut Bytes(bytes), start.segment(), from, salts);
        found.expect("nothing is read outside of the segment")
    };
    let all = look(FIRST_FRAME, &[salt]);
    assert!(
        all.frames >= walked.len() as u64,
        "{all:?} beside {}",
        walked.len()
    );
    assert!(walked.is_empty() || all.first == Some(start));
    let from = scanner.at().offset() + 8;
    let behind = look(from, &[scanner.salt(), salt]);
    assert_eq!(behind.first.is_some(), behind.frames > 0);
    assert_eq!(behind.last_end.is_some(), behind.frames > 0);
    if let (Some(first), Some(end)) = (behind.first, behind.last_end) {
        assert!(first.offset() >= from && first < end && end.offset() <= bytes.len() as u64);
        assert!(behind.durable < Some(end), "stated before it was written");
        reached.insert("Evidence".to_owned());
    }
    if !behind.is_complete {
        reached.insert("GivenUp".to_owned());
    }
}
