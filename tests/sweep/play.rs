//! [`Play`]: a log that is driven through acts while operations of its disk go wrong, beside its model.

use std::sync::mpsc;
use std::time::Duration;

use segwal::fault::{Op, SimDisk};
use segwal::{ErrorKind, Lsn, VerdictKind, Wal, WalReader};

use crate::entry::Entry;
use crate::keep::{Keep, Keeping};
use crate::life::{DIR, Faults, Life, Outcome};
use crate::model::{Expect, Model};
use crate::workload::{Setup, Step};

/// Longer than any callback takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// One thing that is done with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A call of the writer's.
    Do(Step),
    /// An open of what is there.
    Open,
    /// A close after which nobody opens.
    Shut,
    /// The process dies, and nobody opens.
    Die,
    /// The power fails, and nobody opens.
    LosePower(u64),
    /// So much free space from now on.
    Space(Option<u64>),
    /// Every record is read through the writer.
    Read,
    /// Every record is read through a reader beside.
    ReadBeside,
    /// The log is verified beside the writer.
    Verify,
    /// A callback waits for the last record.
    Callback,
    /// A record that may take the reserve.
    Critical(usize),
    /// Something is done with a named hold.
    Keep(Keeping),
}

/// What an act did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// The index of the act's first operation.
    pub(crate) began: u64,
    pub(crate) outcome: Outcome,
}

/// Whether the log said that it is poisoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Poisoned,
}

/// One log on one disk, on its way through a scenario.
pub(crate) struct Play {
    pub(crate) life: Life,
    said: Said,
    keep: Keep,
}

impl Play {
    pub(crate) fn new() -> Self {
        Self {
            life: Life::new(SimDisk::new(), Model::new(), Setup::plain(8192), 7),
            said: Said::Nothing,
            keep: Keep::default(),
        }
    }

    /// Does one act. Errors of the log are an outcome.
    ///
    /// # Errors
    /// A promise is broken.
    pub(crate) fn perform(&mut self, act: &Act) -> Result<Done, String> {
        let before = self.life.disk.operation_count();
        let is_open = self.life.wal.is_some();
        let outcome = self
            .outcome(act)
            .map_err(|what| format!("{act:?}: {what}"))?;
        if let Outcome::Failed(kind) = outcome
            && !is_for_callers(kind)
        {
            return Err(format!("{act:?} ended with {kind:?}"));
        }
        if is_open {
            self.hear(act, outcome)?;
        }
        if let Some(wal) = &self.life.wal {
            self.keep.check(wal)?;
        }
        let now = self.life.disk.operation_count();
        let began = if now < before { 0 } else { before };
        Ok(Done { began, outcome })
    }

    fn outcome(&mut self, act: &Act) -> Result<Outcome, String> {
        if ends_the_log(act) {
            self.keep.orphan();
        }
        match act {
            Act::Do(Step::Drop) | Act::Open => {
                self.life.wal = None;
                self.said = Said::Nothing;
                self.life.open(Expect::Published)
            }
            Act::Do(step) if self.life.wal.is_some() => self.life.run(step),
            Act::Shut => self.shut(),
            Act::Die => {
                self.life.model.begin_call();
                Ok(self.end(self.life.disk.kill()))
            }
            Act::LosePower(seed) => {
                self.life.model.begin_call();
                self.life.model.lose_power();
                Ok(self.end(self.life.disk.power_cut(*seed)))
            }
            Act::Space(free) => {
                self.life.disk.set_free_bytes(*free);
                Ok(Outcome::Done)
            }
            Act::Read => self.with_log(Self::read),
            Act::Callback => self.with_log(Self::callback),
            Act::Critical(len) => self.with_log(|play, wal| play.critical(wal, *len)),
            Act::Keep(keeping) => self.with_log(|play, wal| Ok(play.keep(*keeping, wal))),
            Act::ReadBeside => self.read_beside(),
            Act::Verify => self.verify(),
            // There is no log to do it with.
            Act::Do(_) => Ok(Outcome::Done),
        }
    }

    fn with_log(
        &mut self,
        run: impl FnOnce(&mut Self, &Wal) -> Result<Outcome, String>,
    ) -> Result<Outcome, String> {
        match self.life.wal.clone() {
            Some(wal) => run(self, &wal),
            None => Ok(Outcome::Done),
        }
    }

    fn end(&mut self, disk: SimDisk) -> Outcome {
        self.life.wal = None;
        self.life.disk = disk;
        self.said = Said::Nothing;
        Outcome::Done
    }

    fn shut(&mut self) -> Result<Outcome, String> {
        let Some(wal) = self.life.wal.take() else {
            return Ok(Outcome::Done);
        };
        let closed = wal.close();
        self.said = Said::Nothing;
        self.life.model.begin_call();
        self.life.model.note_durable(wal.durable());
        let last = self.life.model.entries.last();
        if closed.is_ok() && last.is_some_and(|last| last.lsn >= wal.durable()) {
            return Err("close left a record that is not durable".to_owned());
        }
        Ok(closed.map_or_else(|error| failed(&error), |()| Outcome::Done))
    }

    /// Everything that was published, or an error.
    fn read(&mut self, wal: &Wal) -> Result<Outcome, String> {
        let records = wal
            .records(wal.head())
            .and_then(Iterator::collect::<segwal::Result<Vec<_>>>);
        match records {
            Ok(_) => self.life.model.check_live(wal).map(|()| Outcome::Done),
            Err(error) => Ok(failed(&error)),
        }
    }

    /// A reader never shows what was not written; an error ends what it shows.
    fn read_beside(&mut self) -> Result<Outcome, String> {
        let reader = WalReader::open_on(&self.life.disk, DIR);
        let shown = reader.and_then(|reader| {
            let records = reader.records(reader.head()?)?;
            records.collect::<segwal::Result<Vec<_>>>()
        });
        let shown = match shown {
            Ok(shown) => shown,
            Err(error) => return Ok(failed(&error)),
        };
        let entries = &self.life.model.entries;
        let first = shown.first().map_or(0, |first| {
            entries.partition_point(|entry| entry.lsn < first.lsn())
        });
        for (record, entry) in shown.iter().zip(&entries[first..]) {
            let same = (record.lsn(), record.index(), record.tag())
                == (entry.lsn, entry.index, entry.tag)
                && record.payload() == &*entry.payload;
            if !same {
                return Err(format!("a reader shows {record:?} for {}", entry.lsn));
            }
        }
        if shown.len() > entries.len() - first {
            return Err("a reader shows more than was written".to_owned());
        }
        Ok(Outcome::Done)
    }

    fn verify(&mut self) -> Result<Outcome, String> {
        let verdict = match WalReader::open_on(&self.life.disk, DIR) {
            Ok(reader) => reader.verify(),
            Err(error) => return Ok(failed(&error)),
        };
        match verdict.kind() {
            VerdictKind::Clean | VerdictKind::TornTail | VerdictKind::BeingWritten => {
                Ok(Outcome::Done)
            }
            _ => verdict
                .problem()
                .map(failed)
                .ok_or_else(|| format!("{verdict:?} names no problem")),
        }
    }

    fn critical(&mut self, wal: &Wal, len: usize) -> Result<Outcome, String> {
        self.life.model.begin_call();
        let payload = self.life.model.draw(len);
        match wal.append_critical(&payload) {
            Ok(lsn) => {
                let entry = Entry::lone(lsn, 0, payload);
                self.life.model.append(entry).map(|()| Outcome::Done)
            }
            Err(error) => Ok(failed(&error)),
        }
    }

    fn keep(&mut self, keeping: Keeping, wal: &Wal) -> Outcome {
        let kept = self.keep.perform(keeping, wal, &mut self.life.model);
        kept.map_or_else(|error| failed(&error), |()| Outcome::Done)
    }

    /// The callback is called, and `Ok` is an acknowledgement.
    fn callback(&mut self, wal: &Wal) -> Result<Outcome, String> {
        let Some(lsn) = self.life.model.entries.last().map(|last| last.lsn) else {
            return Ok(Outcome::Done);
        };
        let (sender, receiver) = mpsc::channel();
        let asked = wal.on_durable(lsn, move |result| drop(sender.send(result)));
        let result = match asked {
            Ok(()) => receiver
                .recv_timeout(PATIENCE)
                .map_err(|error| format!("no answer: {error}"))?,
            Err(error) => Err(error),
        };
        match result {
            Ok(()) if wal.durable() <= lsn => Err(format!("{lsn} was called durable and is not")),
            Ok(()) => {
                self.life.model.note_durable(wal.durable());
                Ok(Outcome::Done)
            }
            Err(error) => Ok(failed(&error)),
        }
    }

    /// After the first `Poisoned` nothing that writes or syncs succeeds on the same handle.
    fn hear(&mut self, act: &Act, outcome: Outcome) -> Result<(), String> {
        let writes = match act {
            Act::Do(Step::Drop | Step::Close | Step::AppendLeaving(_)) => false,
            // Without a record there is nothing to name, and no call is made.
            Act::Do(Step::SyncTo(_) | Step::Discard(_)) => !self.life.model.entries.is_empty(),
            Act::Do(_) | Act::Callback | Act::Critical(_) => true,
            _ => false,
        };
        if self.said == Said::Poisoned && writes && outcome == Outcome::Done {
            return Err(format!("{act:?} succeeded on a poisoned log"));
        }
        if outcome == Outcome::Failed(ErrorKind::Poisoned) && self.life.wal.is_some() {
            self.said = Said::Poisoned;
        }
        Ok(())
    }

    /// Whether a sync says now that the log is poisoned, and everything else then agrees with it.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn is_poisoned(&mut self) -> Result<bool, String> {
        let Some(wal) = self.life.wal.clone() else {
            return Ok(false);
        };
        let before = wal.durable();
        let synced = wal.sync();
        self.life.model.note_durable(wal.durable());
        match synced {
            Ok(_) if self.said == Said::Poisoned => {
                return Err("sync succeeded on a poisoned log".to_owned());
            }
            Ok(_) => return Ok(false),
            Err(error) if error.kind() != ErrorKind::Poisoned => {
                return Err(format!("sync ended with {error}"));
            }
            Err(_) => {}
        }
        let end = wal.end();
        let answers = [
            wal.append(b"no").map(drop),
            wal.append_batch([b"no"]).map(drop),
            wal.sync().map(drop),
            self.lowest(&wal)
                .map_or_else(|| wal.sync().map(drop), |lsn| wal.sync_to(lsn)),
            wal.discard_before(end),
        ];
        let kinds = answers.map(|answer| answer.map_err(|error| error.kind()));
        let all = kinds.iter().all(|kind| *kind == Err(ErrorKind::Poisoned));
        if !all || wal.durable() != before {
            return Err(format!(
                "poisoned: {kinds:?}, durable {before} then {}",
                wal.durable()
            ));
        }
        Ok(true)
    }

    /// A position that may have been durable long before.
    fn lowest(&self, wal: &Wal) -> Option<Lsn> {
        let mut entries = self.life.model.entries.iter();
        entries
            .find(|entry| entry.lsn >= wal.head())
            .map(|entry| entry.lsn)
    }

    /// The operations so far on this disk.
    pub(crate) fn operations(&self) -> Vec<Op> {
        self.life.disk.operations()
    }

    /// From now on calls may fail.
    pub(crate) fn expect_faults(&mut self) {
        self.life.faults = Faults::Injected;
    }
}

fn ends_the_log(act: &Act) -> bool {
    matches!(
        act,
        Act::Open
            | Act::Shut
            | Act::Die
            | Act::LosePower(_)
            | Act::Do(Step::Close | Step::Drop | Step::Kill | Step::PowerCut(_))
    )
}

fn failed(error: &segwal::Error) -> Outcome {
    Outcome::Failed(error.kind())
}

/// Kinds that a failing disk may cause. `Internal` is a defect, and the others are about what the caller did.
fn is_for_callers(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Io
            | ErrorKind::Poisoned
            | ErrorKind::NoSpace
            | ErrorKind::Backpressure
            | ErrorKind::OutOfResources
            | ErrorKind::Corrupt
    )
}
