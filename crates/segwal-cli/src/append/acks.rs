//! [`Acks`]: what was acknowledged, counted and printed if wanted.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use segwal::Lsn;

use crate::outcome::{Failure, Outcome};

/// The acknowledgements of all threads.
pub(crate) struct Acks(Mutex<State>);

struct State {
    tally: Tally,
    printer: Printer,
}

/// What was acknowledged so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// The greatest position, whichever thread it came from.
    pub(crate) last: Option<Lsn>,
}

/// Whether positions are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Printer {
    Wanted,
    /// Nobody asked, or nobody reads any longer.
    Silent,
}

impl Acks {
    pub(crate) fn new(printer: Printer) -> Self {
        Self(Mutex::new(State {
            tally: Tally::default(),
            printer,
        }))
    }

    /// Counts these records, and has printed them on return if that is wanted.
    pub(crate) fn acknowledge(&self, lsns: &[Lsn], bytes: u64) -> Outcome<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = &mut state.tally;
        tally.records += lsns.len() as u64;
        tally.bytes += bytes;
        tally.last = tally.last.max(lsns.iter().copied().max());
        if state.printer == Printer::Silent {
            return Ok(());
        }
        match print(lsns) {
            // The input is still to be appended.
            Err(Failure::ReaderGone) => state.printer = Printer::Silent,
            printed => printed?,
        }
        Ok(())
    }

    pub(crate) fn tally(&self) -> Tally {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tally
    }
}

fn print(lsns: &[Lsn]) -> Outcome<()> {
    let mut text = Vec::new();
    let mut out = io::stdout().lock();
    lsns.iter()
        .try_for_each(|lsn| writeln!(text, "{lsn}"))
        .and_then(|()| out.write_all(&text))
        .and_then(|()| out.flush())
        .map_err(Failure::output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_position_is_the_greatest() {
        let acks = Acks::new(Printer::Silent);
        let lsn = |offset| Lsn::new(1, offset).unwrap();
        acks.acknowledge(&[lsn(64), lsn(128)], 5).unwrap();
        acks.acknowledge(&[lsn(96)], 2).unwrap();
        let tally = acks.tally();
        assert_eq!((tally.records, tally.bytes), (3, 7));
        assert_eq!(tally.last, Some(lsn(128)));
    }
}
