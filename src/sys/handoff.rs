//! [`Handoff`]: a counted pointer that one thread leaves and another takes, without a lock.
//!
//! # Invariants
//! * HO1. The word is null, or a pointer from `Arc::into_raw` that stands for one count.
//! * HO2. Who swaps a pointer out owns its count, and nobody else has it: a swap gives each pointer to one caller.

#![expect(unsafe_code, reason = "std has no atomic cell of a counted pointer")]

use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Empty, or one counted pointer.
pub struct Handoff<T> {
    word: AtomicPtr<T>,
    /// It may cross threads if the pointer may.
    owned: PhantomData<Arc<T>>,
}

impl<T> Handoff<T> {
    /// What was left last, unless somebody took it.
    #[inline]
    pub fn take(&self) -> Option<Arc<T>> {
        // Acquire: pairs with `leave`, and so with what its caller did to the target.
        owned(self.word.swap(ptr::null_mut(), Ordering::Acquire))
    }

    /// Leaves `pointer` in the place of what is there.
    #[inline]
    pub fn leave(&self, pointer: Option<Arc<T>>) {
        let pointer = pointer.map_or(ptr::null(), Arc::into_raw);
        // AcqRel: pairs with `take`; and with the `leave` before it, whose pointer may be the last one.
        drop(owned(self.word.swap(pointer.cast_mut(), Ordering::AcqRel)));
    }
}

#[inline]
fn owned<T>(pointer: *mut T) -> Option<Arc<T>> {
    // SAFETY: not null, and so from `into_raw` with a count (HO1) that is the caller's alone (HO2).
    (!pointer.is_null()).then(|| unsafe { Arc::from_raw(pointer) })
}

impl<T> Drop for Handoff<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<T> Default for Handoff<T> {
    fn default() -> Self {
        Self {
            word: AtomicPtr::new(ptr::null_mut()),
            owned: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Handoff<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handoff")
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_is_left_is_taken_once_and_counted_right() {
        let handoff = Handoff::default();
        assert!(handoff.take().is_none());
        let [first, second] = [1, 2].map(Arc::new);
        handoff.leave(Some(Arc::clone(&first)));
        handoff.leave(Some(Arc::clone(&second)));
        assert_eq!(Arc::strong_count(&first), 1, "the second replaced it");
        assert_eq!(handoff.take().as_deref(), Some(&2));
        assert!(handoff.take().is_none());
        handoff.leave(Some(Arc::clone(&second)));
        handoff.leave(None);
        assert_eq!(Arc::strong_count(&second), 1);
        handoff.leave(Some(Arc::clone(&second)));
        drop(handoff);
        assert_eq!(Arc::strong_count(&second), 1);
    }

    /// The interpreter sees here what orders the accesses to the target, and whether the pointer still is one.
    #[test]
    fn threads_pass_a_pointer_on_and_none_is_lost() {
        let handoff = Handoff::default();
        let target = Arc::new(String::from("passed on"));
        handoff.leave(Some(Arc::clone(&target)));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let taken = handoff.take();
                        assert!(taken.as_deref().is_none_or(|text| text == "passed on"));
                        handoff.leave(taken.or_else(|| Some(Arc::clone(&target))));
                    }
                });
            }
        });
        drop(handoff);
        assert_eq!(Arc::strong_count(&target), 1);
    }
}
