//! Tests of the scanner and of the search behind its stop, on segments in memory.

use proptest::prelude::*;

use super::super::image::Image;
use super::super::{DurableDistance, frame_size};
use super::*;

const SALT: Salt = Salt::new(0xAAAA_0001);
const NEXT_SALT: Salt = Salt::new(0xBBBB_0002);

fn start() -> Lsn {
    Lsn::new(4, FIRST_FRAME).unwrap()
}

fn image() -> Image {
    Image::new(4, SALT, 3)
}

/// All frames up to the stop, the stop, and the scanner as it stands there.
fn scan(bytes: &[u8]) -> (Vec<ScannedFrame>, Stop, Scanner) {
    let mut scanner = Scanner::new(start(), SALT, None);
    let mut frames = Vec::new();
    loop {
        match scanner.next(&mut Bytes(bytes)).unwrap() {
            Step::Frame(frame) => frames.push(frame),
            Step::Stop(stop) => return (frames, stop, scanner),
        }
    }
}

fn fault(bytes: &[u8]) -> FrameFault {
    scan(bytes).1.fault
}

fn evidence(image: &Image, from: u64) -> Evidence {
    evidence_after(&mut Bytes(&image.bytes), 4, from, &[SALT]).unwrap()
}

#[test]
fn an_empty_segment_ends_clean_at_its_first_frame() {
    let (frames, stop, scanner) = scan(&image().bytes);
    assert_eq!(
        (frames.len(), stop.offset, stop.kind()),
        (0, FIRST_FRAME, StopKind::Clean)
    );
    assert_eq!(
        (scanner.at(), scanner.salt(), scanner.last_epoch()),
        (start(), SALT, None)
    );
}

#[test]
fn frames_of_all_kinds_follow_each_other() {
    let mut image = image();
    let lsns = [
        image.record(b""),
        image.record(b"payload"),
        image.batch(
            &[(b"one", 1), (b"two", 2)],
            DurableDistance::between(image.at, start()),
        ),
        image.frame(FrameKind::Aborted, 0, b"junk", DurableDistance::NONE),
        image.frame(
            FrameKind::Rewind,
            0,
            &Rewind {
                from: start(),
                previous: None,
            }
            .encode(),
            DurableDistance::NONE,
        ),
    ];
    let (frames, stop, scanner) = scan(&image.bytes);
    assert_eq!(
        frames.iter().map(|frame| frame.lsn).collect::<Vec<_>>(),
        lsns
    );
    assert_eq!(frames[1].payload_offset, lsns[1].offset() + 24);
    assert_eq!(frames[1].end_offset, lsns[2].offset());
    assert_eq!(
        (stop.offset, scanner.known_durable()),
        (image.at.offset(), Some(start()))
    );
}

#[test]
fn an_epoch_puts_its_salt_in_force() {
    let mut image = image();
    image.record(b"before");
    let first = image.epoch(NEXT_SALT);
    image.record(b"between");
    let second = image.epoch(SALT);
    image.record(b"after");
    let (frames, _, scanner) = scan(&image.bytes);
    assert_eq!(frames.len(), 5);
    assert_eq!(
        (scanner.salt(), scanner.last_epoch()),
        (SALT, Some(second.offset()))
    );
    assert_eq!(scanner.known_durable(), Some(second));
    assert!(first < second);
}

#[test]
fn a_frame_of_the_epoch_before_does_not_follow_an_epoch() {
    let mut image = image();
    image.epoch(NEXT_SALT);
    image.salt = SALT;
    image.record(b"ghost");
    let (frames, stop, _) = scan(&image.bytes);
    assert_eq!(
        (frames.len(), stop.fault, stop.kind()),
        (1, FrameFault::BadChecksum, StopKind::Torn)
    );
}

#[test]
fn an_epoch_that_does_not_continue_the_one_before_is_refused() {
    let epoch = |previous_salt, previous_offset| {
        let mut image = image();
        image.epoch(NEXT_SALT);
        let epoch = Epoch {
            salt: SALT,
            previous_salt,
            previous_offset,
            durable: start(),
            opened: 1,
        };
        image.frame(FrameKind::Epoch, 0, &epoch.encode(), DurableDistance::NONE);
        fault(&image.bytes)
    };
    assert_eq!(epoch(SALT, Some(FIRST_FRAME)), FrameFault::BrokenEpoch);
    assert_eq!(epoch(NEXT_SALT, None), FrameFault::BrokenEpoch);
    assert_eq!(
        epoch(NEXT_SALT, Some(FIRST_FRAME)),
        FrameFault::NotThisPosition
    );
}

#[test]
fn a_payload_that_breaks_its_rules_stops_the_scan() {
    let stop_at = |kind, count, payload: &[u8]| {
        let mut image = image();
        image.frame(kind, count, payload, DurableDistance::NONE);
        fault(&image.bytes)
    };
    assert_eq!(
        stop_at(FrameKind::Batch, 1, &[9; 16]),
        FrameFault::BadPayload
    );
    assert_eq!(
        stop_at(FrameKind::Rewind, 0, &[0; 16]),
        FrameFault::BadPayload
    );
    assert_eq!(
        stop_at(FrameKind::Epoch, 0, &[0; 40]),
        FrameFault::BadPayload
    );
}

#[test]
fn a_full_segment_ends_clean_for_want_of_room() {
    for spare in [0, 8, 16] {
        let mut image = Image::new(4, SALT, 2);
        image.record(&vec![1; 4096 - 24 - spare]);
        let (frames, stop, _) = scan(&image.bytes);
        assert_eq!(
            (frames.len(), stop.fault, stop.kind()),
            (1, FrameFault::NoRoom, StopKind::Clean)
        );
    }
}

#[test]
fn asked_again_a_stop_stays() {
    let mut scanner = Scanner::new(start(), SALT, None);
    let bytes = image().bytes;
    let first = scanner.next(&mut Bytes(&bytes)).unwrap();
    assert_eq!(scanner.next(&mut Bytes(&bytes)).unwrap(), first);
}

#[test]
fn nothing_is_found_behind_a_torn_tail() {
    let mut image = image();
    let torn = image.record(b"torn record");
    image.bytes[4096 + 26] ^= 1;
    assert_eq!(fault(&image.bytes), FrameFault::BadChecksum);
    let evidence = evidence(&image, torn.offset());
    assert_eq!((evidence.frames, evidence.behind()), (0, Behind::Nothing));
}

#[test]
fn frames_behind_a_hole_are_found_across_epochs_and_windows() {
    let mut image = Image::new(4, SALT, 40);
    image.skip(WINDOW - 8);
    let first = image.record(b"behind");
    image.skip(8);
    let epoch = image.epoch(NEXT_SALT);
    image.skip(4096);
    let last = image.record(b"under the salt of the epoch");
    let evidence = evidence(&image, FIRST_FRAME);
    assert_eq!((evidence.frames, evidence.behind()), (3, Behind::Frames));
    assert_eq!(
        (evidence.first, evidence.last_end),
        (Some(first), Some(image.at))
    );
    assert_eq!(evidence.durable, Some(epoch));
    assert!(last > epoch);
}

#[test]
fn a_frame_is_found_wherever_the_windows_meet() {
    for skipped in (WINDOW - 40..=WINDOW + 16).step_by(8) {
        let mut image = Image::new(4, SALT, 20);
        image.skip(skipped);
        let lsn = image.record(b"x");
        assert_eq!(evidence(&image, FIRST_FRAME).first, Some(lsn), "{skipped}");
    }
}

#[test]
fn the_last_frame_of_a_segment_is_found() {
    let mut image = Image::new(4, SALT, 2);
    image.skip(4096 - frame_size(0));
    let lsn = image.record(b"");
    assert_eq!(evidence(&image, FIRST_FRAME).first, Some(lsn));
}

#[test]
fn frames_under_other_salts_prove_nothing() {
    let mut image = Image::new(4, NEXT_SALT, 2);
    image.skip(64);
    image.record(b"of another life");
    assert_eq!(evidence(&image, FIRST_FRAME).behind(), Behind::Nothing);
}

#[test]
fn headers_made_to_be_summed_cannot_hold_the_search_up() {
    let mut image = Image::new(4, NEXT_SALT, 16);
    let end = image.bytes.len() as u64;
    while image.at.offset() + 24 <= end {
        let len = u32::try_from(end - image.at.offset() - 24).unwrap();
        let header = FrameHeader {
            len,
            lsn: image.at,
            kind: FrameKind::Record,
            tag: 0,
            count: 0,
            distance: DurableDistance::NONE,
        };
        let at = usize::try_from(image.at.offset()).unwrap();
        image.bytes[at..at + 24]
            .copy_from_slice(&header.encode(super::super::Checksum::EMPTY, NEXT_SALT));
        image.skip(24);
    }
    let evidence = evidence(&image, FIRST_FRAME);
    assert!(!evidence.is_complete);
    assert_eq!(evidence.behind(), Behind::Frames);
}

proptest! {
    #[test]
    fn what_was_written_is_scanned_up_to_the_first_damage(
        lens in prop::collection::vec(0_usize..200, 1..20),
        damage: prop::sample::Index,
    ) {
        let mut image = image();
        let lsns: Vec<_> = lens.iter().map(|&len| image.record(&vec![7; len])).collect();
        prop_assert_eq!(scan(&image.bytes).0.len(), lsns.len());
        let hit = damage.index(lsns.len());
        image.bytes[usize::try_from(lsns[hit].offset()).unwrap()] ^= 1;
        let (frames, stop, _) = scan(&image.bytes);
        prop_assert_eq!((frames.len(), stop.offset), (hit, lsns[hit].offset()));
        let behind = evidence(&image, stop.offset);
        prop_assert_eq!(behind.frames, (lsns.len() - hit - 1) as u64);
        prop_assert_eq!(behind.first, lsns.get(hit + 1).copied());
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..512), len in 0_u8..64, kind in 0_u8..8) {
        let mut file = vec![0; 4096];
        for (index, chunk) in bytes.chunks_exact_mut(24).enumerate() {
            let at = Lsn::new(4, FIRST_FRAME + index as u64 * 24).unwrap();
            chunk[4..8].copy_from_slice(&u32::from(len).to_le_bytes());
            chunk[8..16].copy_from_slice(&at.to_word().to_le_bytes());
            chunk[16] = kind;
        }
        file.append(&mut bytes);
        let (frames, stop, _) = scan(&file);
        prop_assert!(frames.is_empty() && stop.offset == FIRST_FRAME);
        prop_assert_eq!(evidence_after(&mut Bytes(&file), 4, 0, &[SALT]).unwrap().frames, 0);
    }
}
