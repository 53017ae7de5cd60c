//! Faults that were found and mended: each test is named after its fault.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use segwal::fault::{Op, Repeat, SimDisk, When};
use segwal::{ErrorKind, OldPayloads, OnFull, Wal, WalOptions, WalReader};
use testkit::{TempDir, wait_until};

use crate::scene::{LIMIT, small, within};

/// `COOKIE` is made durable before the first segment, so its want is a loss. Opening once took it for an unfinished
/// creation, and made the log anew over its records.
#[test]
fn a_missing_cookie_beside_the_first_segment_is_no_unfinished_creation() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    wal.append(b"acknowledged").unwrap();
    wal.close().unwrap();
    drop(wal);
    fs::remove_file(dir.join("COOKIE")).unwrap();
    for name in ["00000000000000000002.seg", "00000000000000000003.seg"] {
        drop(fs::remove_file(dir.join(name)));
    }
    let first = dir.join("00000000000000000001.seg");
    let before = fs::read(&first).unwrap();
    let error = small().open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(fs::read(&first).unwrap(), before);
}

/// A `COOKIE` as creation first writes it, put back over a log with records, once let opening make the log anew.
#[test]
fn a_cookie_of_an_unfinished_creation_beside_records_is_refused() {
    let newborn = (0..200).find_map(cookie_when_creation_dies_at).unwrap();
    let disk = SimDisk::new();
    let wal = tiny().open_on(&disk, "/log", SEED).unwrap();
    let lsn = wal.append(b"acknowledged").unwrap();
    wal.sync_to(lsn).unwrap();
    drop(wal);
    let first = disk
        .read_file(Path::new("/log/00000000000000000001.seg"))
        .unwrap();
    disk.write_file(Path::new("/log/COOKIE"), &newborn).unwrap();
    disk.remove_file(Path::new("/log/00000000000000000002.seg"))
        .unwrap();
    let error = tiny().open_on(&disk, "/log", SEED).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(
        disk.read_file(Path::new("/log/00000000000000000001.seg"))
            .unwrap(),
        first
    );
}

/// A reader once filled a `COOKIE` that was cut with zeros and took an older slot for the newest.
#[test]
fn a_cut_cookie_is_not_taken_for_an_older_one_by_a_reader() {
    let disk = SimDisk::new();
    let wal = tiny().open_on(&disk, "/log", SEED).unwrap();
    for _ in 0..4 {
        wal.append(b"to be discarded").unwrap();
        wal.discard_before(wal.end()).unwrap();
    }
    wal.close().unwrap();
    let cookie = Path::new("/log/COOKIE");
    let bytes = disk.read_file(cookie).unwrap();
    for blocks in 0..5 {
        disk.write_file(cookie, &bytes[..4096 * blocks]).unwrap();
        let reader = WalReader::open_on(&disk, "/log").unwrap();
        for error in [reader.head().unwrap_err(), reader.durable().unwrap_err()] {
            assert_eq!((error.kind(), error.row()), (ErrorKind::Corrupt, Some('F')));
        }
        assert_eq!(reader.verify().row(), 'F', "{blocks} blocks");
    }
}

/// The checksum of a 64-byte part.
fn seal(bytes: &mut [u8], at: usize) {
    let sum = crc32c::crc32c(&bytes[at..at + 60]);
    bytes[at + 60..at + 64].copy_from_slice(&sum.to_le_bytes());
}

/// The next statement once overflowed a generation that nobody can have written, and `COOKIE` went back to zero.
#[test]
fn a_slot_of_the_last_generation_says_nothing() {
    let disk = SimDisk::new();
    let wal = tiny().open_on(&disk, "/log", SEED).unwrap();
    let lsn = wal.append(b"kept").unwrap();
    wal.close().unwrap();
    drop(wal);
    let cookie = Path::new("/log/COOKIE");
    let mut bytes = disk.read_file(cookie).unwrap();
    for block in [0, 2] {
        let (at, odd) = (4096 * block, 4096 * (block + 1));
        bytes.copy_within(odd..odd + 64, at);
        bytes[at + 8..at + 16].copy_from_slice(&(u64::MAX - 1).to_le_bytes());
        seal(&mut bytes, at);
    }
    disk.write_file(cookie, &bytes).unwrap();
    for _ in 0..3 {
        let wal = tiny().open_on(&disk, "/log", SEED).unwrap();
        assert_eq!(&*wal.get(lsn).unwrap(), b"kept");
        wal.append(b"more").unwrap();
        wal.close().unwrap();
    }
}

/// Damaged epoch frames below the known durable position were once refused without the row of the table.
#[test]
fn a_broken_chain_of_salts_is_a_row_of_the_table() {
    let disk = SimDisk::new();
    for life in 0..2_u8 {
        let wal = tiny()
            .open_on(&disk, "/log", SEED + u64::from(life))
            .unwrap();
        for _ in 0..3 + 5 * life {
            wal.append(&[life; 1000]).unwrap();
        }
        wal.close().unwrap();
    }
    let first = Path::new("/log/00000000000000000001.seg");
    let epoch = 4096 + 3 * 1024;
    assert_eq!(
        disk.read_file(first).unwrap()[epoch + 16],
        4,
        "an epoch frame"
    );
    disk.flip_bit(first, 8 * (epoch as u64 + 30)).unwrap();
    let error = tiny().open_on(&disk, "/log", SEED).unwrap_err();
    assert_eq!((error.kind(), error.row()), (ErrorKind::Corrupt, Some('H')));
}

/// `verify` once called a log clean that no writing open accepts, for a file that stands where a segment belongs.
#[test]
fn a_file_in_the_way_of_a_segment_is_seen_by_verify() {
    let disk = SimDisk::new();
    let wal = tiny().open_on(&disk, "/log", SEED).unwrap();
    wal.append(b"kept").unwrap();
    wal.close().unwrap();
    drop(wal);
    let ready = Path::new("/log/00000000000000000002.seg");
    disk.flip_bit(ready, 8 * 40).unwrap();
    let verdict = WalReader::open_on(&disk, "/log").unwrap().verify();
    let error = tiny().open_on(&disk, "/log", SEED).unwrap_err();
    assert_eq!((verdict.row(), error.row()), ('M', Some('M')), "{error}");
    assert_eq!(error.place().path.as_deref(), Some(ready));
}

/// The same seed draws the same identity.
const SEED: u64 = 7;

fn tiny() -> WalOptions {
    let mut options = WalOptions::new();
    options.segment_size(8 << 10).preallocate_segments(1);
    options
}

/// `COOKIE`, if a creation that dies at operation `index` leaves one and no segment.
fn cookie_when_creation_dies_at(index: u64) -> Option<Vec<u8>> {
    let disk = SimDisk::new();
    disk.power_off_at(When::Index(index));
    tiny().open_on(&disk, "/log", SEED).err()?;
    let disk = disk.kill();
    let names = disk.names(Path::new("/log")).ok()?;
    let has = |wanted: &str| names.iter().any(|name| name.to_str() == Some(wanted));
    (has("COOKIE") && !has("00000000000000000001.seg"))
        .then(|| disk.read_file(Path::new("/log/COOKIE")).unwrap())
}

/// Closing makes durable what callbacks wait for, and once told them `Closed` all the same.
#[test]
fn a_callback_whose_record_closing_made_durable_is_told_so() {
    for _ in 0..20 {
        let dir = TempDir::in_memory();
        let wal = small().open(dir.path()).unwrap();
        let lsn = wal.append(b"in flight").unwrap();
        let (sender, receiver) = mpsc::channel();
        wal.on_durable(lsn, move |result| sender.send(result).unwrap())
            .unwrap();
        wal.close().unwrap();
        receiver.recv_timeout(LIMIT).unwrap().unwrap();
    }
}

/// A callback for a record behind one that was still being written once blocked the thread that serves all of them.
#[test]
fn a_callback_behind_a_hole_does_not_hold_up_one_before_it() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let before = wal.append(b"before").unwrap();
    let (reserved, is_reserved) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let holder = wal.clone();
        scope.spawn(move || {
            let mut appender = holder.appender().unwrap();
            let reservation = appender.reserve(8).unwrap();
            reserved.send(()).unwrap();
            assert!(released.recv().is_err(), "only the end of the test lets go");
            reservation.publish();
        });
        is_reserved.recv().unwrap();
        let behind = wal.append(b"behind").unwrap();
        let (sender, receiver) = mpsc::channel();
        for (lsn, name) in [(behind, "behind"), (before, "before")] {
            let sender = sender.clone();
            wal.on_durable(lsn, move |result| sender.send((name, result)).unwrap())
                .unwrap();
            // Time for the thread that serves callbacks to take the first up alone.
            (0..20_000).for_each(|_| thread::yield_now());
        }
        let (name, result) = receiver.recv_timeout(LIMIT).unwrap();
        assert_eq!(name, "before");
        result.unwrap();
        drop(release);
        let (name, result) = receiver.recv_timeout(LIMIT).unwrap();
        assert_eq!(name, "behind");
        result.unwrap();
    });
}

/// A directory that could not be synced for want of space was once tried again, under a name that may have changed.
#[test]
fn a_failed_sync_of_the_directory_poisons_even_for_want_of_space() {
    let disk = SimDisk::new();
    let wal = tiny().open_on(&disk, "/log", SEED).unwrap();
    disk.fail_at(When::Nth(Op::DirSync, 0), 28, Repeat::Once);
    let failed = (0..100).find_map(|_| wal.append(&[1; 1000]).err()).unwrap();
    assert_eq!(failed.kind(), ErrorKind::Poisoned, "{failed}");
    assert_eq!(failed.os_error(), Some(28));
}

/// A callback that closed the log while another thread did once waited for that one, which waited for the callback.
#[test]
fn a_callback_that_closes_beside_another_closer_ends() {
    for _ in 0..5 {
        let dir = TempDir::in_memory();
        let wal = small().open(dir.path()).unwrap();
        let lsn = wal.append(b"in flight").unwrap();
        let inner = wal.clone();
        let (begun, has_begun) = mpsc::channel();
        let (sender, receiver) = mpsc::channel();
        wal.on_durable(lsn, move |_| {
            begun.send(()).unwrap();
            // Time for the other one to come first.
            (0..20_000).for_each(|_| thread::yield_now());
            sender.send(inner.close()).unwrap();
        })
        .unwrap();
        has_begun.recv_timeout(LIMIT).unwrap();
        let outer = within(move || wal.close());
        let results = [outer, receiver.recv_timeout(LIMIT).unwrap()];
        let closed = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(closed, 1, "one of the two closed the log: {results:?}");
        small().open(dir.path()).unwrap();
    }
}

/// The second of two threads that close at once returned while the first still held the lock.
#[test]
fn a_second_closer_returns_when_the_log_is_closed() {
    for _ in 0..50 {
        let dir = TempDir::in_memory();
        let wal = small().open(dir.path()).unwrap();
        wal.append(b"to be synced").unwrap();
        let barrier = Barrier::new(2);
        let close = || {
            barrier.wait();
            let result = wal.close();
            // Only who came second opens, so that the two do not get in each other's way.
            result.inspect_err(|_| drop(small().open(dir.path()).unwrap()))
        };
        let results = thread::scope(|scope| {
            let other = scope.spawn(close);
            [close(), other.join().unwrap()]
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    }
}

/// A read-only reader that met damage below the known durable position once took it for the end of the log.
#[test]
fn a_reader_is_told_of_damage_below_the_durable_position() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns: Vec<_> = (0..3)
        .map(|_| wal.append(b"acknowledged").unwrap())
        .collect();
    wal.close().unwrap();
    let segment = dir.join("00000000000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[usize::try_from(lsns[1].offset()).unwrap() + 24] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let mut records = reader.records(reader.head().unwrap()).unwrap();
    assert_eq!(records.next().unwrap().unwrap().lsn(), lsns[0]);
    let error = records.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(error.place().lsn, Some(lsns[1]));
    assert!(records.next().is_none());
    fs::remove_file(&segment).unwrap();
    let missing = reader.records(lsns[0]).unwrap().next().unwrap();
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::Corrupt);
}

/// The background synced up to the hole, and nobody asked it again when the hole was filled.
#[test]
fn an_append_behind_unsynced_segments_goes_on_when_the_hole_below_them_is_filled() {
    let dir = TempDir::in_memory();
    let mut options = small();
    options.max_unsynced_segments(2);
    options.on_full(OnFull::Block { timeout: LIMIT });
    let wal = &options.open(dir.path()).unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (position, held) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut appender = wal.appender().unwrap();
            let reservation = appender.reserve(8).unwrap();
            position.send(()).unwrap();
            assert!(released.recv().is_err());
            reservation.publish();
        });
        held.recv().unwrap();
        scope.spawn(move || (0..30).for_each(|_| _ = wal.append(&[7; 1000]).unwrap()));
        assert!(wait_until(LIMIT, || wal.stats().backpressure > 0
            && wal.stats().background_syncs > 0));
        drop(release);
    });
}

/// A record that was kept over a close lost its bytes when the log was opened again and its segment reused.
#[test]
#[expect(clippy::disallowed_methods, reason = "nothing needs to be durable")]
fn a_record_kept_over_a_close_keeps_its_bytes_when_the_log_is_opened_again() {
    for end in [Wal::close as fn(&Wal) -> segwal::Result<()>, |_| Ok(())] {
        let dir = TempDir::in_memory();
        let mut options = small();
        options
            .preallocate_segments(1)
            .scrub_recycled(OldPayloads::Scrub);
        let wal = options.open(dir.join("log")).unwrap();
        let discarded = wal.append(&[1; 3000]).unwrap();
        let discarded = wal.get(discarded).unwrap();
        fill_segments(&wal, 2);
        let cold = wal.append(&[2; 3000]).unwrap();
        let cold = wal.get(cold).unwrap();
        fill_segments(&wal, 2);
        let last = wal.get(wal.append(&[3; 3000]).unwrap()).unwrap();
        wal.discard_before(cold.lsn()).unwrap();
        end(&wal).unwrap();
        drop(wal);
        let moved = dir.join("moved");
        fs::rename(dir.join("log"), &moved).unwrap();
        for _ in 0..2 {
            let wal = options.open(&moved).unwrap();
            for _ in 0..4 {
                fill_segments(&wal, 2);
                wal.reset().unwrap();
            }
            for (record, byte) in [(&discarded, 1), (&cold, 2), (&last, 3)] {
                assert_eq!(record.payload(), [byte; 3000], "record {byte}");
            }
            // What was discarded just now counts as pinned until the background has looked at it.
            assert!(wait_until(LIMIT, || wal.stats().pinned_segments == 3));
        }
        let wal = options.open(&moved).unwrap();
        drop((discarded, cold, last));
        assert!(wait_until(LIMIT, || {
            fill_segments(&wal, 1);
            wal.reset().unwrap();
            wal.stats().pinned_segments == 0
        }));
    }
}

/// Appends until the log is `count` segments further.
fn fill_segments(wal: &Wal, count: u32) {
    let begin = wal.end().segment();
    while wal.end().segment() < begin + count {
        wal.append(&[9; 3000]).unwrap();
    }
}

/// A closed log kept its callbacks. One that has a clone of the log is a circle, and nothing of the log was ever given back.
#[test]
fn a_closed_log_lets_go_of_callbacks_that_have_a_clone_of_it() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let kept = Arc::new(());
    let own = (wal.clone(), Arc::clone(&kept));
    wal.on_error(move |_| {
        assert!(own.0.append(&[]).is_err());
        assert!(Arc::strong_count(&own.1) > 0);
    })
    .unwrap();
    let own = (wal.clone(), Arc::clone(&kept));
    wal.on_space_pressure(move |_| {
        drop(own.0.discard_before(own.0.end()));
        assert!(Arc::strong_count(&own.1) > 0);
    })
    .unwrap();
    assert_eq!(Arc::strong_count(&kept), 3);
    wal.close().unwrap();
    assert_eq!(Arc::strong_count(&kept), 1);
}
