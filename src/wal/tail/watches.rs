//! [`Watches`]: where the tails of a log wait, and who tells them.
//!
//! | what advances | who tells tails of durable records | who tells tails of published records |
//! |---|---|---|
//! | the durable bound | the leader, after its sync | the leader |
//! | a rotation | – | the ticker, whom the rotation rings for |
//! | an append | – | the ticker: it looks at the writers' slots every millisecond, while somebody waits |
//! | poison, close | who ends the log | who ends the log |
//!
//! An append tells nobody and looks at nobody. The ticker, a thread that the first wait starts, stores what it sees as the published
//! bound, which tails look at in place of the slots. It also wakes tasks, since a waker is somebody else's code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;

use crate::error::Result;
use crate::log::{Audience, Published, Vigil, Watch};
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::sys::clock;
use crate::wal::background;
use crate::wal::shared::{OsHost, Shared};
use crate::wal::signals::Staffing;

use super::Visibility;

/// How long a published record may stay unseen by a tail that waits.
pub(crate) const TICK_NS: u64 = 1_000_000;

/// Where the tails of a log wait.
#[derive(Debug)]
pub(crate) struct Watches {
    published: Watch,
    durable: Watch,
    /// The greatest published bound that was announced.
    announced: AtomicU64,
    /// When the published bound was last looked at for a tail.
    ticked_ns: AtomicU64,
    ticker: Mutex<Ticker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ticker {
    NotStarted,
    Started,
}

impl Watches {
    /// Nobody waits.
    pub(crate) fn new() -> Self {
        Self {
            published: Watch::new(),
            durable: Watch::new(),
            announced: AtomicU64::new(0),
            ticked_ns: AtomicU64::new(0),
            ticker: Mutex::new(Ticker::NotStarted),
        }
    }

    pub(super) fn of(&self, visibility: Visibility) -> &Watch {
        match visibility {
            Visibility::Published => &self.published,
            Visibility::Durable => &self.durable,
        }
    }

    /// How many tails wait.
    pub(crate) fn waiting(&self) -> u64 {
        u64::from(self.published.waiting()) + u64::from(self.durable.waiting())
    }
}

/// Starts the ticker, unless it runs or the log has no threads.
pub(super) fn start_ticker(shared: &Arc<Shared>) -> Result<()> {
    if shared.signals.staffing() != Staffing::Threads {
        return Ok(());
    }
    let mut ticker = shared.watches.ticker.lock();
    if *ticker == Ticker::NotStarted {
        background::start_one(shared, "segwal-tails", serve)?;
        *ticker = Ticker::Started;
    }
    Ok(())
}

fn serve(shared: &Shared) {
    let published = &shared.watches.published;
    let look = || {
        if published.waiting() > 0 {
            shared.tick();
        }
        shared.wake_tasks();
        // Looked at last: a task that was woken waits no more.
        if published.waiting() > 0 {
            Vigil::Kept
        } else {
            Vigil::Over
        }
    };
    published.serve(&OsHost, TICK_NS, || shared.ending.has_ended(), look);
    // Who leaves a waker after this finds the end by itself.
    for watch in [published, &shared.watches.durable] {
        watch.announce_end(&OsHost);
    }
    shared.wake_tasks();
}

impl Shared {
    /// What tails may read, by words that no writer writes to.
    pub(super) fn visible(&self, visibility: Visibility) -> Published {
        match visibility {
            Visibility::Published => self.core.observed(),
            Visibility::Durable => {
                // First: whatever is durable had been observed to be published before.
                let durable = self.gate.durable();
                self.core.observed().up_to(durable)
            }
        }
    }

    /// Looks at what is published, for everybody who waits for it.
    fn tick(&self) {
        self.counters.tail_ticks.add(1);
        // Relaxed: it only keeps looks apart.
        self.watches
            .ticked_ns
            .store(clock::now_ns(), Ordering::Relaxed);
        let published = self.core.published().to_word();
        // Relaxed: who raises it announces, and only after; the bound itself is the core's.
        let before = self
            .watches
            .announced
            .fetch_max(published, Ordering::Relaxed);
        if before < published {
            self.announce(Visibility::Published);
        }
    }

    /// The same, by a tail that found nothing, unless somebody did it within the last millisecond.
    pub(super) fn tick_if_due(&self) {
        // Relaxed: as in `tick`.
        let ticked_ns = self.watches.ticked_ns.load(Ordering::Relaxed);
        if clock::now_ns().saturating_sub(ticked_ns) >= TICK_NS {
            self.tick();
        }
    }

    /// Says that a sync has advanced the durable bound, and before it the published one.
    pub(crate) fn tell_tails_of_sync(&self) {
        self.announce(Visibility::Durable);
        self.announce(Visibility::Published);
    }

    /// Says that the log rotates. The caller holds the rotation's lock, so that somebody else looks.
    pub(crate) fn tell_tails_of_rotation(&self) {
        let published = &self.watches.published;
        if published.waiting() > 0 {
            published.ring(&OsHost);
        }
    }

    /// Says that the log has ended.
    pub(crate) fn tell_tails_of_end(&self) {
        self.announce(Visibility::Durable);
        self.announce(Visibility::Published);
        self.watches.published.ring(&OsHost);
    }

    /// Wakes those who wait; tasks by way of the ticker, if there is one.
    pub(super) fn announce(&self, visibility: Visibility) {
        if self.watches.of(visibility).announce(&OsHost) != Audience::TasksDue {
            return;
        }
        if self.signals.staffing() == Staffing::Threads {
            self.watches.published.ring(&OsHost);
        } else {
            self.wake_tasks();
        }
    }

    fn wake_tasks(&self) {
        for watch in [&self.watches.published, &self.watches.durable] {
            for waker in watch.take_due() {
                // A waker's panic is its own affair.
                drop(catch_unwind(AssertUnwindSafe(|| Waker::wake(waker))));
            }
        }
    }
}
