//! [`follow`]: from the head along the links to the end of the log, and everything that is known about that end.
//!
//! Nothing is changed here; a writing open and a verification share it.
//!
//! # Protocol
//! 1. From the head's segment to the one of the known durable position: headers and links only. A segment missing or
//!    damaged there is corruption.
//! 2. From there on every frame is checked, segment after segment, as long as the next one is linked to exactly the end and
//!    the salt that the scan found.
//! 3. Behind the place where the frames stop, frames that are valid under the salt in force, and segments that are linked
//!    past it, are evidence: of a hole, and of how far the log was durable.
//! 4. The table in `format/verdict.rs` judges.
//! 5. The rewinds of the scanned part, and those before it that its first segment leads back to, say what is void.
//!
//! # Invariants
//! * F1. What is known durable only grows by statements of valid frames, of links that continue this very chain, and of
//!   `COOKIE`.
//! * F2. A segment that was activated by an abandoned future is not linked: its link names a salt that was in force before
//!   the epoch frame which every open writes.

mod prefix;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::format::verdict::{
    Action, Behind, Chain, CookieState, Files, Findings, Reach, Reading, Row, SOUND, judge,
    row_named,
};
use crate::format::{
    Activation, Cookie, Epoch, FIRST_FRAME, FrameKind, PreviousEnd, Rewind, ScannedFrame, Scanner,
    Source, Step, Stop, evidence_after,
};
use crate::lsn::Lsn;
use crate::seeded::{self, Bug};
use crate::segment::{COOKIE, Directory, FileSource, Salts, segment_name};
use crate::sys::Access;

use super::survey::{Found, Header};
use super::trail::{Broken, Pages, Trail, broken};
use crate::wal::rewinds::VoidRanges;

pub(crate) use prefix::{Prefix, prefix};

/// The log as its files show it.
#[derive(Debug)]
pub(crate) struct ChainFound {
    pub(crate) head: Lsn,
    /// Where the valid frames end.
    pub(crate) end: Lsn,
    /// Everything below is known to be durable.
    pub(crate) known_durable: Lsn,
    /// The segments below the last, with where each ended.
    pub(crate) sealed: Vec<(u32, PreviousEnd)>,
    /// The salts of the last segment.
    pub(crate) salts: Salts,
    /// How often the last segment's epochs say that the log was opened.
    pub(crate) opened: u64,
    pub(crate) scanned_bytes: u64,
    pub(crate) scanned_records: u64,
    /// What rewinds made void, from the head on.
    pub(crate) voids: VoidRanges,
    /// The last rewind frame, wherever it stands.
    pub(crate) last_rewind: Option<Lsn>,
    /// From the end to the last valid frame behind it.
    pub(crate) cut: Option<Range<Lsn>>,
    pub(crate) row: &'static Row,
}

/// How much is checked frame by frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// From the segment of the known durable position on; below it headers and links.
    Tail,
    /// Everything.
    Full,
}

/// Why a log is not opened.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The row of the table.
    pub(crate) row: &'static Row,
    pub(crate) error: Error,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let mut otherwise = SOUND;
        if error.kind() == ErrorKind::Corrupt {
            otherwise.chain = Chain::Broken;
        } else {
            otherwise.reading = Reading::Failed;
        }
        let named = error.row().and_then(row_named);
        Self {
            row: named.unwrap_or_else(|| judge(otherwise)),
            error,
        }
    }
}

/// What the walk needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) segments: &'a BTreeMap<u32, Found>,
    pub(crate) size: u64,
}

/// Follows the chain from the head that `cookie` names, and judges its end.
///
/// # Errors
/// `Corrupt` or `Io` with the row of the table, if the table refuses.
pub(crate) fn follow(
    walk: Walk<'_>,
    cookie: Option<&Cookie>,
    depth: Depth,
) -> Result<ChainFound, Refusal> {
    let Some(cookie) = cookie else {
        return Err(walk.refuse(CookieState::Missing).into());
    };
    let Some(head) = cookie.head.map(|slot| slot.lsn) else {
        return Err(walk.refuse_headless(cookie).into());
    };
    let known = cookie.durable.map_or(head, |slot| slot.lsn.max(head));
    let mut sealed = walk.check_links(head, known)?;
    let first = match depth {
        Depth::Tail => known.segment(),
        Depth::Full => {
            sealed.clear();
            head.segment()
        }
    };
    let (mut scan, mut trail) = walk.scan_from(first, &mut sealed)?;
    scan.known = scan.known.max(Some(known));
    walk.search_behind(&mut scan)?;
    walk.walk_back(head, &mut trail)?;
    walk.conclude(head, sealed, scan, trail)
}

/// The scanned part of the chain.
#[derive(Debug)]
struct Scan {
    end: Lsn,
    salts: Salts,
    opened: u64,
    known: Option<Lsn>,
    stop: Stop,
    behind: Behind,
    behind_end: Option<Lsn>,
    bytes: u64,
    records: u64,
    rewinds: Vec<(Lsn, Rewind)>,
}

impl Walk<'_> {
    fn activation(&self, id: u32) -> Option<&Activation> {
        self.segments.get(&id)?.activation()
    }

    fn source(&self, id: u32) -> Result<FileSource> {
        let path = self.directory.segment(id);
        let file = self.directory.open(&segment_name(id), Access::Read)?;
        FileSource::new(file, self.size)
            .map_err(|error| Error::io("cannot read a segment", &path, error).at_segment(id))
    }

    /// Step 1: every segment below the known durable position is there, and linked.
    fn check_links(&self, head: Lsn, known: Lsn) -> Result<Vec<(u32, PreviousEnd)>> {
        let mut sealed = Vec::new();
        for id in head.segment()..known.segment() {
            let activation = self.activation(id).ok_or_else(|| self.missing(id))?;
            let next = self
                .activation(id + 1)
                .ok_or_else(|| self.missing(id + 1))?;
            let end = next
                .previous
                .filter(|end| (FIRST_FRAME..=self.size).contains(&end.seal));
            let end = end.ok_or_else(|| self.missing(id + 1))?;
            Salts::read_back(&mut self.source(id)?, activation, &end)
                .map_err(|error| self.unchained(id, error))?;
            sealed.push((id, end));
        }
        self.activation(known.segment())
            .ok_or_else(|| self.missing(known.segment()))?;
        Ok(sealed)
    }

    /// Step 2: every frame, over as many segments as are linked.
    fn scan_from(&self, first: u32, sealed: &mut Vec<(u32, PreviousEnd)>) -> Result<(Scan, Trail)> {
        let activation = self.activation(first).ok_or_else(|| self.missing(first))?;
        let mut trail = Trail::beginning(activation.last_rewind);
        let lost = |Broken(at)| broken(self.directory, at);
        let mut id = first;
        let mut before: Option<Scan> = None;
        loop {
            let mut scan = self.scan_segment(id)?;
            for (at, rewind) in std::mem::take(&mut scan.rewinds) {
                trail.meet(at, rewind).map_err(lost)?;
            }
            if let Some(before) = before {
                scan.known = scan.known.max(before.known);
                scan.bytes += before.bytes;
                scan.records += before.records;
            }
            let next = id.checked_add(1).and_then(|next| self.activation(next));
            let linked = next.and_then(|next| Some((next, next.previous?)));
            let Some((activation, end)) = linked.filter(|(_, end)| continues(&scan, end)) else {
                return Ok((scan, trail));
            };
            trail.enter(activation).map_err(lost)?;
            scan.known = scan.known.max(activation.durable);
            sealed.push((id, end));
            before = Some(scan);
            id += 1;
        }
    }

    fn scan_segment(&self, id: u32) -> Result<Scan> {
        let activation = self.activation(id).ok_or_else(|| self.missing(id))?;
        let mut source = self.source(id)?;
        let fail = |error: io::Error| {
            Error::io("cannot read a segment", &self.directory.segment(id), error).at_segment(id)
        };
        let start = Lsn::new(id, FIRST_FRAME).ok_or_else(|| self.missing(id))?;
        let mut scanner = Scanner::new(start, activation.salt, None);
        let mut salts = Salts::of_activation(activation.salt);
        let (mut records, mut opened, mut rewinds) = (0, 0, Vec::new());
        let stop = loop {
            match scanner.next(&mut source).map_err(fail)? {
                Step::Stop(stop) if seeded::is(Bug::SkippedMiddle) => {
                    let behind =
                        evidence_after(&mut source, id, stop.offset + 8, &[scanner.salt()]);
                    let Some(next) = behind.map_err(fail)?.first else {
                        break stop;
                    };
                    scanner = Scanner::new(next, scanner.salt(), scanner.last_epoch());
                }
                Step::Stop(stop) => break stop,
                Step::Frame(frame) => match frame.header.kind {
                    FrameKind::Record => records += 1,
                    FrameKind::Batch => records += u64::from(frame.header.count),
                    FrameKind::Epoch => {
                        salts.push_epoch(frame.lsn.offset(), frame.end_offset, scanner.salt());
                        let payload = payload_of(&mut source, &frame).map_err(fail)?;
                        opened =
                            Epoch::decode(payload, frame.lsn).map_or(opened, |epoch| epoch.opened);
                    }
                    FrameKind::Rewind => {
                        let payload = payload_of(&mut source, &frame).map_err(fail)?;
                        let rewind = Rewind::decode(payload, frame.lsn).ok();
                        rewinds.extend(rewind.map(|rewind| (frame.lsn, rewind)));
                    }
                    FrameKind::Aborted => {}
                },
            }
        };
        Ok(Scan {
            end: scanner.at(),
            salts,
            opened,
            known: scanner.known_durable(),
            stop,
            behind: Behind::Nothing,
            behind_end: None,
            bytes: scanner.at().offset() - FIRST_FRAME,
            records,
            rewinds,
        })
    }

    /// Step 3: what stands behind the stop, in the same segment and in those that are linked past it.
    fn search_behind(&self, scan: &mut Scan) -> Result<()> {
        let id = scan.end.segment();
        let fail = |error: io::Error| {
            Error::io("cannot read a segment", &self.directory.segment(id), error).at_segment(id)
        };
        let mut source = self.source(id)?;
        let evidence = evidence_after(&mut source, id, scan.stop.offset + 8, &[scan.salts.last()])
            .map_err(fail)?;
        scan.behind = evidence.behind();
        scan.behind_end = evidence.last_end;
        scan.known = scan.known.max(evidence.durable);
        let (mut id, mut linked) = (id, self.is_linked_past(scan, &mut source)?);
        while linked {
            id += 1;
            scan.behind = Behind::Frames;
            self.add_evidence_of(id, scan)?;
            linked = self.is_followed(id)?;
        }
        Ok(())
    }

    /// Whether the next segment was activated at an end beyond the stop, under a salt that follows from the one in force.
    fn is_linked_past<S: Source>(&self, scan: &Scan, source: &mut S) -> Result<bool> {
        let id = scan.end.segment();
        let Some(end) = self.end_of(id).filter(|end| end.seal > scan.stop.offset) else {
            return Ok(false);
        };
        if end.last_epoch == scan.salts.last_epoch() {
            return Ok(end.salt == scan.salts.last());
        }
        Ok(end.last_epoch > Some(scan.stop.offset) && self.has_chain(id, &end, source)?)
    }

    /// Whether the segment after `id` is linked to an end that the salts of `id` lead to.
    fn is_followed(&self, id: u32) -> Result<bool> {
        match self.end_of(id) {
            Some(end) => self.has_chain(id, &end, &mut self.source(id)?),
            None => Ok(false),
        }
    }

    /// Where segment `id` ended, as the next one states it.
    fn end_of(&self, id: u32) -> Option<PreviousEnd> {
        self.activation(id.checked_add(1)?)?.previous
    }

    /// Whether the salts lead from the activation of segment `id` to `end`. What cannot be read is an error, no answer.
    fn has_chain<S: Source>(&self, id: u32, end: &PreviousEnd, source: &mut S) -> Result<bool> {
        let Some(activation) = self.activation(id) else {
            return Ok(false);
        };
        match Salts::read_back(source, activation, end) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(false),
            Err(error) => Err(error.at_path(&self.directory.segment(id))),
        }
    }

    /// What a segment that is linked past the stop says of the durable position.
    fn add_evidence_of(&self, id: u32, scan: &mut Scan) -> Result<()> {
        let stated = self
            .activation(id)
            .and_then(|activation| activation.durable);
        let mut later = self.scan_segment(id)?;
        let mut source = self.source(id)?;
        let evidence = evidence_after(
            &mut source,
            id,
            later.stop.offset + 8,
            &[later.salts.last()],
        );
        let evidence = evidence.map_err(|error| {
            Error::io("cannot read a segment", &self.directory.segment(id), error).at_segment(id)
        })?;
        later.known = later.known.max(evidence.durable);
        scan.known = scan.known.max(stated).max(later.known);
        scan.behind_end = Some(evidence.last_end.unwrap_or(later.end));
        Ok(())
    }

    /// Step 5, below the scanned part.
    fn walk_back(&self, head: Lsn, trail: &mut Trail) -> Result<()> {
        let links = |id| Ok(self.activation(id).copied().zip(self.end_of(id)));
        let mut pages = Pages::new(self.directory, self.size);
        if seeded::is(Bug::RewindsNotFollowed) {
            return Ok(());
        }
        trail.walk_back(head, &mut pages, links, |at| broken(self.directory, at))?;
        trail.voids.prune(head);
        Ok(())
    }

    /// Step 4.
    fn conclude(
        &self,
        head: Lsn,
        sealed: Vec<(u32, PreviousEnd)>,
        scan: Scan,
        trail: Trail,
    ) -> Result<ChainFound, Refusal> {
        let known = scan.known.unwrap_or(head);
        let reach = |bound| {
            if scan.end < bound {
                Reach::Short
            } else {
                Reach::Reached
            }
        };
        let stranger = self.stranger(head);
        let row = judge(Findings {
            head: reach(head),
            durable: reach(known),
            files: stranger.map_or(Files::Ours, |(_, _, files)| files),
            stop: scan.stop.kind(),
            behind: scan.behind,
            ..SOUND
        });
        if matches!(row.action, Action::Refuse(_)) {
            let error = self.refuse_end(row, &scan, known, stranger);
            return Err(Refusal { row, error });
        }
        let cut_end = match row.action {
            Action::Cut => Some(scan.behind_end.unwrap_or(scan.end).max(scan.end)),
            _ => None,
        };
        Ok(ChainFound {
            head,
            end: scan.end,
            known_durable: known,
            sealed,
            salts: scan.salts,
            opened: scan.opened,
            scanned_bytes: scan.bytes,
            scanned_records: scan.records,
            voids: trail.voids,
            last_rewind: trail.last,
            cut: cut_end.map(|end| scan.end..end),
            row,
        })
    }

    fn refuse(&self, cookie: CookieState) -> Error {
        judge(Findings { cookie, ..SOUND })
            .refuse("where the log begins is not known")
            .at_path(self.directory.path())
    }

    /// Row F, with the rule that the slots break.
    fn refuse_headless(&self, cookie: &Cookie) -> Error {
        let path = self.directory.file(COOKIE);
        let error = self.refuse(CookieState::WithoutHead).at_path(&path);
        match cookie.head_fault {
            Some(fault) => error.caused_by(fault),
            None => error,
        }
    }

    /// Row H.
    fn missing(&self, id: u32) -> Error {
        let found = self.segments.get(&id);
        let why = found.map_or_else(|| "there is no such file".to_owned(), Found::fault);
        self.broken(id, &why)
    }

    fn broken(&self, id: u32, why: &str) -> Error {
        let chain = Chain::Broken;
        judge(Findings { chain, ..SOUND })
            .refuse(why)
            .at_path(&self.directory.segment(id))
            .at_segment(id)
    }

    /// Row H for a segment whose salts do not lead to where the next one says that it ended.
    fn unchained(&self, id: u32, error: Error) -> Error {
        if error.kind() != ErrorKind::Corrupt {
            return error.at_path(&self.directory.segment(id));
        }
        self.broken(id, "its epoch frames do not lead to its end")
            .caused_by(error)
    }

    /// The first file from the head on that has the name of a segment, may be wanted, and is not usable.
    fn stranger(&self, head: Lsn) -> Option<(u32, &Found, Files)> {
        let mut from_head = self.segments.range(head.segment()..);
        from_head.find_map(|(&id, found)| match found.header {
            Header::Ours(_) => None,
            Header::OtherLog(_) => Some((id, found, Files::Foreign)),
            Header::Misnamed(_) | Header::WrongLength(_) | Header::Damaged(_) => {
                Some((id, found, Files::Unusable))
            }
        })
    }

    /// The refusal by `row` of the end that was found.
    fn refuse_end(
        &self,
        row: &'static Row,
        scan: &Scan,
        known: Lsn,
        stranger: Option<(u32, &Found, Files)>,
    ) -> Error {
        if let ('M' | 'N', Some((id, found, _))) = (row.letter, stranger) {
            return row
                .refuse(found.fault())
                .at_path(&self.directory.segment(id))
                .at_segment(id);
        }
        row.refuse(format!("it is known to be durable up to {known}"))
            .at_path(&self.directory.segment(scan.end.segment()))
            .at_lsn(scan.end)
            .caused_by(scan.stop.fault)
    }
}

fn payload_of<'a, S: Source>(source: &'a mut S, frame: &ScannedFrame) -> io::Result<&'a [u8]> {
    let len = usize::try_from(frame.header.len).unwrap_or(usize::MAX);
    source.bytes(frame.payload_offset, len)
}

/// Whether a segment whose predecessor ended at `end` goes on exactly where the scan stopped.
fn continues(scan: &Scan, end: &PreviousEnd) -> bool {
    end.seal == scan.end.offset()
        && end.salt == scan.salts.last()
        && end.last_epoch == scan.salts.last_epoch()
}
