//! The reserve: critical records on a full disk, and a log that can always move.

use segwal::fault::{Op, Repeat, SimDisk, When};
use segwal::{EndKind, ErrorKind, OnFull, SpacePressure};
use testkit::TempDir;

use crate::full::{DIR, ENOSPC, FULL, fill, fill_one_segment, full, open, options};
use crate::scene::{LIMIT, SMALL, read_all, refused, within};

#[test]
fn critical_records_go_to_the_reserve_and_ordinary_ones_never() {
    let (disk, wal, lsns) = full(&options());
    let mut appender = wal.appender().unwrap();
    let mut critical = Vec::new();
    for index in 0..3_u8 {
        refused(wal.append(&[0; 1000]), ErrorKind::NoSpace);
        let lsn = if index == 1 {
            appender.append_critical(&[index; 700]).unwrap()
        } else {
            wal.append_critical(&[index; 700]).unwrap()
        };
        assert_eq!(wal.space_pressure(), FULL);
        assert!(lsn > lsns[lsns.len() - 1], "{lsn}");
        assert!(wal.published() > lsn && wal.end() > lsn);
        assert_eq!(&*wal.get(lsn).unwrap(), &[index; 700]);
        wal.sync_to(lsn).unwrap();
        assert!(wal.durable() > lsn);
        critical.push(lsn);
    }
    assert!(critical.windows(2).all(|pair| pair[0] < pair[1]));
    let segments: Vec<_> = critical.iter().map(|lsn| lsn.segment()).collect();
    assert_eq!(
        segments,
        [lsns[lsns.len() - 1].segment() + 1; 3],
        "one segment"
    );
    assert_eq!(wal.stats().critical_appends, 3);
    let used_up = refused(wal.append_critical(&[9; 3000]), ErrorKind::NoSpace);
    assert_eq!(used_up.os_error(), Some(ENOSPC), "{used_up}");
    refused(wal.append(&[0; 10]), ErrorKind::NoSpace);

    disk.set_free_bytes(None);
    let lsn = wal.append(b"behind them").unwrap();
    assert_eq!(
        lsn.segment(),
        critical[2].segment(),
        "the log goes on right there"
    );
    assert!(lsn > critical[2]);
    assert_eq!(wal.space_pressure(), SpacePressure::None);
    wal.sync().unwrap();
    let before = read_all(&wal, wal.head());
    assert_eq!(before.len(), lsns.len() + 4);
    drop((appender, wal));
    let wal = open(&disk.power_cut(3), &options());
    assert_eq!(
        read_all(&wal, wal.head()),
        before,
        "recovery needs nothing new"
    );
}

#[test]
fn critical_records_cross_from_one_reserved_segment_into_the_next() {
    let mut options = options();
    options.reserve_segments(6);
    let (disk, wal, lsns) = full(&options);
    assert_eq!(wal.stats().ready_segments, 6);
    let mut written = Vec::new();
    // The window has places for 32 segments, and the disk for six.
    for index in 0..6_u8 {
        written.push(wal.append_critical(&[index; 4000]).unwrap());
        if index == 2 {
            wal.sync().unwrap();
        }
    }
    refused(wal.append_critical(&[7; 4000]), ErrorKind::NoSpace);
    let small = wal.append_critical(b"what still fits").unwrap();
    assert!(small > written[5]);
    wal.sync().unwrap();
    assert_eq!(read_all(&wal, wal.head()).len(), lsns.len() + 7);
    // What is discarded is used again, and the reserve comes first.
    wal.discard_before(lsns[5]).unwrap();
    assert_eq!(wal.stats().ready_segments, 1);
    refused(wal.append(&[0; 10]), ErrorKind::NoSpace);
    wal.discard_before(wal.end()).unwrap();
    assert!(wal.stats().ready_segments >= 6, "{:?}", wal.stats());
    let lsn = wal.append(&[8; 4000]).unwrap();
    drop(wal);
    let wal = open(&disk.kill(), &options);
    assert_eq!(read_all(&wal, wal.head()), [(lsn, vec![8; 4000])]);
}

/// More critical segments than the window of unsynced ones has places: each is synced before the next.
#[test]
fn an_emergency_may_last_longer_than_the_window_is_wide() {
    let mut options = options();
    options.reserve_segments(8).max_unsynced_segments(2);
    let (_, wal, lsns) = full(&options);
    for index in 0..8_u8 {
        let lsn = loop {
            match wal.append_critical(&[index; 4000]) {
                Ok(lsn) => break lsn,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Backpressure, "{error}"),
            }
        };
        wal.sync_to(lsn).unwrap();
        assert_eq!(wal.published(), wal.end());
    }
    assert_eq!(read_all(&wal, wal.head()).len(), lsns.len() + 8);
    refused(wal.append(&[0; 4000]), ErrorKind::NoSpace);
    wal.discard_before(wal.end()).unwrap();
    wal.append(&[0; 4000]).unwrap();
    wal.close().unwrap();
}

#[test]
fn a_log_can_be_closed_and_killed_in_an_emergency() {
    let (disk, wal, lsns) = full(&options());
    let last = wal.append_critical(b"the last one").unwrap();
    wal.close().unwrap();
    refused(wal.append_critical(b"no more"), ErrorKind::Closed);
    drop(wal);
    let wal = open(&disk, &options());
    assert_eq!(wal.recovery().kind(), EndKind::Closed);
    assert_eq!(read_all(&wal, wal.head()).len(), lsns.len() + 1);
    assert_eq!(&*wal.get(last).unwrap(), b"the last one");
    // The reserve is an ordinary segment by now, and there is no other.
    fill(&wal);
    refused(wal.append_critical(&[0; 4000]), ErrorKind::NoSpace);
    let disk = disk.kill();
    drop(wal);
    let wal = open(&disk, &options());
    let count = read_all(&wal, wal.head()).len();
    assert!(count > lsns.len() + 1);
    wal.discard_before(wal.end()).unwrap();
    wal.append_critical(&[0; 4000]).unwrap();
    wal.append(&[0; 4000]).unwrap();
}

#[test]
fn an_empty_log_can_always_move() {
    let disk = SimDisk::new();
    let wal = open(&disk, &options());
    // The disk has room for the active segment and the reserve, and for no more.
    let mut payload = 0_u64;
    disk.set_free_bytes(Some(0));
    let files = |disk: &SimDisk| disk.names(DIR.as_ref()).unwrap().len();
    let before = files(&disk);
    for _ in 0..60 {
        let first = payload;
        while wal
            .append(&[&payload.to_le_bytes()[..], &[0; 900]].concat())
            .is_ok()
        {
            payload += 1;
        }
        assert!(payload > first, "it goes on: {:?}", wal.stats());
        assert!(wal.head() <= wal.durable(), "{wal:?}");
        assert_eq!(wal.stats().ready_segments, 1, "the reserve is whole again");
        let records = read_all(&wal, wal.head());
        assert_eq!(records.len() as u64, payload - first);
        wal.discard_before(wal.end()).unwrap();
        assert_eq!(read_all(&wal, wal.head()), []);
        assert!(wal.head() <= wal.durable());
    }
    assert_eq!(files(&disk), before, "and takes no more room");
    assert!(wal.stats().rotations >= 59, "{:?}", wal.stats());
    assert_eq!(wal.stats().created_segments, 2, "{:?}", wal.stats());
    drop(wal);
    let wal = open(&disk.power_cut(1), &options());
    wal.append(b"after all that").unwrap();
}

/// The same with threads and a limit: a callback discards, blocked appends go on by themselves.
#[test]
fn appends_go_on_for_ever_when_a_hook_discards() {
    let dir = TempDir::in_memory();
    let mut options = options();
    options
        .max_unsynced_segments(2)
        .max_wal_bytes(Some(5 * SMALL))
        .on_full(OnFull::Block { timeout: LIMIT });
    let wal = options.open(dir.path()).unwrap();
    let log = wal.clone();
    wal.on_space_pressure(move |pressure| {
        if pressure != SpacePressure::None {
            let end = log.end();
            log.append_critical(b"the end of a checkpoint").unwrap();
            log.discard_before(end).unwrap();
        }
    })
    .unwrap();
    let log = wal.clone();
    within(move || {
        for _ in 0..1500 {
            log.append(&[1; 1500]).unwrap();
        }
    });
    let stats = wal.stats();
    assert!(stats.rotations > 500 && stats.limit_times > 0, "{stats:?}");
    assert!(stats.limit_ns > 0, "{stats:?}");
    wal.close().unwrap();
}

#[test]
fn opening_reading_and_discarding_need_no_free_block() {
    let mut options = options();
    options.reserve_segments(0);
    let (disk, wal, lsns) = full(&options);
    assert_eq!(wal.stats().ready_segments, 0);
    // Not even an epoch frame fits behind this.
    let room = SMALL - wal.end().offset();
    if room > 24 {
        wal.append(&vec![0; room as usize - 24]).unwrap();
    }
    wal.sync().unwrap();
    let records = read_all(&wal, wal.head());
    let disk = disk.power_cut(5);
    drop(wal);
    let wal = open(&disk, &options);
    assert_eq!(wal.space_pressure(), FULL, "known at open");
    assert_eq!(read_all(&wal, wal.head()), records);
    refused(wal.append(b"x"), ErrorKind::NoSpace);
    refused(wal.append_critical(b"x"), ErrorKind::NoSpace);
    let disk = disk.kill();
    drop(wal);
    let wal = open(&disk, &options);
    wal.discard_before(lsns[lsns.len() - 1]).unwrap();
    let lsn = wal.append(b"by recycling alone").unwrap();
    wal.sync_to(lsn).unwrap();
    wal.close().unwrap();
}

/// A thin device that has no block for what was ready: nothing was published there.
#[test]
fn a_ready_segment_that_cannot_be_synced_at_open_is_given_up() {
    let disk = SimDisk::new();
    let wal = open(&disk, &options());
    fill_one_segment(&wal);
    let lsn = wal.append(b"kept").unwrap();
    assert_eq!(wal.stats().ready_segments, 2);
    wal.close().unwrap();
    drop(wal);
    // The first sync of a file is the last segment's, the second that of the first ready one.
    disk.fail_at(When::Nth(Op::FileSync, 1), ENOSPC, Repeat::Once);
    let wal = open(&disk, &options());
    assert_eq!(&*wal.get(lsn).unwrap(), b"kept");
    fill_one_segment(&wal);
    fill_one_segment(&wal);
    let records = read_all(&wal, wal.head());
    wal.close().unwrap();
    drop(wal);
    let wal = open(&disk.power_cut(2), &options());
    assert_eq!(read_all(&wal, wal.head()), records);
}

#[test]
fn a_blocked_log_goes_through_many_lives_on_a_full_disk() {
    let (mut disk, wal, _) = full(&options());
    let mut expected = read_all(&wal, wal.head());
    drop(wal);
    for round in 0..12_u8 {
        disk = if round % 3 == 0 {
            disk.power_cut(u64::from(round))
        } else {
            disk.kill()
        };
        disk.set_free_bytes(Some(0));
        let wal = open(&disk, &options());
        assert!(
            expected.starts_with(&read_all(&wal, wal.head())),
            "round {round}"
        );
        if let Ok(lsn) = wal.append_critical(&[round; 20]) {
            wal.sync_to(lsn).unwrap();
        }
        if round % 4 == 3 {
            wal.discard_before(wal.end()).unwrap();
            while wal.append(&[round; 500]).is_ok() {}
            wal.sync().unwrap();
        }
        expected = read_all(&wal, wal.head());
    }
}

#[test]
fn a_log_that_holds_little_stays_small_and_its_reserve_comes_before_it_is_needed() {
    let disk = SimDisk::new();
    let mut options = options();
    options.preallocate_segments(3).reserve_segments(2);
    let wal = open(&disk, &options);
    wal.append(&[0; 500]).unwrap();
    assert_eq!(wal.stats().ready_segments, 1);
    // The disk fills up before the first rotation: what is ready is the reserve.
    disk.set_free_bytes(Some(0));
    fill(&wal);
    assert_eq!((wal.stats().ready_segments, wal.stats().rotations), (1, 0));
    wal.append_critical(b"the way out").unwrap();
    disk.set_free_bytes(None);
    wal.append(&[0; 500]).unwrap();
    assert_eq!(wal.stats().ready_segments, 5);
}
