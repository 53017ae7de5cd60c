//! Appends and commits beside their limits, interleaved in one run: ratios of medians, which a noisy machine leaves alone.
//!
//! | figure | the limit beside it |
//! |---|---|
//! | append, not synced, burst into prepared segments | copy and CRC-32C into warm anonymous memory, the clock read inside both |
//! | durable commit, one thread | a raw 4 KiB `O_DIRECT\|O_DSYNC` write into a preallocated file beside the log |
//! | durable commits, many threads | commits for each sync |
//! | device bytes of a commit in the recycled steady state | the block device's own counter |
//! | anonymous memory | before and after opening |
//!
//! `cargo bench --bench limits [-- --dir DIR]`
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a measuring program prints, reads the clock, and stops at the first surprise"
)]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use segwal::{Wal, WalOptions};

fn main() {
    let dir = directory();
    println!("directory {}", dir.display());
    // First, while the process has nothing else in memory.
    memory(&dir);
    for len in [64, 256, 1024, 4096] {
        append(&dir, len);
    }
    for len in [256, 4096] {
        commit(&dir, len);
    }
    for threads in [2, 8, 64] {
        group(&dir, threads);
    }
    device_bytes(&dir);
}

fn directory() -> PathBuf {
    let mut arguments = std::env::args()
        .skip_while(|argument| argument != "--dir")
        .skip(1);
    arguments.next().map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    )
}

/// A log that is removed when it goes out of scope.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(dir: &Path, name: &str) -> Self {
        let path = dir.join(format!("limits-{name}-{}", std::process::id()));
        fs::create_dir_all(dir).unwrap();
        Self { path }
    }

    fn open(&self, options: &WalOptions) -> Wal {
        options.open(&self.path).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
        drop(fs::remove_file(&self.path));
    }
}

fn quantiles(samples: &mut [u64]) -> [u64; 4] {
    samples.sort_unstable();
    let at = |share: usize| samples[(samples.len() - 1) * share / 10_000];
    [at(5_000), at(9_900), at(9_990), at(9_999)]
}

fn micros(ns: [u64; 4]) -> String {
    let [a, b, c, d] = ns.map(|ns| ns as f64 / 1000.0);
    format!("p50 {a:.3} p99 {b:.3} p99.9 {c:.3} p99.99 {d:.3} µs")
}

const BURST: usize = 2_000;

/// Bursts of appends, each beside a burst of copies.
fn append(dir: &Path, len: usize) {
    let scratch = Scratch::new(dir, "append");
    let mut options = WalOptions::new();
    options.segment_size(64 << 20).preallocate_segments(2);
    let wal = scratch.open(&options);
    let mut appender = wal.appender().unwrap();
    let payload = vec![0xA5_u8; len];
    let mut area = vec![1_u8; 8 << 20];
    let (mut appends, mut copies) = (Vec::new(), Vec::new());
    // The prefaulter follows the tail: give it a head start, as steady traffic does.
    let rounds = ((40 << 20) / (len + 24) / BURST).clamp(4, 100);
    for _ in 0..rounds {
        for _ in 0..BURST {
            let began = Instant::now();
            std::hint::black_box(appender.append(std::hint::black_box(&payload)).unwrap());
            appends.push(nanos(began.elapsed()));
        }
        let mut at = 0;
        for _ in 0..BURST {
            let began = Instant::now();
            let sum = crc32c::crc32c(std::hint::black_box(&payload));
            area[at..at + len].copy_from_slice(&payload);
            area[at + len..at + len + 4].copy_from_slice(&sum.to_le_bytes());
            std::hint::black_box(&mut area);
            copies.push(nanos(began.elapsed()));
            at = (at + len + 24) % ((8 << 20) - len - 24);
        }
    }
    drop(appender);
    wal.close().unwrap();
    let (segwal, limit) = (quantiles(&mut appends), quantiles(&mut copies));
    println!(
        "append {len} B   segwal {}   limit {}",
        micros(segwal),
        micros(limit)
    );
    println!(
        "append {len} B   p50 ratio {:.2}",
        segwal[0] as f64 / limit[0] as f64
    );
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

/// Commits of one thread, each beside a raw write.
fn commit(dir: &Path, len: usize) {
    let scratch = Scratch::new(dir, "commit");
    let mut options = WalOptions::new();
    options.segment_size(8 << 20);
    let wal = scratch.open(&options);
    let blocks = (len + 24).div_ceil(4096) + usize::from(len >= 4096);
    let raw = Raw::new(dir, blocks.min(2) * 4096);
    let payload = vec![0x5A_u8; len];
    let (mut commits, mut writes) = (Vec::new(), Vec::new());
    for round in 0..3_000_u64 {
        let began = Instant::now();
        let lsn = wal.append(&payload).unwrap();
        wal.sync_to(lsn).unwrap();
        commits.push(nanos(began.elapsed()));
        let began = Instant::now();
        raw.write(round);
        writes.push(nanos(began.elapsed()));
    }
    wal.close().unwrap();
    let (segwal, limit) = (
        quantiles(&mut commits[100..]),
        quantiles(&mut writes[100..]),
    );
    println!("commit {len} B   segwal {}", micros(segwal));
    println!("commit {len} B   raw {} B {}", raw.size, micros(limit));
    println!(
        "commit {len} B   p50 ratio {:.3}",
        segwal[0] as f64 / limit[0] as f64
    );
}

/// A preallocated, written file for raw direct writes.
struct Raw {
    file: File,
    scratch: Scratch,
    buffer: Vec<u8>,
    start: usize,
    size: usize,
}

const RAW_SIZE: u64 = 8 << 20;

impl Raw {
    fn new(dir: &Path, size: usize) -> Self {
        let scratch = Scratch::new(dir, "raw");
        fs::write(&scratch.path, vec![0; usize::try_from(RAW_SIZE).unwrap()]).unwrap();
        File::open(&scratch.path).unwrap().sync_all().unwrap();
        let flags = libc::O_DIRECT | libc::O_DSYNC;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags)
            .open(&scratch.path)
            .unwrap();
        let buffer = vec![0x3C_u8; size + 4096];
        let start = buffer.as_ptr().align_offset(4096);
        Self {
            file,
            scratch,
            buffer,
            start,
            size,
        }
    }

    fn write(&self, round: u64) {
        let at = round * self.size as u64 % RAW_SIZE;
        self.file
            .write_all_at(&self.buffer[self.start..self.start + self.size], at)
            .unwrap();
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.scratch.path));
    }
}

/// Blocking commits of many threads.
fn group(dir: &Path, threads: usize) {
    let scratch = Scratch::new(dir, "group");
    let mut options = WalOptions::new();
    options.segment_size(16 << 20);
    let wal = scratch.open(&options);
    let before = wal.stats();
    let began = Instant::now();
    let stop = began + Duration::from_secs(3);
    let samples = std::thread::scope(|scope| {
        let run = || {
            let mut samples = Vec::new();
            let mut appender = wal.appender().unwrap();
            while Instant::now() < stop {
                let began = Instant::now();
                let lsn = appender.append(&[7; 256]).unwrap();
                wal.sync_to(lsn).unwrap();
                samples.push(nanos(began.elapsed()));
            }
            samples
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        handles
            .into_iter()
            .flat_map(|handle| handle.join().unwrap())
            .collect::<Vec<u64>>()
    });
    let seconds = began.elapsed().as_secs_f64();
    let after = wal.stats();
    let mut samples = samples;
    let count = samples.len();
    println!(
        "commits {threads} threads   {:.0}/s   {:.1} commits per sync   {}",
        count as f64 / seconds,
        count as f64 / (after.syncs - before.syncs) as f64,
        micros(quantiles(&mut samples)),
    );
    wal.close().unwrap();
}

/// Sectors written to the device of `dir`, if the kernel shows them.
fn sectors(dir: &Path) -> Option<u64> {
    let device = fs::metadata(dir).ok()?.dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    stat.split_whitespace().nth(6)?.parse().ok()
}

const WINDOW: u64 = 200;

/// Device bytes of a commit: the least over windows, because others write too.
fn device_bytes(dir: &Path) {
    let scratch = Scratch::new(dir, "device");
    let mut options = WalOptions::new();
    options.segment_size(1 << 20);
    let wal = scratch.open(&options);
    let commit = || {
        let lsn = wal.append(&[9; 256]).unwrap();
        wal.sync_to(lsn).unwrap();
        lsn
    };
    // Into the recycled steady state.
    for round in 0..12_000 {
        let lsn = commit();
        if round % 500 == 0 {
            wal.discard_before(lsn).unwrap();
        }
    }
    let mut least = u64::MAX;
    for _ in 0..40 {
        let Some(before) = sectors(dir) else {
            println!("device bytes   not shown for this file system");
            return;
        };
        let mut last = commit();
        for _ in 1..WINDOW {
            last = commit();
        }
        least = least.min((sectors(dir).unwrap() - before) * 512);
        wal.discard_before(last).unwrap();
    }
    let stats = wal.stats();
    println!(
        "device bytes of a 256 B commit   {:.2} KiB (least of 40 windows of {WINDOW}; {} segments reused, {} created)",
        least as f64 / WINDOW as f64 / 1024.0,
        stats.reused_segments,
        stats.created_segments,
    );
    wal.close().unwrap();
}

/// Anonymous resident memory of this process, in bytes.
fn anonymous() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

fn memory(dir: &Path) {
    let scratch = Scratch::new(dir, "memory");
    let before = anonymous();
    let wal = scratch.open(&WalOptions::new());
    for _ in 0..100_000 {
        wal.append(&[1; 256]).unwrap();
    }
    wal.sync().unwrap();
    println!(
        "anonymous memory of an open log   {} KiB",
        anonymous().saturating_sub(before) / 1024
    );
    wal.close().unwrap();
}
