//! [`SegmentInfo`]: what the file of one segment is, by its header and its neighbour's.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::format::{ActivationFault, Salt};

use super::contents::SegmentContents;
use super::{Cookie, WalReader};
use crate::wal::recover::{Found, Header};

impl WalReader {
    /// Every file with the name of a segment, by id. Headers only: what the frames hold is in an
    /// [`Inspection`](crate::Inspection).
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) if a file cannot be read; [`Incompatible`](crate::ErrorKind::Incompatible) for one of a
    /// newer version.
    pub fn segments(&self) -> Result<Vec<SegmentInfo>> {
        let head = self.head()?.segment();
        let files = self.files()?;
        Ok(files
            .keys()
            .filter_map(|id| self.segment_info(*id, Some(head), &files))
            .collect())
    }

    /// Segment `id` among `files`. Without a head no segment is known to be dead.
    pub(super) fn segment_info(
        &self,
        id: u32,
        head: Option<u32>,
        files: &BTreeMap<u32, Found>,
    ) -> Option<SegmentInfo> {
        let found = files.get(&id)?;
        let is_dead = head.is_some_and(|head| id < head);
        let next = id.checked_add(1).and_then(|next| files.get(&next));
        let seal = found
            .activation()
            .and_then(|_| Some(next?.activation()?.previous?.seal))
            .filter(|_| !is_dead);
        let state = if is_dead {
            SegmentState::Dead
        } else {
            state_of(&found.header, seal)
        };
        Some(SegmentInfo {
            id,
            path: self.directory.segment(id),
            bytes: found.len,
            state,
            seal,
            salt: found.activation().map(|activation| activation.salt),
            contents: None,
            problem: (state == SegmentState::Damaged).then(|| found.fault()),
        })
    }

    pub(super) fn head_of(cookie: Option<&Cookie>) -> Option<u32> {
        Some(cookie?.head?.lsn.segment())
    }
}

fn state_of(header: &Header, seal: Option<u64>) -> SegmentState {
    match header {
        Header::Ours(Ok(_)) if seal.is_some() => SegmentState::Sealed,
        Header::Ours(Ok(_)) => SegmentState::Active,
        Header::Ours(Err(ActivationFault::Absent)) => SegmentState::Ready,
        _ => SegmentState::Damaged,
    }
}

/// What one segment's file is.
#[derive(Clone, Debug)]
pub struct SegmentInfo {
    pub(super) id: u32,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) state: SegmentState,
    pub(super) seal: Option<u64>,
    pub(super) salt: Option<Salt>,
    pub(super) contents: Option<SegmentContents>,
    pub(super) problem: Option<String>,
}

impl SegmentInfo {
    /// A file of which not even the header can be had.
    pub(super) fn unreadable(id: u32, path: PathBuf, error: &Error) -> Self {
        Self {
            id,
            path,
            bytes: 0,
            state: SegmentState::Damaged,
            seal: None,
            salt: None,
            contents: None,
            problem: Some(error.to_string()),
        }
    }

    /// The id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The length of the file, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where it is in its life.
    pub fn state(&self) -> SegmentState {
        self.state
    }

    /// Where its frames end, in bytes, if the next segment says so.
    pub fn seal(&self) -> Option<u64> {
        self.seal
    }

    /// The salt of its activation, if it is activated. Each [epoch](SegmentContents::epochs) put another in force.
    pub fn salt(&self) -> Option<u64> {
        self.salt.map(Salt::to_word)
    }

    /// What its frames hold, if they were looked at: in an [`Inspection`](crate::Inspection), and of a segment that holds
    /// records.
    pub fn contents(&self) -> Option<&SegmentContents> {
        self.contents.as_ref()
    }

    /// What is wrong with it, in words.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

/// Where a segment's file is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentState {
    /// Its records are discarded; the file waits for reuse.
    Dead,
    /// It holds records, and the next segment goes on where it ends.
    Sealed,
    /// It holds records, and is the last one.
    Active,
    /// It was made ready and never used.
    Ready,
    /// Its header is not valid under this name.
    Damaged,
}

impl fmt::Display for SegmentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dead => "dead",
            Self::Sealed => "sealed",
            Self::Active => "active",
            Self::Ready => "ready",
            Self::Damaged => "damaged",
        })
    }
}
