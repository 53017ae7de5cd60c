//! Tails that are polled by tasks, and what an append knows of tails: nothing.

use std::env;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use segwal::fault::{Op, Repeat, SimDisk, When};
use segwal::{ErrorKind, Record, Result, Tail, Visibility, WalOptions};
use testkit::{TempDir, wait_until};

use crate::scene::{LIMIT, payload, refused, small};

/// A task that only counts how often it is woken.
#[derive(Default)]
struct Task(AtomicU64);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // Release: pairs with `woken`.
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl Task {
    fn woken(&self) -> u64 {
        // Acquire: pairs with `wake`.
        self.0.load(Ordering::Acquire)
    }

    fn poll(self: &Arc<Self>, tail: &mut Tail) -> Poll<Option<Result<Record>>> {
        tail.poll_next(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }

    /// The bytes of the record that the task is woken for.
    #[track_caller]
    fn next(self: &Arc<Self>, tail: &mut Tail) -> Option<Result<Record>> {
        assert!(wait_until(LIMIT, || self.woken() > 0), "nobody woke it");
        match self.poll(tail) {
            Poll::Ready(next) => next,
            Poll::Pending => panic!("woken for nothing"),
        }
    }
}

#[test]
fn a_task_is_woken_by_the_tick_the_sync_and_the_end() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let [mut published, mut durable] = [Visibility::Published, Visibility::Durable]
        .map(|visibility| wal.tail(wal.head(), visibility).unwrap());
    for round in 0..20 {
        let (soon, later) = (Arc::new(Task::default()), Arc::new(Task::default()));
        assert!(soon.poll(&mut published).is_pending());
        assert!(later.poll(&mut durable).is_pending());
        assert_eq!(wal.stats().waiting_tails, 2);
        wal.append(&payload(0, round)).unwrap();
        assert_eq!(
            *soon.next(&mut published).unwrap().unwrap(),
            payload(0, round)
        );
        assert_eq!(later.woken(), 0, "nothing is durable yet");
        assert!(later.poll(&mut durable).is_pending());
        wal.sync().unwrap();
        assert_eq!(
            *later.next(&mut durable).unwrap().unwrap(),
            payload(0, round)
        );
        assert_eq!((soon.woken(), later.woken()), (1, 1));
    }
    let task = Arc::new(Task::default());
    assert!(task.poll(&mut published).is_pending());
    wal.close().unwrap();
    assert!(task.next(&mut published).is_none());
    assert!(matches!(task.poll(&mut durable), Poll::Ready(None)));
}

#[test]
fn a_tail_wakes_the_task_that_polled_it_last_and_nobody_once_dropped() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let mut tail = wal.tail(wal.head(), Visibility::Durable).unwrap();
    let [first, second, third] = [(); 3].map(|()| Arc::new(Task::default()));
    assert!(first.poll(&mut tail).is_pending());
    assert!(second.poll(&mut tail).is_pending());
    assert_eq!(wal.stats().waiting_tails, 1);
    wal.append(b"durable").unwrap();
    wal.sync().unwrap();
    assert_eq!(&*second.next(&mut tail).unwrap().unwrap(), b"durable");
    assert_eq!(first.woken(), 0);
    assert!(third.poll(&mut tail).is_pending());
    let waker = tail.waker();
    waker.wake();
    assert!(third.next(&mut tail).is_none(), "called back");
    assert!(third.poll(&mut tail).is_pending(), "and it goes on");
    drop(tail);
    assert_eq!(wal.stats().waiting_tails, 0);
}

/// The simulated disk has no threads: whoever ends the log wakes.
#[test]
fn a_task_is_told_of_poison() {
    let disk = SimDisk::new();
    let wal = small().open_on(&disk, "/log", 1).unwrap();
    let mut tail = wal.tail(wal.head(), Visibility::Durable).unwrap();
    let task = Arc::new(Task::default());
    assert!(task.poll(&mut tail).is_pending());
    wal.append(b"never durable").unwrap();
    disk.fail_at(When::Nth(Op::MapSync, 0), 5, Repeat::Once);
    refused(wal.sync(), ErrorKind::Poisoned);
    refused(task.next(&mut tail).unwrap(), ErrorKind::Poisoned);
    assert!(matches!(task.poll(&mut tail), Poll::Ready(None)));
}

const CHILD: &str = "SEGWAL_TEST_QUIET_APPENDS";
const QUIET: u64 = 20_000;

/// What the test starts; does nothing in a run of all tests.
#[test]
fn child() {
    let Some(dir) = env::var_os(CHILD) else {
        return;
    };
    let mut options = WalOptions::new();
    options.segment_size(16 << 20).preallocate_segments(1);
    let wal = options.open(dir).unwrap();
    let [mut published, mut durable] = [Visibility::Published, Visibility::Durable]
        .map(|visibility| wal.tail(wal.head(), visibility).unwrap());
    thread::spawn(move || durable.next_timeout(LIMIT));
    let waiting = wal.clone();
    thread::spawn(move || {
        let mut appender = waiting.appender().unwrap();
        appender.append(b"what a thread does once").unwrap();
        waiting.append(b"and once more").unwrap();
        assert!(wait_until(LIMIT, || waiting.stats().waiting_tails == 2));
        // SAFETY: the thread is its own from here on, and does nothing but append and end.
        let strict = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
        assert_eq!(strict, 0);
        for number in 0..QUIET / 2 {
            // A system call kills the thread, and so would an error, which would be told.
            drop(appender.append(&number.to_le_bytes()));
            drop(waiting.append(&number.to_le_bytes()));
        }
        // SAFETY: ends this thread alone, which owns nothing that must be given back.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    });
    let seen = (0..QUIET + 2).all(|_| matches!(published.next_timeout(LIMIT), Ok(Some(_))));
    assert!(seen, "the appends ended too early");
    let ticks = wal.stats().tail_ticks;
    println!("quiet appends: {ticks} ticks");
    wal.close().unwrap();
}

/// The kernel itself kills a thread that makes any system call but `read`, `write` and `exit`.
#[test]
fn appends_beside_waiting_tails_make_no_system_call() {
    let dir = TempDir::in_memory();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "task::child", "--nocapture"]);
    command.env(CHILD, dir.path()).stderr(Stdio::inherit());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("quiet appends"), "{text}");
}
