//! What the tests share: small logs, payloads that can be told apart, snapshots, and a limit on hanging.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use segwal::{Error, ErrorKind, Lsn, Result, Wal, WalOptions};
use testkit::Rng;

/// The smallest segment there is.
pub(crate) const SMALL: u64 = 8192;
/// The longest record that it holds.
pub(crate) const SMALL_CAPACITY: usize = 4072;
/// Longer than anything here takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Options for a log of small segments.
pub(crate) fn small() -> WalOptions {
    let mut options = WalOptions::new();
    options.segment_size(SMALL);
    options
}

/// The bytes of record `sequence` of `writer`: they name both, and all others follow from these.
pub(crate) fn payload(writer: u32, sequence: u64) -> Vec<u8> {
    let mut rng = Rng::new(u64::from(writer) << 32 | sequence);
    let len = rng.below(400) as usize;
    sized_payload(writer, sequence, len)
}

/// As [`payload`], with `len` bytes behind the names.
pub(crate) fn sized_payload(writer: u32, sequence: u64, len: usize) -> Vec<u8> {
    let mut bytes = writer.to_le_bytes().to_vec();
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(Rng::new(sequence ^ u64::from(writer).rotate_left(40)).bytes(len));
    bytes
}

/// The writer and the sequence that a payload names, all of its bytes checked.
pub(crate) fn names(bytes: &[u8]) -> (u32, u64) {
    let writer = u32::from_le_bytes(bytes[..4].try_into().unwrap());
    let sequence = u64::from_le_bytes(bytes[4..12].try_into().unwrap());
    assert_eq!(
        bytes,
        sized_payload(writer, sequence, bytes.len() - 12),
        "record {sequence} of {writer}"
    );
    (writer, sequence)
}

/// All records from `from` on, with their positions in order.
pub(crate) fn read_all(wal: &Wal, from: Lsn) -> Vec<(Lsn, Vec<u8>)> {
    let records: Vec<_> = wal
        .records(from)
        .unwrap()
        .map(|record| {
            let record = record.unwrap();
            (record.lsn(), record.to_vec())
        })
        .collect();
    assert!(
        records.is_sorted_by(|(a, _), (b, _)| a <= b),
        "positions are in order"
    );
    records
}

/// Every file below `dir` but `LOCK`, with its bytes.
pub(crate) fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(snapshot(&path));
        } else if path.file_name().unwrap() != "LOCK" {
            let bytes = fs::read(&path).unwrap();
            files.insert(path, bytes);
        }
    }
    files
}

/// The ids of the segment files in `dir`.
pub(crate) fn segment_ids(dir: &Path) -> Vec<u32> {
    let id = |name: OsString| name.to_str()?.strip_suffix(".seg")?.parse().ok();
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut ids: Vec<u32> = names.filter_map(id).collect();
    ids.sort_unstable();
    ids
}

/// The file of segment `id`.
pub(crate) fn segment_path(dir: &Path, id: u32) -> PathBuf {
    dir.join(format!("{id:020}.seg"))
}

/// Inverts one bit of the byte at `offset`.
pub(crate) fn flip_bit(path: &Path, offset: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset as usize] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// The error of a call that must fail with `kind`.
#[track_caller]
pub(crate) fn refused<T>(result: Result<T>, kind: ErrorKind) -> Error {
    match result {
        Ok(_) => panic!("succeeded, but {kind:?} was to be expected"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error}");
            error
        }
    }
}

/// Runs `body` on a thread of its own; fails instead of hanging.
#[track_caller]
pub(crate) fn within<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = mpsc::channel();
    let handle = thread::spawn(move || sender.send(body()));
    match receiver.recv_timeout(LIMIT) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match handle.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("the body neither answered nor panicked"),
        },
    }
}
