//! What a forked child must know: that it is one, and that the parent's lock is not its own.
//!
//! A child of `fork` without `exec` has copies of every handle, but none of the threads, and its descriptors share the
//! parent's locks. A handler that runs in the child, registered once with `pthread_atfork`, does two things:
//!
//! 1. it closes the descriptors of held locks, so that the parent's lock ends with the parent;
//! 2. it counts [`generation`] up, so that a handle that remembers the number it was made under knows that it is dead.
//!
//! Invariants:
//!
//! * K1: a slot holds a descriptor only between [`register`] and the drop of its [`Registration`], and whoever holds the
//!   registration owns the descriptor, so the child closes no descriptor of another owner.
//! * K2: the handler only loads and stores atomics and calls `close`: both are safe in a signal handler.
//!
//! Limits: a fork in the instants between opening the lock file and [`register`] leaks the descriptor into the child; a
//! child that execs closes it, and releasing the lock in the parent releases it for the child too. A child made by a
//! bare `clone` does not run the handler.

#![expect(
    unsafe_code,
    reason = "pthread_atfork and close in the child have no wrapper in std"
)]

use std::io;
use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// As many locks as one process can hold.
const SLOTS: usize = 1024;
const FREE: RawFd = -1;

static GENERATION: AtomicU32 = AtomicU32::new(0);
static LOCKS: [AtomicI32; SLOTS] = [const { AtomicI32::new(FREE) }; SLOTS];

/// How many forks lie between the first process of the family and this one. A handle made under another number belongs
/// to an ancestor and must not be used, nor clean up after itself.
pub fn generation() -> u32 {
    // Relaxed: it changes only in a child that has a single thread, before any code of the caller runs there.
    GENERATION.load(Ordering::Relaxed)
}

/// Has the handler close a descriptor in children; dropping it ends that.
#[derive(Debug)]
pub struct Registration {
    slot: usize,
    generation: u32,
}

impl Registration {
    /// Whether this process is a child of the one that registered the descriptor, which is closed then.
    pub fn is_inherited(&self) -> bool {
        self.generation != generation()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if !self.is_inherited() {
            // Release: pairs with the exchange in `register`, which may take the slot for another descriptor.
            LOCKS[self.slot].store(FREE, Ordering::Release);
        }
    }
}

/// Has `descriptor` closed in children for as long as the result lives.
///
/// # Errors
/// `EMFILE` if too many are registered; `ENOMEM` if the handler cannot be.
pub fn register(descriptor: RawFd) -> io::Result<Registration> {
    static HANDLER: OnceLock<i32> = OnceLock::new();
    let error = *HANDLER.get_or_init(install);
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let take = |slot: &AtomicI32| {
        // Acquire: pairs with the store in `drop`. Relaxed: a taken slot is only passed by.
        slot.compare_exchange(FREE, descriptor, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    };
    let slot = LOCKS.iter().position(take);
    let slot = slot.ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))?;
    Ok(Registration {
        slot,
        generation: generation(),
    })
}

/// Registers the handler and makes [`generation`] meaningful; returns an error number or zero.
fn install() -> i32 {
    // SAFETY: K2.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) }
}

extern "C" fn in_child() {
    for slot in &LOCKS {
        // Relaxed: the child has one thread, and fork itself copied the parent's memory.
        let descriptor = slot.swap(FREE, Ordering::Relaxed);
        if descriptor != FREE {
            // SAFETY: K1: nobody else in the child closes or uses it.
            unsafe { libc::close(descriptor) };
        }
    }
    // Relaxed: as above.
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn child_has_no_lock_and_knows_its_generation() {
        let file = File::open("/dev/null").unwrap();
        let registration = register(file.as_raw_fd()).unwrap();
        // SAFETY: the child calls nothing but fcntl and _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: the call touches no memory.
            let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) };
            let good = flags == -1 && registration.is_inherited() && generation() > 0;
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(i32::from(!good)) };
        }
        let mut status = -1;
        // SAFETY: `status` may be written, and the child is ours.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0);
        assert!(!registration.is_inherited());
        assert!(file.metadata().is_ok());
    }

    #[test]
    fn dropped_registration_frees_its_slot() {
        let before = register(1000).unwrap();
        let slot = before.slot;
        drop(before);
        // Other tests may take the slot at once; what may not stay is this descriptor.
        // Acquire: pairs with the store in `drop`.
        assert_ne!(LOCKS[slot].load(Ordering::Acquire), 1000);
    }
}
