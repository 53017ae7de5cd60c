//! Waiting on a word, and waking those who wait: `futex(2)`, private to the process.
//!
//! The kernel compares the word and puts the thread to sleep as one step, so a waker that changes the word *before* it
//! calls [`wake`] cannot slip between a waiter's look at the word and its sleep. Nothing is ordered by the sleep itself:
//! a waiter that needs to see what the waker wrote loads the word with `Acquire` after [`wait`] returned.

#![expect(
    unsafe_code,
    reason = "futex has no wrapper in std that takes a count or a timeout"
)]

use std::io;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Why [`wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A waker called, or nobody did: the caller looks at the word again.
    Woken,
    /// The word did not have the expected value.
    Changed,
    /// The time is over.
    TimedOut,
}

/// Sleeps while `word` is `expected`, at most for `timeout`.
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wake {
    let limit = timeout.map(timespec);
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word lives throughout the call, and `limit` is null or points at a timespec that does.
    let result =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, limit) };
    if result == 0 {
        return Wake::Woken;
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::EAGAIN) => Wake::Changed,
        Some(libc::ETIMEDOUT) => Wake::TimedOut,
        _ => Wake::Woken,
    }
}

/// As many sleepers as the kernel can count.
pub const ALL: u32 = u32::MAX >> 1;

/// Wakes at most `count` threads that wait on `word`; returns how many.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    // The kernel reads the count as a signed number.
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word lives throughout the call; the kernel uses its address only to find those who wait.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, count) };
    u32::try_from(woken).unwrap_or(0)
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::thread;

    use super::*;

    #[test]
    fn changed_word_is_not_waited_for() {
        let word = AtomicU32::new(1);
        assert_eq!(wait(&word, 0, None), Wake::Changed);
    }

    #[test]
    fn wait_ends_with_its_time() {
        let word = AtomicU32::new(0);
        let ended =
            (0..1000).any(|_| wait(&word, 0, Some(Duration::from_micros(10))) == Wake::TimedOut);
        assert!(ended);
    }

    #[test]
    fn waker_ends_the_wait() {
        let word = AtomicU32::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Acquire: pairs with the store below.
                while word.load(Ordering::Acquire) == 0 {
                    wait(&word, 0, None);
                }
            });
            // Release: pairs with the load above.
            word.store(1, Ordering::Release);
            wake(&word, u32::MAX);
        });
        assert_eq!(wake(&word, u32::MAX), 0);
    }
}
