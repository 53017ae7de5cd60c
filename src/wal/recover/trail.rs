//! [`Trail`]: the rewind frames of a log, as a scan meets them and as their pointers lead backwards.
//!
//! # Invariants
//! * Q1. Every rewind that a scan meets names the one that it met before; the first, the one that the activation of the
//!   segment names where the scan began. Each activation on the way names the last one before it.
//! * Q2. Below the scan the pointers lead from rewind to rewind, each valid under the salt in force where it stands, each
//!   strictly before the last, down to the head. So what is void is known with one small read for each.
//! * Q3. Whatever breaks Q1 or Q2 is corruption: no crash leaves a valid frame with a wrong pointer.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::verdict::row_named;
use crate::format::{
    Activation, FIRST_FRAME, FRAME_HEADER_LEN, FrameHeader, FrameKind, PreviousEnd, Rewind, Source,
};
use crate::lsn::Lsn;
use crate::segment::{Directory, Salts, segment_name};
use crate::sys::{Access, DiskFile};
use crate::wal::rewinds::VoidRanges;

/// What the rewinds of a stretch of the log say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    /// The last rewind before the stretch.
    pub(crate) before: Option<Lsn>,
    /// The last rewind so far.
    pub(crate) last: Option<Lsn>,
    pub(crate) voids: VoidRanges,
}

/// Where a trail does not lead on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) Lsn);

impl Trail {
    /// Begins where `before` is the last rewind.
    pub(crate) fn beginning(before: Option<Lsn>) -> Self {
        Self {
            before,
            last: before,
            voids: VoidRanges::default(),
        }
    }

    /// The next rewind, at `at` (Q1).
    pub(crate) fn meet(&mut self, at: Lsn, rewind: Rewind) -> Result<(), Broken> {
        if rewind.previous != self.last {
            return Err(Broken(at));
        }
        self.last = Some(at);
        self.voids.add(rewind.from..at);
        Ok(())
    }

    /// The next segment (Q1).
    pub(crate) fn enter(&self, activation: &Activation) -> Result<(), Broken> {
        let first = Lsn::at(activation.segment, 0);
        if activation.last_rewind == self.last {
            Ok(())
        } else {
            Err(Broken(first))
        }
    }

    /// Follows the pointers from `before` down to `head` (Q2). `links` gives a segment's activation and its end.
    ///
    /// # Errors
    /// What `links` or reading gives; what `broken` makes of the position of a rewind that is not there.
    pub(crate) fn walk_back(
        &mut self,
        head: Lsn,
        pages: &mut Pages<'_>,
        mut links: impl FnMut(u32) -> Result<Option<(Activation, PreviousEnd)>>,
        broken: impl Fn(Lsn) -> Error,
    ) -> Result<()> {
        let mut found = Vec::new();
        let mut next = self.before;
        let mut link: Option<(u32, Activation, PreviousEnd)> = None;
        while let Some(at) = next.filter(|at| *at >= head) {
            let id = at.segment();
            let known = link.filter(|(known, ..)| *known == id);
            let (_, activation, end) = if let Some(known) = known {
                known
            } else {
                let (activation, end) = links(id)?.ok_or_else(|| broken(at))?;
                *link.insert((id, activation, end))
            };
            let rewind = pages
                .rewind(at, &activation, &end)?
                .ok_or_else(|| broken(at))?;
            found.push(rewind.from..at);
            next = rewind.previous;
        }
        // Ascending, so that each is added at the end.
        let scanned = std::mem::take(&mut self.voids);
        for range in found.iter().rev().chain(scanned.as_slice()) {
            self.voids.add(range.clone());
        }
        Ok(())
    }
}

/// The error for a rewind that should stand at `at`, or lead on from there, and does not (Q3): row H.
pub(crate) fn broken(directory: &Directory, at: Lsn) -> Error {
    let what = "no rewind frame stands where a pointer leads, so what is void is not known";
    let row = row_named('H');
    row.map_or_else(
        || Error::new(ErrorKind::Corrupt, what),
        |row| row.refuse(what),
    )
    .at_path(&directory.segment(at.segment()))
    .at_lsn(at)
}

/// Single frames, read one by one: the file and the salts of the segment that was last read in are kept.
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    directory: &'a Directory,
    size: u64,
    open: Option<(u32, Peek, Salts)>,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(directory: &'a Directory, size: u64) -> Self {
        Self {
            directory,
            size,
            open: None,
        }
    }

    /// The rewind frame at `at`, below the end of its segment; `None` if none is valid there.
    fn rewind(
        &mut self,
        at: Lsn,
        activation: &Activation,
        end: &PreviousEnd,
    ) -> Result<Option<Rewind>> {
        let path = self.directory.segment(at.segment());
        let fail = |error| Error::io("cannot read a rewind frame", &path, error).at_lsn(at);
        if self.open.as_ref().is_none_or(|open| open.0 != at.segment()) {
            let name = segment_name(at.segment());
            let mut file = Peek::new(self.directory.open(&name, Access::Read)?, self.size);
            let salts = Salts::read_back(&mut file, activation, end)
                .map_err(|error| error.at_path(&path))?;
            self.open = Some((at.segment(), file, salts));
        }
        let Some((_, file, salts)) = &mut self.open else {
            return Ok(None);
        };
        read_rewind(file, at, salts, end.seal).map_err(fail)
    }
}

fn read_rewind(file: &mut Peek, at: Lsn, salts: &Salts, seal: u64) -> io::Result<Option<Rewind>> {
    let room = seal.saturating_sub(at.offset());
    if at.offset() < FIRST_FRAME || room < FRAME_HEADER_LEN {
        return Ok(None);
    }
    let mut head = [0; 24];
    head.copy_from_slice(file.bytes(at.offset(), 24)?);
    let header = FrameHeader::decode(&head, at, room).ok();
    let Some(header) = header.filter(|header| header.kind == FrameKind::Rewind) else {
        return Ok(None);
    };
    let len = usize::try_from(header.len).unwrap_or(usize::MAX);
    let payload = file.bytes(at.offset() + FRAME_HEADER_LEN, len)?;
    let valid = header.verify(&head, payload, salts.at(at.offset())).is_ok();
    Ok(Rewind::decode(payload, at).ok().filter(|_| valid))
}

/// A file that is read no further than is asked for.
#[derive(Debug)]
struct Peek {
    file: Arc<dyn DiskFile>,
    size: u64,
    bytes: Vec<u8>,
}

impl Peek {
    fn new(file: Arc<dyn DiskFile>, size: u64) -> Self {
        Self {
            file,
            size,
            bytes: Vec::new(),
        }
    }
}

impl Source for Peek {
    fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let Range { start, end } = offset..offset + len as u64;
        self.bytes.resize(len, 0);
        if end > self.size || self.file.read_at(start, &mut self.bytes)? < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(&self.bytes)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(grains: u32) -> Lsn {
        Lsn::at(2, grains)
    }

    fn rewind(from: u32, previous: Option<Lsn>) -> Rewind {
        Rewind {
            from: at(from),
            previous,
        }
    }

    #[test]
    fn a_trail_takes_only_what_leads_on() {
        let before = Some(Lsn::at(1, 600));
        let mut trail = Trail::beginning(before);
        assert_eq!(trail.meet(at(520), rewind(512, None)), Err(Broken(at(520))));
        assert_eq!(trail.meet(at(520), rewind(512, before)), Ok(()));
        assert_eq!(
            trail.meet(at(540), rewind(530, before)),
            Err(Broken(at(540)))
        );
        assert_eq!(trail.meet(at(540), rewind(530, Some(at(520)))), Ok(()));
        assert_eq!((trail.before, trail.last), (before, Some(at(540))));
        let voids = trail.voids.as_slice();
        assert_eq!(voids, [at(512)..at(520), at(530)..at(540)]);
    }
}
