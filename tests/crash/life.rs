//! [`Life`]: one log on one simulated disk, driven step by step beside its model.

use std::path::Path;

use segwal::fault::{SimDisk, When};
use segwal::{ErrorKind, Lsn, OnFull, SyncPadding, Wal, WalOptions};
use testkit::Rng;

use crate::entry::Entry;
use crate::model::{Expect, Model, Rewind, Trouble};
use crate::workload::{Setup, Step};

/// Where the log is.
pub(crate) const DIR: &str = "/log";
const HEADER_LEN: u64 = 24;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// The machine stopped on the way.
    Off,
    /// A call returned an error, as it should: a fault was injected.
    Failed(ErrorKind),
}

/// Whether calls may fail while the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faults {
    None,
    Injected,
}

/// Where the machine stops within a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before the operation of this index, counted from the beginning of the step.
    Before(u64),
    /// In the middle of it, if it is a store or a write.
    Within(u64, usize),
}

/// A log, its disk and its model.
pub(crate) struct Life {
    pub(crate) disk: SimDisk,
    pub(crate) wal: Option<Wal>,
    pub(crate) model: Model,
    pub(crate) faults: Faults,
    /// The operation count at which the present step began.
    pub(crate) step_began: u64,
    options: WalOptions,
    pub(crate) setup: Setup,
    rng: Rng,
    cut: Option<Cut>,
}

impl Life {
    /// A log that may lie on `disk` and of which `model` knows. Salts follow from `seed`, and no two lives may have the same.
    pub(crate) fn new(disk: SimDisk, model: Model, setup: Setup, seed: u64) -> Self {
        let mut options = WalOptions::new();
        options
            .segment_size(setup.segment_size)
            .sync_padding(setup.padding)
            .preallocate_segments(1)
            .on_full(OnFull::Fail);
        Self {
            disk,
            wal: None,
            model,
            faults: Faults::None,
            step_began: 0,
            options,
            setup,
            rng: Rng::new(seed),
            cut: None,
        }
    }

    /// Another log with the same past, on another disk.
    pub(crate) fn beside(&self, disk: SimDisk, seed: u64) -> Self {
        Self::new(disk, self.model.clone(), self.setup, seed)
    }

    /// Opens the log on a damaged disk: it gives back everything, or says that it is corrupt.
    ///
    /// # Errors
    /// Something is missing or changed, and no error says so.
    pub(crate) fn expect_all_or_an_error(&mut self) -> Result<(), String> {
        let refused = |error: &segwal::Error| error.kind() == ErrorKind::Corrupt;
        let wal = match self.options.open_on(&self.disk, DIR, self.rng.next_u64()) {
            Ok(wal) => wal,
            Err(error) if refused(&error) => return Ok(()),
            Err(error) => return Err(format!("refused, but not as corrupt: {error}")),
        };
        let records = wal
            .records(wal.head())
            .and_then(Iterator::collect::<segwal::Result<Vec<_>>>);
        match records {
            Ok(_) => self.model.check_live(&wal),
            Err(error) if refused(&error) => Ok(()),
            Err(error) => Err(format!("an error that does not say corrupt: {error}")),
        }
    }

    /// Has the machine stop during the next step.
    pub(crate) fn cut_during_next(&mut self, cut: Cut) {
        self.cut = Some(cut);
    }

    /// Counts the step's operations from here.
    fn arm(&mut self) {
        self.step_began = self.disk.operation_count();
        match self.cut.take() {
            Some(Cut::Before(index)) => {
                self.disk.power_off_at(When::Index(self.step_began + index));
            }
            Some(Cut::Within(index, words)) => {
                self.disk
                    .tear_at(When::Index(self.step_began + index), words);
            }
            None => {}
        }
    }

    /// Opens the log and checks what it gives back. After the death of a process, that is what was published before the
    /// last call began.
    ///
    /// # Errors
    /// A promise is broken.
    pub(crate) fn open(&mut self, expect: Expect) -> Result<Outcome, String> {
        self.arm();
        let result = self.reopen(expect);
        self.outcome(result)
    }

    /// Does one step.
    ///
    /// # Errors
    /// A promise is broken.
    pub(crate) fn run(&mut self, step: &Step) -> Result<Outcome, String> {
        self.model.begin_call();
        match step {
            Step::Kill => self.disk = self.disk.kill(),
            Step::PowerCut(seed) => {
                self.disk = self.disk.power_cut(*seed);
                self.model.lose_power();
            }
            _ => {}
        }
        self.arm();
        let result = match self.apply(step) {
            // Nothing was appended, and nothing but an append needs a free block.
            Err(Trouble::Call(error)) if self.may_refuse(step, error.kind()) => Ok(()),
            result => result,
        };
        if let Some(wal) = &self.wal {
            self.model.note_durable(wal.durable());
        }
        self.outcome(result)
    }

    fn outcome(&self, result: Result<(), Trouble>) -> Result<Outcome, String> {
        match result {
            _ if self.disk.is_off() => Ok(Outcome::Off),
            Ok(()) => Ok(Outcome::Done),
            Err(Trouble::Call(error)) if self.faults == Faults::Injected => {
                Ok(Outcome::Failed(error.kind()))
            }
            Err(Trouble::Call(error)) => Err(format!("a call failed: {error}")),
            Err(Trouble::Broken(what)) => Err(what),
        }
    }

    fn may_refuse(&self, step: &Step, kind: ErrorKind) -> bool {
        self.model.is_full && step.appends() && kind == ErrorKind::NoSpace
    }

    /// Whether blocks are free from now on.
    fn set_free(&mut self, is_free: bool) {
        self.model.is_full = !is_free;
        self.disk.set_free_bytes((!is_free).then_some(0));
    }

    fn evict(&self) -> Result<(), Trouble> {
        let names = self.disk.names(Path::new(DIR)).unwrap_or_default();
        for path in names.iter().map(|name| Path::new(DIR).join(name)) {
            if path.extension().is_some_and(|ending| ending == "seg") {
                let evicted = self.disk.evict(&path);
                evicted.map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        Ok(())
    }

    fn wal(&self) -> Result<Wal, Trouble> {
        self.wal
            .clone()
            .ok_or_else(|| "no log is open".to_owned().into())
    }

    fn apply(&mut self, step: &Step) -> Result<(), Trouble> {
        match step {
            Step::Append { len, tag } => self.append(*len, *tag),
            Step::Critical { len } => self.append_critical(*len),
            Step::FillDisk | Step::FreeDisk => {
                self.set_free(*step == Step::FreeDisk);
                Ok(())
            }
            Step::AppendLongest => {
                let len = self.wal()?.max_record_len();
                self.append(as_len(u64::from(len)), 0)
            }
            Step::AppendLeaving(rest) => self.fill(*rest),
            Step::Batch(lens) => self.batch(lens),
            Step::Publish { len, tag } => self.publish(*len, *tag),
            Step::Abandon { len } => self.abandon(*len),
            Step::Sync => self.sync(),
            Step::SyncTo(back) => self.sync_to(*back),
            Step::Discard(back) => self.discard(*back),
            Step::Evict => self.evict(),
            Step::TruncateAfter(back) => self.truncate_after(*back),
            Step::TruncateAll => self.truncate_all(),
            Step::Reset => self.reset(),
            Step::Close => self.close(),
            Step::Drop | Step::Kill => self.reopen(Expect::Published),
            Step::PowerCut(_) => self.reopen(Expect::Durable),
        }
    }

    fn append(&mut self, len: usize, tag: u8) -> Result<(), Trouble> {
        let payload = self.model.draw(len);
        let lsn = self.wal()?.append_tagged(tag, &payload)?;
        Ok(self.model.append(Entry::lone(lsn, tag, payload))?)
    }

    fn append_critical(&mut self, len: usize) -> Result<(), Trouble> {
        let payload = self.model.draw(len);
        let lsn = self.wal()?.append_critical(&payload)?;
        Ok(self.model.append(Entry::lone(lsn, 0, payload))?)
    }

    fn fill(&mut self, rest: u64) -> Result<(), Trouble> {
        let room = self.setup.segment_size - self.wal()?.end().offset();
        match room.checked_sub(HEADER_LEN + rest) {
            Some(len) => self.append(as_len(len), 0),
            None => Ok(()),
        }
    }

    fn batch(&mut self, lens: &[usize]) -> Result<(), Trouble> {
        let payloads: Vec<_> = lens.iter().map(|len| self.model.draw(*len)).collect();
        let lsn = self.wal()?.append_batch(&payloads)?.start;
        for (index, payload) in (0..).zip(payloads) {
            self.model.append(Entry::of_batch(lsn, index, payload))?;
        }
        Ok(())
    }

    fn publish(&mut self, len: u32, tag: u8) -> Result<(), Trouble> {
        let payload = self.model.draw(as_len(u64::from(len)));
        let wal = self.wal()?;
        let mut appender = wal.appender()?;
        let mut reservation = appender.reserve(len)?;
        reservation.tag(tag).write_at(0, &payload)?;
        let lsn = reservation.publish();
        Ok(self.model.append(Entry::lone(lsn, tag, payload))?)
    }

    fn abandon(&mut self, len: u32) -> Result<(), Trouble> {
        let wal = self.wal()?;
        let mut appender = wal.appender()?;
        let mut reservation = appender.reserve(len)?;
        reservation.write_at(0, &vec![0xab; as_len(u64::from(len / 2))])?;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        let wal = self.wal()?;
        let published = wal.published();
        let durable = wal.sync()?;
        self.model.note_durable(durable);
        if durable < published {
            return Err(format!("sync returned {durable} below published {published}").into());
        }
        Ok(())
    }

    fn sync_to(&mut self, back: usize) -> Result<(), Trouble> {
        let Some(lsn) = self.lsn_from_end(back) else {
            return Ok(());
        };
        let wal = self.wal()?;
        wal.sync_to(lsn)?;
        if wal.durable() <= lsn {
            return Err(format!("sync_to({lsn}) returned at {}", wal.durable()).into());
        }
        Ok(())
    }

    fn lsn_from_end(&self, back: usize) -> Option<Lsn> {
        let entry = self.model.entries.iter().rev().nth(back);
        entry.map(|entry| entry.lsn)
    }

    fn discard(&mut self, back: Option<usize>) -> Result<(), Trouble> {
        let wal = self.wal()?;
        let Some(asked) = back.map_or(Some(wal.end()), |back| self.lsn_from_end(back)) else {
            return Ok(());
        };
        let before = wal.head();
        if asked <= before {
            return Ok(wal.discard_before(asked)?);
        }
        let lsn = self.model.settled(asked);
        self.model.try_head(lsn);
        wal.discard_before(asked)?;
        if lsn.segment() > before.segment() {
            self.model.settle_head();
        }
        let head = wal.head();
        if head < lsn || !self.model.may_be_head(head) || wal.durable() < head {
            return Err(format!(
                "discard_before({lsn}) left head {} and durable {}",
                wal.head(),
                wal.durable()
            )
            .into());
        }
        Ok(())
    }

    fn truncate_after(&mut self, back: usize) -> Result<(), Trouble> {
        let wal = self.wal()?;
        let kept = self.model.visible(wal.head(), Lsn::MAX);
        let Some(lsn) = kept.iter().rev().nth(back).map(|entry| entry.lsn) else {
            return Ok(());
        };
        let from = wal.get(lsn)?.end();
        let at = wal.truncate_after(lsn)?;
        Ok(self.model.rewind(Rewind { from, at })?)
    }

    fn truncate_all(&mut self) -> Result<(), Trouble> {
        let wal = self.wal()?;
        let from = wal.head();
        let at = wal.truncate_from(from)?;
        Ok(self.model.rewind(Rewind { from, at })?)
    }

    fn reset(&mut self) -> Result<(), Trouble> {
        let wal = self.wal()?;
        self.model.try_head(wal.end());
        let head = wal.reset()?;
        self.model.settle_head();
        // Behind it may stand the pad of its sync.
        let is_end = head == wal.end() || self.setup.padding == SyncPadding::Block;
        if head != wal.head() || !is_end || head > wal.durable() {
            return Err(format!("reset to {head}: {wal:?}").into());
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Trouble> {
        let wal = self.wal.take().ok_or_else(|| "no log is open".to_owned())?;
        let closed = wal.close();
        self.model.note_durable(wal.durable());
        drop(wal);
        closed?;
        if self
            .model
            .entries
            .last()
            .is_some_and(|last| last.lsn >= self.model.durable)
        {
            return Err("close left a record that is not durable".to_owned().into());
        }
        self.model.settle_head();
        self.reopen(Expect::Published)
    }

    fn reopen(&mut self, expect: Expect) -> Result<(), Trouble> {
        self.wal = None;
        let wal = self.options.open_on(&self.disk, DIR, self.rng.next_u64())?;
        self.model.adopt(&wal, expect)?;
        self.wal = Some(wal);
        Ok(())
    }
}

fn as_len(len: u64) -> usize {
    usize::try_from(len).expect("a record is short")
}
