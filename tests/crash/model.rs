//! [`Model`]: what a log was told, what it promised, and whether what it gives back keeps the promises.
//!
//! The rule is *acknowledged ⊆ recovered ⊆ attempted*, as a run without a gap: the records that come back are those that
//! were appended from the head on, in order, byte for byte, at least up to the durable bound that the log has stated.
//! Truncations are part of that history: what comes back is the log as it was before one, or as it was after it.

use std::sync::Arc;

use segwal::{Lsn, Wal, WalReader};

use crate::entry::Entry;

/// A truncation: from there up to its own position everything is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewind {
    pub(crate) from: Lsn,
    pub(crate) at: Lsn,
}

/// What must have survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// After a power cut: what was acknowledged as durable.
    Durable,
    /// After the death of a process, which loses nothing: what was published before the call in which it died.
    Published,
}

/// Why a call did not do what it should.
pub(crate) enum Trouble {
    /// It returned an error, which is right if a fault was injected.
    Call(segwal::Error),
    /// A promise is broken.
    Broken(String),
}

impl From<segwal::Error> for Trouble {
    fn from(error: segwal::Error) -> Self {
        Self::Call(error)
    }
}

impl From<String> for Trouble {
    fn from(what: String) -> Self {
        Self::Broken(what)
    }
}

/// What a log was told and what it promised.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Attempted records in order, those below the head and void ones included.
    pub(crate) entries: Vec<Entry>,
    /// Attempted truncations in order.
    rewinds: Vec<Rewind>,
    /// Everything below had been published when the present call began.
    published: Lsn,
    /// The durable bound that was acknowledged.
    pub(crate) durable: Lsn,
    /// The head that is durable, and those that were asked for since.
    pub(crate) heads: Vec<Lsn>,
    /// No block is free: appends may be refused.
    pub(crate) is_full: bool,
    /// What the last recovery lost.
    pub(crate) lost: Vec<Entry>,
    serial: u64,
}

impl Model {
    /// Of a log that does not exist yet.
    pub(crate) fn new() -> Self {
        let first = Lsn::new(1, 4096).expect("a position");
        Self {
            entries: Vec::new(),
            rewinds: Vec::new(),
            published: first,
            durable: first,
            heads: vec![first],
            is_full: false,
            lost: Vec::new(),
            serial: 0,
        }
    }

    /// Bytes that no other record has, if there is room for a difference.
    pub(crate) fn draw(&mut self, len: usize) -> Arc<[u8]> {
        self.serial += 1;
        let mut word = self.serial.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut bytes = vec![0; len];
        for chunk in bytes.chunks_mut(8) {
            word = word.rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ self.serial;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        bytes.into()
    }

    /// A call begins: everything before it is published.
    pub(crate) fn begin_call(&mut self) {
        let last = self.entries.last().map(|entry| entry.lsn);
        let last = last.max(self.rewinds.last().map(|rewind| rewind.at));
        self.published = last.map_or(self.published, behind);
    }

    /// The machine loses power: of what was published only the durable records must be there.
    pub(crate) fn lose_power(&mut self) {
        self.published = self.durable;
    }

    /// Notes a record that an append returned.
    ///
    /// # Errors
    /// Its position was used before, or lies below what was acknowledged.
    pub(crate) fn append(&mut self, entry: Entry) -> Result<(), String> {
        let last = self.entries.last();
        let follows = last.is_none_or(|last| (last.lsn, last.index) < (entry.lsn, entry.index));
        if entry.lsn < self.durable || !follows {
            return Err(format!(
                "position {} was used again: durable is {}, the last record is at {:?}",
                entry.lsn,
                self.durable,
                last.map(|last| last.lsn)
            ));
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Notes a truncation that a call returned.
    ///
    /// # Errors
    /// Its position was used before.
    pub(crate) fn rewind(&mut self, rewind: Rewind) -> Result<(), String> {
        let last = self.entries.last().map(|entry| entry.lsn);
        let last = last.max(self.rewinds.last().map(|rewind| rewind.at));
        if last.is_some_and(|last| last >= rewind.at) || rewind.at < rewind.from {
            return Err(format!("{rewind:?} does not follow {last:?}"));
        }
        self.rewinds.push(rewind);
        Ok(())
    }

    /// Where the head goes if everything before `lsn` is discarded: a void position counts as that of the truncation.
    pub(crate) fn settled(&self, lsn: Lsn) -> Lsn {
        let by = self.rewinds.iter().rfind(|rewind| rewind.voids(lsn));
        // A truncation from the head on may begin with the rewind frame of an earlier one.
        by.map_or(lsn, |rewind| self.settled(rewind.at))
    }

    /// What a log that ends at `cut` and begins at `head` gives out.
    pub(crate) fn visible(&self, head: Lsn, cut: Lsn) -> Vec<&Entry> {
        let rewinds: Vec<_> = self.rewinds.iter().filter(|by| by.at < cut).collect();
        let kept = |entry: &&Entry| {
            (head..cut).contains(&entry.lsn) && !rewinds.iter().any(|by| by.voids(entry.lsn))
        };
        self.entries.iter().filter(kept).collect()
    }

    /// Notes what the log says is durable.
    pub(crate) fn note_durable(&mut self, bound: Lsn) {
        self.durable = self.durable.max(bound);
    }

    /// Notes that the head is to move.
    pub(crate) fn try_head(&mut self, head: Lsn) {
        if !self.heads.contains(&head) {
            self.heads.push(head);
        }
    }

    /// Notes that the newest head is durable.
    pub(crate) fn settle_head(&mut self) {
        let newest = *self.heads.iter().max().expect("there is a head");
        self.heads = vec![newest];
    }

    /// Takes what `wal`, just opened, gives back for the truth from now on, if it may be.
    ///
    /// # Errors
    /// It may not be, and why.
    pub(crate) fn adopt(&mut self, wal: &Wal, expect: Expect) -> Result<(), Trouble> {
        let got = read(wal)?;
        let cut = self.check(wal.head(), &got, expect, wal.recovery().end())?;
        if wal.durable() < self.durable {
            return Err(format!(
                "durable went back from {} to {}",
                self.durable,
                wal.durable()
            )
            .into());
        }
        let bounds = [wal.durable(), wal.published(), wal.end()];
        if bounds[0] != bounds[1] || bounds[1] != bounds[2] {
            return Err(format!("durable, published, end are {bounds:?} after opening").into());
        }
        if got.last().is_some_and(|last| last.lsn >= wal.durable()) {
            return Err("a record was exposed that is not durable".to_owned().into());
        }
        let kept = self.entries.partition_point(|entry| entry.lsn < cut);
        self.lost = self.entries.split_off(kept);
        self.rewinds.retain(|rewind| rewind.at < cut);
        self.durable = wal.durable();
        self.heads = vec![wal.head()];
        self.begin_call();
        Ok(())
    }

    /// Whether the head may stand there: where it was asked to, or, with nothing between, at the beginning of the next
    /// segment, to which a log without a record has moved.
    pub(crate) fn may_be_head(&self, head: Lsn) -> bool {
        let follows = |asked: &Lsn| {
            let is_next = asked.segment() + 1 == head.segment() && head.offset() == 4096;
            let between = |lsn: Lsn| (*asked..head).contains(&lsn);
            is_next
                && !self.entries.iter().any(|entry| between(entry.lsn))
                && !self.rewinds.iter().any(|rewind| between(rewind.at))
        };
        self.heads.contains(&head) || self.heads.iter().any(follows)
    }

    /// Where what was attempted was cut, if `got` may follow `head`. The log ends at or behind the cut, and at or before
    /// `end`: an opening that was interrupted may have put its epoch frame where something was lost.
    fn check(&self, head: Lsn, got: &[Entry], expect: Expect, end: Lsn) -> Result<Lsn, String> {
        if !self.may_be_head(head) {
            return Err(format!(
                "the head is {head}, it may be one of {:?}",
                self.heads
            ));
        }
        let must = match expect {
            Expect::Durable => self.durable,
            Expect::Published => self.published,
        };
        let positions = self.entries.iter().map(|entry| entry.lsn);
        let positions = positions.chain(self.rewinds.iter().map(|rewind| rewind.at));
        let mut cuts: Vec<_> = positions.clone().filter(|lsn| *lsn < end).collect();
        cuts.sort_unstable();
        cuts.push(end);
        let mut differs = Vec::new();
        for cut in cuts.into_iter().rev() {
            if positions.clone().any(|lsn| cut <= lsn && lsn < must) {
                differs.push(format!("cut at {cut} it lost what is below {must}"));
                break;
            }
            let expected = self.visible(head, cut);
            if expected.iter().copied().eq(got) {
                return Ok(cut);
            }
            let same = expected.iter().zip(got).take_while(|(a, b)| **a == *b);
            let at = same.count();
            differs.push(format!(
                "cut at {cut} record {at} from the head on is {}, it should be {}",
                name(got.get(at)),
                name(expected.get(at).copied())
            ));
        }
        Err(differs.join("; "))
    }

    /// Checks what a reader that recovers nothing gives back after a power cut.
    ///
    /// # Errors
    /// It is not what a recovery may give back, or an error.
    pub(crate) fn check_reader(&self, reader: &WalReader) -> Result<(), String> {
        let fail = |error: segwal::Error| format!("a reader: {error}");
        let head = reader.head().map_err(fail)?;
        let records = reader.records(head).map_err(fail)?;
        let got: Vec<_> = records
            .map(|record| record.map(Entry::from))
            .collect::<Result<_, _>>()
            .map_err(fail)?;
        let checked = self.check(head, &got, Expect::Durable, Lsn::MAX);
        checked
            .map(drop)
            .map_err(|what| format!("a reader: {what}"))
    }

    /// Checks what a log in use gives back: everything that was published.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn check_live(&self, wal: &Wal) -> Result<(), String> {
        let got = read(wal).map_err(|error| format!("reading: {error}"))?;
        let expected = self.visible(wal.head(), Lsn::MAX);
        if expected.iter().copied().eq(&got) {
            return Ok(());
        }
        let count = expected.len();
        Err(format!(
            "the open log gives {} records back, not the {count} appended",
            got.len()
        ))
    }
}

impl Rewind {
    fn voids(&self, lsn: Lsn) -> bool {
        self.from <= lsn && lsn < self.at
    }
}

/// The least bound above `lsn`.
fn behind(lsn: Lsn) -> Lsn {
    Lsn::new(lsn.segment(), lsn.offset() + 8).expect("a frame has a header")
}

/// Every record from the head on.
///
/// # Errors
/// The log's own.
pub(crate) fn read(wal: &Wal) -> segwal::Result<Vec<Entry>> {
    let records = wal.records(wal.head())?;
    records.map(|record| record.map(Entry::from)).collect()
}

fn name(entry: Option<&Entry>) -> String {
    entry.map_or("none".to_owned(), Entry::to_string)
}
