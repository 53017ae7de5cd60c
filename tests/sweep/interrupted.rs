//! Calls of the real disk that a signal interrupts: those that can be repeated are, so that a log notices nothing.
//!
//! Regular files seldom give `EINTR`, so `strace` puts it in the place of every second call. The calls on names (`rename`,
//! `unlink`, `mkdir`) are left out: repeated, they could meet their own effect, so theirs is an error like others, and the
//! sweep on the simulated disk covers it.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use segwal::{ErrorKind, Wal, WalOptions};
use testkit::{TempDir, skip};

/// Set in the process that is interrupted: where its log is.
const CHILD: &str = "SEGWAL_TEST_INTERRUPTED";
/// The calls, and which of them are interrupted: the loader of programs reads a few times by itself before.
const CALLS: [(&str, &str); 7] = [
    ("fallocate", "1+2"),
    ("flock", "1+2"),
    ("fsync", "1+2"),
    ("madvise", "1+2"),
    ("msync", "1+2"),
    ("pread64", "9+2"),
    ("pwrite64", "1+2"),
];

fn options() -> WalOptions {
    let mut options = WalOptions::new();
    options.segment_size(8192).preallocate_segments(1);
    options
}

/// Three lives that make every call: how many records there are then, and what verification says.
fn live(dir: &Path) -> segwal::Result<(usize, char)> {
    let mut count = 0;
    for life in 0..3_u8 {
        let wal = options().open(dir)?;
        for _ in 0..20 {
            let lsn = wal.append(&[life; 900])?;
            wal.sync_to(lsn)?;
        }
        count = wal.records(wal.head())?.filter_map(Result::ok).count();
        if life == 1 {
            wal.close()?;
        }
    }
    Ok((count, Wal::open_read_only(dir)?.verify().row()))
}

#[test]
fn interrupted_calls_of_the_real_disk_are_repeated() {
    if let Some(dir) = env::var_os(CHILD) {
        return assert_eq!(live(Path::new(&dir)).unwrap(), (60, 'A'));
    }
    let dir = TempDir::on_disk();
    let trace = dir.join("trace");
    let mut command = Command::new("strace");
    command.arg("-f").arg("-o").arg(&trace);
    let names = CALLS.map(|(call, _)| call).join(",");
    command.args(["-e", &format!("trace={names}")]);
    for (call, when) in CALLS {
        command.args(["-e", &format!("inject={call}:error=EINTR:when={when}")]);
    }
    let name = "interrupted_calls_of_the_real_disk_are_repeated";
    let path = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    command
        .arg(env::current_exe().unwrap())
        .args([&path, "--exact"]);
    let output = match command.env(CHILD, dir.join("log")).output() {
        Ok(output) => output,
        Err(error) => skip!("interrupted-calls", "strace does not start: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("PTRACE") || said.contains("ptrace") {
        skip!("interrupted-calls", "strace may not trace: {said}");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{output:?}"
    );
    let trace = fs::read_to_string(&trace).unwrap();
    for (call, _) in CALLS {
        let interrupted = |line: &&str| line.contains(call) && line.contains("(INJECTED)");
        let count = trace.lines().filter(interrupted).count();
        assert!(count > 0, "no {call} was interrupted");
    }
    testkit::ran!("interrupted-calls");
}

/// What a signal does to a call that cannot be repeated is an error, and no kind of its own.
#[test]
fn an_interrupted_name_is_a_typed_error() {
    use segwal::fault::{Op, Repeat, SimDisk, When};
    let disk = SimDisk::new();
    disk.fail_at(When::Nth(Op::Rename, 0), 4, Repeat::Once);
    let error = options().open_on(&disk, "/log", 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(
        error.place().path.is_some() && error.os_error() == Some(4),
        "{error}"
    );
    options().open_on(&disk, "/log", 1).unwrap();
}
