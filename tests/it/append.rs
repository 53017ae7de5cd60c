//! Appending: every length, batches, parts, tags, and many threads through rotation.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::thread;

use segwal::{ErrorKind, Lsn, Wal, WalOptions};
use testkit::{Rng, TempDir, seed};

use crate::scene::{
    SMALL_CAPACITY, names, payload, read_all, refused, sized_payload, small, within,
};

fn wide(segment_size: u64) -> WalOptions {
    let mut options = WalOptions::new();
    options.segment_size(segment_size);
    options
}

#[test]
fn every_length_from_nothing_to_a_whole_segment_comes_back() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    assert_eq!(wal.max_record_len() as usize, SMALL_CAPACITY);
    let mut rng = Rng::new(seed());
    let mut expected = Vec::new();
    let shortest = 0..=80;
    let longest = SMALL_CAPACITY - 80..=SMALL_CAPACITY;
    for len in shortest
        .chain((90..SMALL_CAPACITY).step_by(97))
        .chain(longest)
    {
        let bytes = rng.bytes(len);
        let lsn = wal.append(&bytes).unwrap();
        let record = wal.get(lsn).unwrap();
        assert_eq!(&*record, &bytes[..], "{len} bytes");
        assert_eq!((record.lsn(), record.index(), record.tag()), (lsn, 0, 0));
        expected.push((lsn, bytes));
    }
    assert_eq!(read_all(&wal, wal.head()), expected);
    wal.close().unwrap();
    drop(wal);
    let wal = Wal::open(dir.path()).unwrap();
    assert_eq!(read_all(&wal, wal.head()), expected, "after reopening");
}

#[test]
fn one_byte_too_long_is_refused_and_changes_nothing() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut appender = wal.appender().unwrap();
    let lsn = wal.append(b"before").unwrap();
    let state = |wal: &Wal| {
        (
            wal.end(),
            wal.published(),
            wal.durable(),
            wal.stats().rotations,
        )
    };
    let before = state(&wal);
    let long = vec![7; SMALL_CAPACITY + 1];
    let (half, rest) = long.split_at(2000);
    refused(wal.append(&long), ErrorKind::TooLarge);
    refused(wal.append_tagged(9, &long), ErrorKind::TooLarge);
    refused(
        wal.append_vectored(&[IoSlice::new(half), IoSlice::new(rest)]),
        ErrorKind::TooLarge,
    );
    refused(appender.append(&long), ErrorKind::TooLarge);
    refused(appender.reserve(long.len() as u32), ErrorKind::TooLarge);
    refused(appender.reserve(u32::MAX), ErrorKind::TooLarge);
    // Each record of a batch takes eight bytes more.
    refused(wal.append_batch([half, &rest[8..]]), ErrorKind::TooLarge);
    assert_eq!(state(&wal), before);
    let next = wal.append(b"after").unwrap();
    assert_eq!(next, wal.get(lsn).unwrap().end());
    drop(appender);
    within(move || wal.close()).unwrap();
}

#[test]
fn a_limit_of_the_callers_own_is_kept() {
    let dir = TempDir::in_memory();
    let wal = small().max_record_len(100).open(dir.path()).unwrap();
    wal.append(&[0; 100]).unwrap();
    refused(wal.append(&[0; 101]), ErrorKind::TooLarge);
    wal.append_batch([&[0; 42], &[0; 42]]).unwrap();
    refused(
        wal.append_batch([&[0; 42][..], &[0; 43]]),
        ErrorKind::TooLarge,
    );
}

#[test]
fn batches_of_one_and_of_the_most_records_come_back_whole() {
    let dir = TempDir::in_memory();
    let wal = wide(2 << 20).open(dir.path()).unwrap();
    let one = wal.append_batch([b"alone"]).unwrap();
    let record = wal.get_in_batch(one.start, 0).unwrap();
    assert_eq!((&*record, record.end()), (&b"alone"[..], one.end));
    refused(wal.get_in_batch(one.start, 1), ErrorKind::NotFound);

    let many: Vec<_> = (0..65_535_u32).map(u32::to_le_bytes).collect();
    let range = wal.append_batch(&many).unwrap();
    assert_eq!(range.start, one.end);
    for index in [0, 1, 32_767, 65_533, 65_534] {
        let record = wal.get_in_batch(range.start, index).unwrap();
        assert_eq!(
            (&*record, record.index()),
            (&many[usize::from(index)][..], index)
        );
    }
    refused(wal.get_in_batch(range.start, 65_535), ErrorKind::NotFound);
    let read: Vec<_> = wal
        .records(range.start)
        .unwrap()
        .map(|r| r.unwrap().to_vec())
        .collect();
    assert!(
        read.iter().eq(many.iter()),
        "{} of {}",
        read.len(),
        many.len()
    );

    let end = wal.end();
    let too_many: Vec<_> = vec![b""; 65_536];
    refused(wal.append_batch(&too_many), ErrorKind::TooLarge);
    refused(wal.append_batch([b""; 0]), ErrorKind::InvalidState);
    assert_eq!(wal.end(), end);
    let last = wal.append(b"behind").unwrap();
    assert_eq!(last, end);
    wal.sync_to(range.start).unwrap();
    assert!(wal.durable() >= range.end);
}

#[test]
fn a_batch_of_empty_records_fills_a_segment_exactly() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let most = SMALL_CAPACITY / 8;
    let first = wal.append_batch(vec![b""; most]).unwrap();
    refused(wal.append_batch(vec![b""; most + 1]), ErrorKind::TooLarge);
    let second = wal.append_batch(vec![b""; most]).unwrap();
    assert_eq!(second.start.segment(), first.start.segment() + 1);
    assert_eq!(read_all(&wal, wal.head()).len(), 2 * most);
}

#[test]
fn parts_are_joined() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut appender = wal.appender().unwrap();
    let parts = [&b""[..], b"one ", b"", b"two", b""].map(IoSlice::new);
    for lsn in [
        wal.append_vectored(&parts),
        appender.append_vectored(&parts),
    ] {
        assert_eq!(&*wal.get(lsn.unwrap()).unwrap(), b"one two");
    }
    let empty = wal.append_vectored(&[]).unwrap();
    assert_eq!(&*wal.get(empty).unwrap(), b"");
}

#[test]
fn every_tag_comes_back() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns: Vec<_> = (0..=u8::MAX)
        .map(|tag| wal.append_tagged(tag, &[tag]).unwrap())
        .collect();
    wal.close().unwrap();
    drop(wal);
    let wal = Wal::open(dir.path()).unwrap();
    for (tag, lsn) in (0..=u8::MAX).zip(lsns) {
        let record = wal.get(lsn).unwrap();
        assert_eq!((record.tag(), &*record), (tag, &[tag][..]));
    }
}

/// Every record of every writer is there once, in the order of its writer, where its append said.
fn check(wal: &Wal, appended: &BTreeMap<(u32, u64), Lsn>) {
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    let records = read_all(wal, wal.head());
    let lsns: BTreeSet<_> = records.iter().map(|(lsn, _)| lsn).collect();
    assert_eq!(lsns.len(), records.len(), "positions are unique");
    for (lsn, bytes) in &records {
        let (writer, sequence) = names(bytes);
        assert_eq!(appended.get(&(writer, sequence)), Some(lsn));
        let expected = next.entry(writer).or_default();
        assert_eq!(sequence, *expected, "writer {writer}");
        *expected += 1;
    }
    assert_eq!(records.len(), appended.len());
}

fn append_from_threads(
    wal: &Wal,
    writers: u32,
    count: u64,
    bytes: impl Fn(u32, u64) -> Vec<u8> + Sync,
) -> BTreeMap<(u32, u64), Lsn> {
    thread::scope(|scope| {
        let handles: Vec<_> = (0..writers)
            .map(|writer| {
                let bytes = &bytes;
                scope.spawn(move || {
                    let mut appender = wal.appender().unwrap();
                    let mut append = |sequence| {
                        let bytes = bytes(writer, sequence);
                        // Both ways in, since each finds its segment in its own way.
                        let lsn = if sequence % 3 == 0 {
                            wal.append(&bytes)
                        } else {
                            appender.append(&bytes)
                        };
                        ((writer, sequence), lsn.unwrap())
                    };
                    (0..count).map(&mut append).collect::<Vec<_>>()
                })
            })
            .collect();
        handles
            .into_iter()
            .flat_map(|handle| handle.join().unwrap())
            .collect()
    })
}

#[test]
fn threads_append_through_rotation_without_losing_their_order() {
    let dir = TempDir::in_memory();
    let wal = small()
        .preallocate_segments(8)
        .max_unsynced_segments(16)
        .open(dir.path())
        .unwrap();
    let appended = append_from_threads(&wal, 12, 250, payload);
    assert!(wal.stats().rotations > 100, "{:?}", wal.stats());
    check(&wal, &appended);
    wal.sync().unwrap();
    assert_eq!(wal.durable(), wal.end());
    drop(wal);
    check(&Wal::open(dir.path()).unwrap(), &appended);
}

#[test]
fn frames_larger_than_an_eighth_of_a_segment_from_many_threads() {
    let dir = TempDir::in_memory();
    let wal = wide(64 << 10)
        .preallocate_segments(4)
        .open(dir.path())
        .unwrap();
    let bytes = |writer, sequence: u64| {
        let mut rng = Rng::new(u64::from(writer) << 40 | sequence);
        let len = if rng.chance(1, 3) {
            rng.below(200)
        } else {
            rng.range(7_000..61_000)
        };
        sized_payload(writer, sequence, len as usize)
    };
    let appended = append_from_threads(&wal, 6, 60, bytes);
    check(&wal, &appended);
    drop(wal);
    check(&Wal::open(dir.path()).unwrap(), &appended);
}

#[test]
fn appenders_are_limited_and_their_places_come_back() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut appenders: Vec<_> = (0..96).map(|_| wal.appender().unwrap()).collect();
    let error = refused(wal.appender(), ErrorKind::OutOfResources);
    assert!(error.to_string().contains("appender"), "{error}");
    wal.append(b"without one").unwrap();
    appenders[95].append(b"with the last one").unwrap();
    drop(appenders.swap_remove(17));
    let mut again = wal.appender().unwrap();
    again.append(b"with a place that came back").unwrap();
    refused(wal.appender(), ErrorKind::OutOfResources);
    wal.sync().unwrap();
    assert_eq!(read_all(&wal, wal.head()).len(), 3);
    wal.close().unwrap();
    refused(again.append(b"closed"), ErrorKind::Closed);
    refused(wal.appender(), ErrorKind::Closed);
}
