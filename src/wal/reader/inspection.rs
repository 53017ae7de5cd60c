//! [`Inspection`]: everything that can be seen of a log from outside, whatever state it is in.
//!
//! # Protocol
//! `MANIFEST` and `COOKIE` are read first, then every segment's header, then the frames of those that hold records, then
//! the end is judged as an opening would judge it, and at last `COOKIE` is read again: what the writer discarded meanwhile
//! is told as dead, and nothing that was found in it counts against the log. Each part that cannot be read is told as a
//! problem of its own, and the others are read all the same. Nothing is written and no lock is taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::verdict::CookieState;
use crate::format::{Cookie, Manifest, PreviousEnd, Uuid, manifest};
use crate::lsn::Lsn;
use crate::segment::{Directory, MANIFEST};
use crate::sys::{Access, Disk, RealDisk};

use super::segments::{SegmentInfo, SegmentState};
use super::{Verdict, VerdictKind, WalReader, no_log};
use crate::wal::Progress;
use crate::wal::holds::StoredHold;
use crate::wal::recover::{
    Depth, Found, Survey, identity_of_segments, read_headers, read_manifest, read_whole,
};
use crate::wal::rewinds::VoidRanges;

/// Who a log is.
#[derive(Clone, Debug)]
pub struct Identity {
    manifest: Manifest,
    version: Option<u32>,
}

impl Identity {
    /// The UUID, drawn when the log was created.
    pub fn uuid(&self) -> Uuid {
        self.manifest.uuid
    }

    /// The version of the format, as `MANIFEST` states it.
    pub fn format_version(&self) -> Option<u32> {
        self.version
    }

    /// The size of each segment, in bytes.
    pub fn segment_size(&self) -> u64 {
        self.manifest.segment_size
    }

    /// The length of the embedder's own bytes.
    pub fn user_header_len(&self) -> usize {
        self.manifest.user_header.len()
    }

    /// Feature bits that anybody may ignore.
    pub fn compatible_features(&self) -> u32 {
        self.manifest.compat
    }

    /// Feature bits that a reader may ignore, and a writer may not.
    pub fn read_only_features(&self) -> u32 {
        self.manifest.ro_compat
    }

    /// Feature bits that nobody may ignore.
    pub fn incompatible_features(&self) -> u32 {
        self.manifest.incompat
    }

    /// Whether it was put together from the headers of the segments, because `MANIFEST` cannot say.
    pub fn is_from_segments(&self) -> bool {
        self.version.is_none()
    }
}

/// What `COOKIE` says.
#[derive(Clone, Copy, Debug)]
pub struct Positions {
    cookie: Cookie,
}

impl Positions {
    /// Everything below it is discarded.
    pub fn head(&self) -> Option<Lsn> {
        self.cookie.head.map(|slot| slot.lsn)
    }

    /// Everything below it is durable; more may be.
    pub fn durable(&self) -> Option<Lsn> {
        self.cookie.durable.map(|slot| slot.lsn)
    }

    /// Where the log ended when it was last closed. It holds as long as the log ends there.
    pub fn closed_at(&self) -> Option<Lsn> {
        self.cookie.clean.map(|slot| slot.lsn)
    }
}

/// Everything that can be seen of a log from outside.
///
/// ```
/// # fn main() -> segwal::Result<()> {
/// # let dir = std::env::temp_dir().join(format!("segwal-inspect-{}", std::process::id()));
/// let wal = segwal::Wal::open(&dir)?;
/// wal.append(b"one")?;
/// let seen = segwal::Inspection::of(&dir, |_| ())?; // beside the writer
/// let last = seen.segments().iter().rev().find_map(|segment| segment.contents());
/// assert_eq!(last.map(|contents| contents.records()), Some(1));
/// assert!(seen.problems().is_empty());
/// # wal.close()?;
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Inspection {
    path: PathBuf,
    identity: Option<Identity>,
    positions: Option<Positions>,
    segments: Vec<SegmentInfo>,
    holds: Vec<StoredHold>,
    foreign: Vec<PathBuf>,
    unfinished: Vec<PathBuf>,
    opening: Option<Verdict>,
    problems: Vec<String>,
}

impl Inspection {
    /// Looks at the log in `dir`: alive, dead or damaged. `progress` hears how much of it has been read.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no log; [`Io`](ErrorKind::Io) if the directory cannot be listed.
    pub fn of(dir: impl AsRef<Path>, progress: impl FnMut(Progress)) -> Result<Self> {
        Self::with(Arc::new(RealDisk), dir.as_ref(), progress)
    }

    fn with(disk: Arc<dyn Disk>, dir: &Path, progress: impl FnMut(Progress)) -> Result<Self> {
        let directory = Directory::new(disk, dir.to_owned());
        let survey = match Survey::of(&directory) {
            Ok(survey) if survey.is_blank() => return Err(no_log(dir)),
            Err(error) if error.os_error() == Some(ENOENT) => return Err(no_log(dir)),
            survey => survey?,
        };
        let mut seen = Self {
            path: dir.to_owned(),
            identity: None,
            positions: None,
            segments: Vec::new(),
            holds: Vec::new(),
            foreign: survey.foreign.clone(),
            unfinished: survey
                .unfinished
                .iter()
                .map(|name| directory.file(name))
                .collect(),
            opening: None,
            problems: Vec::new(),
        };
        if let Some(manifest) = seen.identify(&directory, &survey) {
            let reader = WalReader {
                directory,
                manifest,
            };
            seen.look(&reader, &survey, progress);
        } else {
            seen.segments = unknown(&directory, &survey.segments);
        }
        Ok(seen)
    }

    /// The identity, by `MANIFEST` or by what the segments agree on.
    fn identify(&mut self, directory: &Directory, survey: &Survey) -> Option<Manifest> {
        let stated = if survey.has_manifest {
            read_manifest(directory)
        } else {
            let path = directory.file(MANIFEST);
            Err(Error::new(ErrorKind::Corrupt, "MANIFEST is missing").at_path(&path))
        };
        let (manifest, version) = match stated {
            Ok(manifest) => (manifest, Some(version_of(directory)?)),
            Err(error) => {
                self.problems.push(error.to_string());
                let agreed = identity_of_segments(directory, &survey.segments);
                (agreed.ok().flatten()?, None)
            }
        };
        self.identity = Some(Identity {
            manifest: manifest.clone(),
            version,
        });
        Some(manifest)
    }

    fn look(&mut self, reader: &WalReader, survey: &Survey, mut progress: impl FnMut(Progress)) {
        let cookie = self.read_cookie(reader);
        let files = self.read_headers(reader, &survey.segments);
        let size = reader.segment_size();
        let total_bytes = files.len() as u64 * size;
        // Of a log that is refused nobody knows it.
        let voids = reader.voids(&files, cookie.as_ref()).unwrap_or_default();
        for (count, (id, found)) in (1..).zip(&files) {
            let head = WalReader::head_of(cookie.as_ref());
            if let Some(mut info) = reader.segment_info(*id, head, &files) {
                if info.state != SegmentState::Dead {
                    fill(reader, &mut info, found, previous_end(&files, *id), &voids);
                }
                self.segments.push(info);
            }
            progress(Progress {
                done_bytes: count * size,
                total_bytes,
            });
        }
        self.segments.sort_by_key(SegmentInfo::id);
        self.holds = reader.holds().unwrap_or_default();
        self.opening = Some(reader.judge(Depth::Tail));
        self.forget_discarded(reader.cookie().ok().flatten().as_ref());
        self.gather_problems();
    }

    fn read_cookie(&mut self, reader: &WalReader) -> Option<Cookie> {
        match reader.cookie() {
            Ok(Some(cookie)) => {
                self.positions = Some(Positions { cookie });
                if cookie.head.is_none() {
                    let error = reader.without_cookie(CookieState::WithoutHead);
                    self.problems.push(error.to_string());
                }
                Some(cookie)
            }
            Ok(None) => {
                let error = reader.without_cookie(CookieState::Missing);
                self.problems.push(error.to_string());
                None
            }
            Err(error) => {
                self.problems.push(error.to_string());
                None
            }
        }
    }

    /// The headers that can be read; the others are told as damaged segments.
    fn read_headers(&mut self, reader: &WalReader, ids: &[u32]) -> BTreeMap<u32, Found> {
        let mut files = BTreeMap::new();
        for id in ids {
            match read_headers(&reader.directory, &[*id], &reader.manifest) {
                Ok(found) => files.extend(found),
                Err(error) => {
                    let path = reader.directory.segment(*id);
                    self.segments
                        .push(SegmentInfo::unreadable(*id, path, &error));
                }
            }
        }
        files
    }

    fn forget_discarded(&mut self, cookie: Option<&Cookie>) {
        let Some(head) = WalReader::head_of(cookie) else {
            return;
        };
        self.positions = cookie.map(|cookie| Positions { cookie: *cookie });
        for segment in self.segments.iter_mut().filter(|segment| segment.id < head) {
            segment.state = SegmentState::Dead;
            segment.contents = None;
            segment.problem = None;
            segment.seal = None;
        }
    }

    fn gather_problems(&mut self) {
        // A frame that is being written is no damage: the judgement, which looks twice, knows.
        let is_sound = |verdict: &Verdict| {
            matches!(
                verdict.kind(),
                VerdictKind::Clean | VerdictKind::BeingWritten
            )
        };
        if self.opening.as_ref().is_some_and(is_sound) {
            let active = |segment: &&mut SegmentInfo| segment.state == SegmentState::Active;
            for segment in self.segments.iter_mut().filter(active) {
                segment.problem = None;
            }
        }
        let of_segments = self.segments.iter().filter_map(|segment| {
            let problem = segment.problem.as_ref()?;
            Some(format!("segment {}: {problem}", segment.id))
        });
        self.problems.extend(of_segments);
        let of_holds = self.holds.iter().filter_map(StoredHold::problem);
        self.problems.extend(of_holds.map(Error::to_string));
        let first = self
            .positions
            .and_then(|positions| positions.head())
            .map(Lsn::segment);
        let first = first.or_else(|| Some(self.segments.first()?.id));
        let ids: Vec<u32> = self.segments.iter().map(SegmentInfo::id).collect();
        let last = ids.last().copied().unwrap_or(0);
        let missing = (first.unwrap_or(last)..last).filter(|id| ids.binary_search(id).is_err());
        self.problems
            .extend(missing.map(|id| format!("segment {id}: there is no such file")));
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who the log is, if that can be told.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// What `COOKIE` says, if it can be read.
    pub fn positions(&self) -> Option<Positions> {
        self.positions
    }

    /// Every file with the name of a segment, by id.
    pub fn segments(&self) -> &[SegmentInfo] {
        &self.segments
    }

    /// The named holds, by name.
    pub fn holds(&self) -> &[StoredHold] {
        &self.holds
    }

    /// Files that are not the log's.
    pub fn foreign(&self) -> &[PathBuf] {
        &self.foreign
    }

    /// Files of the log's that were never finished; the next opening for writing removes them.
    pub fn unfinished(&self) -> &[PathBuf] {
        &self.unfinished
    }

    /// How an opening for writing would judge the log now, if its identity is known. What lies below the segment of the
    /// known durable position is judged by headers and links; a damaged frame there is among the problems alone.
    pub fn opening(&self) -> Option<&Verdict> {
        self.opening.as_ref()
    }

    /// Everything that is not as it should be, a line each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

/// The number by which Linux says that there is no such file or directory.
const ENOENT: i32 = 2;

/// Without an identity nothing can be said of a segment but that it is there.
fn unknown(directory: &Directory, ids: &[u32]) -> Vec<SegmentInfo> {
    let error = || {
        Error::new(
            ErrorKind::Corrupt,
            "the log's identity is not known, and the segments do not agree on one",
        )
    };
    ids.iter()
        .map(|&id| SegmentInfo::unreadable(id, directory.segment(id), &error()))
        .collect()
}

fn version_of(directory: &Directory) -> Option<u32> {
    let file = directory.open(MANIFEST, Access::Read).ok()?;
    manifest::version(&read_whole(&*file, 64).ok()?)
}

/// Where segment `id` ended, as the next one states it.
fn previous_end(files: &BTreeMap<u32, Found>, id: u32) -> Option<PreviousEnd> {
    files.get(&id.checked_add(1)?)?.activation()?.previous
}

fn fill(
    reader: &WalReader,
    info: &mut SegmentInfo,
    found: &Found,
    sealed: Option<PreviousEnd>,
    voids: &VoidRanges,
) {
    let Some(activation) = found.activation() else {
        return;
    };
    match reader.contents(activation, sealed.as_ref(), voids) {
        Ok((contents, problem)) => {
            info.contents = Some(contents);
            info.problem = problem;
        }
        Err(error) => info.problem = Some(error.to_string()),
    }
}
