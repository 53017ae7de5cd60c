//! [`peak_of`]: how much memory a piece of work holds at most.
//!
//! The allocator of this test binary counts what the present thread holds, and refuses a single piece that no input can
//! deserve, so that a length that was believed ends the process instead of the machine.

#![expect(unsafe_code, reason = "an allocator is unsafe by its contract")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

/// No input is allowed to make the log hold more.
pub(crate) const LIMIT: usize = 64 << 20;
/// No single piece is larger.
const LARGEST: usize = 1 << 30;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator; counting touches no memory but two cells of this thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            return ptr::null_mut();
        }
        count(layout.size());
        // SAFETY: the caller keeps the contract of the trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // A thread may give back what another one took.
        _ = HELD.try_with(|held| held.set(held.get().saturating_sub(layout.size())));
        // SAFETY: the caller keeps the contract of the trait.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count(size: usize) {
    let held = HELD.try_with(|held| {
        held.set(held.get().saturating_add(size));
        held.get()
    });
    if let Ok(held) = held {
        _ = PEAK.try_with(|peak| peak.set(peak.get().max(held)));
    }
}

/// What `run` returns, and how many bytes this thread held more during it than before, at most.
pub(crate) fn peak_of<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = run();
    (result, PEAK.get().saturating_sub(before))
}

#[test]
fn memory_that_is_held_is_counted() {
    let (bytes, peak) = peak_of(|| vec![1_u8; 3 << 20]);
    assert!((3 << 20..4 << 20).contains(&peak), "{peak}");
    drop(bytes);
    let ((), peak) = peak_of(|| drop(vec![1_u8; 1 << 20]));
    assert!((1 << 20..2 << 20).contains(&peak), "{peak}");
}
