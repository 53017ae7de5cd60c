//! The life of segments: files that share their blocks with a copy, and segments that the page cache lost.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use segwal::fault::SimDisk;
use segwal::{ErrorKind, Lsn, OnFull, SpacePressure, Wal, WalOptions};

use testkit::{TempDir, wait_until};

use crate::scene::{LIMIT, SMALL, read_all, refused, segment_ids, small};

const DIR: &str = "/log";
const SEED: u64 = 11;

fn options() -> WalOptions {
    let mut options = WalOptions::new();
    options
        .segment_size(16 << 10)
        .preallocate_segments(4)
        .on_full(OnFull::Fail);
    options
}

fn open(disk: &SimDisk) -> segwal::Result<Wal> {
    options().open_on(disk, DIR, SEED)
}

fn files(disk: &SimDisk) -> Vec<PathBuf> {
    let names = disk.names(Path::new(DIR)).unwrap();
    names.iter().map(|name| Path::new(DIR).join(name)).collect()
}

/// What a copy by reflink of the whole directory does to the files of the log.
fn share_all(disk: &SimDisk) {
    for file in files(disk) {
        disk.share(&file).unwrap();
    }
}

fn evict_all(disk: &SimDisk) {
    for file in files(disk) {
        disk.evict(&file).unwrap();
    }
}

fn append(wal: &Wal, count: usize) -> segwal::Result<Vec<Lsn>> {
    let appended = (0..count).map(|index| wal.append(&[index as u8; 1000]));
    let lsns = appended.collect::<segwal::Result<Vec<_>>>()?;
    wal.sync()?;
    Ok(lsns)
}

/// Appends until there is no space.
fn fill(wal: &Wal) {
    let refusal = (0..400).find_map(|_| append(wal, 1).err());
    assert_eq!(refusal.unwrap().kind(), ErrorKind::NoSpace);
}

/// Three segments of records, and a copy by reflink; the process is gone.
fn copied() -> (SimDisk, Vec<Lsn>) {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    let lsns = append(&wal, 40).unwrap();
    drop(wal);
    let disk = disk.kill();
    share_all(&disk);
    (disk, lsns)
}

#[test]
fn a_log_that_shares_its_blocks_is_not_opened_on_a_full_disk() {
    let (disk, lsns) = copied();
    disk.set_free_bytes(Some(0));
    let before: Vec<_> = files(&disk)
        .iter()
        .map(|file| disk.read_file(file).unwrap())
        .collect();
    let error = refused(open(&disk), ErrorKind::NoSpace);
    assert!(error.place().path.is_some(), "{error}");
    let after: Vec<_> = files(&disk)
        .iter()
        .map(|file| disk.read_file(file).unwrap())
        .collect();
    assert_eq!(before, after, "a refused open changes nothing");
    disk.set_free_bytes(None);
    let wal = open(&disk.kill()).unwrap();
    assert_eq!(read_all(&wal, wal.head()).len(), lsns.len());
}

/// With room for some of the blocks open gets further, and must end in an error all the same, never in a store that
/// raises a signal: the simulated disk panics there.
#[test]
fn a_log_that_shares_its_blocks_never_stores_where_no_block_is_left() {
    let (mut refusals, mut shortages) = (0, 0);
    for pages in 0..24 {
        let (disk, lsns) = copied();
        disk.set_free_bytes(Some(pages * 4096));
        let wal = match open(&disk) {
            Ok(wal) => wal,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoSpace, "{pages} pages: {error}");
                refusals += 1;
                continue;
            }
        };
        assert_eq!(read_all(&wal, wal.head()).len(), lsns.len());
        fill(&wal);
        shortages += 1;
        wal.discard_before(wal.durable()).unwrap();
        fill(&wal);
        disk.set_free_bytes(None);
        append(&wal, 40).unwrap();
    }
    assert!(refusals > 3 && shortages > 3, "{refusals} {shortages}");
}

#[test]
fn a_discarded_segment_that_shares_its_blocks_on_a_full_disk_makes_room_for_others() {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    append(&wal, 45).unwrap();
    let retired = wal.head().segment()..wal.durable().segment();
    assert!(retired.len() > 2, "{retired:?}");
    for id in retired {
        let path = Path::new(DIR).join(format!("{id:020}.seg"));
        disk.share(&path).unwrap();
    }
    disk.set_free_bytes(Some(0));
    wal.discard_before(wal.durable()).unwrap();
    refused(append(&wal, 60), ErrorKind::NoSpace);
    let stats = wal.stats();
    assert!(stats.removed_segments > 2, "{stats:?}");
    disk.set_free_bytes(Some(1 << 20));
    append(&wal, 60).unwrap();
    assert_eq!(wal.stats().reused_segments, stats.reused_segments);
}

#[test]
fn a_discarded_segment_that_the_page_cache_lost_is_refilled_and_others_are_not() {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    for _ in 0..5 {
        append(&wal, 20).unwrap();
        wal.discard_before(wal.durable()).unwrap();
    }
    let kept = wal.stats();
    assert!(kept.reused_segments > 3, "{kept:?}");
    assert_eq!(kept.refilled_bytes, 0, "{kept:?}");
    append(&wal, 30).unwrap();
    evict_all(&disk);
    wal.discard_before(wal.durable()).unwrap();
    append(&wal, 30).unwrap();
    let stats = wal.stats();
    let reused = stats.reused_segments - kept.reused_segments;
    assert!(reused >= 2, "{stats:?}");
    assert!(stats.refilled_bytes >= 2 * (16 << 10), "{stats:?}");
    assert_eq!(stats.refilled_bytes % (16 << 10), 0);
    assert_eq!(read_all(&wal, wal.head()).len(), 30);
}

#[test]
fn the_oldest_writer_and_the_oldest_reader_can_be_told() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let first = wal.append(&[1; 3000]).unwrap();
    assert_eq!(wal.stats().oldest_busy, None);
    let mut appender = wal.appender().unwrap();
    let reservation = appender.reserve(100).unwrap();
    assert_eq!(wal.stats().oldest_busy, Some(reservation.lsn()));
    reservation.publish();
    drop(appender);
    assert_eq!(wal.stats().oldest_busy, None);
    let record = wal.get(first).unwrap();
    let (second, later) = append_beyond(&wal, first);
    let another = wal.get(second).unwrap();
    assert_eq!(wal.stats().oldest_pinned_segment, None);
    wal.discard_before(later).unwrap();
    assert_eq!(wal.stats().oldest_pinned_segment, Some(first.segment()));
    drop(record);
    let is_next = |oldest| {
        // Each discard looks for readers that are gone.
        wal.append(&[3; 3000]).unwrap();
        wal.discard_before(wal.end()).unwrap();
        oldest == Some(second.segment())
    };
    let moved_on = wait_until(LIMIT, || is_next(wal.stats().oldest_pinned_segment));
    assert!(moved_on, "{:?}", wal.stats());
    drop(another);
}

/// Appends behind `first` until two segments were left; records of the second and of the third one.
fn append_beyond(wal: &Wal, first: Lsn) -> (Lsn, Lsn) {
    let append = || wal.append(&[2; 3000]).unwrap();
    let next_in = |id| loop {
        let lsn = append();
        if lsn.segment() > id {
            return lsn;
        }
    };
    let second = next_in(first.segment());
    (second, next_in(second.segment()))
}

/// Appends records that take a segment each, quicker than a preparer makes them.
fn burst(wal: &Wal, count: usize) {
    (0..count).for_each(|_| _ = wal.append(&[0; 3000]).unwrap());
}

/// Appends in bursts, until `is_enough`; calls `between` after each, and then discards everything.
fn append_in_bursts(wal: &Wal, between: impl Fn(), is_enough: impl Fn() -> bool) {
    let enough = wait_until(LIMIT, || {
        burst(wal, 7);
        between();
        let is_enough = is_enough();
        wal.discard_before(wal.end()).unwrap();
        is_enough
    });
    assert!(enough, "{:?}", wal.stats());
}

#[test]
fn more_segments_are_kept_ready_after_misses_and_fewer_again_after_calm() {
    let dir = TempDir::in_memory();
    let wal = small().max_unsynced_segments(16).open(dir.path()).unwrap();
    assert_eq!(wal.stats().ready_target, 2);
    append_in_bursts(&wal, || (), || wal.stats().ready_target > 4);
    let busy = wal.stats();
    assert!(busy.ready_misses > 2, "{busy:?}");
    let mut most = 0;
    let calmed = wait_until(LIMIT, || {
        let stats = wal.stats();
        most = most.max(stats.ready_target);
        // Not before the preparer has done its work: so there are no more misses.
        if stats.ready_segments > stats.ready_target {
            burst(&wal, 1);
            wal.discard_before(wal.end()).unwrap();
        }
        stats.ready_target == 2
    });
    let calm = wal.stats();
    assert!(calmed, "{calm:?}");
    assert!((5..=8).contains(&most), "{most}");
    let rotations = calm.rotations - busy.rotations;
    // The last miss may have come early in its burst.
    assert!(rotations + 7 >= 3 * 64, "so slowly: {rotations} rotations");
    // One is the reserve, and one may just have been taken. Those beyond were used up, and not replaced.
    assert!((2..=4).contains(&calm.ready_segments), "{calm:?}");
    let is_trimmed = || wal.stats().recyclable_segments <= 2;
    assert!(wait_until(LIMIT, is_trimmed), "{:?}", wal.stats());
}

#[test]
fn a_deeper_queue_that_does_not_fit_is_no_pressure() {
    let dir = TempDir::in_memory();
    // Room for eight that hold records, three that must be ready, and one more.
    let wal = small()
        .max_unsynced_segments(8)
        .max_wal_bytes(Some(12 * SMALL))
        .open(dir.path())
        .unwrap();
    let is_whole = || wal.stats().ready_segments > wal.stats().ready_target;
    let was_deep = Cell::new(false);
    let between = || {
        was_deep.set(wal.stats().ready_target >= 4);
        assert!(wait_until(LIMIT, is_whole), "{:?}", wal.stats());
    };
    let fell_back = || was_deep.get() && wal.stats().ready_target == 2;
    append_in_bursts(&wal, between, fell_back);
    let stats = wal.stats();
    assert_eq!(stats.limited_preparations, 0, "{stats:?}");
    assert_eq!(wal.space_pressure(), SpacePressure::None);
    assert!(segment_ids(dir.path()).len() <= 12, "{stats:?}");
}

/// They waited for the next request, since the files were counted before it was known that nobody reads them.
#[test]
fn surplus_files_are_removed_with_the_discard_that_made_them_surplus() {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    append(&wal, 200).unwrap();
    let before = wal.stats();
    assert!(before.retained_segments > 10, "{before:?}");
    wal.discard_before(wal.end()).unwrap();
    let stats = wal.stats();
    assert_eq!(stats.recyclable_segments, 4, "{stats:?}");
    assert!(
        stats.removed_segments + 8 > before.retained_segments,
        "{stats:?}"
    );
}
