//! A forked child: it holds neither the log nor the lock.

use std::io::{Read, pipe};

use segwal::{ErrorKind, Visibility};
use testkit::TempDir;

use crate::scene::{LIMIT, small};

/// The parent closes and opens again while the child, which inherited every descriptor, is alive.
#[test]
fn a_forked_child_is_refused_and_does_not_keep_the_lock() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsn = wal.append(b"of the parent").unwrap();
    let mut tail = wal.tail(lsn, Visibility::Published).unwrap();
    let (mut wait, release) = pipe().unwrap();
    // SAFETY: the child calls into the log, reads a pipe and leaves by `_exit`; it takes no lock that the parent holds.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", std::io::Error::last_os_error());
    if child == 0 {
        drop(release);
        let refused = |kind: Option<ErrorKind>| kind == Some(ErrorKind::InvalidState);
        let all = refused(wal.append(b"of the child").err().map(|error| error.kind()))
            && refused(wal.sync_to(lsn).err().map(|error| error.kind()))
            && refused(tail.next_timeout(LIMIT).err().map(|error| error.kind()))
            && refused(wal.close().err().map(|error| error.kind()));
        drop((wal, tail));
        // The end of the pipe: the parent is done.
        let ended = matches!(wait.read(&mut [0]), Ok(0));
        // SAFETY: ends this process without running what the parent will run.
        unsafe { libc::_exit(i32::from(!(all && ended))) };
    }
    drop(wait);
    wal.close().unwrap();
    let again = small().open(dir.path()).unwrap();
    let records = again.records(again.head()).unwrap();
    assert_eq!(records.count(), 1, "the child appended nothing");
    drop(release);
    let mut status = 0;
    // SAFETY: waits for the child that was made above, into a local.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(
        (waited, status),
        (child, 0),
        "the child was refused everywhere"
    );
}
