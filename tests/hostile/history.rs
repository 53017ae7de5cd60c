//! [`Log`]: a log with a history, as bytes, and the truth about it.

use segwal::fault::SimDisk;
use segwal::{EndKind, Lsn, OnFull, Wal, WalOptions};

use crate::claims::Claims;
use crate::entry::Entry;
use crate::forge::word;
use crate::image::{DIR, Image};

/// A log as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) name: &'static str,
    pub(crate) image: Image,
    /// Everything that was ever written, in order.
    pub(crate) entries: Vec<Entry>,
    pub(crate) claims: Claims,
    /// The same directory at earlier moments of its life.
    pub(crate) earlier: Vec<Image>,
}

pub(crate) fn options() -> WalOptions {
    let mut options = WalOptions::new();
    options
        .segment_size(8192)
        .preallocate_segments(1)
        .reserve_segments(0)
        .on_full(OnFull::Fail);
    options
}

/// A log that is being written.
struct Writer {
    disk: SimDisk,
    wal: Wal,
    entries: Vec<Entry>,
    earlier: Vec<Image>,
    seed: u64,
}

impl Writer {
    fn new() -> Self {
        let disk = SimDisk::new();
        let wal = options().open_on(&disk, DIR, 1).expect("an empty disk");
        Self {
            disk,
            wal,
            entries: Vec::new(),
            earlier: Vec::new(),
            seed: 1,
        }
    }

    fn payload(&self, len: usize) -> Vec<u8> {
        let serial = self.entries.len();
        let bytes = (0_u8..=255).cycle().skip(serial * 31 % 256);
        bytes.step_by(7).take(len).collect()
    }

    fn append(&mut self, len: usize) {
        let payload = self.payload(len);
        let tag = u8::try_from(len % 5).expect("small");
        let lsn = self
            .wal
            .append_tagged(tag, &payload)
            .expect("there is room");
        self.entries.push(Entry::lone(lsn, tag, payload));
    }

    fn batch(&mut self, lens: &[usize]) {
        let payloads: Vec<_> = lens.iter().map(|&len| self.payload(len)).collect();
        let lsn = self
            .wal
            .append_batch(&payloads)
            .expect("there is room")
            .start;
        for (index, payload) in (0..).zip(payloads) {
            self.entries.push(Entry::of_batch(lsn, index, payload));
        }
    }

    fn abandon(&self, len: u32) {
        let mut appender = self.wal.appender().expect("there is a seat");
        drop(appender.reserve(len).expect("there is room"));
    }

    /// A record that leaves so much of its segment.
    fn fill(&mut self, rest: u64) {
        let len = 8192 - self.wal.end().offset() - 24 - rest;
        self.append(usize::try_from(len).expect("small"));
    }

    fn sync(&mut self) {
        self.wal.sync().expect("a healthy disk");
        self.earlier.push(Image::of(&self.disk));
    }

    fn reopen(&mut self) {
        self.seed += 1;
        self.disk = self.disk.kill();
        self.wal = options()
            .open_on(&self.disk, DIR, self.seed)
            .expect("a sound log");
        self.earlier.push(Image::of(&self.disk));
    }

    /// Several lives, batches, a recycled file and a head within a segment.
    fn live(&mut self) {
        self.append(300);
        self.batch(&[30, 0, 200]);
        self.sync();
        self.append(900);
        self.reopen();
        self.append(1200);
        self.sync();
        self.fill(0);
        self.append(700);
        self.abandon(50);
        self.sync();
        self.fill(40);
        self.append(64);
        self.sync();
        let head = self.wal.end();
        self.append(500);
        self.wal.discard_before(head).expect("a healthy disk");
        self.fill(0);
        self.append(1000);
        self.sync();
        self.reopen();
        self.append(128);
        self.batch(&[400, 5]);
        self.fill(0);
        self.append(800);
        self.sync();
        self.reopen();
        self.append(256);
        self.fill(0);
        self.append(333);
        self.sync();
        self.append(40);
        self.reopen();
        self.append(90);
        self.batch(&[60, 61]);
        self.sync();
    }

    fn finish(self, name: &'static str, disk: &SimDisk) -> Log {
        let image = Image::of(disk);
        let last = self.entries.last().expect("it has records").lsn.segment();
        let claims = Claims::of(&image, last);
        Log {
            name,
            image,
            entries: self.entries,
            claims,
            earlier: self.earlier,
        }
    }
}

/// The logs that are damaged, each with another end.
pub(crate) fn all() -> Vec<Log> {
    vec![closed(), killed(), torn(), hole(), young()]
}

fn closed() -> Log {
    let mut writer = Writer::new();
    writer.live();
    writer.wal.close().expect("a healthy disk");
    let disk = writer.disk.clone();
    writer.finish("closed", &disk)
}

pub(crate) fn killed() -> Log {
    let mut writer = Writer::new();
    writer.live();
    writer.append(77);
    writer.append(300);
    let durable = writer.wal.durable();
    let held = writer.wal.hold_named("archive", durable);
    drop(held.expect("a healthy disk"));
    let disk = writer.disk.clone();
    writer.finish("killed", &disk)
}

/// Power cuts with these seeds until one leaves such an end.
fn cut(writer: &Writer, kind: EndKind) -> SimDisk {
    (0..1000)
        .map(|seed| writer.disk.crash_image(seed))
        .find(|disk| {
            let opened = options().open_on(&disk.snapshot(), DIR, 99);
            opened.is_ok_and(|wal| wal.recovery().kind() == kind)
        })
        .expect("one of a thousand power cuts leaves it")
}

fn torn() -> Log {
    let mut writer = Writer::new();
    writer.live();
    writer.append(50);
    writer.append(1500);
    let disk = cut(&writer, EndKind::TornTail);
    writer.finish("torn", &disk)
}

fn hole() -> Log {
    let mut writer = Writer::new();
    writer.live();
    writer.append(1500);
    writer.append(700);
    writer.fill(0);
    writer.append(20);
    let disk = cut(&writer, EndKind::Hole);
    writer.finish("hole", &disk)
}

fn young() -> Log {
    let mut writer = Writer::new();
    writer.append(10);
    writer.append(0);
    writer.sync();
    writer.append(1000);
    let disk = writer.disk.clone();
    writer.finish("young", &disk)
}

impl Log {
    /// The entries from `head` on.
    pub(crate) fn from(&self, head: Lsn) -> &[Entry] {
        let first = self.entries.partition_point(|entry| entry.lsn < head);
        &self.entries[first..]
    }

    /// How many of `entries` lie below a bound.
    pub(crate) fn below(entries: &[Entry], bound: u64) -> usize {
        entries.partition_point(|entry| word(entry.lsn) < bound)
    }
}
