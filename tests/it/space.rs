//! Space pressure: its levels and causes, who waits and who is poisoned.
//!
//! Most of it runs on the simulated disk, whose background is the calling thread: the same calls give the same levels.

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use segwal::fault::{Op, Repeat, SimDisk, When};
use segwal::{ErrorKind, Health, OnFull, SpaceCause, SpacePressure, Wal};
use testkit::{TempDir, wait_until};

use crate::full::{DIR, ENOSPC, FULL, LOW, fill, fill_one_segment, full, open, options};
use crate::scene::{LIMIT, SMALL, refused};

const EDQUOT: i32 = 122;
const EFBIG: i32 = 27;
const EIO: i32 = 5;
/// The levels that a hook was told, in order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<SpacePressure>>>);

impl Told {
    fn by(wal: &Wal) -> Self {
        let told = Self::default();
        let list = Arc::clone(&told.0);
        wal.on_space_pressure(move |pressure| list.lock().unwrap().push(pressure))
            .unwrap();
        told
    }

    #[track_caller]
    fn expect(&self, levels: &[SpacePressure]) {
        let came = wait_until(LIMIT, || self.0.lock().unwrap().len() >= levels.len());
        let told = self.0.lock().unwrap();
        assert!(
            came && *told == levels,
            "told {told:?}, expected {levels:?}"
        );
    }
}

#[test]
fn the_level_goes_from_low_to_full_and_back_only_when_everything_is_ready() {
    let disk = SimDisk::new();
    let wal = open(&disk, options().preallocate_segments(2));
    let told = Told::by(&wal);
    assert_eq!(wal.space_pressure(), SpacePressure::None);
    while wal.stats().rotations < 1 {
        wal.append(&[0; 1000]).unwrap();
    }
    disk.set_free_bytes(Some(0));
    while wal.space_pressure() == SpacePressure::None {
        wal.append(&[0; 1000]).unwrap();
    }
    assert_eq!(wal.space_pressure(), LOW, "appends still fit");
    wal.append(&[0; 1000]).unwrap();
    fill(&wal);
    assert_eq!(wal.space_pressure(), FULL);
    assert_eq!(wal.stats().ready_segments, 1, "the reserve is left");
    let Health::Pressure(cause) = wal.health() else {
        panic!("{:?}", wal.health())
    };
    assert_eq!(cause.os_error(), Some(ENOSPC), "{cause}");
    let error = refused(wal.append(&[0; 1000]), ErrorKind::NoSpace);
    assert_eq!(error.os_error(), Some(ENOSPC), "{error}");

    disk.set_free_bytes(Some(SMALL));
    wal.append(&[1; 1000]).unwrap();
    assert_eq!(
        wal.space_pressure(),
        LOW,
        "nothing is ready beyond the reserve"
    );
    disk.set_free_bytes(None);
    fill_one_segment(&wal);
    assert_eq!(wal.space_pressure(), SpacePressure::None);
    assert!(matches!(wal.health(), Health::Ok));
    told.expect(&[LOW, FULL, LOW, SpacePressure::None]);
    let stats = wal.stats();
    assert_eq!(stats.enospc_times, 1, "{stats:?}");
    assert!(stats.enospc_ns > 0 && stats.failed_enospc > 0, "{stats:?}");
    assert_eq!(stats.failed_preparations, stats.failed_enospc);
}

#[test]
fn each_errno_is_its_own_cause_and_counted_by_itself() {
    for (errno, cause) in [
        (ENOSPC, SpaceCause::DiskFull),
        (EDQUOT, SpaceCause::Quota),
        (EFBIG, SpaceCause::FileSize),
    ] {
        let disk = SimDisk::new();
        let wal = open(&disk, &options());
        fill_one_segment(&wal);
        disk.fail_at(When::Nth(Op::Allocate, 0), errno, Repeat::FromThenOn);
        fill(&wal);
        assert_eq!(wal.space_pressure(), SpacePressure::Full(cause));
        assert_eq!(cause.os_error(), Some(errno));
        let stats = wal.stats();
        let failed = [stats.failed_enospc, stats.failed_edquot, stats.failed_efbig];
        assert_eq!(
            failed.iter().filter(|count| **count > 0).count(),
            1,
            "{stats:?}"
        );
        assert_eq!(failed.iter().sum::<u64>(), stats.failed_preparations);
        let times = [stats.enospc_times, stats.edquot_times, stats.efbig_times];
        assert_eq!(times.iter().sum::<u64>(), 1, "{stats:?}");
        disk.clear_faults();
        wal.append(&[2; 1000]).unwrap();
        assert_eq!(wal.space_pressure(), SpacePressure::None);
    }
}

#[test]
fn the_limit_is_a_cause_of_its_own() {
    let disk = SimDisk::new();
    let mut options = options();
    options
        .max_unsynced_segments(2)
        .max_wal_bytes(Some(5 * SMALL));
    let wal = open(&disk, &options);
    let told = Told::by(&wal);
    let (low, full) = (
        SpacePressure::Low(SpaceCause::Limit),
        SpacePressure::Full(SpaceCause::Limit),
    );
    fill(&wal);
    assert_eq!(wal.space_pressure(), full);
    told.expect(&[low, full]);
    assert!(wal.stats().limited_preparations > 0 && wal.stats().limit_times == 1);
    wal.discard_before(wal.end()).unwrap();
    assert_eq!(wal.space_pressure(), SpacePressure::None, "at once");
    assert!(wal.stats().limit_ns > 0);
    wal.append(&[0; 1000]).unwrap();
}

#[test]
fn a_preallocator_that_is_merely_behind_is_no_pressure() {
    let dir = TempDir::in_memory();
    let wal = options()
        .max_unsynced_segments(64)
        .open(dir.path())
        .unwrap();
    let told = Told::by(&wal);
    let missed = wait_until(LIMIT, || {
        drop(wal.append(&[0; 4000]));
        wal.sync().unwrap();
        wal.discard_before(wal.end()).unwrap();
        wal.stats().ready_misses > 3
    });
    assert!(missed, "{:?}", wal.stats());
    assert_eq!(wal.space_pressure(), SpacePressure::None);
    wal.close().unwrap();
    assert!(told.0.lock().unwrap().is_empty());
}

#[test]
fn trying_to_append_does_not_wait_whatever_the_policy() {
    let (disk, wal, _) = full(options().on_full(OnFull::Fail));
    drop(wal);
    let timeout = Duration::from_secs(3600);
    let wal = open(&disk, options().on_full(OnFull::Block { timeout }));
    let mut appender = wal.appender().unwrap();
    while wal.try_append(&[0; 1000]).is_ok() {}
    let end = wal.end();
    refused(wal.try_append(&[0; 1000]), ErrorKind::NoSpace);
    refused(appender.try_append(&[0; 1000]), ErrorKind::NoSpace);
    assert_eq!((wal.end(), wal.stats().space_waits), (end, 0));
    disk.set_free_bytes(None);
    let lsn = appender.try_append(b"there is space").unwrap();
    assert_eq!(&*wal.get(lsn).unwrap(), b"there is space");
}

#[test]
fn a_blocked_append_is_woken_by_a_discard_that_empties_the_log() {
    let dir = TempDir::in_memory();
    let mut options = options();
    options
        .max_unsynced_segments(2)
        .max_wal_bytes(Some(5 * SMALL));
    let wal = options.open(dir.path()).unwrap();
    let filled = wait_until(LIMIT, || {
        drop(wal.append(&[1; 4000]));
        wal.sync().unwrap();
        wal.space_pressure() == SpacePressure::Full(SpaceCause::Limit)
    });
    assert!(filled, "{:?}", wal.stats());
    drop(wal);
    let wal = options
        .on_full(OnFull::Block { timeout: LIMIT })
        .open(dir.path())
        .unwrap();
    let (sender, receiver) = mpsc::channel();
    let log = wal.clone();
    let appending = thread::spawn(move || sender.send(log.append(&[9; 4000])).unwrap());
    let waits = wait_until(LIMIT, || wal.stats().ready_misses > 0);
    assert!(waits && receiver.try_recv().is_err(), "{:?}", wal.stats());
    wal.discard_before(wal.end()).unwrap();
    receiver.recv_timeout(LIMIT).unwrap().unwrap();
    appending.join().unwrap();
    let stats = wal.stats();
    assert!(
        stats.space_waits == 1 && stats.space_wait_ns > 0,
        "{stats:?}"
    );
}

#[test]
fn a_wait_for_space_ends_in_time_as_no_space() {
    let dir = TempDir::in_memory();
    let mut options = options();
    options
        .max_unsynced_segments(2)
        .max_wal_bytes(Some(5 * SMALL));
    let timeout = Duration::from_millis(30);
    let wal = options
        .on_full(OnFull::Block { timeout })
        .open(dir.path())
        .unwrap();
    let error = loop {
        wal.sync().unwrap();
        if let Err(error) = wal.append(&[1; 4000]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(error.to_string().contains("max_wal_bytes"), "{error}");
    assert!(wal.stats().space_wait_ns >= 30_000_000, "{:?}", wal.stats());
}

#[test]
fn a_failed_sync_of_a_segment_in_preparation_is_pressure_and_leaves_nothing() {
    for errno in [ENOSPC, EDQUOT] {
        let disk = SimDisk::new();
        let wal = open(&disk, &options());
        fill_one_segment(&wal);
        let names = disk.names(DIR.as_ref()).unwrap();
        disk.fail_at(When::Nth(Op::FileSync, 0), errno, Repeat::FromThenOn);
        fill(&wal);
        assert!(matches!(wal.space_pressure(), SpacePressure::Full(_)));
        assert_eq!(disk.names(DIR.as_ref()).unwrap(), names, "no partial file");
        disk.clear_faults();
        wal.append(&[0; 1000]).unwrap();
        wal.sync().unwrap();
    }
}

/// The file is given up, and its blocks serve for a new one.
#[test]
fn a_failed_sync_of_a_reused_header_is_no_poison() {
    let disk = SimDisk::new();
    let wal = open(&disk, &options());
    while wal.stats().rotations < 5 {
        wal.append(&[0; 1000]).unwrap();
    }
    wal.sync().unwrap();
    disk.set_free_bytes(Some(0));
    wal.discard_before(wal.end()).unwrap();
    let before = wal.stats();
    disk.fail_at(When::Nth(Op::MapSync, 0), ENOSPC, Repeat::Once);
    fill_one_segment(&wal);
    let after = wal.stats();
    assert!(
        after.removed_segments > before.removed_segments,
        "{after:?}"
    );
    assert_eq!(after.reused_segments, 0, "{after:?}");
    wal.append(&[0; 1000]).unwrap();
    wal.sync().unwrap();
    wal.close().unwrap();
}

#[test]
fn a_failed_sync_of_published_bytes_or_the_cookie_is_poison_for_want_of_space_too() {
    let poisoned = |after: u64, act: &dyn Fn(&Wal) -> segwal::Result<()>| {
        let disk = SimDisk::new();
        let wal = open(&disk, &options());
        fill_one_segment(&wal);
        wal.append(b"published").unwrap();
        disk.fail_at(When::Nth(Op::MapSync, after), ENOSPC, Repeat::Once);
        let error = act(&wal).unwrap_err();
        assert_eq!(
            (error.kind(), error.os_error()),
            (ErrorKind::Poisoned, Some(ENOSPC))
        );
        refused(wal.append(b"x"), ErrorKind::Poisoned);
        refused(wal.append_critical(b"x"), ErrorKind::Poisoned);
        refused(wal.try_append(b"x"), ErrorKind::Poisoned);
        assert_eq!(wal.space_pressure(), SpacePressure::None);
    };
    poisoned(0, &|wal| wal.sync().map(drop));
    // Behind the two segments comes COOKIE.
    poisoned(2, &|wal| wal.discard_before(wal.end()));
}

#[test]
fn an_input_output_error_while_preparing_is_poison() {
    for op in [Op::Create, Op::Allocate, Op::FileSync, Op::Rename] {
        let disk = SimDisk::new();
        let wal = open(&disk, &options());
        disk.fail_at(When::Nth(op, 0), EIO, Repeat::Once);
        let failed = (0..100).find_map(|_| wal.append(&[1; 1000]).err()).unwrap();
        assert_eq!(failed.kind(), ErrorKind::Poisoned, "{op:?}: {failed}");
    }
}

#[test]
fn a_limit_on_file_sizes_is_pressure_and_kills_nobody() {
    const CHILD: &str = "SEGWAL_TEST_SPACE_FILE_SIZE";
    if let Some(dir) = std::env::var_os(CHILD) {
        return under_a_limit(dir.as_ref());
    }
    let dir = TempDir::in_memory();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "space::a_limit_on_file_sizes_is_pressure_and_kills_nobody",
            "--exact",
        ])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "{output:?}"
    );
}

#[expect(unsafe_code, reason = "limits have no wrapper in std")]
fn under_a_limit(dir: &Path) {
    let wal = options().open(dir.join("log")).unwrap();
    wal.append(b"before").unwrap();
    let limit = libc::rlimit {
        rlim_cur: SMALL / 2,
        rlim_max: SMALL / 2,
    };
    // SAFETY: the structure lives throughout the call.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
    assert_eq!(result, 0);
    let cause = SpaceCause::FileSize;
    let full = wait_until(LIMIT, || {
        drop(wal.append(&[0; 1000]));
        wal.space_pressure() == SpacePressure::Full(cause)
    });
    assert!(full, "{:?} {:?}", wal.space_pressure(), wal.stats());
    let error = refused(wal.append(&[0; 4000]), ErrorKind::NoSpace);
    assert_eq!(error.os_error(), Some(EFBIG), "{error}");
    assert!(wal.stats().failed_efbig > 0);
    wal.append_critical(b"the reserve is there").unwrap();
    wal.sync().unwrap();
    wal.close().unwrap();
    // The calling thread makes the files of a new log, and is no thread of the log's.
    let error = refused(options().open(dir.join("new")), ErrorKind::NoSpace);
    assert_eq!(error.os_error(), Some(EFBIG), "{error}");
}

#[test]
fn a_lock_file_that_cannot_be_made_is_a_want_of_space() {
    let disk = SimDisk::new();
    drop(open(&disk, &options()));
    for errno in [ENOSPC, EDQUOT] {
        let disk = disk.kill();
        let lock = Path::new(DIR).join("LOCK");
        disk.remove_file(&lock).unwrap();
        disk.fail_at(When::Nth(Op::Lock, 0), errno, Repeat::Once);
        let error = refused(options().open_on(&disk, DIR, 7), ErrorKind::NoSpace);
        assert_eq!(error.os_error(), Some(errno), "{error}");
        assert_eq!(error.place().path.as_deref(), Some(&*lock), "{error}");
        drop(open(&disk, &options()));
    }
}
