//! [`Forgery`]: bytes with correct checksums that no writer writes, at the end of a log and in each of its structures.

use std::fmt;

use segwal::Lsn;

use crate::forge::{ABORTED, BATCH, EPOCH, Frame, RECORD, REWIND, SILENT, epoch, put_u32, u64_at};
use crate::history::Log;
use crate::image::{Image, segment_name};
use crate::judge::{FORGED, Honesty};
use crate::structure::{activations, cookies, manifests, prepared};

/// Bytes that are put into a file.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) file: String,
    pub(crate) at: usize,
    pub(crate) bytes: Vec<u8>,
}

/// One forgery.
#[derive(Clone, Debug)]
pub(crate) struct Forgery {
    what: String,
    honesty: Honesty,
    edits: Vec<Edit>,
}

impl fmt::Display for Forgery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Forgery {
    /// A structure of the log with other fields.
    pub(crate) fn of_structure(what: String, edit: Edit) -> Self {
        Self {
            what,
            honesty: Honesty::Forged,
            edits: vec![edit],
        }
    }

    fn at_end(log: &Log, what: String, bytes: Vec<u8>) -> Self {
        let end = &log.claims.end;
        Self {
            what,
            honesty: Honesty::Added,
            edits: vec![Edit {
                file: segment_name(end.segment),
                at: end.offset,
                bytes,
            }],
        }
    }

    fn anything(mut self) -> Self {
        self.honesty = Honesty::Forged;
        self
    }

    pub(crate) fn apply(&self, log: &Log) -> (Image, Honesty) {
        let mut image = log.image.clone();
        for Edit { file, at, bytes } in &self.edits {
            let Some(all) = image.get_mut(file) else {
                continue;
            };
            let end = (at + bytes.len()).min(all.len());
            all[*at..end].copy_from_slice(&bytes[..end - at]);
        }
        (image, self.honesty)
    }

    /// Both at once.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            what: format!("{self}, and {other}"),
            honesty: Honesty::Forged,
            edits: [&self.edits[..], &other.edits].concat(),
        }
    }
}

/// Every forgery of a log.
pub(crate) fn all(log: &Log) -> Vec<Forgery> {
    let kinds = [
        lengths,
        places,
        salts,
        splits,
        fields,
        batches,
        epochs,
        rewinds,
        pages,
        activations,
        prepared,
        cookies,
        manifests,
    ];
    kinds.iter().flat_map(|kind| kind(log)).collect()
}

fn end_lsn(log: &Log) -> Lsn {
    let end = &log.claims.end;
    Lsn::new(end.segment, end.offset as u64).expect("a position")
}

fn room(log: &Log) -> usize {
    8192 - log.claims.end.offset
}

fn record(log: &Log) -> Frame {
    Frame::new(end_lsn(log), RECORD, FORGED)
}

fn put(log: &Log, what: String, frame: &Frame) -> Forgery {
    Forgery::at_end(log, what, frame.encode(log.claims.end.salt()))
}

/// Too long, too short, zero; the checksum covers what is there.
fn lengths(log: &Log) -> Vec<Forgery> {
    let room = u32::try_from(room(log)).expect("small");
    let around = |len: u32| (len.saturating_sub(9)..=len.saturating_add(9)).collect::<Vec<_>>();
    let lens = [
        around(0),
        around(room),
        around(room - 24),
        around(1 << 31),
        around(u32::MAX),
    ];
    let mut forgeries = Vec::new();
    for len in lens.concat() {
        for kind in [RECORD, BATCH, ABORTED, EPOCH, REWIND] {
            let mut frame = record(log);
            frame.kind = kind;
            frame.count = u16::from(kind == BATCH);
            frame.payload = vec![b'F'; (len as usize).min(room as usize)];
            frame
                .payload
                .iter_mut()
                .zip(FORGED)
                .for_each(|(to, from)| *to = *from);
            frame.len = len;
            forgeries.push(put(log, format!("kind {kind} of length {len}"), &frame));
        }
    }
    forgeries
}

/// A frame of another position.
fn places(log: &Log) -> Vec<Forgery> {
    let here = log.claims.end.word();
    let others = [
        0,
        1,
        here - 1,
        here + 1,
        here + (1 << 32),
        here - (1 << 32),
        u64::MAX,
        1 << 63,
    ];
    let mut forgeries = Vec::new();
    for lsn in others {
        let mut frame = record(log);
        frame.lsn = lsn;
        forgeries.push(put(log, format!("LSN {lsn:#x}"), &frame));
    }
    forgeries
}

/// A frame under a salt that was in force once.
fn salts(log: &Log) -> Vec<Forgery> {
    let all = log.image.segments().into_iter().filter_map(|id| {
        let bytes = log.image.get(&segment_name(id))?;
        Some(u64_at(bytes, 520))
    });
    let old = all.chain(log.claims.end.salts.iter().copied());
    let old = old.filter(|salt| *salt != log.claims.end.salt());
    old.chain([0, u64::MAX])
        .map(|salt| {
            let bytes = record(log).encode(salt);
            Forgery::at_end(log, format!("salt {salt:#x}"), bytes)
        })
        .collect()
}

/// A frame that leaves so little that the next header does not fit, and the beginning of that header.
fn splits(log: &Log) -> Vec<Forgery> {
    let mut forgeries = Vec::new();
    for left in (0..=40).step_by(8) {
        let mut frame = record(log);
        frame.payload.resize(room(log) - 24 - left, 0);
        frame.len = u32::try_from(frame.payload.len()).expect("small");
        let mut bytes = frame.encode(log.claims.end.salt());
        let offset = log.claims.end.offset + bytes.len();
        if let Some(next) = Lsn::new(log.claims.end.segment, offset as u64).filter(|_| left > 0) {
            let split = Frame::new(next, RECORD, &[1; 64]).encode(log.claims.end.salt());
            bytes.extend(&split[..left]);
        }
        let what = format!("a header split with {left} left");
        forgeries.push(Forgery::at_end(log, what, bytes));
    }
    forgeries
}

/// Every kind and flag, tags and counts where none belong, and what a frame can state.
fn fields(log: &Log) -> Vec<Forgery> {
    let mut forgeries = Vec::new();
    for kind in 0..=u8::MAX {
        for (tag, count) in [(0, 0), (1, 0), (0, 1), (255, u16::MAX)] {
            let mut frame = record(log);
            (frame.kind, frame.tag, frame.count) = (kind, tag, count);
            let what = format!("kind {kind:#x}, tag {tag}, count {count}");
            forgeries.push(put(log, what, &frame).anything());
        }
    }
    let here = u32::try_from(log.claims.end.word() & 0xffff_ffff).expect("the low half");
    for distance in [
        0,
        1,
        8,
        here - 512,
        here - 1,
        here,
        here + 1,
        SILENT - 1,
        SILENT,
    ] {
        let mut frame = record(log);
        frame.distance = distance;
        forgeries.push(put(log, format!("distance {distance}"), &frame));
        // Behind a hole, where it is evidence.
        let mut bytes = vec![0; 32];
        frame.lsn = log.claims.end.word() + 4;
        bytes.extend(frame.encode(log.claims.end.salt()));
        let what = format!("distance {distance} behind a hole");
        forgeries.push(Forgery::at_end(log, what, bytes));
    }
    forgeries
}

/// Batches whose directory lies.
fn batches(log: &Log) -> Vec<Forgery> {
    let mut forgeries = Vec::new();
    let ends = [0, 1, 6, 7, 12, 13, 1 << 16, 1 << 31, u32::MAX - 7, u32::MAX];
    for count in [1, 2, 3, 255, 256, 1000, u16::MAX] {
        for first in ends {
            for last in ends {
                let mut payload = vec![0; 8 * usize::from(count.min(3))];
                put_u32(&mut payload, 0, first);
                let at = payload.len() - 8;
                put_u32(&mut payload, at, last);
                payload.extend([FORGED, FORGED].concat());
                let mut frame = Frame::new(end_lsn(log), BATCH, &payload);
                frame.count = count;
                let what = format!("a batch of {count}, ends {first} to {last}");
                forgeries.push(put(log, what, &frame));
            }
        }
    }
    for at in [4, 5, 6, 7] {
        let mut payload = [&[6, 0, 0, 0, 0, 0, 0, 0], FORGED].concat();
        payload[at] = 1;
        let mut frame = Frame::new(end_lsn(log), BATCH, &payload);
        frame.count = 1;
        forgeries.push(put(
            log,
            format!("a batch with byte {at} of its entry set"),
            &frame,
        ));
    }
    forgeries
}

/// Epochs that point anywhere.
fn epochs(log: &Log) -> Vec<Forgery> {
    let end = &log.claims.end;
    let mut forgeries = Vec::new();
    let durables = [
        0,
        512,
        1 << 32,
        end.word() - 1,
        end.word(),
        end.word() + 1,
        u64::MAX,
    ];
    let before = [
        0,
        8,
        4088,
        4096,
        4104,
        end.last_epoch,
        end.offset as u64 - 64,
        end.offset as u64,
        8192,
        8 << 32,
    ];
    for previous in before {
        for salt in [end.salt(), end.salts[0], 0] {
            for durable in durables {
                let payload = epoch(0x5a17, salt, previous, durable, u64::MAX);
                let mut bytes = Frame::new(end_lsn(log), EPOCH, &payload).encode(end.salt());
                let behind = end.offset + bytes.len();
                if let Some(next) = Lsn::new(end.segment, behind as u64).filter(|_| behind < 8192) {
                    bytes.extend(Frame::new(next, RECORD, FORGED).encode(0x5a17));
                }
                let what =
                    format!("an epoch after {previous}, salt {salt:#x}, durable {durable:#x}");
                forgeries.push(Forgery::at_end(log, what, bytes));
            }
        }
    }
    forgeries
}

/// Rewinds that lead anywhere: a valid one takes back what it says.
fn rewinds(log: &Log) -> Vec<Forgery> {
    let end = &log.claims.end;
    let starts = log
        .entries
        .iter()
        .map(|entry| crate::forge::word(entry.lsn));
    let odd = [
        0,
        1,
        512,
        end.word() - 1,
        end.word(),
        end.word() + 1,
        end.word() + (1 << 32),
        u64::MAX,
    ];
    let targets = starts.clone().chain(starts.map(|word| word + 1)).chain(odd);
    let mut forgeries = Vec::new();
    for from in targets {
        for rest in [0, 1, u64::MAX] {
            let payload = [from.to_le_bytes(), rest.to_le_bytes()].concat();
            let frame = Frame::new(end_lsn(log), REWIND, &payload);
            forgeries
                .push(put(log, format!("a rewind to {from:#x}, {rest:#x}"), &frame).anything());
        }
    }
    forgeries
}

/// A page of an earlier life behind the end.
fn pages(log: &Log) -> Vec<Forgery> {
    let end = &log.claims.end;
    let mut forgeries = Vec::new();
    for (at, image) in log.earlier.iter().enumerate() {
        let files = image.files.iter();
        for file in files.filter(|file| file.name.strip_suffix(".seg").is_some()) {
            for from in [4096, end.offset] {
                let bytes = file.bytes[from..].to_vec();
                let what = format!("bytes from {from} of {} in image {at}", file.name);
                forgeries.push(Forgery::at_end(log, what, bytes));
            }
        }
    }
    forgeries
}
