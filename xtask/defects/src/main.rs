//! Programs that are wrong on purpose, one for each kind of fault that the tools of `cargo xtask sanitize` must report.
//!
//! A tool that reports none of them would pass everything else too. `defects NAME` runs one; `defects sound` does what most of
//! them do, rightly, and must not be reported.
#![expect(
    unsafe_code,
    reason = "what a tool is to find is what the language excludes without it"
)]
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "each block is one fault"
)]

use std::alloc::{Layout, alloc, dealloc};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// The size of an allocation, in bytes.
const SIZE: usize = 40;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    match name.as_str() {
        "aliasing" => aliasing(),
        "leak" => leak(),
        "overflow" => overflow(),
        "race" => race(),
        "sound" => sound(),
        "uninitialised" => uninitialised(),
        "use-after-free" => use_after_free(),
        _ => return ExitCode::from(64),
    }
    ExitCode::SUCCESS
}

/// A word that threads may share, whoever answers for that.
struct Shared(UnsafeCell<u64>);

// SAFETY: false, for `race`; `sound` lets one thread end before the next one begins.
unsafe impl Sync for Shared {}

impl Shared {
    #[inline(never)]
    fn increment(&self) {
        // SAFETY: as above.
        unsafe { *self.0.get() += 1 }
    }
}

/// Two threads that are there at the same time increment a word, and nothing orders the two.
fn race() {
    let word = Shared(UnsafeCell::new(0));
    let there = AtomicU32::new(0);
    let increment = || {
        // Relaxed: they wait for each other, and that must order nothing.
        there.fetch_add(1, Ordering::Relaxed);
        // Relaxed: as above.
        while there.load(Ordering::Relaxed) < 2 {
            thread::yield_now();
        }
        word.increment();
    };
    thread::scope(|scope| {
        scope.spawn(increment);
        scope.spawn(increment);
    });
    black_box(word.0.into_inner());
}

/// Two threads increment a word, one after the other; bytes are allocated, written, read and given back.
fn sound() {
    let word = Shared(UnsafeCell::new(0));
    for _ in 0..2 {
        thread::scope(|scope| {
            scope.spawn(|| word.increment());
        });
    }
    let bytes = black_box(vec![1_u8; SIZE]);
    assert_eq!(word.0.into_inner(), u64::from(bytes[0] + bytes[SIZE - 1]));
}

/// Reads the byte behind an allocation.
#[inline(never)]
fn overflow() {
    let bytes = black_box(vec![1_u8; SIZE].into_boxed_slice());
    // SAFETY: false: there are `SIZE` bytes.
    black_box(unsafe { bytes.as_ptr().add(black_box(SIZE)).read() });
}

/// Reads a byte that was given back.
#[inline(never)]
fn use_after_free() {
    let bytes = black_box(vec![1_u8; SIZE]);
    let first = black_box(bytes.as_ptr());
    drop(bytes);
    // SAFETY: false: the vector is gone.
    black_box(unsafe { first.read() });
}

/// Forgets where an allocation is, from within a thread whose stack is gone too.
fn leak() {
    let forget = || {
        for _ in 0..8 {
            black_box(Box::leak(Box::new([1_u8; SIZE])));
        }
    };
    let thread = thread::spawn(forget);
    assert!(thread.join().is_ok(), "it leaks and does nothing else");
}

/// Decides by a byte that nobody wrote.
#[inline(never)]
fn uninitialised() {
    let layout = Layout::new::<[u8; SIZE]>();
    // SAFETY: the size is not zero; false as to the read, since nobody wrote.
    let byte = unsafe {
        let bytes = black_box(alloc(layout));
        let byte = bytes.add(7).read();
        dealloc(bytes, layout);
        byte
    };
    if black_box(byte) == 7 {
        thread::yield_now();
    }
}

/// Stores through a reference that another one to the same place has taken the right from.
#[inline(never)]
fn aliasing() {
    let mut word = 1_u64;
    let pointer = &raw mut word;
    // SAFETY: false: both are exclusive.
    unsafe {
        let first = &mut *pointer;
        let second = &mut *pointer;
        *first = 2;
        *second = 3;
    }
    black_box(word);
}
