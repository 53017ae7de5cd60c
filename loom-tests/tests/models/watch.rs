//! Tails: nobody sleeps through an advance, an end or a call back; the ticker sleeps when nobody waits (N1, N3, N4).

use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Count;
use std::task::{Wake, Waker};

use loom::sync::atomic::{AtomicU64, Ordering};
use loom_tests::{FOREVER, Model, ModelHost, STEP_NS, spawn};
use segwal::internals::twin::Twin;
use segwal::internals::{Audience, Ending, Vigil, Watch};

/// A bound, and those who wait for it.
#[derive(Debug)]
struct Bounded {
    bound: AtomicU64,
    watch: Watch,
    ending: Ending,
    host: ModelHost,
}

impl Bounded {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            bound: AtomicU64::new(0),
            watch: Watch::new(),
            ending: Ending::new(),
            host: ModelHost::new(),
        })
    }

    /// Everything by the weakest orderings: what a waiter is sure to see it sees by way of the watch.
    fn advance(&self, bound: u64) {
        // Relaxed: see above.
        self.bound.store(bound, Ordering::Relaxed);
        self.watch.announce(&self.host);
    }

    fn has_passed(&self, wanted: u64) -> bool {
        // Relaxed: see above.
        self.bound.load(Ordering::Relaxed) >= wanted
    }

    /// Waits for `wanted`, or for the end.
    fn await_bound(&self, wanted: u64, deadline_ns: u64) -> Option<bool> {
        self.watch.wait(&self.host, Some(deadline_ns), || {
            if self.has_passed(wanted) {
                return Some(true);
            }
            self.ending.has_ended().then_some(false)
        })
    }
}

/// Two threads that wait for one advance, beside the one who makes it.
const ADVANCE: Model = Model {
    name: "an advance that two wait for",
    states: &["slept", "found it at once"],
    body: |reached| {
        let world = Bounded::new();
        let waiter = || {
            spawn(0, &world, |world: &Bounded| {
                assert_eq!(world.await_bound(1, FOREVER), Some(true));
            })
        };
        let threads = [
            waiter(),
            waiter(),
            spawn(1, &world, |world: &Bounded| world.advance(1)),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        reached.mark(match world.host.slept() {
            0 => "found it at once",
            _ => "slept",
        });
        assert_eq!(world.watch.waiting(), 0);
    },
};

/// One waits for the first advance and is woken by it; the other marks the word between, wants more, and gives up.
const CROWD: Model = Model {
    name: "a mark put back",
    states: &["slept", "gave up"],
    body: |reached| {
        let world = Bounded::new();
        let first = spawn(0, &world, |world: &Bounded| {
            assert_eq!(world.await_bound(1, FOREVER), Some(true));
        });
        let second = spawn(0, &world, |world: &Bounded| {
            world.await_bound(2, 3 * STEP_NS).is_none()
        });
        let writer = spawn(1, &world, |world: &Bounded| world.advance(1));
        first.join().unwrap();
        writer.join().unwrap();
        if second.join().unwrap() {
            reached.mark("gave up");
        }
        if world.host.slept() > 0 {
            reached.mark("slept");
        }
        assert_eq!(world.watch.waiting(), 0);
    },
};

/// The end of the log reaches who waits.
const END: Model = Model {
    name: "close while a tail waits",
    states: &["slept", "closed before"],
    body: |reached| {
        let world = Bounded::new();
        let waiter = spawn(0, &world, |world: &Bounded| {
            assert_eq!(world.await_bound(1, FOREVER), Some(false));
        });
        let closer = spawn(1, &world, |world: &Bounded| {
            world.ending.close().unwrap();
            world.watch.announce(&world.host);
        });
        waiter.join().unwrap();
        closer.join().unwrap();
        reached.mark(match world.host.slept() {
            0 => "closed before",
            _ => "slept",
        });
    },
};

/// Somebody waits for what nobody announces; the ticker looks in its stead, and sleeps for ever once nobody waits.
const TICK: Model = Model {
    name: "a ticker",
    states: &["ticked", "the ticker slept"],
    body: |reached| {
        let world = Bounded::new();
        let ticker = spawn(1, &world, |world: &Bounded| {
            let mut ticks = 0;
            let look = || {
                if world.watch.waiting() == 0 {
                    return Vigil::Over;
                }
                ticks += 1;
                world.advance(1);
                Vigil::Kept
            };
            world
                .watch
                .serve(&world.host, FOREVER, || world.ending.has_ended(), look);
            ticks
        });
        let waiter = spawn(0, &world, |world: &Bounded| {
            assert_eq!(world.await_bound(1, FOREVER), Some(true));
            world.ending.close().unwrap();
            world.watch.ring(&world.host);
        });
        waiter.join().unwrap();
        assert!(ticker.join().unwrap() > 0);
        reached.mark("ticked");
        if world.host.slept() > 1 {
            reached.mark("the ticker slept");
        }
    },
};

/// A task's waker that counts.
#[derive(Debug, Default)]
struct Woken(Count);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        // Relaxed: read after the threads have ended.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A task leaves its waker and looks, beside an advance.
const TASK: Model = Model {
    name: "a task",
    states: &["woken", "found it at once"],
    body: |reached| {
        let world = Bounded::new();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let task = spawn(0, &world, move |world: &Bounded| {
            let ticket = world.watch.leave_waker(&world.host, None, &waker);
            let found = world.has_passed(1);
            if found {
                world.watch.take_back(ticket);
            }
            found
        });
        let writer = spawn(1, &world, |world: &Bounded| {
            // Relaxed: as in `advance`.
            world.bound.store(1, Ordering::Relaxed);
            if world.watch.announce(&world.host) == Audience::TasksDue {
                world.watch.take_due().into_iter().for_each(Waker::wake);
            }
        });
        let found = task.join().unwrap();
        writer.join().unwrap();
        // Relaxed: the threads have ended.
        let woken = woken.0.load(Ordering::Relaxed) > 0;
        assert!(found || woken, "a task is not told");
        reached.mark(if found { "found it at once" } else { "woken" });
        assert_eq!(world.watch.waiting(), 0);
    },
};

#[test]
fn an_advance_reaches_all_who_wait() {
    ADVANCE.holds();
}

#[test]
fn looking_before_marking_is_caught() {
    ADVANCE.must_fail(Twin::WatchLookFirst, "deadlock");
}

#[test]
fn an_announcement_that_only_glances_is_caught() {
    ADVANCE.must_fail(Twin::WatchGlance, "deadlock");
}

#[test]
fn a_mark_put_back_keeps_nobody_asleep() {
    CROWD.holds();
}

#[test]
fn a_wake_without_a_count_is_caught() {
    CROWD.must_fail(Twin::WatchWakeWithoutChange, "deadlock");
}

#[test]
fn closing_wakes_a_tail_that_waits() {
    END.holds();
}

#[test]
fn the_ticker_sees_who_begins_to_wait() {
    TICK.holds();
}

#[test]
fn a_bell_without_a_change_is_caught() {
    TICK.must_fail(Twin::BellWithoutChange, "deadlock");
}

#[test]
fn a_task_is_told_or_finds_it() {
    TASK.holds();
}

#[test]
fn a_task_is_not_told_by_a_glance() {
    TASK.must_fail(Twin::WatchGlance, "a task is not told");
}
