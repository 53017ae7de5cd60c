//! Logs in memory: everything that a log on a disk does, and nothing left behind.

use std::fs;
use std::time::{Duration, Instant};

use segwal::{ErrorKind, SyncEvery, VerdictKind, Wal};
use testkit::wait_until;

use crate::scene::{LIMIT, names, payload, read_all, refused, small};

#[test]
fn a_log_in_memory_appends_rotates_reads_syncs_and_discards() {
    let wal = small().open_in_memory().unwrap();
    let other = small().open_in_memory().unwrap();
    for sequence in 0..300 {
        wal.append(&payload(1, sequence)).unwrap();
    }
    let mut appender = wal.appender().unwrap();
    let mut reservation = appender.reserve(5).unwrap();
    reservation.write_at(0, b"place").unwrap();
    let placed = reservation.publish();
    wal.sync().unwrap();
    assert!(wal.stats().rotations > 5, "{:?}", wal.stats());
    let records = read_all(&wal, wal.head());
    for (index, (_, bytes)) in records[..300].iter().enumerate() {
        assert_eq!(names(bytes), (1, index as u64));
    }
    let reader = wal.reader().unwrap();
    assert_eq!(reader.verify().kind(), VerdictKind::Clean);
    assert_eq!(reader.get(placed).unwrap().payload(), b"place");
    assert_eq!(other.end(), other.head(), "another log is another one");

    let hold = wal.hold_named("replica", records[100].0).unwrap();
    wal.discard_before(placed).unwrap();
    assert_eq!(wal.head(), records[100].0);
    hold.release().unwrap();
    wal.discard_before(placed).unwrap();
    refused(wal.get(records[0].0), ErrorKind::Discarded);
    let reused = || {
        wal.append(&payload(2, 0)).unwrap();
        wal.discard_before(wal.end()).unwrap();
        wal.stats().reused_segments > 3
    };
    assert!(wait_until(LIMIT, reused), "{:?}", wal.stats());
    wal.close().unwrap();
    refused(wal.append(b"x"), ErrorKind::Closed);
}

#[test]
fn its_threads_work() {
    let mut options = small();
    options.sync_every(SyncEvery::Interval(Duration::from_millis(1)));
    let wal = options.open_in_memory().unwrap();
    let lsn = wal.append(b"by the background").unwrap();
    assert!(wait_until(LIMIT, || wal.durable() > lsn));
    let (sender, receiver) = std::sync::mpsc::channel();
    let lsn = wal.append(b"by a callback").unwrap();
    wal.on_durable(lsn, move |result| sender.send(result).unwrap())
        .unwrap();
    receiver.recv_timeout(LIMIT).unwrap().unwrap();
}

/// The descriptors and mappings of this process that are of logs in memory.
fn traces() -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let is_ours = |path: std::path::PathBuf| path.to_string_lossy().starts_with("/memfd:segwal");
    let links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    links.filter(|link| is_ours(link.clone())).count() + maps.matches("/memfd:segwal").count()
}

/// In a process of its own, where no other test has one.
#[test]
#[expect(clippy::disallowed_methods, reason = "the time is a figure to show")]
fn nothing_is_left_behind_and_making_one_is_cheap() {
    const CHILD: &str = "SEGWAL_MEMORY_CHILD";
    const NAME: &str = "memory::nothing_is_left_behind_and_making_one_is_cheap";
    if std::env::var_os(CHILD).is_none() {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture"])
            .env(CHILD, "1")
            .status();
        assert!(child.unwrap().success());
        return;
    }
    assert_eq!(traces(), 0);
    let began = Instant::now();
    for _ in 0..20 {
        let wal = Wal::in_memory().unwrap();
        wal.append(b"gone with its last handle").unwrap();
        assert!(traces() > 0);
    }
    println!(
        "a log in memory took {:?} from open to drop",
        began.elapsed() / 20
    );
    assert_eq!(traces(), 0);
}
