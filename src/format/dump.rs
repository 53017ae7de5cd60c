//! The worked dump in `docs/format.md`, made anew from fixed values and compared: the document cannot drift from the code.

use std::fmt::Write as _;

use super::cookie::slot_offset;
use super::image::Image;
use super::scan::Bytes;
use super::segment_header::{ACTIVATION_OFFSET, encode_block};
use super::{
    Activation, Checksum, DurableDistance, FIRST_FRAME, FrameHeader, FrameKind, Manifest, Prepared,
    PreviousEnd, Rewind, Salt, Scanner, Slot, SlotKind, Step, Uuid,
};
use crate::lsn::Lsn;

const UUID: Uuid = Uuid::from_bytes([
    0x5e, 0x67, 0x3a, 0x11, 0x00, 0x01, 0x40, 0x02, 0x80, 0x03, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15,
]);
const BOOT: [u8; 16] = *b"boot-0123456789a";
const SALT: Salt = Salt::new(0x1111_2222_3333_4444);
const PREVIOUS_SALT: Salt = Salt::new(0x5555_6666_7777_8888);
const EPOCH_SALT: Salt = Salt::new(0x9999_AAAA_BBBB_CCCC);
/// Voids the batch and the aborted frame.
const REWIND: Rewind = Rewind {
    from: Lsn::at(SEGMENT, 0x205),
    previous: Some(Lsn::at(40, 0x400)),
};
const SEGMENT: u32 = 42;
const SIZE: u64 = 1 << 16;

fn lsn(segment: u32, offset: u64) -> Lsn {
    Lsn::new(segment, offset).unwrap()
}

/// A dump that is written part by part.
struct Dump(String);

impl Dump {
    fn part(&mut self, title: &str, offset: u64, bytes: &[u8]) {
        writeln!(self.0, "{title}").unwrap();
        for (line, at) in bytes.chunks(16).zip((offset..).step_by(16)) {
            let hex: Vec<_> = line.chunks(8).map(hex).collect();
            let text: String = line.iter().map(|&byte| printable(byte)).collect();
            writeln!(self.0, "  {at:08x}  {:<48}  |{text}|", hex.join("  ")).unwrap();
        }
        self.0.push('\n');
    }

    fn frame(&mut self, title: &str, image: &Image, from: Lsn, to: Lsn) {
        let range = usize::try_from(from.offset()).unwrap()..usize::try_from(to.offset()).unwrap();
        self.part(title, from.offset(), &image.bytes[range]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' {
        char::from(byte)
    } else {
        '.'
    }
}

fn segment() -> (Image, [Lsn; 6]) {
    let mut image = Image::new(SEGMENT, SALT, SIZE / 4096);
    let prepared = Prepared {
        uuid: UUID,
        segment: SEGMENT,
        size: SIZE,
        incompat: 0,
    };
    let activation = Activation {
        salt: SALT,
        segment: SEGMENT,
        previous: Some(PreviousEnd {
            seal: 65_472,
            salt: PREVIOUS_SALT,
            last_epoch: Some(4096),
        }),
        durable: Some(lsn(41, 65_472)),
        last_rewind: Some(lsn(40, 8192)),
    };
    image.bytes[..4096].copy_from_slice(&encode_block(&prepared));
    let at = usize::try_from(ACTIVATION_OFFSET).unwrap();
    image.bytes[at..at + 64].copy_from_slice(&activation.encode(&prepared));
    let first = image.at;
    let lsns = [
        image.frame(
            FrameKind::Record,
            0,
            b"hello, segwal",
            DurableDistance::NONE,
        ),
        image.batch(
            &[(b"debit", 1), (b"credit", 2)],
            DurableDistance::between(image.at, first),
        ),
        image.frame(
            FrameKind::Aborted,
            0,
            b"half a rec",
            DurableDistance::between(image.at, first),
        ),
        image.epoch(EPOCH_SALT),
        image.frame(
            FrameKind::Rewind,
            0,
            &REWIND.encode(),
            DurableDistance::NONE,
        ),
        image.at,
    ];
    (image, lsns)
}

fn manifest() -> Manifest {
    Manifest {
        uuid: UUID,
        segment_size: SIZE,
        user_header: b"ledger v1".to_vec(),
        compat: 0,
        ro_compat: 0,
        incompat: 0,
    }
}

fn dump() -> String {
    let mut dump = Dump(String::new());
    dump.part(
        "MANIFEST, with the user header \"ledger v1\"",
        0,
        &manifest().encode().unwrap(),
    );
    let slot = Slot {
        generation: 7,
        lsn: lsn(42, 4136),
        uuid: UUID,
        boot: BOOT,
    };
    let offset = slot_offset(SlotKind::Durable, slot.generation);
    dump.part(
        "COOKIE, durable slot of generation 7: durable up to 42:4136",
        offset,
        &slot.encode(SlotKind::Durable),
    );
    let (image, [record, batch, aborted, epoch, rewind, end]) = segment();
    dump.part(
        "00000000000000000042.seg, prepared part",
        0,
        &image.bytes[..64],
    );
    dump.part(
        "00000000000000000042.seg, activation part",
        ACTIVATION_OFFSET,
        &image.bytes[512..576],
    );
    dump.frame(
        "record \"hello, segwal\" at 42:4096, no statement of durability",
        &image,
        record,
        batch,
    );
    dump.frame(
        "batch of \"debit\" tagged 1 and \"credit\" tagged 2, durable up to 42:4096",
        &image,
        batch,
        aborted,
    );
    dump.frame("aborted frame of ten bytes", &image, aborted, epoch);
    dump.frame(
        "epoch: the salt 0x9999aaaabbbbcccc from here on",
        &image,
        epoch,
        rewind,
    );
    dump.frame(
        "rewind: everything from 42:4136 up to here is void; the rewind before stands at 40:8192",
        &image,
        rewind,
        end,
    );
    dump.0
}

#[test]
fn the_document_shows_what_the_code_writes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/format.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, block) = document
        .split_once("<!-- dump -->\n```text\n")
        .expect("the document has its dump");
    let (block, _) = block.split_once("```\n").expect("the dump has an end");
    assert_eq!(
        block.trim_end(),
        dump().trim_end(),
        "the dump should be\n\n{}",
        dump()
    );
}

#[test]
fn the_segment_of_the_dump_is_scanned_to_its_end() {
    let (image, lsns) = segment();
    let mut scanner = Scanner::new(lsn(SEGMENT, FIRST_FRAME), SALT, None);
    let mut found = Vec::new();
    while let Step::Frame(frame) = scanner.next(&mut Bytes(&image.bytes)).unwrap() {
        found.push(frame.lsn);
    }
    found.push(scanner.at());
    assert_eq!(found, lsns);
    assert_eq!(scanner.salt(), EPOCH_SALT);
}

#[test]
fn the_checksum_of_the_record_is_that_of_the_document() {
    let header = FrameHeader {
        len: 13,
        lsn: lsn(SEGMENT, FIRST_FRAME),
        kind: FrameKind::Record,
        tag: 0,
        count: 0,
        distance: DurableDistance::NONE,
    };
    let stored = header.encode(Checksum::of(b"hello, segwal"), SALT);
    let covered = [
        b"hello, segwal",
        &stored[4..],
        &SALT.to_word().to_le_bytes(),
    ]
    .concat();
    assert_eq!(stored[..4], Checksum::of(&covered).value().to_le_bytes());
}
