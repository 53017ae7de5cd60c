//! Seeds that break one rule of `docs/format.md` each, and nothing else: a sound structure with one byte changed, and its
//! checksum made right again.

use crate::directory::{Directory, segment_name};
use crate::frames::{Frame, u32_at, u64_at};
use crate::parts::written;

/// The name of a rule, the byte of the structure that breaks it, and the bits that are turned over in it; 0: all that are set.
type Rule = (&'static str, usize, u8);

const MANIFEST: [Rule; 7] = [
    ("magic", 0, 1),
    ("version", 8, 1),
    ("read-only", 16, 1),
    ("features", 20, 1),
    ("size", 40, 1),
    ("length", 48, 1),
    ("reserved", 52, 1),
];
const PREPARED: [Rule; 6] = [
    ("magic", 0, 1),
    ("version", 8, 1),
    ("features", 12, 1),
    ("reserved", 36, 1),
    ("size", 40, 1),
    ("other-segment", 32, 1),
];
const ACTIVATION: [Rule; 7] = [
    ("magic", 0, 1),
    ("segment", 16, 1),
    ("seal", 23, 0x80),
    ("epoch", 35, 0x80),
    ("reserved", 36, 1),
    ("durable", 47, 0x80),
    ("rewind", 55, 0x80),
];
const SLOT: [Rule; 6] = [
    ("magic", 0, 1),
    ("place", 8, 1),
    ("generation", 15, 0x80),
    ("lsn", 20, 0),
    ("uuid", 24, 1),
    ("reserved", 59, 1),
];

/// The rules of frames by the kind of frame that breaks them. The batch has three records, of which the second is empty.
const FRAMES: [(u8, Rule); 19] = [
    (1, ("kind", 16, 0x0F)),
    (1, ("flags", 16, 0x10)),
    (1, ("count", 18, 1)),
    (1, ("too-long", 6, 1)),
    (1, ("place", 8, 1)),
    (2, ("tag", 17, 1)),
    (2, ("no-records", 18, 0)),
    (2, ("directory", 19, 1)),
    (2, ("backwards", 24, 0x40)),
    (2, ("entry", 29, 1)),
    (2, ("end", 40, 0x0F)),
    (4, ("length", 4, 8)),
    (4, ("before", 40, 1)),
    (4, ("reserved", 44, 1)),
    (4, ("salt-before", 32, 1)),
    (4, ("durable", 52, 0x40)),
    (5, ("length", 4, 8)),
    (5, ("target", 28, 0x40)),
    (5, ("previous", 36, 0x40)),
];

/// Gives `add` the target, the name and the bytes of each, made from the parts of this log.
pub(crate) fn broken(directory: &Directory, add: &mut impl FnMut(&'static str, &str, Vec<u8>)) {
    let manifest = &directory.files["MANIFEST"];
    let uuid = &manifest[24..40];
    let input = written::manifest(manifest);
    each("manifest", "", &input, 3, &MANIFEST, add);
    let linked = (1..=8).rev().find_map(|id| {
        let bytes = directory.files.get(&segment_name(id))?;
        (u32_at(bytes, 532) != 0).then(|| written::header(bytes))
    });
    let input = linked.unwrap();
    each("header", "prepared-", &input, 3, &PREPARED, add);
    each("header", "activation-", &input, 67, &ACTIVATION, add);
    let cookie = &directory.files["COOKIE"];
    let head = alone(&cookie[2 * 4096..3 * 4096], &cookie[3 * 4096..4 * 4096]);
    let mut file = cookie.clone();
    file[2 * 4096..4 * 4096].copy_from_slice(&head);
    let input = written::cookie(&file, uuid);
    each("cookie", "", &input, 19 + 2 * 64, &SLOT, add);
    let hold = &directory.files["archive.hold"];
    let file = alone(&hold[..4096], &hold[4096..]);
    let input = written::hold(&file, uuid, "archive");
    each("hold", "", &input, 27, &SLOT, add);
}

/// As [`broken`], from the frames in the first segment of this log that has one of the kind.
pub(crate) fn broken_frames(
    directory: &Directory,
    add: &mut impl FnMut(&'static str, &str, Vec<u8>),
) {
    for (kind, (name, byte, bits)) in FRAMES {
        let found = (1..=8).find_map(|id| {
            let file = directory.segment(id)?;
            let frames = Frame::all(file, id, file.len());
            let frame = frames.iter().find(|frame| frame.kind == kind)?;
            let end = frames.last()?.end.min(frame.end + 64);
            let salt = u64_at(file, 520).to_le_bytes();
            Some((frame.at, written::scanner(id, salt, &file[4096..end])))
        });
        if let Some((at, mut input)) = found.filter(|(_, input)| input.len() < 1000) {
            let changed = &mut input[13 + at - 4096 + byte];
            *changed ^= if bits == 0 { *changed } else { bits };
            add("scanner", &format!("{kind}-{name}"), input);
        }
    }
}

/// Two blocks: the slot that was written in one of these, as the first one's, and none.
fn alone(even: &[u8], odd: &[u8]) -> Vec<u8> {
    let is_written = even[..64].iter().any(|byte| *byte != 0);
    let mut blocks = if is_written { even } else { odd }.to_vec();
    blocks[8] &= !1;
    blocks.resize(2 * 4096, 0);
    blocks
}

/// The input with the structure at `at` changed by each rule; not sealed again; and with zeros in its place.
fn each(
    target: &'static str,
    part: &str,
    input: &[u8],
    at: usize,
    rules: &[Rule],
    add: &mut impl FnMut(&'static str, &str, Vec<u8>),
) {
    for (name, byte, bits) in rules {
        let mut broken = input.to_vec();
        let changed = &mut broken[at + byte];
        *changed ^= if *bits == 0 { *changed } else { *bits };
        add(target, &format!("{part}{name}"), broken);
    }
    let mut unsealed = input.to_vec();
    unsealed[0] = 0;
    unsealed[at + 17] ^= 1;
    add(target, &format!("{part}checksum"), unsealed);
    let mut absent = input.to_vec();
    absent[at..at + 64].fill(0);
    absent[0] = 0;
    add(target, &format!("{part}absent"), absent);
}
