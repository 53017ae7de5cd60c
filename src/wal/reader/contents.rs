//! [`SegmentContents`]: what the frames of one segment hold, as far as they are valid.

use std::io;

use crate::error::{Error, Result};
use crate::format::{
    Activation, FIRST_FRAME, FrameFault, FrameHeader, FrameKind, PreviousEnd, Scanner, Step,
    evidence_after,
};
use crate::lsn::Lsn;
use crate::segment::{FileSource, segment_name};
use crate::sys::Access;
use crate::wal::rewinds::VoidRanges;

use super::WalReader;

/// What the frames of one segment hold, from its first up to where they are valid.
#[derive(Clone, Debug)]
pub struct SegmentContents {
    pub(super) first: Lsn,
    pub(super) end: Lsn,
    pub(super) records: u64,
    pub(super) void: u64,
    pub(super) batches: u64,
    pub(super) aborted: u64,
    pub(super) epochs: u64,
    pub(super) longest: u64,
    pub(super) behind: u64,
    pub(super) fault: Option<FrameFault>,
}

impl SegmentContents {
    /// Where the first frame begins.
    pub fn first(&self) -> Lsn {
        self.first
    }

    /// Where the last valid frame ends.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// The bytes of the valid frames.
    pub fn frame_bytes(&self) -> u64 {
        self.end.offset() - self.first.offset()
    }

    /// The records, each of a batch counted; discarded ones included, where the head lies within the segment, and
    /// [void](Self::void) ones left out.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The records that a truncation made void, each of a batch counted.
    pub fn void(&self) -> u64 {
        self.void
    }

    /// The batches, void ones included.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// Reservations that were given up.
    pub fn aborted(&self) -> u64 {
        self.aborted
    }

    /// How often the log was opened for writing while this was its last segment, since the segment was activated.
    pub fn epochs(&self) -> u64 {
        self.epochs
    }

    /// The longest record's or batch's payload, in bytes; void ones included.
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// Valid frames behind the first that is not: what a hole, or damage, cuts off.
    pub fn behind(&self) -> u64 {
        self.behind
    }

    fn count(&mut self, frame: &FrameHeader, voids: &VoidRanges) {
        let FrameHeader {
            kind, count, len, ..
        } = *frame;
        let records = if voids.end_of(frame.lsn).is_some() {
            &mut self.void
        } else {
            &mut self.records
        };
        match kind {
            FrameKind::Record => *records += 1,
            FrameKind::Batch => {
                *records += u64::from(count);
                self.batches += 1;
            }
            FrameKind::Aborted => self.aborted += 1,
            FrameKind::Epoch => self.epochs += 1,
            FrameKind::Rewind => {}
        }
        if matches!(kind, FrameKind::Record | FrameKind::Batch) {
            self.longest = self.longest.max(u64::from(len));
        }
    }

    /// What keeps the frames from being what the header of the next segment, or the end of the log, makes of them.
    pub(super) fn problem(
        &self,
        sealed: Option<&PreviousEnd>,
        scanner: &Scanner,
    ) -> Option<String> {
        let Some(sealed) = sealed else {
            return self.fault.and_then(|fault| self.unfinished(fault));
        };
        if self.end.offset() < sealed.seal {
            let bytes = sealed.seal - self.end.offset();
            let why = self
                .fault
                .map_or_else(String::new, |fault| format!(": {fault}"));
            let behind = self.behind;
            return Some(format!(
                "the valid frames end at {}, {bytes} bytes before the seal{why}; {behind} valid frames behind",
                self.end
            ));
        }
        let is_linked = self.end.offset() == sealed.seal
            && scanner.salt() == sealed.salt
            && scanner.last_epoch() == sealed.last_epoch;
        (!is_linked).then(|| "the next segment is not linked to its end".to_owned())
    }

    fn unfinished(&self, fault: FrameFault) -> Option<String> {
        let clean = matches!(fault, FrameFault::NoRoom | FrameFault::NotThisPosition);
        match (clean, self.behind) {
            (true, 0) => None,
            (false, 0) => Some(format!(
                "a frame that is not whole at {}: {fault}",
                self.end
            )),
            (_, behind) => Some(format!(
                "a hole at {}: {fault}; {behind} valid frames behind",
                self.end
            )),
        }
    }
}

impl WalReader {
    /// Scans the segment of `activation`, some of which is void; the second is what is wrong with it.
    pub(super) fn contents(
        &self,
        activation: &Activation,
        sealed: Option<&PreviousEnd>,
        voids: &VoidRanges,
    ) -> Result<(SegmentContents, Option<String>)> {
        let id = activation.segment;
        let path = self.directory.segment(id);
        let fail =
            |error: io::Error| Error::io("cannot read a segment", &path, error).at_segment(id);
        let file = self.directory.open(&segment_name(id), Access::Read)?;
        let mut source = FileSource::new(file, self.manifest.segment_size).map_err(fail)?;
        let first = Lsn::new(id, FIRST_FRAME).unwrap_or(Lsn::MAX);
        let mut scanner = Scanner::new(first, activation.salt, None);
        let mut contents = SegmentContents {
            first,
            end: first,
            records: 0,
            void: 0,
            batches: 0,
            aborted: 0,
            epochs: 0,
            longest: 0,
            behind: 0,
            fault: None,
        };
        let stop = loop {
            match scanner.next(&mut source).map_err(fail)? {
                Step::Frame(frame) => contents.count(&frame.header, voids),
                Step::Stop(stop) => break stop,
            }
        };
        contents.end = scanner.at();
        contents.fault = Some(stop.fault);
        if sealed.is_none_or(|sealed| contents.end.offset() < sealed.seal) {
            let mut salts = vec![scanner.salt()];
            salts.extend(sealed.map(|sealed| sealed.salt));
            let evidence =
                evidence_after(&mut source, id, stop.offset + 8, &salts).map_err(fail)?;
            contents.behind = evidence.frames;
        }
        let problem = contents.problem(sealed, &scanner);
        Ok((contents, problem))
    }
}
