//! D4 and D5 of the probe of directories: what was opened is a log like any other.

use segwal::fault::SimDisk;
use segwal::{EndKind, ErrorKind, Wal, WalReader};

use crate::directory::DIR;
use crate::open::{Before, Entry, options, read, read_by};

/// Holds a reader against the open log, appends, and opens again what a kill and what a power cut leave; `entries` is what
/// the log gave back. Returns the names of what that reached.
pub(crate) fn go_on(
    wal: Wal,
    disk: &SimDisk,
    mut entries: Vec<Entry>,
    before: &Before,
) -> Vec<String> {
    let mut reached = Vec::new();
    // Settled and nothing more: opened once more it is the same.
    check_left(&disk.snapshot(), &entries, "opened twice");
    match wal.append(b"one more") {
        Err(error) => {
            let is_refused = matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::OutOfResources);
            assert!(is_refused, "going on: {error}");
            reached.push("full".to_owned());
        }
        Ok(lsn) => {
            wal.sync().unwrap();
            entries.push(Entry {
                lsn,
                index: 0,
                tag: 0,
                payload: b"one more".to_vec(),
            });
            reached.push("appended".to_owned());
        }
    }
    let given = read(&wal);
    assert!(given.problem.is_none(), "going on: {:?}", given.problem);
    assert_eq!(given.entries, entries, "going on");
    for entry in &entries {
        let record = wal.get_in_batch(entry.lsn, entry.index).unwrap();
        assert_eq!(record.payload(), entry.payload, "{entry:?} by its position");
    }
    check_beside(&wal, disk, &entries, before);
    check_left(&disk.crash_image(7), &entries, "after a power cut");
    drop(wal);
    check_left(&disk.kill(), &entries, "after a kill");
    reached
}

/// A reader beside the writer gives the same, and finds nothing wrong that it had not found before: it reads more than an
/// opening does.
fn check_beside(wal: &Wal, disk: &SimDisk, entries: &[Entry], before: &Before) {
    let reader = WalReader::open_on(disk, DIR).unwrap();
    let verdict = reader.verify();
    let given = read_by(&reader).expect("COOKIE says where the log begins");
    match given.problem {
        None => assert_eq!(given.entries, entries, "beside"),
        Some(error) => assert!(before.is_damaged_to(&error), "beside: {error}"),
    }
    match verdict.problem() {
        None => assert_eq!(verdict.end(), Some(wal.end()), "{verdict:?}"),
        Some(error) => assert!(before.is_damaged_to(error), "{verdict:?}"),
    }
}

/// The log that is left is the same. Its end may be called torn: behind it can stand what an earlier opening cut.
fn check_left(disk: &SimDisk, entries: &[Entry], when: &str) {
    let wal = options().open_on(disk, DIR, 78);
    let wal = wal.unwrap_or_else(|error| panic!("{when}: {error}"));
    let kind = wal.recovery().kind();
    assert!(kind != EndKind::Created, "{when}: {kind}");
    let given = read(&wal);
    assert!(given.problem.is_none(), "{when}: {:?}", given.problem);
    assert_eq!(given.entries, entries, "{when}");
}
