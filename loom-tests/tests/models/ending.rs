//! Poison, close and time-outs reach everybody who waits (G2-G4).

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use loom::sync::{Condvar, Mutex};
use loom_tests::{Failing, Ledger, Model, STEP_NS, spawn};
use segwal::internals::twin::Twin;
use segwal::internals::{Host, Work};
use segwal::{ErrorKind, Lsn, Result};

/// Nobody's record becomes durable, and everybody is told.
const FAILED: Model = Model {
    name: "a failed sync",
    states: &["slept"],
    body: |reached| {
        let ledger = Ledger::new(Failing::Always);
        everybody_is_told(&ledger, Ledger::pass);
        if ledger.host.slept() > 0 {
            reached.mark("slept");
        }
    },
};

/// The leader panics; everybody else is told.
const PANICKED: Model = Model {
    name: "a leader that panics",
    states: &["told by the panic"],
    body: |reached| {
        let ledger = Ledger::new(Failing::Never);
        everybody_is_told(&ledger, |ledger, lsn| {
            let pass = || ledger.pass_with(lsn, None, &Fatal { ledger });
            let told = catch_unwind(AssertUnwindSafe(pass));
            told.unwrap_or_else(|_| ledger.ending.check())
        });
        if ledger.host.slept() == 2 {
            reached.mark("told by the panic");
        }
    },
};

fn everybody_is_told(ledger: &std::sync::Arc<Ledger>, pass: fn(&Ledger, Lsn) -> Result<()>) {
    let waiter = || {
        spawn(0, ledger, move |ledger: &Ledger| {
            let told = pass(ledger, ledger.append());
            assert_eq!(told.unwrap_err().kind(), ErrorKind::Poisoned);
        })
    };
    for waiter in [waiter(), waiter(), waiter()] {
        waiter.join().unwrap();
    }
    assert!(ledger.ending.has_ended());
}

/// A device whose driver panics, once the two other threads sleep. Not before: the checker runs all threads on one of the
/// system's, so whoever gives a lock up while another one unwinds would poison it.
struct Fatal<'a> {
    ledger: &'a Ledger,
}

impl Work for Fatal<'_> {
    fn frontier(&self) -> Lsn {
        self.ledger.frontier()
    }

    fn flush(&self, _from: Lsn, _to: Lsn) -> Result<()> {
        while self.ledger.host.sleeping() < 2 {
            self.ledger.host.pause(0);
        }
        // Without the panic hook, which would take it for a failure of the model.
        resume_unwind(Box::new("a driver's panic"))
    }

    fn advanced(&self, _from: Lsn, _to: Lsn, _answered: u32) {}
}

/// A device that answers only after somebody else has left the gate.
struct Stuck<'a> {
    ledger: &'a Ledger,
    left: &'a Left,
}

#[derive(Debug)]
struct Left {
    somebody: Mutex<bool>,
    bell: Condvar,
}

impl Left {
    fn mark(&self) {
        *self.somebody.lock().unwrap() = true;
        self.bell.notify_all();
    }

    fn wait(&self) {
        let mut somebody = self.somebody.lock().unwrap();
        while !*somebody {
            somebody = self.bell.wait(somebody).unwrap();
        }
    }
}

impl Work for Stuck<'_> {
    fn frontier(&self) -> Lsn {
        self.ledger.frontier()
    }

    fn flush(&self, from: Lsn, to: Lsn) -> Result<()> {
        self.left.wait();
        self.ledger.flush(from, to)
    }

    fn advanced(&self, from: Lsn, to: Lsn, answered: u32) {
        self.ledger.advanced(from, to, answered);
    }
}

const CLOSED: Model = Model {
    name: "close while a sync is stuck",
    states: &["slept", "refused at the door"],
    body: |reached| {
        let ledger = Ledger::new(Failing::Never);
        let left = std::sync::Arc::new(Left {
            somebody: Mutex::new(false),
            bell: Condvar::new(),
        });
        let waiter = || {
            let left = std::sync::Arc::clone(&left);
            spawn(0, &ledger, move |ledger: &Ledger| {
                let work = Stuck {
                    ledger,
                    left: &left,
                };
                let told = ledger.pass_with(ledger.append(), None, &work);
                left.mark();
                if let Err(error) = told {
                    assert_eq!(error.kind(), ErrorKind::Closed);
                }
            })
        };
        let threads = [
            waiter(),
            waiter(),
            spawn(0, &ledger, |ledger: &Ledger| {
                ledger.ending.close().unwrap();
                ledger.gate.rouse(&ledger.host);
            }),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        reached.mark(match ledger.host.slept() {
            0 => "refused at the door",
            _ => "slept",
        });
    },
};

/// Of those who wait while the first one syncs one gives up, perhaps just after it was chosen to lead.
const TIMED: Model = Model {
    name: "a waiter gives up",
    states: &["gave up", "was in time", "handed over"],
    body: |reached| {
        let ledger = Ledger::new(Failing::Never);
        let patient = || {
            spawn(0, &ledger, |ledger: &Ledger| {
                ledger.pass(ledger.append()).unwrap();
            })
        };
        let first = patient();
        let hasty = spawn(0, &ledger, |ledger: &Ledger| {
            let deadline_ns = ledger.host.now_ns() + 2 * STEP_NS;
            let told = ledger.pass_with(ledger.append(), Some(deadline_ns), ledger);
            told.map_err(|error| error.kind())
        });
        let last = patient();
        first.join().unwrap();
        last.join().unwrap();
        reached.mark(match hasty.join().unwrap() {
            Ok(()) => "was in time",
            Err(kind) => {
                assert_eq!(kind, ErrorKind::TimedOut);
                "gave up"
            }
        });
        if ledger.host.chosen_alone() > 0 {
            reached.mark("handed over");
        }
    },
};

#[test]
fn a_failed_sync_reaches_everybody() {
    FAILED.holds();
}

#[test]
fn a_panic_of_the_leader_reaches_everybody() {
    PANICKED.holds();
}

#[test]
fn a_close_reaches_who_waits_for_a_stuck_device() {
    CLOSED.holds();
}

#[test]
fn who_gives_up_passes_the_baton_on() {
    TIMED.holds();
}

#[test]
fn poison_of_one_round_is_caught() {
    FAILED.must_fail(Twin::PoisonOneRound, "deadlock");
    PANICKED.must_fail(Twin::PoisonOneRound, "deadlock");
    CLOSED.must_fail(Twin::PoisonOneRound, "deadlock");
}

#[test]
fn a_failed_leader_that_stays_is_caught() {
    FAILED.must_fail(Twin::LeaderKeepsFlag, "deadlock");
    PANICKED.must_fail(Twin::LeaderKeepsFlag, "deadlock");
}

#[test]
fn an_end_without_a_change_is_caught() {
    CLOSED.must_fail(Twin::RouseWithoutChange, "deadlock");
}

#[test]
fn a_dropped_baton_is_caught() {
    TIMED.must_fail(Twin::BatonDropped, "deadlock");
}
