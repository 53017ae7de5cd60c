//! Device bytes: what one small commit writes to the block device, counted where the kernel counts it.
//!
//! The kernel tracks a mapping's dirtiness per folio, so that a log whose pages lie in large folios writes up to 256 times
//! what was stored, and nothing else shows it. As root the log lies on an ext4 file system of its own, on a loop device
//! with direct input and output: then nobody else writes, and the figure is exact. Elsewhere it is the least over
//! windows of the counters of the device below the target directory, with others writing too.

#![expect(
    unsafe_code,
    reason = "eviction is asked for by a call that std has not"
)]

use std::fs;
use std::iter;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use segwal::{EndKind, Wal, WalOptions};
use testkit::volume::{Image, run};
use testkit::{TempDir, Volume, wait_until};

use crate::scene::LIMIT;

/// The size of the volume.
const SIZE: u64 = 128 << 20;
const COMMITS: u64 = 300;
const WINDOWS: usize = 5;
const SECTOR: u64 = 512;
/// Where segments of different pasts are measured: so large, and so many kept ready.
const LARGE: u64 = 4 << 20;
const READY: u64 = 3;
/// 4.6 KiB: one block for each commit, and what the file system's own writing adds now and then.
const MOST: u64 = 4710;
/// Beside others' writing; a folio of the next size would exceed it.
const MOST_SHARED: u64 = 8192;

/// The counter of bytes written to one block device.
struct Counter(PathBuf);

impl Counter {
    /// Of the device that `path` lies on.
    fn below(path: &Path) -> Result<Self, String> {
        let device = fs::metadata(path).map_err(|error| error.to_string())?.dev();
        // As the kernel packs device numbers for programs.
        let major = (device >> 8) & 0xfff | (device >> 32) & !0xfff;
        let minor = device & 0xff | (device >> 12) & 0xffff_ff00;
        let counter = Self(PathBuf::from(format!(
            "/sys/dev/block/{major}:{minor}/stat"
        )));
        counter.read().map(|_| counter)
    }

    fn read(&self) -> Result<u64, String> {
        let text = fs::read_to_string(&self.0);
        let text = text.map_err(|error| format!("{}: {error}", self.0.display()))?;
        let sectors = text
            .split_whitespace()
            .nth(6)
            .and_then(|field| field.parse::<u64>().ok());
        sectors
            .map(|sectors| sectors * SECTOR)
            .ok_or_else(|| format!("{text:?} has no seventh field"))
    }
}

fn options() -> WalOptions {
    let mut options = WalOptions::new();
    options.segment_size(1 << 20);
    options
}

fn commit(wal: &Wal, count: u64) {
    for index in 0..count {
        let lsn = wal.append(&[index as u8; 256]).unwrap();
        wal.sync_to(lsn).unwrap();
    }
}

/// Appends and discards until segments are reused and none is created.
fn reach_steady_state(wal: &Wal) {
    for _ in 0..12 {
        for _ in 0..18 {
            wal.append(&vec![1; 60 << 10]).unwrap();
        }
        wal.sync().unwrap();
        wal.discard_before(wal.durable()).unwrap();
    }
    assert!(wal.stats().reused_segments > 3, "{:?}", wal.stats());
}

/// The least bytes that a commit wrote, over windows.
fn least_for_each_commit(wal: &Wal, counter: &Counter) -> u64 {
    let window = || {
        let before = counter.read().unwrap();
        commit(wal, COMMITS);
        (counter.read().unwrap() - before) / COMMITS
    };
    let windows: Vec<u64> = iter::repeat_with(window).take(WINDOWS).collect();
    println!("bytes for each commit: {windows:?}");
    windows.into_iter().min().unwrap()
}

/// Measures on `dir`: in the steady state, after a death, and after a close, with `forget` between the lives.
fn measure(dir: &Path, counter: &Counter, most: u64, forget: impl Fn()) {
    let check = |wal: &Wal, when: &str| {
        let bytes = least_for_each_commit(wal, counter);
        println!("{when}: {bytes} bytes of device writes for each commit of 256 bytes");
        assert!(
            bytes <= most,
            "{when}: {bytes} bytes for each commit, at most {most}"
        );
        assert!(
            bytes > 256,
            "{when}: {bytes} bytes for each commit: the counter does not see them"
        );
    };
    let wal = options().open(dir).unwrap();
    reach_steady_state(&wal);
    check(&wal, "in the steady state");
    // Something for the next open to scan, and to store again.
    (0..2000).for_each(|_| _ = wal.append(&[3; 256]).unwrap());
    drop(wal);
    forget();
    let wal = options().open(dir).unwrap();
    assert_eq!(wal.recovery().kind(), EndKind::Clean);
    assert!(
        wal.recovery().scanned_records() >= 2000,
        "{:?}",
        wal.recovery()
    );
    check(&wal, "after recovery");
    for record in wal.records(wal.head()).unwrap() {
        record.unwrap();
    }
    wal.close().unwrap();
    drop(wal);
    forget();
    let wal = options().open(dir).unwrap();
    assert_eq!(wal.recovery().kind(), EndKind::Closed);
    check(&wal, "after a close");
    wal.close().unwrap();
}

/// Fills the active segment, and waits until the background has made all others ready.
fn rotate(wal: &Wal) {
    let from = wal.end().segment();
    while wal.end().segment() == from {
        wal.append(&vec![4; 60 << 10]).unwrap();
    }
    wal.sync().unwrap();
    let ready = || wal.stats().ready_segments >= wal.stats().ready_target;
    assert!(wait_until(LIMIT, ready), "{:?}", wal.stats());
}

/// The most bytes that a commit wrote in any of the next segments.
fn most_for_each_commit(wal: &Wal, counter: &Counter, segments: usize) -> u64 {
    let window = || {
        rotate(wal);
        // Read-ahead begins with small steps, so that the first pages of a file tell nothing.
        while wal.end().offset() < 3 * LARGE / 4 {
            wal.append(&vec![4; 60 << 10]).unwrap();
        }
        wal.sync().unwrap();
        let before = counter.read().unwrap();
        commit(wal, 100);
        (counter.read().unwrap() - before) / 100
    };
    let windows: Vec<u64> = iter::repeat_with(window).take(segments).collect();
    println!("bytes for each commit, by segment: {windows:?}");
    windows.into_iter().max().unwrap()
}

/// Has the kernel evict what this process has mapped of `dir`, as a want of memory does.
fn evict_mapped(dir: &Path) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let dir = dir.to_str().unwrap();
    for line in maps.lines().filter(|line| line.contains(dir)) {
        let (start, rest) = line.split_once('-').unwrap();
        let end = rest.split_once(' ').unwrap().0;
        let [start, end] = [start, end].map(|text| usize::from_str_radix(text, 16).unwrap());
        let start_at = std::ptr::without_provenance_mut(start);
        // SAFETY: the kernel evicts pages of files, which come back from the files.
        let result = unsafe { libc::madvise(start_at, end - start, libc::MADV_PAGEOUT) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }
}

/// Another program reads all files, and so brings them into the cache in large folios.
fn read_by_another(dir: &Path) {
    let all = format!("cat {}/*.seg > /dev/null", dir.display());
    run("sh", &["-c", &all]).unwrap();
}

#[test]
fn segments_that_were_evicted_and_read_by_another_program_cost_no_more() {
    let name = "device-bytes-after-eviction";
    let volume = match Volume::ext4(SIZE, Image::Written) {
        Ok(volume) => volume,
        Err(reason) => testkit::skip!(name, "no volume of its own: {reason}"),
    };
    let counter = Counter::below(volume.path()).unwrap();
    let log = volume.path().join("log");
    let open = || {
        let mut options = options();
        options
            .segment_size(LARGE)
            .reserve_segments(0)
            .preallocate_segments(READY as usize);
        options.open(&log).unwrap()
    };
    let check = |wal: &Wal, segments: usize, when: &str| {
        let bytes = most_for_each_commit(wal, &counter, segments);
        assert!(
            bytes > 256,
            "{when}: the counter does not see {bytes} bytes"
        );
        assert!(
            bytes <= MOST,
            "{when}: {bytes} bytes for each commit, at most {MOST}"
        );
    };
    let wal = open();
    (0..4).for_each(|_| rotate(&wal));
    evict_mapped(&log);
    read_by_another(&log);
    wal.discard_before(wal.durable()).unwrap();
    // Those that were ready come first; behind them are those that were evicted.
    (0..READY).for_each(|_| rotate(&wal));
    check(&wal, 3, "reused");
    assert!(wal.stats().refilled_bytes >= 3 * LARGE, "{:?}", wal.stats());
    wal.close().unwrap();
    drop(wal);
    volume.remount().unwrap();
    read_by_another(&log);
    let wal = open();
    // The segments that were ready, and then those whose records were never looked at.
    wal.discard_before(wal.durable()).unwrap();
    check(&wal, READY as usize, "made ready by an earlier process");
    check(&wal, 2, "retained from an earlier process");
    wal.close().unwrap();
    testkit::ran!(name);
}

#[test]
fn a_commit_writes_the_block_that_it_touches_and_no_more() {
    let name = "device-bytes-per-commit";
    match Volume::ext4(SIZE, Image::Written)
        .and_then(|volume| Ok((Counter::below(volume.path())?, volume)))
    {
        Ok((counter, volume)) => {
            let log = volume.path().join("log");
            measure(&log, &counter, MOST, || volume.remount().unwrap());
        }
        Err(reason) => {
            println!("no volume of its own: {reason}");
            let dir = TempDir::on_disk();
            match Counter::below(dir.path()) {
                Ok(counter) => measure(&dir.join("log"), &counter, MOST_SHARED, || {}),
                Err(reason) => testkit::skip!(name, "no counters of the block device: {reason}"),
            }
        }
    }
    testkit::ran!(name);
}
