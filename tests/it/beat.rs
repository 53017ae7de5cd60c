//! Syncs that nobody asks for: every so often, or every so many bytes.

use std::fs;
use std::time::Duration;

use segwal::fault::SimDisk;
use segwal::{SyncEvery, Wal};
use testkit::{TempDir, skip, wait_until};

use crate::scene::{LIMIT, small};

fn becomes_durable(wal: &Wal) -> bool {
    let end = wal.end();
    wait_until(LIMIT, || wal.durable() >= end)
}

#[test]
fn an_interval_makes_every_append_durable_without_a_call() {
    let dir = TempDir::in_memory();
    let mut options = small();
    options.sync_every(SyncEvery::Interval(Duration::from_millis(1)));
    let wal = options.open(dir.path()).unwrap();
    for round in 0..20_u8 {
        wal.append(&[round; 100]).unwrap();
        wal.append_batch([[round; 10], [round; 10]]).unwrap();
        assert!(becomes_durable(&wal), "{round}");
        let mut appender = wal.appender().unwrap();
        appender.append(b"by an appender").unwrap();
        assert!(becomes_durable(&wal), "{round}");
        let kept = appender.reserve(8).unwrap().publish();
        assert!(becomes_durable(&wal), "{round}");
        wal.truncate_after(kept).unwrap();
        assert!(becomes_durable(&wal), "{round}");
    }
    assert!(wal.stats().background_syncs >= 60, "{:?}", wal.stats());
}

#[test]
fn so_many_bytes_are_synced_and_fewer_wait() {
    let dir = TempDir::in_memory();
    let mut options = small();
    options
        .segment_size(1 << 20)
        .sync_every(SyncEvery::Bytes(10_000));
    let wal = options.open(dir.path()).unwrap();
    let first = wal.durable();
    for _ in 0..9 {
        wal.append(&[1; 976]).unwrap();
    }
    assert_eq!((wal.durable(), wal.stats().background_syncs), (first, 0));
    for _ in 0..200 {
        wal.append(&[1; 976]).unwrap();
    }
    let end = wal.end();
    let is_close = || end.offset() - wal.durable().offset() < 10_000;
    assert!(wait_until(LIMIT, is_close), "{} of {end}", wal.durable());
}

#[test]
fn bytes_count_on_a_simulated_disk_too() {
    let disk = SimDisk::new();
    let mut options = small();
    options.sync_every(SyncEvery::Bytes(1000));
    let wal = options.open_on(&disk, "/log", 1).unwrap();
    let first = wal.append(&[1; 476]).unwrap();
    assert_eq!(wal.durable(), first);
    wal.append(&[1; 476]).unwrap();
    assert_eq!(wal.durable(), wal.end());
    assert!(
        options
            .open_on(&disk.power_cut(1), "/log", 1)
            .unwrap()
            .durable()
            > first
    );
}

/// The system call in which the thread `segwal-sync` of this process sleeps, for each of them: its number and arguments.
fn sleeps() -> Option<Vec<String>> {
    let mut calls = Vec::new();
    for entry in fs::read_dir("/proc/self/task").ok()? {
        let task = entry.ok()?.path();
        let is_one =
            fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "segwal-sync");
        if is_one {
            calls.push(fs::read_to_string(task.join("syscall")).ok()?);
        }
    }
    Some(calls)
}

/// Alone in its process, so that the only sync thread is that of its own log.
#[test]
fn an_idle_log_does_not_wake_up() {
    const CHILD: &str = "SEGWAL_IDLE_CHILD";
    const NAME: &str = "beat::an_idle_log_does_not_wake_up";
    if std::env::var_os(CHILD).is_none() {
        let test = std::process::Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture"])
            .env(CHILD, "1")
            .status();
        assert!(test.unwrap().success());
        return;
    }
    if sleeps().is_none() {
        skip!(
            "idle-sync-thread",
            "the system does not say in which call a thread sleeps"
        );
    }
    let dir = TempDir::in_memory();
    let mut options = small();
    options.sync_every(SyncEvery::Interval(Duration::from_millis(1)));
    let wal = options.open(dir.path()).unwrap();
    // futex(word, op, value, timeout): without a timeout the fourth is null.
    let dozes = || {
        sleeps().is_some_and(|calls| {
            calls.len() == 1
                && calls[0].starts_with("202 ")
                && calls[0].split(' ').nth(4) == Some("0x0")
        })
    };
    for _ in 0..3 {
        wal.append(b"and then nothing").unwrap();
        assert!(becomes_durable(&wal));
        assert!(wait_until(LIMIT, dozes), "{:?}", sleeps());
    }
}
