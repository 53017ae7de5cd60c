//! [`Memory`]: the live bytes of a simulated file, at an address that stays the same while they are mapped.
//!
//! Invariants:
//!
//! * E1: bytes change only under the lock of the machine, and the machine reads them only under it.
//! * E2: bytes that a slice from [`Mapping::bytes`](super::super::Mapping::bytes) spans do not change (its M2).
//! * E3: the allocation is initialised, has `layout`'s size and lives as long as the value.

#![expect(
    unsafe_code,
    reason = "threads share these bytes in the way in which they share a mapping"
)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;
use std::{ptr, slice};

use super::super::PAGE_SIZE;

#[derive(Debug)]
pub(super) struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the pointer is the only one to its allocation; who may access what when is E1 and E2.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// At least `size` zero bytes; whole pages.
    pub(super) fn zeroed(size: usize) -> Self {
        let size = size.max(1).next_multiple_of(PAGE_SIZE);
        let layout =
            Layout::from_size_align(size, PAGE_SIZE).expect("the file is too long to be simulated");
        // SAFETY: the size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        Self { start, layout }
    }

    /// A copy with room for `size` bytes, at least as many as there are.
    pub(super) fn copy(&self, size: usize) -> Self {
        let copy = Self::zeroed(size.max(self.size()));
        copy.store(0, self.bytes(0..self.size()));
        copy
    }

    pub(super) fn size(&self) -> usize {
        self.layout.size()
    }

    pub(super) fn start(&self) -> *const u8 {
        self.start.as_ptr()
    }

    /// The bytes in `range`; only for the machine, under its lock, and not across a change.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        assert!(range.start <= range.end && range.end <= self.size());
        // SAFETY: in bounds as checked.
        let from = unsafe { self.start.as_ptr().add(range.start) };
        // SAFETY: initialised and alive, E3; unchanged while the machine reads, E1.
        unsafe { slice::from_raw_parts(from, range.len()) }
    }

    /// Changes bytes; only for the machine, under its lock.
    pub(super) fn store(&self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.size() && bytes.len() <= self.size() - offset);
        // SAFETY: in bounds as checked.
        let to = unsafe { self.start.as_ptr().add(offset) };
        // SAFETY: in bounds as checked and alive, E3; nobody else reads or changes the bytes, E1 and E2.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, E3.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_has_the_bytes_and_is_apart() {
        let memory = Memory::zeroed(1);
        memory.store(4090, b"abcdef");
        let copy = memory.copy(5000);
        memory.store(4090, b"x");
        assert_eq!(copy.size(), 8192);
        assert_eq!(copy.bytes(4090..4098), b"abcdef\0\0");
        assert_eq!(memory.bytes(4090..4092), b"xb");
    }
}
