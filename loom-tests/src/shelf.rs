//! [`Shelf`]: ready segments, and what the core does with them.

use std::sync::atomic::{AtomicU32, Ordering};

use loom::sync::{Arc, Mutex, MutexGuard};
use segwal::internals::{Purpose, Shortage, Supply};
use segwal::{Lsn, Result};

use crate::cells::Cells;

/// Where a model's segments come from.
#[derive(Debug)]
pub struct Shelf {
    stock: Mutex<Stock>,
    /// The id that was activated last. Not the checker's: only the holder of the rotation changes it.
    newest: AtomicU32,
    waits: AtomicU32,
    /// How many ready segments are the reserve.
    reserve: usize,
}

#[derive(Debug)]
struct Stock {
    ready: Vec<Arc<Cells>>,
    held_back: Vec<Arc<Cells>>,
}

impl Shelf {
    pub(crate) fn new(ready: Vec<Arc<Cells>>, reserve: usize) -> Self {
        Self {
            stock: Mutex::new(Stock {
                ready,
                held_back: Vec::new(),
            }),
            newest: AtomicU32::new(1),
            waits: AtomicU32::new(0),
            reserve,
        }
    }

    /// Makes a segment ready. The caller then announces it.
    pub fn add(&self, segment: Arc<Cells>) {
        self.lock().ready.push(segment);
    }

    /// Makes every ready segment unready.
    pub fn hold_back(&self) {
        let stock = &mut *self.lock();
        stock.held_back.append(&mut stock.ready);
    }

    /// Makes every ready segment unready but the first `count` to be activated.
    pub fn hold_back_all_but(&self, count: usize) {
        let stock = &mut *self.lock();
        let kept = stock.ready.len() - count;
        stock.held_back = stock.ready.drain(..kept).collect();
    }

    /// Makes them ready again. The caller then announces it.
    pub fn release(&self) {
        let stock = &mut *self.lock();
        // Below what is ready: ids are in order from the back.
        let Stock { ready, held_back } = stock;
        held_back.append(ready);
        std::mem::swap(ready, held_back);
    }

    /// How often an append was short of a segment.
    pub fn waits(&self) -> u32 {
        // Relaxed: a count for the assertions.
        self.waits.load(Ordering::Relaxed)
    }

    /// The id that was activated last.
    pub fn newest(&self) -> u32 {
        // Relaxed: as `waits`.
        self.newest.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().expect("no model unwinds")
    }
}

impl Supply<Cells> for Shelf {
    fn is_ready(&self, purpose: Purpose) -> bool {
        let barred = match purpose {
            Purpose::Ordinary => self.reserve,
            Purpose::Critical => 0,
        };
        self.lock().ready.len() > barred
    }

    fn is_reserve_whole(&self) -> bool {
        self.lock().ready.len() >= self.reserve
    }

    #[expect(
        clippy::panic_in_result_fn,
        reason = "a second rotation fails the model"
    )]
    fn activate(&self, sealed: Lsn) -> Result<Option<Arc<Cells>>> {
        let mut stock = self.lock();
        let Some(segment) = stock.ready.pop() else {
            return Ok(None);
        };
        // Relaxed: under the lock.
        let newest = self.newest.fetch_add(1, Ordering::Relaxed);
        assert_eq!(sealed.segment(), newest, "a segment was left twice");
        segment.activate(sealed);
        Ok(Some(segment))
    }

    fn may_activate(&self, _id: u32) -> bool {
        true
    }

    fn short_of(&self, _shortage: Shortage) {
        // Relaxed: as `waits`.
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    fn waited(&self, _shortage: Shortage, _for_ns: u64) {}

    fn moved_on(&self, _sealed: Lsn) {}
}
