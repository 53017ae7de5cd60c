//! [`Ledger`] and [`Check`]: what was promised, and whether a log keeps it.
//!
//! # Protocol
//!
//! A thread of the child appends its record `n + 1` only after it has told the parent that record `n` is durable. The
//! ledger holds, for each thread, the positions of the records 1 to `n` that it was told about. From that follows what a
//! log may hold after the child's death:
//!
//! * D1: each acknowledged record is there, where it was acknowledged (acknowledged ⊆ recovered).
//! * D2: nothing beyond the record that a thread had in hand is there (recovered ⊆ attempted): one more for each thread of
//!   a killed child, none after a clean close.
//! * D3: each thread's records stand in the order 1, 2, 3 … without a gap or a repetition, over all lives.
//! * D4: each carries the bytes that its thread and number call for.
//!
//! A record that was recovered counts as promised from then on, acknowledged or not.

use std::fmt;

use segwal::Lsn;

use super::corpus::{Corpus, Stream, identity};

/// What each thread was promised.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    threads: Vec<Vec<Lsn>>,
}

/// How many records each thread may have in hand beyond those in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InHand {
    One,
    None,
}

/// One broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Lost {
        thread: u32,
        sequence: u64,
        lsn: Lsn,
    },
    NeverAttempted {
        thread: u32,
        sequence: u64,
        lsn: Lsn,
    },
    OutOfOrder {
        thread: u32,
        expected: u64,
        found: u64,
        lsn: Lsn,
    },
    Altered {
        thread: u32,
        sequence: u64,
        lsn: Lsn,
    },
    Moved {
        thread: u32,
        sequence: u64,
        from: Lsn,
        to: Lsn,
    },
    Foreign {
        lsn: Lsn,
    },
}

impl Ledger {
    pub(crate) fn new(threads: u32) -> Self {
        Self {
            threads: (0..threads).map(|_| Vec::new()).collect(),
        }
    }

    /// Enters an acknowledgement; false if it is not the next of its thread.
    #[must_use]
    pub(crate) fn acknowledge(&mut self, thread: u32, sequence: u64, lsn: Lsn) -> bool {
        let Some(lsns) = self.threads.get_mut(thread as usize) else {
            return false;
        };
        lsns.push(lsn);
        lsns.len() as u64 == sequence
    }

    /// How many records each thread was promised.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.threads.iter().map(|lsns| lsns.len() as u64).collect()
    }
}

/// A log's records held against the ledger, one after the other in the order of the log.
pub(crate) struct Check<'a> {
    ledger: &'a Ledger,
    corpus: &'a Corpus,
    in_hand: InHand,
    threads: Vec<Found>,
    problems: Vec<Problem>,
}

/// What was found of one thread.
#[derive(Clone, Debug, Default)]
struct Found {
    /// The greatest sequence so far.
    last: u64,
    lsns: Vec<Lsn>,
    /// For each promised record, whether it was found.
    kept: Vec<bool>,
}

/// What a check found.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    /// What the log holds, to be promised from now on.
    pub(crate) recovered: Ledger,
}

impl<'a> Check<'a> {
    pub(crate) fn new(ledger: &'a Ledger, corpus: &'a Corpus, in_hand: InHand) -> Self {
        let found = |lsns: &Vec<Lsn>| Found {
            kept: vec![false; lsns.len()],
            ..Found::default()
        };
        Self {
            ledger,
            corpus,
            in_hand,
            threads: ledger.threads.iter().map(found).collect(),
            problems: Vec::new(),
        }
    }

    /// Takes the next record of the log.
    pub(crate) fn record(&mut self, lsn: Lsn, payload: &[u8]) {
        let known = |(thread, _): &(u32, u64)| (*thread as usize) < self.threads.len();
        let Some((thread, sequence)) = identity(payload).filter(known) else {
            self.problems.push(Problem::Foreign { lsn });
            return;
        };
        self.check_order(thread, sequence, lsn);
        self.check_promise(thread, sequence, lsn);
        let count = u32::try_from(self.threads.len()).unwrap_or(u32::MAX);
        let stream = Stream { thread, count };
        if sequence > 0 && self.corpus.payload(stream, sequence) != payload {
            self.problems.push(Problem::Altered {
                thread,
                sequence,
                lsn,
            });
        }
    }

    /// Ends the check when the log has no more records.
    pub(crate) fn finish(mut self) -> Findings {
        for (thread, found) in (0..).zip(&self.threads) {
            let promised = (1..).zip(&self.ledger.threads[thread as usize]);
            let lost = promised.zip(&found.kept).filter(|(_, kept)| !**kept);
            let lost = lost.map(|((sequence, lsn), _)| (sequence, *lsn));
            self.problems
                .extend(lost.map(|(sequence, lsn)| Problem::Lost {
                    thread,
                    sequence,
                    lsn,
                }));
        }
        let threads = self.threads.into_iter().map(|found| found.lsns).collect();
        Findings {
            problems: self.problems,
            recovered: Ledger { threads },
        }
    }

    fn check_order(&mut self, thread: u32, found: u64, lsn: Lsn) {
        let state = &mut self.threads[thread as usize];
        let expected = state.last + 1;
        state.last = state.last.max(found);
        state.lsns.push(lsn);
        if found != expected {
            self.problems.push(Problem::OutOfOrder {
                thread,
                expected,
                found,
                lsn,
            });
        }
    }

    fn check_promise(&mut self, thread: u32, sequence: u64, lsn: Lsn) {
        let promised = &self.ledger.threads[thread as usize];
        let index = usize::try_from(sequence)
            .ok()
            .and_then(|sequence| sequence.checked_sub(1));
        if let Some((index, from)) = index.and_then(|index| Some((index, *promised.get(index)?))) {
            self.threads[thread as usize].kept[index] = true;
            if from != lsn {
                self.problems.push(Problem::Moved {
                    thread,
                    sequence,
                    from,
                    to: lsn,
                });
            }
            return;
        }
        let in_hand = u64::from(self.in_hand == InHand::One);
        if sequence == 0 || sequence > promised.len() as u64 + in_hand {
            self.problems.push(Problem::NeverAttempted {
                thread,
                sequence,
                lsn,
            });
        }
    }
}

impl Findings {
    /// How many promised records are gone.
    pub(crate) fn lost(&self) -> u64 {
        let is_lost = |problem: &&Problem| matches!(problem, Problem::Lost { .. });
        self.problems.iter().filter(is_lost).count() as u64
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost {
                thread,
                sequence,
                lsn,
            } => write!(
                f,
                "record {sequence} of thread {thread} was acknowledged at {lsn} and is lost"
            ),
            Self::NeverAttempted {
                thread,
                sequence,
                lsn,
            } => write!(
                f,
                "record {sequence} of thread {thread} at {lsn} was never appended"
            ),
            Self::OutOfOrder {
                thread,
                expected,
                found,
                lsn,
            } => write!(
                f,
                "thread {thread} has record {found} at {lsn} where its record {expected} belongs"
            ),
            Self::Altered {
                thread,
                sequence,
                lsn,
            } => write!(
                f,
                "record {sequence} of thread {thread} at {lsn} has other bytes than were appended"
            ),
            Self::Moved {
                thread,
                sequence,
                from,
                to,
            } => write!(
                f,
                "record {sequence} of thread {thread} was acknowledged at {from} and stands at {to}"
            ),
            Self::Foreign { lsn } => write!(f, "the record at {lsn} is of no thread of the demo"),
        }
    }
}

#[cfg(test)]
mod tests;
