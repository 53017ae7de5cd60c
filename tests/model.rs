//! Random sequences of calls against a `Vec`: what a log in use answers, with reopening and without accidents.
//!
//! After each call the bounds stand in order, every record is read back by position and by iteration, and positions that
//! are no record's are refused with the error that says why.

#![expect(clippy::print_stdout, reason = "a failing sequence says what it was")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::ops::Range;

use segwal::fault::SimDisk;
use segwal::{ErrorKind, Lsn, OnFull, Record, Wal, WalOptions};
use testkit::{Rng, seed};

const DIR: &str = "/log";

/// One frame: a record, or a batch of them.
#[derive(Clone, Debug)]
struct Frame {
    span: Range<Lsn>,
    tag: u8,
    records: Vec<Vec<u8>>,
}

/// How a log is left before it is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Close,
    Drop,
}

impl Ending {
    const fn name(self) -> &'static str {
        match self {
            Self::Close => "close, open",
            Self::Drop => "drop, open",
        }
    }
}

/// A log beside what it should hold.
struct Pair {
    disk: SimDisk,
    options: WalOptions,
    wal: Wal,
    /// Every frame ever appended, discarded ones included, void ones not.
    frames: Vec<Frame>,
    /// Positions of records that are void.
    voided: Vec<Lsn>,
    head: Lsn,
    /// Records that somebody still reads, discarded or not, and what they said.
    held: Vec<(Record, Vec<u8>)>,
    rng: Rng,
}

impl Pair {
    fn new(mut rng: Rng) -> Self {
        let disk = SimDisk::new();
        let mut options = WalOptions::new();
        let size = *rng.pick(&[8192, 12288, 16384]);
        options
            .segment_size(size)
            .preallocate_segments(1)
            .on_full(OnFull::Fail);
        let wal = options.open_on(&disk, DIR, rng.next_u64()).unwrap();
        let head = wal.head();
        Self {
            disk,
            options,
            wal,
            frames: Vec::new(),
            voided: Vec::new(),
            head,
            held: Vec::new(),
            rng,
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let most = *self.rng.pick(&[1, 16, 200, 1500]);
        let len = self.rng.index(most);
        self.rng.bytes(len)
    }

    /// One call; says what it was.
    fn call(&mut self) -> &'static str {
        match self.rng.below(20) {
            0..5 => self.append(),
            5..7 => self.append_batch(),
            7 => self.publish(),
            8 => self.abandon(),
            9 => self.append_to_the_brim(),
            10 => self.sync(),
            11 => self.sync_to(),
            12..14 => self.discard(),
            14 => self.reopen(Ending::Close),
            15 => self.reopen(Ending::Drop),
            16..18 => self.truncate_after(),
            18 => self.truncate_from(),
            _ if self.rng.chance(1, 4) => self.reset(),
            _ => self.sync(),
        }
    }

    fn push(&mut self, span: Range<Lsn>, tag: u8, records: Vec<Vec<u8>>) {
        let before = self.frames.last().map(|frame| frame.span.end);
        assert!(
            before.is_none_or(|before| before <= span.start),
            "{span:?} is not behind {before:?}"
        );
        self.frames.push(Frame { span, tag, records });
    }

    fn append_record(&mut self, tag: u8, record: Vec<u8>) {
        let lsn = self.wal.append_tagged(tag, &record).unwrap();
        self.push(lsn..self.wal.end(), tag, vec![record]);
    }

    fn append(&mut self) -> &'static str {
        let record = self.bytes();
        let tag = u8::try_from(self.rng.below(256)).unwrap();
        self.append_record(tag, record);
        "append"
    }

    fn append_to_the_brim(&mut self) -> &'static str {
        let room = self.wal.segment_size() - self.wal.end().offset();
        if let Some(len) = room.checked_sub(24 + 8 * self.rng.below(10)) {
            let record = self.rng.bytes(usize::try_from(len).unwrap());
            self.append_record(0, record);
        }
        "append to the brim"
    }

    fn append_batch(&mut self) -> &'static str {
        let records: Vec<_> = (0..self.rng.range(1..6))
            .map(|_| self.bytes())
            .map(|bytes| bytes[..bytes.len() / 2].to_vec())
            .collect();
        let span = self.wal.append_batch(&records).unwrap();
        self.push(span, 0, records);
        "append_batch"
    }

    fn publish(&mut self) -> &'static str {
        let record = self.bytes();
        let mut appender = self.wal.appender().unwrap();
        let mut reservation = appender
            .reserve(u32::try_from(record.len()).unwrap())
            .unwrap();
        reservation.write_at(0, &record).unwrap();
        assert_eq!(self.wal.sync().unwrap_err().kind(), ErrorKind::InvalidState);
        let lsn = reservation.publish();
        drop(appender);
        self.push(lsn..self.wal.end(), 0, vec![record]);
        "publish"
    }

    fn abandon(&mut self) -> &'static str {
        let len = u32::try_from(self.rng.below(900)).unwrap();
        let mut appender = self.wal.appender().unwrap();
        let reservation = appender.reserve(len).unwrap();
        let lsn = reservation.lsn();
        drop(reservation);
        assert_eq!(
            self.wal.get(lsn).unwrap_err().kind(),
            ErrorKind::NotFound,
            "an abandoned record was read"
        );
        "abandon"
    }

    fn sync(&mut self) -> &'static str {
        let published = self.wal.published();
        assert!(self.wal.sync().unwrap() >= published);
        "sync"
    }

    fn sync_to(&mut self) -> &'static str {
        if let Some(frame) = self.frames.last() {
            self.wal.sync_to(frame.span.start).unwrap();
            assert!(self.wal.durable() > frame.span.start);
        }
        assert_eq!(
            self.wal.sync_to(self.wal.end()).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        "sync_to"
    }

    fn discard(&mut self) -> &'static str {
        if !self.voided.is_empty() && self.rng.chance(1, 4) {
            return self.discard_at_a_void_position();
        }
        let to = if self.frames.is_empty() || self.rng.chance(1, 4) {
            self.wal.end()
        } else {
            let back = self.rng.index(self.frames.len().min(8));
            self.frames[self.frames.len() - 1 - back].span.start
        };
        self.wal.discard_before(to).unwrap();
        self.head = self.head.max(to);
        assert!(self.wal.durable() >= self.head);
        let beyond = Lsn::new(self.wal.end().segment() + 1, 4096).unwrap();
        assert_eq!(
            self.wal.discard_before(beyond).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        "discard_before"
    }

    /// It counts as the rewind that made it void: everything before that is discarded, and the truncation durable.
    fn discard_at_a_void_position(&mut self) -> &'static str {
        let lsn = self.voided[self.rng.index(self.voided.len())];
        self.wal.discard_before(lsn).unwrap();
        let head = self.wal.head();
        assert!(head >= lsn && head >= self.head && head <= self.wal.durable());
        let between = self
            .frames
            .iter()
            .filter(|frame| (lsn..head).contains(&frame.span.start));
        assert_eq!(
            between
                .filter(|frame| frame.span.start >= self.head)
                .count(),
            0
        );
        self.head = head;
        "discard_before a void position"
    }

    /// A record that is neither void nor discarded, rather one of the last.
    fn pick(&mut self) -> Option<usize> {
        let live = self
            .frames
            .partition_point(|frame| frame.span.start < self.head);
        let count = self.frames.len() - live;
        let back = self.rng.index(count.clamp(1, 12));
        (count > 0).then(|| self.frames.len() - 1 - back)
    }

    fn truncate_after(&mut self) -> &'static str {
        let Some(index) = self.pick() else {
            return "truncate_after nothing";
        };
        let lsn = self.frames[index].span.start;
        let rewind = self.wal.truncate_after(lsn).unwrap();
        self.note_rewind(index + 1, rewind);
        "truncate_after"
    }

    fn truncate_from(&mut self) -> &'static str {
        let (first, lsn) = match self.pick() {
            Some(index) if self.rng.chance(3, 4) => (index, self.frames[index].span.start),
            _ => {
                let live = self
                    .frames
                    .partition_point(|frame| frame.span.start < self.head);
                (live, self.head)
            }
        };
        let rewind = self.wal.truncate_from(lsn).unwrap();
        self.note_rewind(first, rewind);
        "truncate_from"
    }

    fn note_rewind(&mut self, first: usize, rewind: Lsn) {
        let voided = self.frames.drain(first..).map(|frame| frame.span.start);
        self.voided.extend(voided);
        assert!(self.voided.iter().all(|lsn| *lsn < rewind));
        if self.rng.chance(1, 2) {
            self.wal.sync_to(rewind).unwrap();
        }
    }

    fn reset(&mut self) -> &'static str {
        let head = self.wal.reset().unwrap();
        assert_eq!((head, head), (self.wal.head(), self.wal.end()));
        self.head = head;
        "reset"
    }

    fn reopen(&mut self, ending: Ending) -> &'static str {
        if ending == Ending::Close {
            self.wal.close().unwrap();
            assert_eq!(self.wal.append(b"").unwrap_err().kind(), ErrorKind::Closed);
        }
        let end = self.wal.end();
        self.held.clear();
        // The last clone gives the lock up, so the new log can only be opened once the old one is gone.
        let other = SimDisk::new();
        self.wal = WalOptions::new()
            .segment_size(8192)
            .open_on(&other, DIR, 1)
            .unwrap();
        self.wal = self
            .options
            .open_on(&self.disk, DIR, self.rng.next_u64())
            .unwrap();
        assert_eq!(
            self.wal.recovery().end(),
            end,
            "nothing was lost and nothing came back"
        );
        assert_eq!(
            self.wal.durable(),
            self.wal.end(),
            "what was opened is durable"
        );
        ending.name()
    }

    /// A log without a record moves to the next segment, and the head follows it: nothing lies between.
    fn follow_head(&mut self) {
        let head = self.wal.head();
        let is_next = head.segment() == self.head.segment() + 1 && head.offset() == 4096;
        let passed = self.head..head;
        if is_next && !self.frames.iter().any(|it| passed.contains(&it.span.start)) {
            self.head = head;
        }
    }

    fn check(&mut self) {
        self.follow_head();
        self.check_bounds();
        self.check_held();
        self.check_voided();
        self.check_positions();
        self.check_iteration();
    }

    fn check_bounds(&self) {
        let wal = &self.wal;
        let bounds = [wal.head(), wal.durable(), wal.published(), wal.end()];
        assert!(
            bounds.is_sorted(),
            "head, durable, published, end: {bounds:?}"
        );
        assert_eq!(wal.head(), self.head);
        assert_eq!(wal.published(), wal.end(), "no other thread writes");
        let last = self.frames.last().map(|frame| frame.span.end);
        assert!(last.is_none_or(|last| last <= wal.end()));
    }

    /// What is read stays as it is, whatever became of its segment; now and then another record is read, or one let go.
    fn check_held(&mut self) {
        for (record, bytes) in &self.held {
            assert_eq!(&**record, &**bytes, "a held record changed");
        }
        match self.rng.below(8) {
            0 if !self.held.is_empty() => drop(self.held.swap_remove(0)),
            1..3 => {
                let first = self.wal.records(self.head).unwrap().next();
                let record = first.map(Result::unwrap);
                self.held
                    .extend(record.map(|record| (record.clone(), record.to_vec())));
            }
            _ => {}
        }
    }

    /// What is void is neither given out nor kept by a truncation, and an iterator that begins there goes on behind it.
    fn check_voided(&mut self) {
        let Some(last) = self.voided.len().checked_sub(1) else {
            return;
        };
        for _ in 0..3 {
            let lsn = self.voided[self.rng.index(last + 1)];
            let kind = if lsn < self.head {
                ErrorKind::Discarded
            } else {
                ErrorKind::NotFound
            };
            assert_eq!(self.wal.get(lsn).unwrap_err().kind(), kind, "{lsn}");
            let kept = self.wal.truncate_after(lsn);
            assert_eq!(kept.unwrap_err().kind(), kind, "{lsn}");
            if lsn >= self.head {
                let next = self.wal.records(lsn).unwrap().next();
                let behind = self.frames.iter().find(|frame| frame.span.start > lsn);
                assert_eq!(
                    next.map(|record| record.unwrap().lsn()),
                    behind.map(|frame| frame.span.start)
                );
            }
        }
    }

    fn check_positions(&mut self) {
        let Some(last) = self.frames.len().checked_sub(1) else {
            return;
        };
        for _ in 0..4 {
            let index = self.rng.index(last + 1);
            let frame = self.frames[index].clone();
            let lsn = frame.span.start;
            if lsn < self.head {
                assert_eq!(self.wal.get(lsn).unwrap_err().kind(), ErrorKind::Discarded);
                assert_eq!(
                    self.wal.records(lsn).unwrap_err().kind(),
                    ErrorKind::Discarded
                );
                continue;
            }
            assert_eq!(&*self.wal.get(lsn).unwrap(), &frame.records[0]);
            for (index, record) in (0..).zip(&frame.records) {
                assert_eq!(&*self.wal.get_in_batch(lsn, index).unwrap(), record);
            }
            let beyond = u16::try_from(frame.records.len()).unwrap();
            assert_eq!(
                self.wal.get_in_batch(lsn, beyond).unwrap_err().kind(),
                ErrorKind::NotFound
            );
            self.check_no_boundary(&frame);
        }
        assert_eq!(
            self.wal.get(self.wal.end()).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(self.wal.records(self.wal.end()).unwrap().count(), 0);
    }

    /// A position within a frame is no record's.
    fn check_no_boundary(&mut self, frame: &Frame) {
        let len = frame.records.iter().map(Vec::len).sum::<usize>() as u64 + 24;
        let Some(inside) = (len / 8).checked_sub(1).filter(|grains| *grains > 0) else {
            return;
        };
        let offset = frame.span.start.offset() + 8 * self.rng.range(1..inside + 1);
        let lsn = Lsn::new(frame.span.start.segment(), offset).unwrap();
        assert_eq!(
            self.wal.get(lsn).unwrap_err().kind(),
            ErrorKind::NotFound,
            "{lsn} in {:?}",
            frame.span
        );
        assert_eq!(
            self.wal.records(lsn).unwrap_err().kind(),
            ErrorKind::NotFound,
            "{lsn}"
        );
        assert_eq!(
            self.wal.discard_before(lsn).unwrap_err().kind(),
            ErrorKind::NotFound,
            "{lsn}"
        );
    }

    fn check_iteration(&mut self) {
        let live = self
            .frames
            .partition_point(|frame| frame.span.start < self.head);
        let first = live + self.rng.index(self.frames.len() - live + 1);
        let whole = first == live && self.rng.chance(1, 2);
        let from = match self.frames.get(first) {
            Some(frame) if !whole => frame.span.start,
            Some(_) => self.head,
            None => self.wal.end(),
        };
        let got = self.wal.records(from).unwrap().map(|record| {
            let record = record.unwrap();
            (record.lsn(), record.index(), record.tag(), record.to_vec())
        });
        let expected = self.frames[first..].iter().flat_map(|frame| {
            (0..)
                .zip(&frame.records)
                .map(|(index, record)| (frame.span.start, index, frame.tag, record.clone()))
        });
        assert!(got.eq(expected), "the records from {from} on are others");
    }
}

#[test]
fn random_calls_answer_as_a_vec_would() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    for sequence in 0..2000 {
        let mut pair = Pair::new(Rng::new(rng.next_u64()));
        let mut calls = Vec::new();
        for _ in 0..pair.rng.range(3..60) {
            let run = std::panic::AssertUnwindSafe(|| {
                calls.push(pair.call());
                pair.check();
            });
            if let Err(cause) = std::panic::catch_unwind(run) {
                println!("found after {sequence} sequences of calls");
                println!(
                    "sequence {sequence} of SEGWAL_SEED={seed} cargo test --test model, after {calls:?}"
                );
                std::panic::resume_unwind(cause);
            }
        }
    }
}
