//! [`Verdict`]: every frame checked, and the end judged by the same table as recovery's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::format::Cookie;
use crate::format::verdict::{CookieState, Findings, SOUND, judge};
use crate::lsn::Lsn;
use crate::wal::create::is_unfinished;
use crate::wal::holds::StoredHold;
use crate::wal::recover::{ChainFound, Depth, Found, Refusal, Walk, follow};
use crate::wal::rewinds::VoidRanges;

use super::WalReader;

/// So often a judgement against the log is looked at again.
const LOOKS: usize = 8;

/// What a verification found, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerdictKind {
    /// Everything is valid.
    Clean,
    /// What stands behind the end was never known to be durable; the next writing open cuts it off.
    TornTail,
    /// The end moved whenever it was looked at: somebody writes the log. What was checked is valid.
    BeingWritten,
    /// The log is damaged below what is known to be durable.
    Corrupt,
    /// The log could not be read.
    Unreadable,
}

/// What a verification found.
#[derive(Debug)]
pub struct Verdict {
    row: char,
    name: &'static str,
    kind: VerdictKind,
    segments: u64,
    records: u64,
    void: u64,
    bytes: u64,
    end: Option<Lsn>,
    durable: Option<Lsn>,
    problem: Option<Error>,
}

impl Verdict {
    /// The row of the decision table in `docs/durability.md`; `-` if the log is sound and the file of a hold is damaged.
    pub fn row(&self) -> char {
        self.row
    }

    /// The name of the row.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The finding in one word.
    pub fn kind(&self) -> VerdictKind {
        self.kind
    }

    /// Segments that hold records.
    pub fn segments(&self) -> u64 {
        self.segments
    }

    /// Records that were checked, each of a batch counted; [void](Self::void) ones left out.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Records that were checked too and that a truncation made void, each of a batch counted.
    pub fn void(&self) -> u64 {
        self.void
    }

    /// Bytes of frames that were checked.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the log ends, unless it is refused.
    pub fn end(&self) -> Option<Lsn> {
        self.end
    }

    /// What is known to be durable: by `COOKIE`, and by what frames and links state. Unless the log is refused.
    pub fn durable(&self) -> Option<Lsn> {
        self.durable
    }

    /// Why the log is refused: what, where, and what to do.
    pub fn problem(&self) -> Option<&Error> {
        self.problem.as_ref()
    }

    /// What a second look must come to as well. A file that is renamed between being listed and being opened has no
    /// position, and another one may be in its place the next time.
    fn place(&self) -> (char, Option<Lsn>, Option<&Path>) {
        let problem = self.problem.as_ref().map(Error::place);
        let at = self.end.or_else(|| problem.and_then(|place| place.lsn));
        (
            self.row,
            at,
            problem.and_then(|place| place.path.as_deref()),
        )
    }

    /// What several looks come to.
    fn settled(mut look: impl FnMut() -> Self) -> Self {
        let mut before = look();
        for _ in 0..LOOKS {
            if before.kind == VerdictKind::Clean {
                return before;
            }
            let again = look();
            if again.place() == before.place() {
                return again;
            }
            before = again;
        }
        before.kind = VerdictKind::BeingWritten;
        before.problem = None;
        before
    }

    fn accepted(chain: &ChainFound, void: u64) -> Self {
        Self {
            row: chain.row.letter,
            name: chain.row.name,
            kind: if chain.cut.is_some() {
                VerdictKind::TornTail
            } else {
                VerdictKind::Clean
            },
            segments: chain.sealed.len() as u64 + 1,
            records: chain.scanned_records.saturating_sub(void),
            void,
            bytes: chain.scanned_bytes,
            end: Some(chain.end),
            durable: Some(chain.known_durable),
            problem: None,
        }
    }

    /// Every frame is as it should be, and the file of a hold is not.
    fn held_up(self, problem: Error) -> Self {
        let Self { row, name, .. } = Self::refused(problem.clone().into());
        Self {
            row,
            name,
            kind: kind_of(&problem),
            problem: Some(problem),
            ..self
        }
    }

    fn refused(refusal: Refusal) -> Self {
        let kind = kind_of(&refusal.error);
        Self {
            row: refusal.row.letter,
            name: refusal.row.name,
            kind,
            segments: 0,
            records: 0,
            void: 0,
            bytes: 0,
            end: None,
            durable: None,
            problem: Some(refusal.error),
        }
    }
}

fn kind_of(problem: &Error) -> VerdictKind {
    match problem.kind() {
        ErrorKind::Corrupt | ErrorKind::Incompatible => VerdictKind::Corrupt,
        _ => VerdictKind::Unreadable,
    }
}

impl WalReader {
    /// Checks every frame of every segment from the head on, and judges the end. Changes nothing. What is wrong with the
    /// log, or keeps it from being read, is in the verdict.
    ///
    /// Beside a writer the end moves while it is looked at; a judgement against the log counts only if a second look comes
    /// to the same one at the same place. If none does, the log [is being written](VerdictKind::BeingWritten).
    pub fn verify(&self) -> Verdict {
        self.judge(Depth::Full)
    }

    /// As [`verify`](Self::verify), to this depth.
    pub(super) fn judge(&self, depth: Depth) -> Verdict {
        Verdict::settled(|| self.look(depth))
    }

    fn look(&self, depth: Depth) -> Verdict {
        match self.inspect(depth) {
            Ok((chain, void)) => {
                let accepted = Verdict::accepted(&chain, void);
                match self.problem_of_holds() {
                    None => accepted,
                    Some(problem) => accepted.held_up(problem),
                }
            }
            Err(refusal) => Verdict::refused(refusal),
        }
    }

    /// What an open would be refused for beside a sound log.
    fn problem_of_holds(&self) -> Option<Error> {
        match self.holds() {
            Ok(holds) => holds.iter().find_map(StoredHold::refusal),
            Err(error) => Some(error),
        }
    }

    /// The log, and how many of its records are void, if all are looked at.
    fn inspect(&self, depth: Depth) -> Result<(ChainFound, u64), Refusal> {
        let cookie = self.cookie()?;
        let files = self.files()?;
        let chain = follow(self.walk(&files), cookie.as_ref(), depth)?;
        if cookie.is_some_and(|cookie| is_unfinished(&cookie)) && chain.scanned_bytes > 0 {
            let cookie = CookieState::Unborn;
            let refusal = judge(Findings { cookie, ..SOUND })
                .refuse("a segment says that the log was finished")
                .at_path(&self.directory.segment(chain.end.segment()));
            return Err(refusal.into());
        }
        let void = match depth {
            Depth::Full => self.count_void(&files, &chain.voids)?,
            Depth::Tail => 0,
        };
        Ok((chain, void))
    }

    fn walk<'a>(&'a self, files: &'a BTreeMap<u32, Found>) -> Walk<'a> {
        Walk {
            directory: &self.directory,
            segments: files,
            size: self.manifest.segment_size,
        }
    }

    /// What truncations made void, as an opening for writing would find it.
    pub(super) fn voids(
        &self,
        files: &BTreeMap<u32, Found>,
        cookie: Option<&Cookie>,
    ) -> Result<VoidRanges, Refusal> {
        Ok(follow(self.walk(files), cookie, Depth::Tail)?.voids)
    }

    /// Rewinds stand behind what they void, so this takes a second look at the segments that hold any.
    fn count_void(&self, files: &BTreeMap<u32, Found>, voids: &VoidRanges) -> Result<u64> {
        let ranges = voids.as_slice().iter();
        let ids: BTreeSet<u32> = ranges
            .flat_map(|range| range.start.segment()..=range.end.segment())
            .collect();
        let mut void = 0;
        for id in ids {
            if let Some(activation) = files.get(&id).and_then(Found::activation) {
                let (contents, _) = self.contents(activation, None, voids)?;
                void += contents.void();
            }
        }
        Ok(void)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    /// As when file `id` was renamed between being listed and being opened.
    fn without(id: u32) -> Verdict {
        let path = PathBuf::from(format!("/log/{id:020}.seg"));
        let error = io::Error::from(io::ErrorKind::NotFound);
        Verdict::refused(Error::io("cannot open a file of the log", &path, error).into())
    }

    #[test]
    fn a_file_that_is_gone_at_each_look_is_a_judgement_and_another_one_each_time_is_a_writer() {
        let still = Verdict::settled(|| without(7));
        assert_eq!(still.kind(), VerdictKind::Unreadable);
        assert!(still.problem().is_some());
        let mut id = 7;
        let live = Verdict::settled(|| {
            id += 1;
            without(id)
        });
        assert_eq!(live.kind(), VerdictKind::BeingWritten);
        assert!(live.problem().is_none());
    }
}
