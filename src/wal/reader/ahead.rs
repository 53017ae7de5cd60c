//! [`Ahead`]: what a reader must know before it gives out a record: where the log ends now, and what is void.
//!
//! A rewind frame stands behind what it voids, so whoever only reads forwards meets it too late. Beside a writer the log goes
//! on, and with it the truncations; so a reader goes no further than it has looked, and what it gives out is the log as it was
//! at one look.
//!
//! The first look walks the frames from the beginning of the segment on in which the known durable position lies: beside a live
//! writer that is the active segment, as a rule. Rewinds before it are found by their pointers, down to where the reader begins: the head
//! may have passed it meanwhile, and with it rewinds that void what the reader still finds. A later look goes on where the one
//! before has ended.

use crate::error::{Error, ErrorKind, Result};
use crate::format::{Activation, FrameKind, PreviousEnd, Rewind};
use crate::lsn::Lsn;
use crate::seeded::{self, Bug};
use crate::wal::recover::{Broken, Pages, Trail, broken};

use super::WalReader;
use super::stretch::Stretch;

/// So often a look is taken again because the writer discarded under it.
const LOOKS: usize = 8;

/// What lies ahead of a reader.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Where valid frames ended.
    end: Lsn,
    trail: Trail,
}

impl Ahead {
    /// A first look, for a reader that begins at `from`; everything below `durable` is known to be durable.
    pub(super) fn of(reader: &WalReader, from: Lsn, durable: Lsn) -> Result<Self> {
        let mut durable = durable;
        for _ in 1..LOOKS {
            let head = reader.head()?;
            let looked = Self::look(reader, from, durable);
            if looked.is_ok() || reader.head()? == head {
                return looked;
            }
            durable = reader.durable()?;
        }
        Self::look(reader, from, durable)
    }

    fn look(reader: &WalReader, from: Lsn, durable: Lsn) -> Result<Self> {
        let Some(stretch) = reader.stretch(durable.segment())? else {
            let path = reader.directory.segment(durable.segment());
            let what = "the segment in which the log is known to be durable has no valid header";
            return Err(Error::new(ErrorKind::Corrupt, what).at_path(&path));
        };
        let mut ahead = Self {
            end: stretch.at(),
            trail: Trail::beginning(stretch.activation().last_rewind),
        };
        ahead.walk(reader, stretch)?;
        let mut pages = Pages::new(&reader.directory, reader.manifest.segment_size);
        let links = |id| reader.links_of(id);
        let lost = |at| broken(&reader.directory, at);
        ahead.trail.walk_back(from, &mut pages, links, lost)?;
        Ok(ahead)
    }

    /// A further look, from where this one ended and `stretch` has come to.
    pub(super) fn extend(&mut self, reader: &WalReader, stretch: &Stretch) -> Result<()> {
        match reader.stretch_beside(stretch)? {
            Some(beside) => self.walk(reader, beside),
            // The course finds out that it was used again.
            None => Ok(()),
        }
    }

    /// Where the log ended when it was looked at.
    pub(super) fn end(&self) -> Lsn {
        self.end
    }

    /// Whether what stands at `lsn` was void then.
    pub(super) fn is_void(&self, lsn: Lsn) -> bool {
        self.trail.voids.end_of(lsn).is_some() && !seeded::is(Bug::VoidGivenOut)
    }

    fn walk(&mut self, reader: &WalReader, mut stretch: Stretch) -> Result<()> {
        let lost = |Broken(at)| broken(&reader.directory, at);
        loop {
            while let Some((frame, payload)) = stretch.next()? {
                if frame.header.kind == FrameKind::Rewind {
                    let rewind = Rewind::decode(&payload, frame.lsn);
                    let rewind = rewind.map_err(|_| lost(Broken(frame.lsn)))?;
                    self.trail.meet(frame.lsn, rewind).map_err(lost)?;
                }
            }
            self.end = stretch.at();
            let next = match stretch.id().checked_add(1) {
                Some(id) => reader.stretch(id)?,
                None => None,
            };
            let Some(next) = next.filter(|next| next.follows(&stretch)) else {
                return Ok(());
            };
            self.trail.enter(next.activation()).map_err(lost)?;
            stretch = next;
        }
    }
}

impl WalReader {
    /// A segment's activation, and where it ended.
    fn links_of(&self, id: u32) -> Result<Option<(Activation, PreviousEnd)>> {
        let activation = |id| Ok(self.stretch(id)?.map(|stretch| *stretch.activation()));
        let next = match id.checked_add(1) {
            Some(id) => activation(id)?,
            None => None,
        };
        Ok(activation(id)?.zip(next.and_then(|next: Activation| next.previous)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::WalOptions;
    use crate::wal::Wal;

    /// A truncation and a discard came between the reader's look at the head and its look at what is durable. It once looked
    /// for truncations down to the new head alone, and gave out what was void before it.
    #[test]
    fn what_the_head_has_passed_since_the_reader_began_is_known_to_be_void() {
        let dir = testkit::TempDir::in_memory();
        let wal = WalOptions::new()
            .segment_size(8192)
            .open(dir.path())
            .unwrap();
        let first = wal.append(b"kept").unwrap();
        let void = wal.append(b"void").unwrap();
        wal.truncate_after(first).unwrap();
        let after = wal.append(b"after").unwrap();
        while wal.end().segment() == first.segment() {
            wal.append(&[0; 1000]).unwrap();
        }
        wal.discard_before(after).unwrap();
        wal.sync().unwrap();
        let reader = Wal::open_read_only(dir.path()).unwrap();
        let durable = reader.durable().unwrap();
        assert!(durable.segment() > first.segment());
        let ahead = Ahead::of(&reader, first, durable).unwrap();
        assert!(ahead.is_void(void) && !ahead.is_void(first) && !ahead.is_void(after));
    }
}
