//! What the process on the small disk does, and what it holds the log to.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use segwal::{Error, ErrorKind, Lsn, OnFull, SpaceCause, SpacePressure, Wal, WalOptions};
use testkit::volume::take_all;
use testkit::wait_until;

use crate::child::Scene;

const SEGMENT: u64 = 256 << 10;
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn play(scene: Scene, mount: &Path) {
    let log = mount.join("log");
    match scene {
        Scene::Write => write(&log),
        Scene::Fill => fill_and_go_on(mount, &log),
        Scene::OpenShared => open_shared(&log),
        Scene::Thin => fill_thin(&log),
        Scene::Continue => go_on(&open(&log), &log),
    }
}

fn open(log: &Path) -> Wal {
    options().open(log).unwrap()
}

fn options() -> WalOptions {
    let mut options = WalOptions::new();
    options.segment_size(SEGMENT).on_full(OnFull::Fail);
    options
}

/// The bytes of record `number`.
fn payload(number: u64) -> Vec<u8> {
    let len = 100 + (number * 7919 % 5000) as usize;
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(len, number as u8);
    bytes
}

fn number_of(bytes: &[u8]) -> u64 {
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(bytes, payload(number), "record {number}");
    number
}

/// The numbers of all records, each checked; they follow each other.
fn numbers(wal: &Wal) -> Vec<u64> {
    let records = wal.records(wal.head()).unwrap();
    let numbers: Vec<u64> = records.map(|record| number_of(&record.unwrap())).collect();
    let follow = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    assert!(follow, "a gap in {numbers:?}");
    numbers
}

fn next_number(wal: &Wal) -> u64 {
    numbers(wal).last().map_or(0, |last| last + 1)
}

fn write(log: &Path) {
    let wal = open(log);
    for number in 0..400 {
        append_patiently(&wal, number, is_behind).unwrap();
    }
    wal.close().unwrap();
}

/// Appends one record, over refusals that pass, and syncs now and then.
fn append_patiently(wal: &Wal, number: u64, passes: Passes) -> Result<Lsn, Error> {
    let lsn = appended(wal, number, passes)?;
    if number.is_multiple_of(16) {
        wal.sync_to(lsn)?;
    }
    Ok(lsn)
}

fn appended(wal: &Wal, number: u64, passes: Passes) -> Result<Lsn, Error> {
    let mut result = wal.append(&payload(number));
    // The last refusal is the answer, if it does not pass.
    let _ended = wait_until(LIMIT, || match &result {
        Err(error) if passes(wal, error) => {
            result = wal.append(&payload(number));
            false
        }
        _ => true,
    });
    result
}

/// Which refusals end by themselves.
type Passes = fn(&Wal, &Error) -> bool;

/// Those of a preparer that is merely behind.
fn is_behind(wal: &Wal, error: &Error) -> bool {
    let full = matches!(wal.space_pressure(), SpacePressure::Full(_));
    error.kind() == ErrorKind::Backpressure || error.kind() == ErrorKind::NoSpace && !full
}

/// Those of a preparer that has not seen the space yet.
fn has_space(_: &Wal, error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Backpressure | ErrorKind::NoSpace)
}

/// Appends until it fails; how many records there are, all of them acknowledged if the log lives, and the failure.
fn append_until_refused(wal: &Wal) -> (u64, Error) {
    for number in next_number(wal).. {
        if let Err(error) = append_patiently(wal, number, is_behind) {
            return (number, wal.sync().err().unwrap_or(error));
        }
    }
    unreachable!("numbers do not end");
}

/// What the hook is told, as it comes.
fn told_of_pressure(wal: &Wal) -> mpsc::Receiver<SpacePressure> {
    let (sender, told) = mpsc::channel();
    wal.on_space_pressure(move |pressure| _ = sender.send(pressure))
        .unwrap();
    told
}

fn wait_for_full(told: &mpsc::Receiver<SpacePressure>) {
    let full = SpacePressure::Full(SpaceCause::DiskFull);
    while told.recv_timeout(LIMIT).unwrap() != full {}
}

fn fill_and_go_on(mount: &Path, log: &Path) {
    let wal = open(log);
    let told = told_of_pressure(&wal);
    let (count, error) = append_until_refused(&wal);
    println!("{count} records, then: {error}");
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    wait_for_full(&told);
    assert_eq!(
        wal.space_pressure(),
        SpacePressure::Full(SpaceCause::DiskFull)
    );
    assert!(count > 200, "{count} records");
    assert_eq!(numbers(&wal).last(), Some(&(count - 1)));
    check_files(log);
    take_all(&mount.join("rest"));
    // With no free block: the end, and all of it again.
    wal.close().unwrap();
    drop(wal);
    let wal = open(log);
    assert_eq!(numbers(&wal).last(), Some(&(count - 1)), "after reopening");
    drop(fs::remove_file(mount.join("rest")));
    go_on(&wal, log);
}

/// Discards the older half, and appends again: nothing else is done to make room.
fn go_on(wal: &Wal, log: &Path) {
    let before = numbers(wal);
    let half = before[before.len() / 2];
    let records = wal.records(wal.head()).unwrap().map(Result::unwrap);
    let mut behind = records.skip_while(|record| number_of(record) < half);
    let head = behind.next().unwrap().lsn();
    drop(behind);
    wal.discard_before(head).unwrap();
    let next = before.last().unwrap() + 1;
    for number in next..next + 100 {
        append_patiently(wal, number, has_space).unwrap();
    }
    assert_eq!(numbers(wal), (half..next + 100).collect::<Vec<_>>());
    let over = wait_until(LIMIT, || wal.space_pressure() == SpacePressure::None);
    println!("goes on: {:?}", wal.stats());
    assert!(over, "{:?}", wal.space_pressure());
    wal.close().unwrap();
    check_files(log);
}

/// No file is left half made, or of another size than a segment's.
fn check_files(log: &Path) {
    let sizes = || {
        let entries = fs::read_dir(log).unwrap().map(Result::unwrap);
        let files = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            Some((name, entry.metadata().ok()?.len()))
        });
        files.collect::<Vec<_>>()
    };
    // An attempt may be under way.
    let is_whole = |(name, size): &(String, u64)| match name.rsplit_once('.') {
        Some((_, "seg")) => *size == SEGMENT,
        Some(_) => false,
        None => true,
    };
    let whole = wait_until(LIMIT, || sizes().iter().all(is_whole));
    assert!(whole, "{:?}", sizes());
}

fn open_shared(log: &Path) {
    let error = options().open(log).unwrap_err();
    println!("{error}");
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    let reader = Wal::open_read_only(log).unwrap();
    let count = reader
        .records(reader.head().unwrap())
        .unwrap()
        .map(Result::unwrap);
    assert_eq!(count.count(), 400);
}

fn fill_thin(log: &Path) {
    let wal = open(log);
    let told = told_of_pressure(&wal);
    let (count, error) = append_until_refused(&wal);
    println!("{count} records, then: {error}");
    if error.kind() == ErrorKind::NoSpace {
        wait_for_full(&told);
    }
    let expected = matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::Poisoned);
    assert!(expected, "{error}");
    assert!(count > 50, "{count} records");
    let there = numbers(&wal);
    assert!(there.len() as u64 >= count, "{} of {count}", there.len());
    check_files(log);
}
