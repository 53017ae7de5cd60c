//! Truncation and reset: what is void, for whom, and after what.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use segwal::fault::SimDisk;
use segwal::{
    ErrorKind, Lsn, OnDamage, OnFull, Repair, Result, VerdictKind, Wal, WalOptions, WalReader,
};
use testkit::{Rng, TempDir, seed, wait_until};

use crate::bad::refused_unchanged;
use crate::scene::{LIMIT, flip_bit, read_all, refused, segment_path, sized_payload, small};

fn append(wal: &Wal, sequences: Range<u64>, len: usize) -> Vec<Lsn> {
    let append = |sequence| wal.append(&sized_payload(0, sequence, len)).unwrap();
    sequences.map(append).collect()
}

fn positions(wal: &Wal) -> Vec<Lsn> {
    let records = read_all(wal, wal.head());
    records.into_iter().map(|(lsn, _)| lsn).collect()
}

fn positions_beside(dir: &Path) -> Vec<Lsn> {
    let reader = Wal::open_read_only(dir).unwrap();
    let records = reader.records(reader.head().unwrap()).unwrap();
    records.map(|record| record.unwrap().lsn()).collect()
}

/// A rewind of a truncation within a segment, over several, and one that takes both back, each in its own way of ending.
#[test]
fn truncations_within_and_over_segments_are_found_again_by_everybody() {
    let dir = TempDir::in_memory();
    let mut kept = Vec::new();
    for round in 0..24 {
        let wal = small().open(dir.path()).unwrap();
        assert_eq!(positions(&wal), kept, "round {round}");
        kept.extend(append(&wal, 0..12, 700));
        let count = kept.len();
        let keep = match round % 4 {
            0 => count - 1,
            1 => count - 9,
            2 => count.saturating_sub(30).max(1),
            _ => count,
        };
        let rewind = wal.truncate_after(kept[keep - 1]).unwrap();
        assert!(rewind > kept[count - 1]);
        for void in kept.drain(keep..) {
            refused(wal.get(void), ErrorKind::NotFound);
            refused(wal.truncate_from(void), ErrorKind::NotFound);
            wal.sync_to(void).unwrap();
        }
        kept.extend(append(&wal, 0..2, 100));
        assert_eq!(positions(&wal), kept);
        assert_eq!(positions_beside(dir.path()), kept);
        if round % 3 == 0 {
            wal.close().unwrap();
        }
    }
    let wal = small().open(dir.path()).unwrap();
    assert!(wal.end().segment() > 20 && wal.recovery().scanned_bytes() < 16_384);
    let voids = wal.recovery().voids();
    assert!(voids.is_sorted_by(|a, b| a.end < b.start), "{voids:?}");
    assert!(
        kept.iter()
            .all(|lsn| !voids.iter().any(|void| void.contains(lsn)))
    );
    let verdict = Wal::open_read_only(dir.path()).unwrap().verify();
    assert_eq!(verdict.kind(), VerdictKind::Clean, "{verdict:?}");
    // The head goes into void ranges, onto rewinds and beyond them.
    let mut rng = Rng::new(seed());
    while let Some(index) = (kept.len() > 2).then(|| rng.index(4) + 1) {
        let before = kept[index.min(kept.len() - 1)];
        wal.discard_before(before).unwrap();
        kept.retain(|lsn| *lsn >= before);
        assert_eq!(positions(&wal), kept);
        let reader = Wal::open_read_only(dir.path()).unwrap();
        let beside = reader.records(before).unwrap();
        assert!(beside.map(|record| record.unwrap().lsn()).eq(kept.clone()));
    }
    drop(wal);
    assert_eq!(positions(&small().open(dir.path()).unwrap()), kept);
}

#[test]
fn what_was_handed_out_stays_and_a_batch_is_kept_or_void_as_a_whole() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let first = wal.append_batch([b"a", b"b", b"c"]).unwrap();
    let second = wal.append_batch([b"d", b"e"]).unwrap();
    let held = wal.get_in_batch(second.start, 1).unwrap();
    let mut begun = wal.records(second.start).unwrap();
    assert_eq!(&*begun.next().unwrap().unwrap(), b"d");
    wal.truncate_after(first.start).unwrap();
    assert_eq!(&*held, b"e");
    assert_eq!(&*begun.next().unwrap().unwrap(), b"e");
    assert!(begun.next().is_none());
    refused(wal.get_in_batch(second.start, 1), ErrorKind::NotFound);
    assert_eq!(positions(&wal), [first.start; 3]);
    wal.truncate_from(first.start).unwrap();
    assert_eq!(positions(&wal), []);
    wal.append(b"on").unwrap();
    assert_eq!(positions_beside(dir.path()).len(), 1);
}

#[test]
fn only_a_record_that_is_there_can_be_kept() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns = append(&wal, 0..6, 100);
    wal.discard_before(lsns[2]).unwrap();
    refused(wal.truncate_after(lsns[1]), ErrorKind::Discarded);
    refused(wal.truncate_after(wal.end()), ErrorKind::NotFound);
    let inside = Lsn::new(1, lsns[3].offset() + 8).unwrap();
    refused(wal.truncate_after(inside), ErrorKind::NotFound);
    let mut appender = wal.appender().unwrap();
    let reservation = appender.reserve(10).unwrap();
    let aborted = reservation.lsn();
    refused(wal.truncate_after(lsns[3]), ErrorKind::InvalidState);
    refused(wal.reset(), ErrorKind::InvalidState);
    drop(reservation);
    drop(appender);
    refused(wal.truncate_after(aborted), ErrorKind::NotFound);
    let rewind = wal.truncate_after(lsns[5]).unwrap();
    refused(wal.truncate_after(rewind), ErrorKind::NotFound);
    assert_eq!(positions(&wal), lsns[2..], "nothing was behind it");
    wal.close().unwrap();
    refused(wal.truncate_after(lsns[3]), ErrorKind::Closed);
    refused(wal.reset(), ErrorKind::Closed);
}

#[test]
fn callbacks_of_void_records_are_called_and_a_discard_makes_the_truncation_durable() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns = append(&wal, 0..4, 100);
    let (sender, receiver) = mpsc::channel();
    let rewind = wal.truncate_after(lsns[1]).unwrap();
    wal.on_durable(lsns[3], move |result| sender.send(result).unwrap())
        .unwrap();
    receiver.recv_timeout(LIMIT).unwrap().unwrap();
    assert!(wal.durable() > lsns[3]);
    let later = wal.truncate_after(lsns[0]).unwrap();
    assert!(wal.durable() <= later);
    wal.discard_before(lsns[2]).unwrap();
    assert_eq!((wal.head(), wal.durable() > later), (later, true));
    assert!(rewind < later && positions(&wal).is_empty());
}

/// A power cut right after a truncation was synced, with everything that may be lost lost.
#[test]
fn a_synced_truncation_and_a_reset_survive_a_power_cut() {
    let disk = SimDisk::new();
    let mut options = WalOptions::new();
    options.segment_size(8192);
    let wal = options.open_on(&disk, "/log", 1).unwrap();
    let lsns = append(&wal, 0..20, 900);
    let from = wal.get(lsns[3]).unwrap().end();
    let rewind = wal.truncate_after(lsns[3]).unwrap();
    wal.sync_to(rewind).unwrap();
    let worst = || disk.crash_image_choice(&vec![false; disk.dirty()]);
    let after = options.open_on(&worst(), "/log", 2).unwrap();
    assert_eq!(positions(&after), lsns[..4]);
    assert_eq!(after.recovery().voids(), [from..rewind]);
    let more = append(&wal, 0..1, 10);
    assert_eq!(wal.reset().unwrap(), wal.head());
    assert!(wal.head() > more[0]);
    let after = options.open_on(&worst(), "/log", 3).unwrap();
    assert_eq!((after.head(), positions(&after).len()), (wal.head(), 0));
    // The same within one segment.
    append(&wal, 0..1, 10);
    let head = wal.reset().unwrap();
    assert_eq!(head.segment(), more[0].segment());
    let after = options.open_on(&worst(), "/log", 4).unwrap();
    assert_eq!((after.head(), positions(&after).len()), (head, 0));
}

#[test]
fn a_reset_frees_segments_and_is_refused_while_a_hold_keeps_records() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns = append(&wal, 0..20, 900);
    let hold = wal.hold(lsns[5]).unwrap();
    let error = refused(wal.reset(), ErrorKind::InvalidState);
    assert_eq!(error.place().lsn, Some(lsns[5]), "{error}");
    assert_eq!(positions(&wal), lsns);
    drop(hold);
    wal.truncate_after(lsns[7]).unwrap();
    wal.reset().unwrap();
    assert_eq!(wal.stats().retained_segments, 1);
    let kept = append(&wal, 0..3, 100);
    drop(wal);
    let wal = small().open(dir.path()).unwrap();
    assert_eq!(positions(&wal), kept);
    assert!(wal.recovery().voids().is_empty());
}

/// Whoever cannot know what is void gives out nothing.
#[test]
fn a_damaged_rewind_frame_is_corruption_for_everybody() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns = append(&wal, 0..4, 100);
    let rewinds = [0, 1].map(|_| wal.truncate_after(lsns[1]).unwrap());
    append(&wal, 0..20, 900);
    wal.sync().unwrap();
    drop(wal);
    for rewind in rewinds {
        let path = segment_path(dir.path(), 1);
        flip_bit(&path, rewind.offset() + 25);
        let error = refused_unchanged(dir.path(), &small(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("row H"), "{error}");
        assert_eq!(error.place().lsn, Some(rewind), "{error}");
        let reader = Wal::open_read_only(dir.path()).unwrap();
        let first = reader.records(lsns[0]).unwrap().next().unwrap();
        refused(first, ErrorKind::Corrupt);
        refused(reader.get(lsns[0]), ErrorKind::Corrupt);
        assert_eq!(reader.verify().kind(), VerdictKind::Corrupt);
        flip_bit(&path, rewind.offset() + 25);
    }
    assert_eq!(positions(&small().open(dir.path()).unwrap()).len(), 22);
}

/// What is copied or repaired keeps its truncations, as far as it is kept.
#[test]
fn copies_and_repairs_keep_truncations() {
    let dir = TempDir::in_memory();
    let path = dir.join("log");
    let wal = small().open(&path).unwrap();
    let mut kept = append(&wal, 0..12, 900);
    wal.truncate_after(kept[2]).unwrap();
    kept.truncate(3);
    kept.extend(append(&wal, 0..10, 900));
    let rewind = wal.truncate_after(kept[5]).unwrap();
    kept.truncate(6);
    kept.extend(append(&wal, 0..10, 900));
    drop(wal);
    let copy = dir.join("copy");
    let reader = Wal::open_read_only(&path).unwrap();
    reader.copy_to(&copy, OnDamage::Refuse, |_| ()).unwrap();
    assert_eq!(positions_beside(&copy), kept);
    assert_eq!(positions(&small().open(&copy).unwrap()), kept);
    drop(small().open(&path).unwrap());
    flip_bit(&segment_path(&path, rewind.segment()), rewind.offset() + 25);
    refused(small().open(&path), ErrorKind::Corrupt);
    let repaired = Repair::plan(&path).unwrap().apply(|_| ()).unwrap();
    assert!(repaired.kept().is_dir());
    let wal = small().open(&path).unwrap();
    // The end is the damage: the first truncation holds, the second one and what followed it are lost.
    let left = positions(&wal);
    assert_eq!(left[..6], kept[..6]);
    assert_eq!((left.len(), wal.recovery().voids().len()), (13, 1));
}

/// An entry of a replicated log: its index and its term.
fn entry(index: u64, term: u64) -> Vec<u8> {
    let mut bytes = [index.to_le_bytes(), term.to_le_bytes()].concat();
    bytes.resize(16 + usize::try_from(index % 40 * 8).unwrap(), 0);
    bytes
}

/// What was read is the log at one moment: no entry is missing, none is there twice, and terms never go back.
fn check_entries(payloads: impl Iterator<Item = Result<Vec<u8>>>, first: Option<u64>) -> u64 {
    let (mut next, mut term, mut count) = (first, 0, 0);
    for payload in payloads {
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
                return count;
            }
        };
        let word = |at: usize| u64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
        let index = word(0);
        assert_eq!(index, next.unwrap_or(index), "a gap, or a void entry");
        assert!(word(8) >= term, "an entry of a term that was taken back");
        (next, term, count) = (Some(index + 1), word(8), count + 1);
    }
    count
}

/// A leader that appends, and a new one again and again that takes the end back; now and then the beginning is discarded.
fn lead(wal: &Wal, rounds: u64, rng: &mut Rng) {
    let (mut lsns, mut base) = (Vec::new(), 0);
    for term in 0..rounds {
        for _ in 0..rng.range(1..30) {
            let index = base + lsns.len() as u64;
            lsns.push(wal.append(&entry(index, term)).unwrap());
        }
        if rng.chance(2, 3) {
            let kept = lsns.len() - rng.index(lsns.len().min(40));
            wal.truncate_after(lsns[kept - 1]).unwrap();
            lsns.truncate(kept);
        }
        if lsns.len() > 200 {
            let gone = 100 + rng.index(50);
            wal.discard_before(lsns[gone]).unwrap();
            lsns.drain(..gone);
            base += gone as u64;
        }
    }
}

fn read_beside(reader: &WalReader) -> u64 {
    match reader.records(reader.head().unwrap()) {
        Ok(records) => check_entries(records.map(|r| Ok(r?.payload().to_vec())), None),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
            0
        }
    }
}

#[test]
fn readers_beside_truncations_see_the_log_at_one_moment() {
    let dir = TempDir::in_memory();
    let wal = small().preallocate_segments(4).open(dir.path()).unwrap();
    let done = AtomicBool::new(false);
    let (mut inside, mut beside) = (0, 0);
    let seed = seed();
    thread::scope(|scope| {
        let (wal, done) = (&wal, &done);
        scope.spawn(move || {
            lead(wal, 600, &mut Rng::new(seed));
            // Release: pairs with the loads below.
            done.store(true, Ordering::Release);
        });
        let inside = &mut inside;
        scope.spawn(move || {
            // Acquire: pairs with the store above; nothing else is read through it.
            while !done.load(Ordering::Acquire) {
                let from = wal.head();
                if let Ok(records) = wal.records(from) {
                    *inside += check_entries(records.map(|r| Ok(r?.to_vec())), None);
                }
            }
        });
        let reader = Wal::open_read_only(dir.path()).unwrap();
        // Acquire: as above.
        while !done.load(Ordering::Acquire) {
            beside += read_beside(&reader);
        }
    });
    let left = read_beside(&Wal::open_read_only(dir.path()).unwrap());
    println!("seed {seed}: {inside} records read inside, {beside} beside, {left} left");
    assert!(inside > 0 && beside > 0 && left > 0);
    assert_eq!(read_all(&wal, wal.head()).len() as u64, left);
    drop(wal);
    let wal = small().open(dir.path()).unwrap();
    assert_eq!(read_all(&wal, wal.head()).len() as u64, left);
}

#[test]
fn records_of_other_threads_are_void_exactly_below_the_rewind() {
    let dir = TempDir::in_memory();
    let wal = small().preallocate_segments(4).open(dir.path()).unwrap();
    let first = wal.append(b"kept").unwrap();
    let enough = AtomicBool::new(false);
    let (mut appended, last) = thread::scope(|scope| {
        let write = || {
            let mut lsns = Vec::new();
            // Acquire: pairs with the store below; nothing else is read through it.
            while !enough.load(Ordering::Acquire) {
                lsns.extend(append(&wal, 0..1, 40));
            }
            lsns.extend(append(&wal, 0..10, 40));
            lsns
        };
        let writers = [0, 1].map(|_| scope.spawn(write));
        let mut rewinds = (0..60).map(|_| {
            let end = wal.end();
            assert!(wait_until(LIMIT, || wal.end() > end));
            wal.truncate_after(first).unwrap()
        });
        let last = rewinds.next_back().unwrap();
        // Release: pairs with the load above.
        enough.store(true, Ordering::Release);
        let appended: Vec<_> = writers.map(|writer| writer.join().unwrap()).concat();
        (appended, last)
    });
    appended.sort_unstable();
    let is_kept = |lsn: &&Lsn| **lsn > last;
    let kept = appended.iter().filter(is_kept).count();
    assert!(kept >= 20 && appended.len() > kept, "{kept} are kept");
    let expected: Vec<_> = [first]
        .iter()
        .chain(appended.iter().filter(is_kept))
        .copied()
        .collect();
    assert_eq!(positions(&wal), expected);
    assert!(
        appended
            .iter()
            .all(|lsn| wal.get(*lsn).is_ok() == is_kept(&lsn))
    );
    assert_eq!(positions_beside(dir.path()), expected);
    drop(wal);
    let wal = small().open(dir.path()).unwrap();
    assert_eq!(positions(&wal), expected);
    assert_eq!(
        wal.recovery().voids().last().map(|void| void.end),
        Some(last)
    );
}

#[test]
fn a_follower_goes_on_behind_a_truncation() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns = append(&wal, 0..6, 900);
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let mut follower = reader.follow(wal.head()).unwrap();
    let mut next = || {
        let record = follower.next_timeout(std::time::Duration::ZERO).unwrap();
        record.map(|record| record.lsn())
    };
    for lsn in &lsns[..3] {
        assert_eq!(next(), Some(*lsn));
    }
    // What it has not looked at: taken back at once. What it has looked at is the log as it was then.
    for lsn in &lsns[3..] {
        assert_eq!(next(), Some(*lsn));
    }
    assert_eq!(next(), None);
    append(&wal, 6..12, 900);
    wal.truncate_after(lsns[1]).unwrap();
    let kept = append(&wal, 0..8, 900);
    for lsn in kept {
        assert_eq!(next(), Some(lsn));
    }
    assert_eq!(next(), None);
}

#[test]
fn a_truncation_without_room_voids_nothing() {
    let dir = TempDir::in_memory();
    let mut options = small();
    options.on_full(OnFull::Fail).max_wal_bytes(Some(8 * 8192));
    let wal = options.open(dir.path()).unwrap();
    let first = wal.append(b"kept").unwrap();
    let mut count = 1;
    let full = loop {
        // An empty record needs less room than a rewind frame.
        let payload = sized_payload(0, count, 400);
        let appended = wal.append(&payload).or_else(|_| wal.append(b""));
        match appended {
            Ok(_) => count += 1,
            // The background may be behind.
            Err(error) if error.kind() == ErrorKind::NoSpace => match wal.truncate_after(first) {
                Err(error) if error.kind() == ErrorKind::NoSpace => break error,
                Err(error) => panic!("{error}"),
                Ok(_) => count = 1,
            },
            Err(error) => assert_eq!(error.kind(), ErrorKind::Backpressure, "{error}"),
        }
        wal.sync().unwrap();
    };
    assert!(full.to_string().contains("nothing was appended"), "{full}");
    assert!(count > 1, "there was nothing to make void");
    assert_eq!(positions(&wal).len() as u64, count);
    fs::metadata(segment_path(dir.path(), 1)).unwrap();
    wal.reset().unwrap();
    assert_eq!(positions(&wal).len(), 0);
}
