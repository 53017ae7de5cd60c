//! The process and its user: owners, modes, umasks, standard streams, a read-only file system, a file cut under a mapping.

use std::env;
use std::fs::{self, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use segwal::{Error, ErrorKind, Lsn, Wal};
use testkit::{TempDir, ran, skip, wait_until};

use crate::bad::durable_log;
use crate::company::{is_root, look};
use crate::scene::{read_all, refused, segment_path, sized_payload, small};

/// A user that owns nothing here.
const NOBODY: u32 = 65534;

#[test]
fn files_of_another_user_are_refused_before_anything_is_made() {
    if !is_root() {
        skip!("files-of-another-user", "giving files away needs root");
    }
    for name in ["", "LOCK", "COOKIE", "00000000000000000006.seg"] {
        let dir = TempDir::in_memory();
        durable_log(&dir);
        if name.is_empty() {
            fs::remove_file(dir.join("LOCK")).unwrap();
        }
        chown(dir.join(name), Some(NOBODY), None).unwrap();
        let before = look(dir.path());
        let error = small().open(dir.path()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("belongs to user 65534"), "{name}: {text}");
        let lock = name.is_empty() || name == "LOCK";
        let kind = if lock {
            ErrorKind::ReadOnly
        } else {
            ErrorKind::Io
        };
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(name), "{text}");
        assert!(look(dir.path()) == before);
        // Whoever may look, may look.
        let reader = Wal::open_read_only(dir.path()).unwrap();
        let head = reader.head().unwrap();
        assert_eq!(reader.records(head).unwrap().count(), 40);
    }
}

const TASK: &str = "SEGWAL_TEST_USER_TASK";
const DIR: &str = "SEGWAL_TEST_USER_DIR";

/// Runs `task` of [`child`] on `dir` in a process of its own.
fn in_a_child(task: &str, dir: &Path, user: Option<u32>) -> std::io::Result<Output> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["user::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(TASK, task)
        .env(DIR, dir)
        .stdin(Stdio::null());
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command.output()
}

#[track_caller]
fn succeeded(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
}

/// What the children do; nothing in a run of all tests.
#[test]
fn child() {
    let (Ok(task), Some(dir)) = (env::var(TASK), env::var_os(DIR)) else {
        return;
    };
    let dir = Path::new(&dir);
    match &*task {
        "streams" => without_standard_streams(dir),
        "cut" => touch_a_cut_file(dir),
        "refusals" => refusals_of_an_ordinary_user(dir),
        mask => live_under(mask.parse().unwrap(), dir),
    }
}

/// Rotates, recycles and closes, so that every kind of file is made; where it ended.
fn live(dir: &Path) -> Lsn {
    let wal = small().open(dir).unwrap();
    for sequence in 0..60 {
        let lsn = wal.append(&sized_payload(0, sequence, 500)).unwrap();
        wal.sync_to(lsn).unwrap();
        wal.discard_before(lsn).unwrap();
    }
    wal.close().unwrap();
    wal.end()
}

fn live_under(mask: libc::mode_t, dir: &Path) {
    // SAFETY: changes a number of this process, which has nothing else to do.
    unsafe { libc::umask(mask) };
    live(&dir.join("log"));
}

#[test]
fn modes_are_the_same_under_every_umask() {
    for mask in [0, 0o022, 0o077] {
        let dir = TempDir::in_memory();
        succeeded(&in_a_child(&mask.to_string(), dir.path(), None).unwrap());
        let log = dir.join("log");
        assert_eq!(fs::metadata(&log).unwrap().mode() & 0o7777, 0o700);
        let files = look(&log);
        assert!(files.len() > 4, "{:?}", files.keys());
        for (name, (_, _, mode, _)) in files {
            assert_eq!(mode & 0o7777, 0o600, "{name} under {mask:o}");
        }
    }
}

/// How long a file of the log may be seen among the standard streams: `COOKIE` stays open as long as the log.
const PATIENCE: Duration = Duration::from_secs(10);

/// The log's files must not become the standard streams, where the next message would be written into them.
fn without_standard_streams(dir: &Path) {
    for stream in 0..3 {
        // SAFETY: nothing is printed any more; the exit code tells.
        unsafe { libc::close(stream) };
    }
    let wal = small().open(dir).unwrap();
    for sequence in 0..40 {
        wal.append(&sized_payload(0, sequence, 500)).unwrap();
    }
    wal.sync().unwrap();
    let is_taken = || {
        (0..3).any(|stream| {
            let path = fs::read_link(format!("/proc/self/fd/{stream}"));
            path.is_ok_and(|path| path.starts_with(dir))
        })
    };
    // A file has the lowest number between the call that opens it and the one that moves it, and the background opens some.
    let taken = !wait_until(PATIENCE, || !is_taken());
    wal.close().unwrap();
    // SAFETY: ends the process without the test harness, which would print.
    unsafe { libc::_exit(if taken { 3 } else { 0 }) };
}

#[test]
fn no_file_of_the_log_becomes_a_standard_stream() {
    let dir = TempDir::in_memory();
    let ended = in_a_child("streams", dir.path(), None).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.status);
    let wal = small().open(dir.path()).unwrap();
    assert_eq!(read_all(&wal, wal.head()).len(), 40);
}

/// A record that was handed out lies in a mapping; the file is cut by somebody else.
fn touch_a_cut_file(dir: &Path) {
    segwal::report_sigbus().unwrap();
    segwal::report_sigbus().unwrap();
    // A core of a death that is wanted would be litter.
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: lowers a limit of this process.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    let wal = small().open(dir).unwrap();
    let lsn = wal.append(b"soon gone").unwrap();
    let record = wal.get(lsn).unwrap();
    let file = fs::File::options()
        .write(true)
        .open(segment_path(dir, lsn.segment()))
        .unwrap();
    // SAFETY: a descriptor that is open.
    unsafe { libc::ftruncate(file.as_raw_fd(), 0) };
    let sum: u64 = record.iter().map(|&byte| u64::from(byte)).sum();
    println!("read {sum} out of nothing");
}

#[test]
fn a_file_that_was_cut_under_a_record_is_named_by_the_signal_that_kills() {
    let dir = TempDir::in_memory();
    let ended = in_a_child("cut", dir.path(), None).unwrap();
    let text = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.signal(), Some(libc::SIGBUS), "{text}");
    let path = segment_path(dir.path(), 1);
    // The payload behind the header of the first frame.
    let expected = format!("segwal: SIGBUS at byte 4120 of {}: ", path.display());
    assert!(text.contains(&expected), "{text}");
    assert_eq!(text.matches("segwal: ").count(), 1, "said once: {text}");
}

/// Modes bind everybody but root.
#[test]
fn what_an_ordinary_user_may_not_write_or_read_is_refused_with_its_name() {
    let dir = TempDir::in_memory();
    if !is_root() {
        refusals_of_an_ordinary_user(dir.path());
        return;
    }
    chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let Ok(ended) = in_a_child("refusals", dir.path(), Some(NOBODY)) else {
        skip!(
            "ordinary-user-refused",
            "another user cannot run the tests' binary"
        );
    };
    succeeded(&ended);
    ran!("ordinary-user-refused");
}

fn refusals_of_an_ordinary_user(dir: &Path) {
    let log = dir.join("log");
    let end = live(&log);
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let check = |path: &Path, mode, kind| {
        let before = look(&log);
        let whole = fs::metadata(path).unwrap().mode();
        set(path, mode);
        let error: Error = small().open(&log).unwrap_err();
        set(path, whole);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("ermission denied"), "{error}");
        assert_eq!(error.place().path.as_deref(), Some(path), "{error}");
        assert!(look(&log) == before, "{} {mode:o}", path.display());
    };
    check(&log.join("LOCK"), 0o400, ErrorKind::ReadOnly);
    check(&log.join("MANIFEST"), 0o000, ErrorKind::Io);
    check(&log.join("COOKIE"), 0o400, ErrorKind::Io);
    let active = segment_path(&log, end.segment());
    check(&active, 0o400, ErrorKind::Io);

    // No new segment could be made in it.
    set(&log, 0o500);
    let error = small().open(&log).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
    let reader = Wal::open_read_only(&log).unwrap();
    reader
        .records(reader.head().unwrap())
        .unwrap()
        .for_each(|record| drop(record.unwrap()));
    set(&log, 0o700);

    set(dir, 0o500);
    let error = small().open(dir.join("new")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_eq!(error.place().path.as_deref(), Some(&*dir.join("new")));
    set(dir, 0o700);
    small().open(&log).unwrap();
}

/// A file system of its own that can be made read-only; unmounted when dropped.
struct Mounted(TempDir);

impl Mounted {
    fn new() -> Result<Self, String> {
        let dir = TempDir::in_memory();
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                "size=4m,mode=700",
                "segwal",
                &dir.path().to_string_lossy(),
            ],
        )?;
        Ok(Self(dir))
    }

    fn make_read_only(&self) -> Result<(), String> {
        run(
            "mount",
            &["-o", "remount,ro", &self.0.path().to_string_lossy()],
        )
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A process that another test forks holds for an instant what was open: let go lazily.
        drop(run("umount", &["--lazy", &self.0.path().to_string_lossy()]));
    }
}

fn run(tool: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(tool)
        .args(arguments)
        .output()
        .map_err(|error| format!("{tool}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "{tool}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

#[test]
fn a_read_only_file_system_is_read_and_not_written() {
    let mounted = match Mounted::new() {
        Ok(mounted) => mounted,
        Err(reason) => skip!("read-only-file-system", "{reason}"),
    };
    let log = mounted.0.join("log");
    live(&log);
    let bytes = look(&log);
    mounted.make_read_only().unwrap();
    let error = refused(small().open(&log), ErrorKind::ReadOnly);
    assert_eq!(error.os_error(), Some(libc::EROFS));
    let error = refused(small().open(mounted.0.join("new")), ErrorKind::ReadOnly);
    assert_eq!(error.place().path.as_deref(), Some(&*mounted.0.join("new")));
    let reader = Wal::open_read_only(&log).unwrap();
    assert!(reader.records(reader.head().unwrap()).unwrap().count() > 0);
    assert!(look(&log) == bytes);
    ran!("read-only-file-system");
}
