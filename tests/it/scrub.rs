//! Discarded payloads in files that are used again.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use segwal::fault::{Op, SimDisk, When};
use segwal::{OldPayloads, Wal, WalOptions};
use testkit::{TempDir, wait_until};

use crate::scene::{LIMIT, small};

const CANARY: &[u8] = b"a payload that somebody wants to be gone";

fn options(old_payloads: OldPayloads) -> WalOptions {
    let mut options = small();
    options.scrub_recycled(old_payloads);
    options
}

/// Appends the canary into `count` segments, about.
fn fill(wal: &Wal, count: usize) {
    for _ in 0..count * 3 {
        let record = CANARY.repeat(50);
        let appended = wait_until(LIMIT, || wal.append(&record).is_ok());
        assert!(appended);
    }
}

/// How many files of the log hold the canary; one that gets its name at this very moment is new and does not.
fn sightings(dir: &Path) -> usize {
    let files = fs::read_dir(dir).unwrap();
    let has_it = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|window| window == CANARY);
    let holds = files.filter(|file| match fs::read(file.as_ref().unwrap().path()) {
        Ok(bytes) => has_it(&bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => panic!("{error}"),
    });
    holds.count()
}

#[test]
fn scrubbed_files_hold_no_discarded_payload_and_others_do() {
    let seen = [OldPayloads::Keep, OldPayloads::Scrub].map(|old_payloads| {
        let dir = TempDir::in_memory();
        let wal = options(old_payloads).open(dir.path()).unwrap();
        fill(&wal, 6);
        wal.sync().unwrap();
        let before = sightings(dir.path());
        assert!(before >= 5, "{before}");
        // Every file that was ready or waited for its turn is used up, and made ready again, several times over.
        wal.discard_before(wal.end()).unwrap();
        let ready = small_steps(&wal);
        assert!(ready, "{:?}", wal.stats());
        wal.close().unwrap();
        sightings(dir.path())
    });
    assert!(
        seen[0] > 0,
        "without scrubbing the canary would be seen: {seen:?}"
    );
    assert_eq!(seen[1], 0, "{seen:?}");
}

/// Goes through sixty files with as few bytes as it can.
fn small_steps(wal: &Wal) -> bool {
    let reused = wal.stats().reused_segments;
    wait_until(LIMIT, || {
        // One fits into a segment, and leaves the other half of it as it was.
        if wal.append(&[0; 2100]).is_ok() {
            wal.discard_before(wal.end()).unwrap();
        }
        wal.stats().reused_segments >= reused + 60
    })
}

#[test]
fn a_file_that_is_scrubbed_when_the_machine_stops_is_scrubbed_again() {
    let mut stopped = 0;
    for nth in 0.. {
        let disk = SimDisk::new();
        let log = options(OldPayloads::Scrub);
        let wal = log.open_on(&disk, "/log", 1).unwrap();
        (0..9).for_each(|_| _ = wal.append(&CANARY.repeat(50)).unwrap());
        wal.sync().unwrap();
        disk.power_off_at(When::Nth(Op::MapSync, nth));
        let discarded = wal
            .discard_before(wal.end())
            .and_then(|()| (0..3).try_for_each(|_| wal.append(&[0; 4000]).map(drop)));
        if !disk.is_off() {
            discarded.unwrap();
            break;
        }
        stopped += 1;
        for seed in 0..8 {
            let disk = disk.crash_image(seed);
            let wal = log.open_on(&disk, "/log", 2).unwrap();
            wal.discard_before(wal.end()).unwrap();
            for _ in 0..12 {
                wal.append(&[0; 4000]).unwrap();
                wal.discard_before(wal.end()).unwrap();
            }
            wal.close().unwrap();
            for name in disk.names(Path::new("/log")).unwrap() {
                let bytes = disk.read_file(&Path::new("/log").join(&name)).unwrap();
                let seen = bytes.windows(CANARY.len()).any(|window| window == CANARY);
                assert!(!seen, "{name:?} after stop {nth}, image {seed}");
            }
        }
    }
    assert!(stopped > 5, "{stopped}");
}
