//! [`Ledger`]: what was attempted, published, acknowledged and discarded, and whether what comes back after a crash fits it.
//!
//! Its lock is the standard library's, so that noting something is one step to the scheduler: what an engine's call promised is
//! noted before any other thread goes on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use segwal::{Lsn, Wal};

/// Which record it is: its writer, and the how manieth of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Who appended it.
    pub writer: u8,
    /// Its place among the writer's records.
    pub sequence: u8,
}

impl Name {
    /// A record of this name, of `len` bytes at least two.
    pub fn payload(self, len: usize) -> Vec<u8> {
        let filling = self.writer ^ self.sequence.rotate_left(3) ^ 0x5a;
        let mut bytes = vec![filling; len];
        (bytes[0], bytes[1]) = (self.writer, self.sequence);
        bytes
    }

    /// The name of a record that is whole.
    ///
    /// # Panics
    /// If it is not what was appended under that name.
    pub fn of(payload: &[u8]) -> Self {
        let name = Self {
            writer: payload[0],
            sequence: payload[1],
        };
        assert!(
            name.payload(payload.len()) == payload,
            "the bytes of {name:?} are others"
        );
        name
    }
}

/// What is known of one log.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// How many each writer began to append.
    attempted: BTreeMap<u8, u8>,
    appended: BTreeMap<Lsn, Name>,
    /// Everything below is published.
    published: Option<Lsn>,
    acknowledged: BTreeMap<Lsn, Name>,
    /// The highest position up to which somebody asked to discard, and the highest that was granted.
    asked: Option<Lsn>,
    discarded: Option<Lsn>,
    cuts: Vec<Cut>,
}

/// A truncation.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// What begins here or behind is void.
    from: Lsn,
    /// What begins before it; `None` until the truncation returns.
    to: Option<Lsn>,
    is_acknowledged: bool,
}

impl Cut {
    fn may_void(&self, lsn: Lsn) -> bool {
        self.from <= lsn && self.to.is_none_or(|to| lsn < to)
    }
}

/// What is known of one log, shared by the threads of an execution.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Known>);

impl Ledger {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known now.
    pub fn now(&self) -> Known {
        self.known().clone()
    }

    /// `writer` is about to append its next record.
    pub fn attempt(&self, writer: u8) -> Name {
        let mut known = self.known();
        let count = known.attempted.entry(writer).or_insert(0);
        *count += 1;
        Name {
            writer,
            sequence: *count - 1,
        }
    }

    /// Its append returned `lsn`.
    pub fn appended(&self, lsn: Lsn, name: Name) {
        let before = self.known().appended.insert(lsn, name);
        assert_eq!(before, None, "the position {lsn} was given out twice");
    }

    /// The log said that everything below `bound` is published.
    pub fn published(&self, bound: Lsn) {
        let mut known = self.known();
        known.published = known.published.max(Some(bound));
    }

    /// Its sync returned.
    pub fn acknowledged(&self, lsn: Lsn, name: Name) {
        self.known().acknowledged.insert(lsn, name);
    }

    /// Somebody is about to discard.
    pub fn asked(&self, lsn: Lsn) {
        let mut known = self.known();
        known.asked = known.asked.max(Some(lsn));
    }

    /// Somebody is about to make void what begins at `from` or behind; which truncation that is.
    pub fn cutting(&self, from: Lsn) -> usize {
        let mut known = self.known();
        known.cuts.push(Cut {
            from,
            to: None,
            is_acknowledged: false,
        });
        known.cuts.len() - 1
    }

    /// The truncation returned.
    pub fn cut(&self, index: usize, to: Lsn) {
        self.known().cuts[index].to = Some(to);
    }

    /// A sync to it returned.
    pub fn cut_acknowledged(&self, index: usize) {
        self.known().cuts[index].is_acknowledged = true;
    }

    /// The discard returned.
    pub fn discarded(&self, lsn: Lsn) {
        let mut known = self.known();
        known.discarded = known.discarded.max(Some(lsn));
    }
}

/// What a crash may take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process died: nothing that was published.
    Kill,
    /// The machine lost power: nothing that was acknowledged.
    Power,
}

impl Known {
    /// The records whose append had returned.
    pub fn appended(&self) -> impl Iterator<Item = (Lsn, Name)> {
        self.appended.iter().map(|(lsn, name)| (*lsn, *name))
    }

    /// Demands of a log, opened after a crash, that it holds what was promised before and nothing that `later` did not attempt.
    /// Returns what it holds.
    ///
    /// # Panics
    /// If it does not.
    pub fn check(&self, later: &Self, wal: &Wal, crash: Crash) -> BTreeMap<Lsn, Name> {
        let head = wal.head();
        let first = Lsn::new(1, 4096).expect("a position");
        let asked = later.asked.unwrap_or(first);
        // From the end of a segment the head may move to the beginning of the next.
        let passed = later.appended.range(asked.min(head)..head).next();
        assert_eq!(
            passed, None,
            "nobody asked to discard up to {head}, but up to {asked}"
        );
        let recovered = later.read(wal, head);
        let is_published = |lsn: &Lsn| Some(*lsn) < self.published;
        let promised: BTreeMap<_, _> = match crash {
            Crash::Kill => self
                .appended()
                .filter(|(lsn, _)| is_published(lsn))
                .collect(),
            Crash::Power => self.acknowledged.clone(),
        };
        // A truncation comes back whole or not at all.
        let took_effect = |cut: &Cut| !recovered.keys().any(|lsn| cut.may_void(*lsn));
        let may_be_void = |lsn| {
            let covers = |cut: &Cut| cut.may_void(lsn) && (cut.to.is_none() || took_effect(cut));
            later.cuts.iter().any(covers)
        };
        for (lsn, name) in promised.range(head..) {
            assert!(
                recovered.get(lsn) == Some(name) || may_be_void(*lsn),
                "a record that was promised is lost: {name:?} at {lsn}, after {crash:?}, head {head}, end {}",
                wal.end()
            );
        }
        for cut in &self.cuts {
            let is_promised = match crash {
                Crash::Kill => cut.to.is_some_and(|to| is_published(&to)),
                Crash::Power => cut.is_acknowledged,
            };
            assert!(
                !is_promised || took_effect(cut),
                "a truncation that was promised is lost: {cut:?}, after {crash:?}"
            );
        }
        for (lsn, name) in &recovered {
            let given = later.appended.get(lsn);
            assert!(
                given.is_none_or(|given| given == name),
                "{lsn} is {name:?}, not {given:?}"
            );
        }
        recovered
    }

    /// Whether a truncation that returned made `lsn` void.
    pub fn is_void(&self, lsn: Lsn) -> bool {
        let returned = |cut: &&Cut| cut.to.is_some();
        self.cuts
            .iter()
            .filter(returned)
            .any(|cut| cut.may_void(lsn))
    }

    /// The records of a log from `head` on: attempted, whole, and in the order of each writer, but for what may be void.
    fn read(&self, wal: &Wal, head: Lsn) -> BTreeMap<Lsn, Name> {
        let mut found = BTreeMap::new();
        let mut next = BTreeMap::new();
        for record in wal.records(head).expect("the head is readable") {
            let record = record.expect("what was recovered can be read");
            let name = Name::of(&record);
            let before = next.insert(name.writer, name.sequence + 1);
            assert!(
                before.is_none_or(|next| self.may_follow(next, name)),
                "{name:?} at {} follows {before:?}",
                record.lsn()
            );
            let attempted = self.attempted.get(&name.writer);
            assert!(
                attempted.is_some_and(|count| name.sequence < *count),
                "{name:?} was never appended"
            );
            found.insert(record.lsn(), name);
        }
        found
    }

    /// Whether everything of the writer between its record `next` and `name` may be void.
    fn may_follow(&self, next: u8, name: Name) -> bool {
        let may_be_void = |sequence| {
            let skipped = Name { sequence, ..name };
            let place = self.appended().find(|(_, name)| *name == skipped);
            let covers = |cut: &Cut| place.is_none_or(|(lsn, _)| cut.may_void(lsn));
            self.cuts.iter().any(covers)
        };
        next <= name.sequence && (next..name.sequence).all(may_be_void)
    }
}
