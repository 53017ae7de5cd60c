//! [`Shelf`]: the segments that are ready, and the files that will be.
//!
//! ```text
//!  discard ──► pinned ──► reusable ──► Mold::reuse ──┐
//!                            │ surplus               ├──► ready ──► activate ──► Registry
//!                            └──► removed            │
//!                                     Mold::create ──┘
//! ```
//!
//! # Invariants
//! * H1. The ids of the ready queue are contiguous and follow the active segment's. So a ready segment is never removed, and a
//!   failed preparation is tried again under the same id.
//! * H2. Only [`prepare`](Shelf::prepare) pushes into the ready queue, one caller at a time.
//! * H3. Files are reused or removed only after the head beyond them is durable.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{ACTIVATION_OFFSET, Activation, PreviousEnd};
use crate::lsn::Lsn;
use crate::stats::Counters;
use crate::sync::Mutex;
use crate::sys::FileId;

use super::prepare::{Mold, Ready};
use super::readers::Readers;
use super::registry::{Registry, Retired, Reusable};
use super::salts::Salts;
use super::{Segment, name};

/// More segments than this are never kept ready or waiting for reuse: the most that the options allow, with the reserve.
pub(crate) const QUEUE_SIZE: usize = 72;

/// Room for what an earlier process left: as many as it kept ready, and as many as it had activated and never synced.
const READY_SIZE: usize = 2 * QUEUE_SIZE;

/// What came of preparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preparation {
    /// A segment was made ready.
    Made,
    /// As many are ready as were asked for.
    Enough,
    /// Another would exceed the limit on the bytes of the log.
    AtLimit,
    /// Every segment id has been used.
    Exhausted,
}

/// The segments that are ready, and the files that will be.
#[derive(Debug)]
pub(crate) struct Shelf {
    mold: Mold,
    max_segments: Option<u64>,
    ready: ArrayQueue<Ready>,
    reusable: ArrayQueue<Reusable>,
    pinned: Mutex<Vec<Retired>>,
    surplus: Mutex<Vec<Reusable>>,
    /// The id of the next segment to prepare, held while preparing (H2).
    next_id: Mutex<Option<u32>>,
}

impl Shelf {
    /// A shelf whose first segment will have the id `next_id`.
    pub(crate) fn new(mold: Mold, max_wal_bytes: Option<u64>, next_id: Option<u32>) -> Self {
        Self {
            max_segments: max_wal_bytes.map(|bytes| bytes / mold.size),
            mold,
            ready: ArrayQueue::new(READY_SIZE),
            reusable: ArrayQueue::new(QUEUE_SIZE),
            pinned: Mutex::new(Vec::new()),
            surplus: Mutex::new(Vec::new()),
            next_id: Mutex::new(next_id),
        }
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn reusable_count(&self) -> usize {
        self.reusable.len()
    }

    pub(crate) fn pinned_count(&self) -> usize {
        self.pinned.lock().len()
    }

    /// The lowest of the segments that are kept only by readers.
    pub(crate) fn oldest_pinned(&self) -> Option<u32> {
        self.pinned.lock().iter().map(|retired| retired.id).min()
    }

    /// Whether no more segments can be adopted.
    pub(crate) fn is_full(&self) -> bool {
        self.ready.is_full()
    }

    /// Puts a segment that an earlier process made ready onto the shelf, which is not full.
    pub(crate) fn adopt(&self, ready: Ready) {
        let mut next_id = self.next_id.lock();
        debug_assert_eq!(
            Some(ready.prepared.segment),
            *next_id,
            "ids are contiguous (H1)"
        );
        *next_id = ready.prepared.segment.checked_add(1);
        self.push_ready(ready);
    }

    /// Takes the files below segment `id` out of `registry`: their records are discarded, and the head beyond them is
    /// durable (H3). Under the lock, so that a count of files misses none on its way.
    pub(crate) fn retire_below(&self, id: u32, registry: &Registry) {
        let mut pinned = self.pinned.lock();
        pinned.extend(registry.take_below(id));
    }

    /// Puts a file of an earlier life, found at open, up for reuse (H3).
    pub(crate) fn reclaim(&self, id: u32, file: FileId) {
        self.pinned.lock().push(Retired {
            id,
            readers: Readers::of_found(file),
            segment: None,
        });
        self.unpin();
    }

    /// The log has ended: nothing is reused any more, and what somebody reads is remembered for a later life.
    pub(crate) fn close(&self, registry: &Registry) {
        let mut pinned = self.pinned.lock();
        registry.close();
        pinned.drain(..).for_each(Retired::leave);
    }

    fn offer(&self, file: Reusable) {
        if let Err(file) = self.reusable.push(file) {
            self.surplus.lock().push(file);
        }
    }

    /// Moves on every pinned file whose last reader is gone.
    fn unpin(&self) {
        let mut pinned = self.pinned.lock();
        for retired in std::mem::take(&mut *pinned) {
            match retired.try_reuse() {
                Ok(file) => self.offer(file),
                Err(retired) => pinned.push(retired),
            }
        }
    }

    /// Makes one segment ready, unless `target` are.
    ///
    /// # Errors
    /// Of a kind that says what to do: `NoSpace` can be tried again, any other ends the log.
    pub(crate) fn prepare(
        &self,
        target: usize,
        registry: &Registry,
        counters: &Counters,
    ) -> Result<Preparation> {
        let mut next_id = self.next_id.lock();
        self.unpin();
        if self.ready.len() >= target.min(QUEUE_SIZE) {
            return Ok(Preparation::Enough);
        }
        let Some(id) = *next_id else {
            return Ok(Preparation::Exhausted);
        };
        let Some(ready) = self.make(id, registry, counters)? else {
            return Ok(Preparation::AtLimit);
        };
        *next_id = id.checked_add(1);
        self.push_ready(ready);
        Ok(Preparation::Made)
    }

    /// Makes segment `id` of a file that waits for reuse, or of a new one; `None` at the limit on the bytes of the log.
    fn make(&self, id: u32, registry: &Registry, counters: &Counters) -> Result<Option<Ready>> {
        while let Some(file) = self.reusable.pop() {
            let old = file.id;
            match self.mold.reuse(id, file, counters) {
                Ok(ready) => {
                    counters.reused_segments.add(1);
                    return Ok(Some(ready));
                }
                // It shares its blocks with a copy, and there are none to replace them: without it there are more.
                Err(error) if error.kind() == ErrorKind::NoSpace => {
                    self.mold.directory.remove_and_free(&name::segment(old))?;
                    counters.removed_segments.add(1);
                }
                Err(error) => {
                    self.offer(Reusable {
                        id: old,
                        mapped: None,
                    });
                    return Err(error);
                }
            }
        }
        let at_limit = |max| self.file_count(registry, id) >= max;
        if self.max_segments.is_some_and(at_limit) {
            return Ok(None);
        }
        let ready = self.mold.create(id)?;
        counters.created_segments.add(1);
        Ok(Some(ready))
    }

    fn push_ready(&self, ready: Ready) {
        // The queue is larger than any target, and this is the only place that pushes (H2).
        let full = self.ready.push(ready).is_err();
        debug_assert!(!full, "the ready queue overflowed");
    }

    /// The files of the log while segment `id` is to be prepared.
    ///
    /// Ids are contiguous from the lowest one that holds records up to `id` (H1), so a segment on its way from the shelf to
    /// the registry is counted too; the lowest is read before what was taken from below it.
    fn file_count(&self, registry: &Registry, id: u32) -> u64 {
        let held = id - registry.lowest().unwrap_or(id).min(id);
        u64::from(held) + (self.reusable.len() + self.pinned.lock().len()) as u64
    }

    /// Removes files beyond the `kept` that wait for reuse, and returns how many those were.
    pub(crate) fn trim(&self, kept: usize, counters: &Counters) -> Result<usize> {
        let mut surplus = std::mem::take(&mut *self.surplus.lock());
        while self.reusable.len() > kept {
            surplus.extend(self.reusable.pop());
        }
        let count = surplus.len();
        for file in surplus {
            self.remove(file)?;
            counters.removed_segments.add(1);
        }
        Ok(count)
    }

    fn remove(&self, file: Reusable) -> Result<()> {
        let Reusable { id, mapped } = file;
        drop(mapped);
        self.mold.directory.remove_and_free(&name::segment(id))
    }

    /// Takes the next ready segment and activates it behind `previous`, which was sealed at `sealed`. Called under the
    /// rotation's lock; makes no system call.
    ///
    /// # Errors
    /// `OutOfResources` when every id has been used.
    pub(crate) fn activate(
        &self,
        sealed: Lsn,
        previous: &Segment,
        durable: Lsn,
        last_rewind: Option<Lsn>,
    ) -> Result<Option<Arc<Segment>>> {
        if sealed.segment() == u32::MAX {
            return Err(
                Error::new(ErrorKind::OutOfResources, "every segment id has been used")
                    .at_segment(u32::MAX)
                    .advise("copy the log into a new one"),
            );
        }
        let salts = previous.salts();
        let end = PreviousEnd {
            seal: sealed.offset(),
            salt: salts.last(),
            last_epoch: salts.last_epoch(),
        };
        let Some(ready) = self.ready.pop() else {
            return Ok(None);
        };
        if ready.prepared.segment != sealed.segment() + 1 {
            return Err(
                Error::new(ErrorKind::Internal, "the ready queue is out of order")
                    .at_segment(sealed.segment()),
            );
        }
        previous.seal(sealed.offset());
        Ok(Some(activate(ready, Some(end), Some(durable), last_rewind)))
    }

    /// Activates the first segment of a new log.
    pub(crate) fn activate_first(&self) -> Option<Arc<Segment>> {
        self.ready
            .pop()
            .map(|ready| activate(ready, None, None, None))
    }

    /// The path of a segment's file.
    pub(crate) fn path(&self, id: u32) -> PathBuf {
        self.mold.directory.segment(id)
    }
}

fn activate(
    ready: Ready,
    previous: Option<PreviousEnd>,
    durable: Option<Lsn>,
    last_rewind: Option<Lsn>,
) -> Arc<Segment> {
    let Ready {
        prepared,
        mut bytes,
        salt,
    } = ready;
    let activation = Activation {
        salt,
        segment: prepared.segment,
        previous,
        durable,
        last_rewind,
    };
    let at = usize::try_from(ACTIVATION_OFFSET).unwrap_or(512);
    bytes.store(at, &activation.encode(&prepared));
    Segment::new(
        prepared.segment,
        prepared.size,
        bytes.share(),
        Salts::of_activation(salt),
    )
}
