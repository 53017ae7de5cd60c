//! Threads of the engine: background ones that no signal interrupts, and the ways to pause.
//!
//! A background thread blocks every signal that is sent from outside, so that no handler of the application runs on its
//! small, unknown stack and no sync is interrupted. Signals that the thread itself causes (a bad access, an abort) stay
//! unblocked: the kernel would kill the process without the application's crash handler.
//!
//! `SIGXFSZ` is the one signal that the engine's own calls provoke: a write or an allocation beyond the process's limit
//! raises it, Rust does not ignore it by default, and it kills. [`without_file_size_signal`] leaves only the `EFBIG`.

#![expect(unsafe_code, reason = "signal masks have no wrapper in std")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use crate::sync::hint;
use crate::sync::thread::{self, Builder, JoinHandle};

/// The signals that a thread causes itself.
const OWN: [libc::c_int; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGABRT,
];

/// Starts a thread that blocks signals. The system shows the first 15 bytes of `name`.
///
/// # Errors
/// `WouldBlock` if the process may have no more threads.
pub fn spawn_background(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    // The new thread inherits the mask of this one, so that there is no moment in which it takes a signal.
    let _mask = Mask::block(&background_signals());
    Builder::new().name(name.to_owned()).spawn(body)
}

/// Runs `operation` so that exceeding the limit on file sizes gives `EFBIG` and no signal.
///
/// # Errors
/// Those of `operation`.
pub fn without_file_size_signal<T>(operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let signal = signal_set(&[libc::SIGXFSZ]);
    let mask = Mask::block(&signal);
    let result = operation();
    if matches!(&result, Err(error) if error.raw_os_error() == Some(libc::EFBIG)) {
        take_pending(&signal);
    }
    drop(mask);
    result
}

/// Tells the processor that this thread waits for another.
pub fn spin() {
    hint::spin_loop();
}

/// Lets another thread run.
pub fn yield_now() {
    thread::yield_now();
}

/// Sleeps.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place in which the engine sleeps by time alone"
)]
pub fn rest_ns(nanoseconds: u64) {
    thread::sleep(Duration::from_nanos(nanoseconds));
}

/// The signal mask of this thread as it was, put back when dropped.
struct Mask(libc::sigset_t);

impl Mask {
    fn block(signals: &libc::sigset_t) -> Self {
        let mut before = empty_set();
        // SAFETY: both sets are initialised and live throughout the call.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, signals, &raw mut before) };
        Self(before)
    }
}

impl Drop for Mask {
    fn drop(&mut self) {
        // SAFETY: the set is the one that the kernel gave; no old one is asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// Takes a blocked signal that waits for this thread, so that it is not delivered when the mask goes.
fn take_pending(signals: &libc::sigset_t) {
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the set and the time live throughout the call; no information on the signal is asked for.
    unsafe { libc::sigtimedwait(signals, ptr::null_mut(), &raw const now) };
}

fn background_signals() -> libc::sigset_t {
    let mut set = empty_set();
    // SAFETY: the set is initialised and ours.
    unsafe { libc::sigfillset(&raw mut set) };
    for signal in OWN {
        // SAFETY: as above, and the number is a signal's.
        unsafe { libc::sigdelset(&raw mut set, signal) };
    }
    set
}

fn signal_set(signals: &[libc::c_int]) -> libc::sigset_t {
    let mut set = empty_set();
    for &signal in signals {
        // SAFETY: the set is initialised and ours, and the number is a signal's.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the call writes the whole set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: just written.
    unsafe { set.assume_init() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_blocked(signal: libc::c_int) -> bool {
        let mask = Mask::block(&empty_set());
        // SAFETY: the set is initialised.
        unsafe { libc::sigismember(&raw const mask.0, signal) == 1 }
    }

    #[test]
    fn background_thread_blocks_what_others_send_and_its_parent_does_not() {
        let thread = spawn_background("segwal-test", || {
            assert!(is_blocked(libc::SIGTERM));
            assert!(is_blocked(libc::SIGXFSZ));
            assert!(!is_blocked(libc::SIGSEGV));
        });
        thread.unwrap().join().unwrap();
        assert!(!is_blocked(libc::SIGTERM));
    }

    #[test]
    fn file_size_signal_is_taken_and_the_error_stays() {
        let result: io::Result<()> = without_file_size_signal(|| {
            // SAFETY: raises a signal in this thread, which blocks it.
            unsafe { libc::raise(libc::SIGXFSZ) };
            Err(io::Error::from_raw_os_error(libc::EFBIG))
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(!is_blocked(libc::SIGXFSZ));
    }
}
