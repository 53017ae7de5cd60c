//! Opening again: what is found, what is reported, and who is refused.

use std::env;
use std::fs;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;

use segwal::fault::SimDisk;
use segwal::{EndKind, ErrorKind, Lsn, Wal, WalOptions};
use testkit::TempDir;

use crate::scene::{
    flip_bit, names, payload, read_all, refused, segment_ids, segment_path, sized_payload, small,
    within,
};

fn fill(wal: &Wal, from: u64, count: u64) -> Vec<Lsn> {
    (from..from + count)
        .map(|sequence| wal.append(&payload(0, sequence)).unwrap())
        .collect()
}

/// Checks that exactly the records `0..count` are there.
fn check(wal: &Wal, count: u64) {
    let records = read_all(wal, wal.head());
    for (index, (_, bytes)) in records.iter().enumerate() {
        assert_eq!(names(bytes), (0, index as u64));
    }
    assert_eq!(records.len() as u64, count);
}

#[test]
fn a_new_log_says_that_it_was_created() {
    let dir = TempDir::in_memory();
    let wal = small()
        .user_header(b"mine")
        .open(dir.join("deeper"))
        .unwrap();
    let recovery = wal.recovery();
    assert_eq!(recovery.kind(), EndKind::Created);
    assert_eq!((recovery.scanned_records(), recovery.cut()), (0, None));
    assert!(recovery.reclaimed().is_empty() && recovery.foreign().is_empty());
    let (uuid, cookie) = (wal.uuid(), wal.cookie_path());
    assert!(cookie.is_file());
    drop(wal);
    let wal = small()
        .user_header(b"ignored")
        .open(dir.join("deeper"))
        .unwrap();
    assert_eq!((wal.uuid(), wal.user_header()), (uuid, &b"mine"[..]));
    assert_eq!(wal.path(), dir.join("deeper"));
}

#[test]
fn the_segment_size_of_the_log_that_is_there_holds() {
    let dir = TempDir::in_memory();
    drop(small().open(dir.path()).unwrap());
    let wal = WalOptions::new()
        .segment_size(1 << 20)
        .open(dir.path())
        .unwrap();
    assert_eq!(wal.segment_size(), 8192);
    refused(wal.append(&[0; 8192]), ErrorKind::TooLarge);
    drop(wal);
    refused(
        WalOptions::new().max_record_len(8192).open(dir.path()),
        ErrorKind::InvalidOption,
    );
}

#[test]
fn after_a_close_the_log_is_found_closed_and_nothing_is_stored_again() {
    for dir in [TempDir::in_memory(), TempDir::on_disk()] {
        let wal = small().open(dir.path()).unwrap();
        fill(&wal, 0, 100);
        let end = wal.end();
        wal.close().unwrap();
        let wal = Wal::open(dir.path()).unwrap();
        let recovery = wal.recovery();
        assert_eq!((recovery.kind(), recovery.end()), (EndKind::Closed, end));
        assert_eq!((recovery.cut(), recovery.stored_again_bytes()), (None, 0));
        assert_eq!(wal.durable(), wal.end(), "what was recovered is durable");
        check(&wal, 100);
    }
}

#[test]
fn after_a_drop_every_published_record_is_there() {
    let dir = TempDir::in_memory();
    let mut count = 0;
    for life in 0..30 {
        let wal = small().open(dir.path()).unwrap();
        check(&wal, count);
        if life > 0 {
            assert_eq!(wal.recovery().kind(), EndKind::Clean, "life {life}");
            assert_eq!(wal.recovery().end(), wal.recovery().end().max(wal.head()));
        }
        assert_eq!(wal.durable(), wal.end(), "what was recovered is durable");
        fill(&wal, count, life % 7);
        count += life % 7;
    }
}

#[test]
fn the_mark_of_a_close_is_void_after_the_next_open() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    fill(&wal, 0, 5);
    wal.close().unwrap();
    drop(wal);
    drop(Wal::open(dir.path()).unwrap());
    let wal = Wal::open(dir.path()).unwrap();
    assert_eq!(wal.recovery().kind(), EndKind::Clean);
    check(&wal, 5);
}

#[test]
fn a_log_opened_until_its_segments_are_full_of_openings_still_opens() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    fill(&wal, 0, 3);
    drop(wal);
    for life in 0..150_u64 {
        let wal = small().open(dir.path()).unwrap();
        check(&wal, 3 + life / 50);
        if life % 50 == 49 {
            fill(&wal, 3 + life / 50, 1);
        }
    }
    check(&small().open(dir.path()).unwrap(), 6);
}

#[test]
fn a_segment_filled_to_its_last_byte_is_reopened() {
    for spare in (0..=128).step_by(8) {
        let dir = TempDir::in_memory();
        let wal = small().open(dir.path()).unwrap();
        let first = wal.append(&vec![1; 4072 - spare]).unwrap();
        drop(wal);
        for _ in 0..3 {
            let wal = small().open(dir.path()).unwrap();
            assert_eq!(read_all(&wal, wal.head()), [(first, vec![1; 4072 - spare])]);
        }
        let wal = small().open(dir.path()).unwrap();
        let second = wal.append(&[2; 2000]).unwrap();
        assert_eq!(second.segment(), 2);
        drop(wal);
        let wal = small().open(dir.path()).unwrap();
        assert_eq!(
            read_all(&wal, wal.head()).len(),
            2,
            "{spare} bytes to spare"
        );
    }
}

#[test]
fn the_head_survives_and_discarded_records_stay_away() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns = fill(&wal, 0, 200);
    let head = lsns[150];
    wal.discard_before(head).unwrap();
    drop(wal);
    for _ in 0..3 {
        let wal = small().open(dir.path()).unwrap();
        assert_eq!((wal.head(), wal.recovery().head()), (head, head));
        let records = read_all(&wal, wal.head());
        assert_eq!(names(&records[0].1), (0, 150));
        assert_eq!(records.len(), 50);
        refused(wal.get(lsns[149]), ErrorKind::Discarded);
        assert!(
            segment_ids(dir.path())
                .iter()
                .all(|id| *id >= head.segment() || *id < 300)
        );
    }
}

#[test]
fn records_of_cold_segments_can_be_read_discarded_and_reused() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns = fill(&wal, 0, 400);
    wal.close().unwrap();
    drop(wal);
    let wal = small().open(dir.path()).unwrap();
    for (sequence, lsn) in lsns.iter().enumerate().step_by(13) {
        assert_eq!(names(&wal.get(*lsn).unwrap()), (0, sequence as u64));
    }
    drop(wal);
    let wal = small().open(dir.path()).unwrap();
    wal.discard_before(lsns[200]).unwrap();
    fill(&wal, 400, 200);
    assert!(wal.stats().reused_segments > 0, "{:?}", wal.stats());
    let records = read_all(&wal, wal.head());
    assert!(
        records
            .iter()
            .map(|(_, bytes)| names(bytes))
            .eq((200..600).map(|sequence| (0, sequence)))
    );
}

#[test]
fn the_report_counts_what_was_found() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns = fill(&wal, 0, 60);
    let (end, durable) = (wal.end(), wal.durable());
    assert!(wal.recovery().duration() > std::time::Duration::ZERO);
    drop(wal);
    fs::write(dir.join("notes.txt"), "foreign").unwrap();
    fs::create_dir(dir.join("deep")).unwrap();
    fs::write(dir.join("00000000000000000999.seg.new"), "unfinished").unwrap();
    let wal = small().open(dir.path()).unwrap();
    let recovery = wal.recovery();
    assert_eq!(recovery.end(), end);
    assert_eq!(recovery.segments(), u64::from(end.segment()));
    let scanned = lsns
        .iter()
        .filter(|lsn| lsn.segment() >= durable.segment())
        .count() as u64;
    assert!(recovery.scanned_records() <= scanned && recovery.scanned_records() > 0);
    assert!(recovery.scanned_bytes() > 0);
    assert_eq!(
        recovery.foreign(),
        [dir.join("deep"), dir.join("notes.txt")]
    );
    assert!(
        recovery
            .reclaimed()
            .contains(&dir.join("00000000000000000999.seg.new"))
    );
    assert!(dir.join("notes.txt").exists() && !dir.join("00000000000000000999.seg.new").exists());
}

/// Within the payload of the torn record, and behind the epoch frame that takes its place.
const IN_PAYLOAD: u64 = 100;

#[test]
fn a_torn_tail_is_cut_reported_and_never_comes_back() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    fill(&wal, 0, 3);
    wal.sync().unwrap();
    let torn = wal.append(&sized_payload(0, 3, 200)).unwrap();
    let end = wal.get(torn).unwrap().end();
    drop(wal);
    flip_bit(&segment_path(dir.path(), 1), torn.offset() + IN_PAYLOAD);
    let wal = small().open(dir.path()).unwrap();
    assert_eq!(wal.recovery().kind(), EndKind::TornTail);
    assert_eq!(wal.recovery().end(), torn);
    let cut = wal.recovery().cut().unwrap();
    assert!(cut.start == torn && cut.end <= end, "{cut:?}");
    check(&wal, 3);
    drop(wal);
    // The bit turned back must not bring the record back.
    flip_bit(&segment_path(dir.path(), 1), torn.offset() + IN_PAYLOAD);
    check(&small().open(dir.path()).unwrap(), 3);
}

#[test]
fn what_stands_behind_a_hole_is_cut_reported_and_never_comes_back() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    fill(&wal, 0, 3);
    wal.sync().unwrap();
    let torn = wal.append(&sized_payload(0, 3, 200)).unwrap();
    let behind = wal.append(&payload(0, 4)).unwrap();
    let end = wal.get(behind).unwrap().end();
    drop(wal);
    flip_bit(&segment_path(dir.path(), 1), torn.offset() + IN_PAYLOAD);
    let wal = small().open(dir.path()).unwrap();
    assert_eq!(wal.recovery().kind(), EndKind::Hole);
    assert_eq!(wal.recovery().cut(), Some(torn..end));
    check(&wal, 3);
    drop(wal);
    flip_bit(&segment_path(dir.path(), 1), torn.offset() + IN_PAYLOAD);
    let wal = small().open(dir.path()).unwrap();
    check(&wal, 3);
    fill(&wal, 3, 40);
    drop(wal);
    check(&small().open(dir.path()).unwrap(), 43);
}

#[test]
fn a_hole_in_an_earlier_segment_cuts_the_later_ones_and_their_files_are_used_again() {
    let dir = TempDir::in_memory();
    let wal = small().max_unsynced_segments(32).open(dir.path()).unwrap();
    fill(&wal, 0, 3);
    wal.sync().unwrap();
    let torn = wal.append(&sized_payload(0, 3, 200)).unwrap();
    fill(&wal, 4, 90);
    let end = wal.end();
    assert!(
        end.segment() > 3 && wal.durable() <= torn,
        "{end} {}",
        wal.durable()
    );
    drop(wal);
    flip_bit(&segment_path(dir.path(), 1), torn.offset() + IN_PAYLOAD);
    let wal = small().open(dir.path()).unwrap();
    let cut = wal.recovery().cut().unwrap();
    assert_eq!((wal.recovery().kind(), cut.start), (EndKind::Hole, torn));
    check(&wal, 3);
    fill(&wal, 3, 100);
    check(&wal, 103);
    drop(wal);
    check(&small().open(dir.path()).unwrap(), 103);
}

#[test]
fn a_second_handle_in_this_process_is_refused_until_the_first_is_gone() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let clone = wal.clone();
    let error = refused(Wal::open(dir.path()), ErrorKind::Locked);
    assert_eq!(
        error.place().path.as_deref(),
        Some(dir.join("LOCK").as_path())
    );
    drop(wal);
    refused(Wal::open(dir.path()), ErrorKind::Locked);
    clone.close().unwrap();
    let again = Wal::open(dir.path()).unwrap();
    refused(clone.append(b"x"), ErrorKind::Closed);
    drop(clone);
    refused(Wal::open(dir.path()), ErrorKind::Locked);
    drop(again);
    drop(Wal::open(dir.path()).unwrap());
}

const CHILD_DIR: &str = "SEGWAL_TEST_OPEN_DIR";

/// Opens the log that the parent names; does nothing in a run of all tests.
#[test]
fn second_process() {
    let Some(dir) = env::var_os(CHILD_DIR) else {
        return;
    };
    match Wal::open(dir) {
        Ok(wal) => println!("opened at {}", wal.end()),
        Err(error) => println!("refused as {:?}", error.kind()),
    }
}

fn open_in_a_second_process(dir: &TempDir) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    let child = command
        .args(["--exact", "reopen::second_process", "--nocapture"])
        .env(CHILD_DIR, dir.path());
    let Output { stdout, .. } = child.output().unwrap();
    String::from_utf8(stdout).unwrap()
}

#[test]
fn a_second_process_is_refused_while_the_log_is_open() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    wal.append(b"x").unwrap();
    let said = open_in_a_second_process(&dir);
    assert!(said.contains("refused as Locked"), "{said}");
    drop(wal);
    let said = open_in_a_second_process(&dir);
    assert!(said.contains("opened at 1:"), "{said}");
    assert_eq!(
        read_all(&Wal::open(dir.path()).unwrap(), Lsn::new(1, 4096).unwrap()).len(),
        1
    );
}

#[test]
fn handles_dropped_on_many_threads_release_the_lock_once() {
    let dir = TempDir::in_memory();
    for _ in 0..20 {
        let wal = small().open(dir.path()).unwrap();
        let (sender, receiver) = mpsc::channel();
        for _ in 0..4 {
            let (wal, sender) = (wal.clone(), sender.clone());
            thread::spawn(move || {
                wal.append(b"x").unwrap();
                drop(wal);
                sender.send(()).unwrap();
            });
        }
        drop(wal);
        within(move || (0..4).for_each(|_| receiver.recv().unwrap()));
    }
}

/// The barrier is as long as a record of 40 bytes. What stood behind such a hole then follows the barrier, at the position
/// that it names and summed under the salt before: a torn tail once more, which holds nothing.
#[test]
fn what_stands_behind_a_barrier_that_fills_a_hole_is_cut_again_and_nothing_else_is() {
    let disk = SimDisk::new();
    let open = |disk: &SimDisk| WalOptions::new().open_on(disk, "/log", 1).unwrap();
    let wal = open(&disk);
    let kept = wal.append(b"in front of the hole").unwrap();
    wal.sync().unwrap();
    let mut appender = wal.appender().unwrap();
    let hole = appender.reserve(40).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| wal.append(b"behind the hole").unwrap());
    });
    let mut disk = disk.kill();
    drop(hole);
    let kinds = [(); 3].map(|()| {
        let wal = open(&disk);
        disk = disk.kill();
        let records = wal.records(wal.head()).unwrap();
        let lsns: Vec<_> = records.map(|record| record.unwrap().lsn()).collect();
        assert_eq!(lsns, [kept]);
        let cut = wal.recovery().cut();
        (wal.recovery().kind(), cut.map(|cut| cut.start < cut.end))
    });
    let expected = [
        (EndKind::Hole, Some(true)),
        (EndKind::TornTail, Some(false)),
        (EndKind::Clean, None),
    ];
    assert_eq!(kinds, expected);
}
