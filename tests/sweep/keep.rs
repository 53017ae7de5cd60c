//! [`Keep`]: a named hold on its way through a scenario, and whether the head respects it.

use segwal::{Hold, Lsn, Wal};

use crate::model::Model;

const NAME: &str = "keeper";

/// What is done with the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// It is made at the last record.
    Begin,
    /// It moves to the last record.
    Advance,
    /// It is released, by whoever has it or by its name.
    End,
    /// Everything is discarded that it lets go.
    Discard,
}

/// The hold.
#[derive(Debug, Default)]
pub(crate) struct Keep {
    hold: Option<Hold>,
    /// The head must not pass it. A call that fails may have moved the hold or not.
    bound: Option<Lsn>,
    /// The log was poisoned while the hold was made or released: a later life finds it here, or not at all.
    maybe: Option<Lsn>,
}

impl Keep {
    /// Does something with the hold.
    pub(crate) fn perform(
        &mut self,
        keeping: Keeping,
        wal: &Wal,
        model: &mut Model,
    ) -> segwal::Result<()> {
        let last = model.entries.last().map_or(wal.head(), |last| last.lsn);
        match keeping {
            Keeping::Begin => {
                self.maybe = Some(last);
                self.hold = Some(wal.hold_named(NAME, last)?);
                self.bound = self.maybe.take();
                Ok(())
            }
            Keeping::Advance => {
                let Some(hold) = &self.hold else {
                    return Ok(());
                };
                self.bound = Some(last);
                hold.advance(last)
            }
            Keeping::End => {
                let Some(bound) = self.bound.take() else {
                    return Ok(());
                };
                self.maybe = Some(bound);
                match self.hold.take() {
                    Some(hold) => hold.release()?,
                    None => wal.release_hold(NAME)?,
                }
                self.maybe = None;
                Ok(())
            }
            Keeping::Discard => {
                if let Some(maybe) = self.maybe {
                    model.try_head(maybe);
                }
                model.try_head(self.bound.unwrap_or(wal.end()));
                wal.discard_before(wal.end())
            }
        }
    }

    /// Whoever had the hold is gone; the hold is not.
    pub(crate) fn orphan(&mut self) {
        self.hold = None;
    }

    /// # Errors
    /// The head has passed the hold.
    pub(crate) fn check(&self, wal: &Wal) -> Result<(), String> {
        match self.bound {
            Some(bound) if wal.head() > bound => {
                Err(format!("the head {} has passed {self:?}", wal.head()))
            }
            _ => Ok(()),
        }
    }
}
