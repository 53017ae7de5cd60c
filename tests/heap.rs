//! Several threads on a log whose segments are bytes of the heap, small enough for an interpreter of the language's rules:
//! `cargo xtask sanitize miri` runs this, and sees every access to a segment's bytes and what orders it.
//!
//! The simulated disk takes a lock for a store and none for a read, so an order between the two comes from the log alone.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::thread;

use segwal::fault::SimDisk;
use segwal::{ErrorKind, Lsn, Wal, WalOptions};

const DIR: &str = "/log";
const WRITERS: u8 = 2;
/// Enough for more than one of the smallest segments.
const RECORDS: u8 = 8;

fn open(disk: &SimDisk, seed: u64) -> Wal {
    let mut options = WalOptions::new();
    options.segment_size(8192).preallocate_segments(1);
    options.open_on(disk, DIR, seed).unwrap()
}

/// The bytes of record `number` of `writer`: both, and then one of the two over and over.
fn payload(writer: u8, number: u8) -> Vec<u8> {
    let mut bytes = vec![writer, number];
    bytes.resize(2 + 90 * usize::from(number % 8), number);
    bytes
}

/// How many records of each writer a reader has seen, in order and byte for byte.
type Seen = [u8; WRITERS as usize];

/// Reads from `from` on what was not seen yet; says where it got to.
fn read(wal: &Wal, from: Lsn, seen: &mut Seen) -> Lsn {
    let discarded = |error: &segwal::Error| error.kind() == ErrorKind::Discarded;
    let mut last = from;
    let records = match wal.records(from) {
        Err(error) if discarded(&error) => return wal.head(),
        records => records.unwrap(),
    };
    for record in records {
        let record = match record {
            Err(error) if discarded(&error) => return wal.head(),
            record => record.unwrap(),
        };
        let [writer, number] = record[..2] else {
            panic!("{} bytes", record.len())
        };
        assert_eq!(*record, payload(writer, number));
        let seen = &mut seen[usize::from(writer)];
        // The last one is met again.
        assert!(number + 1 >= *seen, "{number} of {writer} after {seen}");
        *seen = number + 1;
        last = record.lsn();
    }
    last
}

/// Everybody's last record was seen, unless the discard came after all of his.
fn assert_seen(seen: Seen, last: [Lsn; WRITERS as usize], head: Lsn) {
    for (seen, last) in seen.into_iter().zip(last) {
        assert!(
            seen == RECORDS || last < head,
            "{seen} up to {last}, the head is {head}"
        );
    }
    assert!(seen.contains(&RECORDS), "the discard spares its own record");
}

/// Returns the position of the last one.
fn append_all(wal: &Wal, writer: u8) -> Lsn {
    let mut appender = wal.appender().unwrap();
    let mut last = wal.head();
    for number in 0..RECORDS {
        let bytes = payload(writer, number);
        let lsn = match number % 4 {
            0 => wal.append(&bytes).unwrap(),
            1 => wal.append_batch([&bytes]).unwrap().start,
            2 => {
                let len = u32::try_from(bytes.len()).unwrap();
                // One that is dropped becomes a frame without a record.
                drop(appender.reserve(len).unwrap());
                let mut reservation = appender.reserve(len).unwrap();
                reservation.write_at(0, &bytes).unwrap();
                reservation.publish()
            }
            _ => appender.append(&bytes).unwrap(),
        };
        if number % 3 == 0 {
            wal.sync_to(lsn).unwrap();
        }
        if writer == 0 && number == RECORDS / 2 {
            wal.sync_to(lsn).unwrap();
            wal.discard_before(lsn).unwrap();
        }
        last = lsn;
    }
    last
}

#[test]
fn writers_readers_and_a_discard_share_the_bytes_of_the_heap() {
    let disk = SimDisk::new();
    let wal = open(&disk, 1);
    let (mut from, mut seen) = (wal.head(), Seen::default());
    let last = thread::scope(|scope| {
        let writers = [0, 1].map(|writer| {
            let wal = &wal;
            scope.spawn(move || append_all(wal, writer))
        });
        while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
            from = read(&wal, from, &mut seen);
        }
        writers.map(|writer| writer.join().unwrap())
    });
    // The discard may have passed the reader.
    loop {
        let before = from;
        from = read(&wal, from, &mut seen);
        if from == before {
            break;
        }
    }
    assert_seen(seen, last, wal.head());
    wal.close().unwrap();
    let again = open(&disk, 2);
    let mut seen = Seen::default();
    read(&again, again.head(), &mut seen);
    assert_seen(seen, last, again.head());
}

#[test]
fn discarded_segments_are_used_again_under_readers() {
    let disk = SimDisk::new();
    let wal = open(&disk, 1);
    let mut held = Vec::new();
    for number in 0..8 {
        // One fills half of the room, so the next one needs another segment.
        let bytes = vec![number; 2100];
        let lsn = wal.append(&bytes).unwrap();
        if number % 3 == 0 {
            held.push((wal.get(lsn).unwrap(), bytes));
        }
        wal.sync_to(lsn).unwrap();
        wal.discard_before(lsn).unwrap();
    }
    assert!(wal.stats().reused_segments > 0);
    for (record, bytes) in held {
        assert_eq!(*record, *bytes);
    }
}
