//! Padded syncs: a block that a sync made durable is never stored into again, so that a device which loses all of a block that
//! it is writing loses nothing that was acknowledged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Barrier, mpsc};
use std::time::Duration;

use segwal::fault::{Op, SimDisk};
use segwal::{ErrorKind, Lsn, OnFull, SyncPadding, Wal, WalOptions};
use testkit::{Rng, seed};

use crate::after_steps;
use crate::explore::{Device, Explorer};
use crate::workload::{Scale, Setup, Step, Workload};

const DIR: &str = "/log";
const BLOCK: u64 = 4096;

fn options(padding: SyncPadding) -> WalOptions {
    let mut options = WalOptions::new();
    options.segment_size(4 * BLOCK).sync_padding(padding);
    options
}

/// The first position of every log.
fn first() -> Lsn {
    Lsn::new(1, BLOCK).expect("a position")
}

/// Which file each segment is.
fn segments(disk: &SimDisk) -> BTreeMap<u64, String> {
    let names = disk.names(Path::new(DIR)).expect("the log");
    let texts = names.iter().filter_map(|name| name.to_str());
    let segments = texts.filter(|name| name.contains(".seg"));
    let number = |name: &str| disk.file_number(&Path::new(DIR).join(name));
    segments
        .map(|name| (number(name).expect("a segment"), name.to_owned()))
        .collect()
}

/// What the disk knows of one block of frames.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Stored,
    Synced,
}

/// The stores into blocks of frames that were synced with frames in them, since the disk began to record; up to `durable`
/// they had been before. A segment's first block holds no frame.
fn stores_into_synced_blocks(disk: &SimDisk, durable: Lsn) -> Vec<String> {
    let segments = segments(disk);
    let active = format!("{:020}.seg", durable.segment());
    let mut blocks = BTreeMap::new();
    for file in segments.iter().filter(|(_, name)| **name == active) {
        let synced = 1..durable.offset().div_ceil(BLOCK);
        blocks.extend(synced.map(|block| ((*file.0, block), Block::Synced)));
    }
    let mut again = Vec::new();
    for touch in disk.touches() {
        let Some(name) = segments.get(&touch.file) else {
            continue;
        };
        let touched = touch.range.start / BLOCK..touch.range.end.div_ceil(BLOCK);
        for block in touched.filter(|block| *block > 0) {
            let at = (touch.file, block);
            match (touch.op, blocks.get(&at)) {
                (Op::Store, Some(Block::Synced)) => again.push(format!("{name}: block {block}")),
                (Op::Store, _) => _ = blocks.insert(at, Block::Stored),
                (Op::MapSync | Op::FileSync, Some(Block::Stored)) => {
                    blocks.insert(at, Block::Synced);
                }
                _ => {}
            }
        }
    }
    again
}

/// Appends, gives up and syncs at random; returns what was acknowledged.
fn drive(wal: &Wal, rng: &mut Rng) -> Vec<(Lsn, Vec<u8>)> {
    let (mut waiting, mut acknowledged) = (Vec::new(), Vec::new());
    for _ in 0..25 {
        let longest = *rng.pick(&[1, 100, 4080, 9000]);
        let len = rng.index(longest);
        let payload = rng.bytes(len);
        waiting.push((wal.append(&payload).expect("room"), payload));
        if rng.chance(1, 3) {
            wal.sync().expect("a sound disk");
            acknowledged.append(&mut waiting);
        }
        if rng.chance(1, 8) {
            let mut appender = wal.appender().expect("a slot");
            drop(appender.reserve(40).expect("room"));
        }
    }
    acknowledged
}

/// How a life ends that another one follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    PowerCut,
    Close,
    /// With the last segment full, and critical records in the reserve.
    CloseWhenFull,
}

/// Two lives, each behind what the one before left, and a third that finds what both acknowledged. Returns the stores into
/// synced blocks; those of opening count after a close.
fn three_lives(padding: SyncPadding, end: End, rng: &mut Rng) -> Vec<String> {
    let mut log = options(padding);
    log.preallocate_segments(1).on_full(OnFull::Fail);
    let mut disk = SimDisk::new();
    let (mut acknowledged, mut again) = (Vec::new(), Vec::new());
    let mut known = first();
    for life in 0..2 {
        if life > 0 && end != End::PowerCut {
            disk.record_touches();
        }
        let wal = log.open_on(&disk, DIR, rng.next_u64()).expect("a log");
        if end == End::PowerCut || life == 0 {
            disk.record_touches();
            known = wal.durable();
        }
        if end == End::CloseWhenFull && life > 0 {
            disk.set_free_bytes(None);
        }
        acknowledged.extend(drive(&wal, rng));
        if end == End::CloseWhenFull {
            disk.set_free_bytes(Some(0));
            while wal.append(&[7; 300]).is_ok() {}
            for len in [10, 20, 30] {
                let lsn = wal.append_critical(&vec![9; len]).expect("the reserve");
                wal.sync_to(lsn).expect("a sound disk");
                acknowledged.push((lsn, vec![9; len]));
            }
        }
        if end == End::PowerCut {
            again.extend(stores_into_synced_blocks(&disk, known));
            drop(wal);
            disk = disk.power_cut(rng.next_u64());
        } else {
            wal.close().expect("a sound disk");
            again.extend(stores_into_synced_blocks(&disk, known));
            known = wal.durable();
        }
    }
    let wal = log.open_on(&disk, DIR, rng.next_u64()).expect("a log");
    for (lsn, payload) in &acknowledged {
        assert_eq!(&*wal.get(*lsn).expect("acknowledged"), payload);
    }
    again
}

#[test]
fn no_block_that_a_padded_sync_made_durable_is_stored_into_again() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    for end in [End::PowerCut, End::Close, End::CloseWhenFull] {
        let mut without = 0;
        for round in 0..60 {
            without += three_lives(SyncPadding::Off, end, &mut rng).len();
            let again = three_lives(SyncPadding::Block, end, &mut rng);
            assert!(
                again.is_empty(),
                "seed {seed}, {end:?}, round {round}: {again:?}"
            );
        }
        assert!(
            without > 100,
            "{end:?}: blocks are written again: {without}"
        );
        println!(
            "{end:?}: {without} stores into synced blocks without padding, none with it, seed {seed}"
        );
    }
}

/// Whoever turns padding on later gets it for what was acknowledged before, too, if the log was closed.
#[test]
fn a_log_that_was_closed_without_padding_goes_on_in_the_next_segment() {
    let disk = SimDisk::new();
    let wal = options(SyncPadding::Off)
        .open_on(&disk, DIR, 1)
        .expect("a log");
    let before = wal.append(b"acknowledged").expect("room");
    wal.close().expect("a sound disk");
    disk.record_touches();
    for seed in 2..5 {
        let wal = options(SyncPadding::Block).open_on(&disk, DIR, seed);
        wal.expect("a log").close().expect("a sound disk");
    }
    let wal = options(SyncPadding::Block)
        .open_on(&disk, DIR, 5)
        .expect("a log");
    assert_eq!(wal.durable().segment(), 1, "opening alone uses nothing up");
    let after = wal.append(b"behind it").expect("room");
    wal.sync().expect("a sound disk");
    assert_eq!(after.segment(), 2);
    let again = stores_into_synced_blocks(&disk, Lsn::new(1, BLOCK + 40).expect("a position"));
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(&*wal.get(before).expect("acknowledged"), b"acknowledged");
}

/// The explorer's device that loses blocks is no harmless one: without padding it takes acknowledged records.
#[test]
fn a_device_that_loses_blocks_takes_acknowledged_records_of_a_log_without_padding() {
    let mut rng = Rng::new(seed());
    let mut found = 0;
    let cases = 40;
    for _ in 0..cases {
        let mut workload = Workload::of(rng.next_u64(), Scale::Small);
        workload.setup = Setup::plain(8192);
        let append = Step::Append { len: 20, tag: 0 };
        workload.steps = vec![append.clone(), Step::Sync, append];
        let life = after_steps(&workload, workload.steps.len()).expect("an honest disk");
        let mut explorer = Explorer::new(rng.next_u64());
        explorer.device = Device::AnyBlocks;
        explorer.exhaustive = 0;
        found += u64::from(explorer.power_cuts(&life, 16).is_err());
    }
    assert!(
        found > cases / 2,
        "only {found} of {cases} losses were found"
    );
}

#[test]
fn threads_that_commit_at_once_share_blocks_and_write_none_again() {
    let disk = SimDisk::new();
    let mut log = options(SyncPadding::Block);
    log.segment_size(1 << 20);
    let wal = log.open_on(&disk, DIR, 1).expect("a log");
    disk.record_touches();
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (wal, start) = (&wal, &start);
            scope.spawn(move || {
                start.wait();
                for _ in 0..40 {
                    let lsn = wal.append(&[thread; 100]).expect("room");
                    wal.sync_to(lsn).expect("a sound disk");
                    assert!(lsn < wal.durable());
                }
            });
        }
    });
    let again = stores_into_synced_blocks(&disk, first());
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(wal.records(wal.head()).expect("readable").count(), 160);
}

/// Without padding the sync would not wait: the reservation lies behind the record.
#[test]
fn a_reservation_that_is_held_behind_a_record_holds_its_padded_sync_up() {
    for (padding, waits) in [(SyncPadding::Off, false), (SyncPadding::Block, true)] {
        let disk = SimDisk::new();
        let wal = options(padding).open_on(&disk, DIR, 1).expect("a log");
        let lsn = wal.append(b"before").expect("room");
        let (held, holding) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let wal = &wal;
            scope.spawn(move || {
                let mut appender = wal.appender().expect("a slot");
                let reservation = appender.reserve(8).expect("room");
                held.send(()).expect("somebody waits");
                assert!(released.recv().is_err());
                reservation.publish();
            });
            holding.recv().expect("a reservation");
            let synced = wal.sync_to_timeout(lsn, Duration::from_millis(2));
            let kind = synced.as_ref().map_err(segwal::Error::kind);
            assert_eq!(kind.err(), waits.then_some(ErrorKind::TimedOut));
            drop(release);
        });
        wal.sync_to(lsn).expect("nobody holds it up");
    }
}

/// The cost, in bytes of the log: a block for each commit, however short.
#[test]
fn a_padded_commit_takes_a_block_of_the_log() {
    let taken = [SyncPadding::Off, SyncPadding::Block].map(|padding| {
        let mut log = options(padding);
        log.segment_size(1 << 20);
        let wal = log.open_on(&SimDisk::new(), DIR, 1).expect("a log");
        let written = wal.stats().synced_bytes;
        for _ in 0..50 {
            wal.append(&[1; 104]).expect("room");
            wal.sync().expect("a sound disk");
        }
        let bytes = wal.end().offset() - BLOCK;
        (bytes, wal.stats().synced_bytes - written)
    });
    assert_eq!(taken, [(50 * 128, 50 * 128), (50 * BLOCK, 50 * BLOCK)]);
}
