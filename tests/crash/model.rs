//! [`Model`]: what a log was told, what it promised, and whether what it gives back keeps the promises.
//!
//! The rule is *acknowledged ⊆ recovered ⊆ attempted*, as a run without a gap: the records that come back are those that
//! were appended from the head on, in order, byte for byte, at least up to the durable bound that the log has stated.

use std::sync::Arc;

use segwal::{Lsn, Wal};

/// One record that an append returned a position for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) lsn: Lsn,
    pub(crate) index: u16,
    pub(crate) tag: u8,
    pub(crate) payload: Arc<[u8]>,
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
    /// Attempted records in order, those below the head included.
    pub(crate) entries: Vec<Entry>,
    /// How many of them had been published when the present call began.
    published: usize,
    /// The durable bound that was acknowledged.
    pub(crate) durable: Lsn,
    /// The head that is durable, and those that were asked for since.
    pub(crate) heads: Vec<Lsn>,
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
            published: 0,
            durable: first,
            heads: vec![first],
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
        self.published = self.entries.len();
    }

    /// The machine loses power: of what was published only the durable records must be there.
    pub(crate) fn lose_power(&mut self) {
        self.published = self
            .entries
            .partition_point(|entry| entry.lsn < self.durable);
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

    /// The newest head that was asked for.
    pub(crate) fn head(&self) -> Lsn {
        *self.heads.iter().max().expect("there is a head")
    }

    /// Takes what `wal`, just opened, gives back for the truth from now on, if it may be.
    ///
    /// # Errors
    /// It may not be, and why.
    pub(crate) fn adopt(&mut self, wal: &Wal, expect: Expect) -> Result<(), Trouble> {
        let got = read(wal)?;
        let first = self.check(wal.head(), &got, expect)?;
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
        self.lost = self.entries.split_off(first + got.len());
        self.durable = wal.durable();
        self.heads = vec![wal.head()];
        self.begin_call();
        Ok(())
    }

    /// The index of the first entry at or above `head`, if `got` is what may follow.
    fn check(&self, head: Lsn, got: &[Entry], expect: Expect) -> Result<usize, String> {
        if !self.heads.contains(&head) {
            return Err(format!(
                "the head is {head}, it may be one of {:?}",
                self.heads
            ));
        }
        let first = self.entries.partition_point(|entry| entry.lsn < head);
        let attempted = &self.entries[first..];
        let must = match expect {
            Expect::Durable => self
                .entries
                .partition_point(|entry| entry.lsn < self.durable),
            Expect::Published => self.published,
        };
        for (at, entry) in got.iter().enumerate() {
            if attempted.get(at) != Some(entry) {
                return Err(format!(
                    "record {at} from the head on is {}, attempted was {}",
                    name(Some(entry)),
                    name(attempted.get(at))
                ));
            }
        }
        if first + got.len() < must {
            let missing = &self.entries[first + got.len()];
            return Err(format!("lost: {} of {must} required", name(Some(missing))));
        }
        let next = attempted.get(got.len());
        if next.is_some_and(|next| got.last().is_some_and(|last| last.lsn == next.lsn)) {
            return Err(format!("half a batch: {} is missing", name(next)));
        }
        Ok(first)
    }

    /// Checks what a log in use gives back: everything that was published.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn check_live(&self, wal: &Wal) -> Result<(), String> {
        let got = read(wal).map_err(|error| format!("reading: {error}"))?;
        let first = self.entries.partition_point(|entry| entry.lsn < wal.head());
        if got == self.entries[first..] {
            return Ok(());
        }
        let count = self.entries.len() - first;
        Err(format!(
            "the open log gives {} records back, not the {count} appended",
            got.len()
        ))
    }
}

/// Every record from the head on.
///
/// # Errors
/// The log's own.
pub(crate) fn read(wal: &Wal) -> segwal::Result<Vec<Entry>> {
    let copy = |record: segwal::Result<segwal::Record>| {
        let record = record?;
        Ok(Entry {
            lsn: record.lsn(),
            index: record.index(),
            tag: record.tag(),
            payload: record.payload().into(),
        })
    };
    wal.records(wal.head())?.map(copy).collect()
}

fn name(entry: Option<&Entry>) -> String {
    entry.map_or("none".to_owned(), |entry| {
        let Entry {
            lsn,
            index,
            tag,
            payload,
        } = entry;
        format!("{lsn}#{index} (tag {tag}, {} bytes)", payload.len())
    })
}
