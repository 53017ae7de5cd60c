//! [`Error`]: what happened, where, and what to do now.
//!
//! One opaque type. [`ErrorKind`] has one value for each different thing that a caller would do about it; the message is
//! for people and is not part of the contract. An error can be cloned, because one failed sync answers every waiter.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{error, fmt, io};

use crate::lsn::Lsn;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused; look at the source.
    Io,
    /// A sync failed, or a part of the log died. Drop every handle and open the log again; what was not durable is unknown.
    Poisoned,
    /// The log is damaged below what is known to be durable. Do not repair it unseen: run `segwal verify`.
    Corrupt,
    /// A newer format, or another log than the one expected.
    Incompatible,
    /// The log cannot keep its promises on this file system.
    UnsupportedFilesystem,
    /// No segment could be made ready: free space or discard, then go on. Nothing was appended.
    NoSpace,
    /// The disk is behind: too many segments wait to be synced. Nothing was appended; try again.
    Backpressure,
    /// The wait ended before the thing waited for. It may still happen.
    TimedOut,
    /// The record, or the batch, can never fit.
    TooLarge,
    /// The position is below the head of the log.
    Discarded,
    /// The position is at or beyond the end of the log, or no frame begins there.
    NotFound,
    /// Another handle, or another process, has the log open for writing.
    Locked,
    /// The directory or the medium can only be read.
    ReadOnly,
    /// An option is out of its range, or does not fit the log that is there.
    InvalidOption,
    /// This thread did something that could never succeed, such as syncing while it holds a reservation.
    InvalidState,
    /// The log was closed.
    Closed,
    /// Threads, descriptors, mappings or positions have run out.
    OutOfResources,
    /// A defect in this crate. Please report it.
    Internal,
}

impl ErrorKind {
    /// What the person who reads the message should do now.
    const fn advice(self) -> &'static str {
        match self {
            Self::Io => "look at the operating system's message and at the device",
            Self::Poisoned => {
                "drop every handle and open the log again; records that were not durable are unknown"
            }
            Self::Corrupt => {
                "do not change the directory; run `segwal verify` on it and restore from a copy"
            }
            Self::Incompatible => "use the version of segwal, or the log, that belongs together",
            Self::UnsupportedFilesystem => {
                "put the log on ext4, XFS or tmpfs, or allow it with `allow_unknown_filesystem`"
            }
            Self::NoSpace => "free disk space or discard old records; the log goes on by itself",
            Self::Backpressure => {
                "the disk is slower than the appends; sync more often or try again later"
            }
            Self::TimedOut => {
                "try again with a longer limit; look at `health` for what holds the log up"
            }
            Self::TooLarge => {
                "split the record or the batch, or create the log with larger segments"
            }
            Self::Discarded => "read from `head` on",
            Self::NotFound => "use a position that `append` or the record iterator returned",
            Self::Locked => "close the other handle or process, or open the log read-only",
            Self::ReadOnly => "open the log with `open_read_only`, or make the directory writable",
            Self::InvalidOption => "correct the option",
            Self::InvalidState => "finish or drop the reservation that this thread holds first",
            Self::Closed => "open the log again",
            Self::OutOfResources => "raise the limit of the process",
            Self::Internal => "please report this as a defect, with the message",
        }
    }
}

/// Where something happened; each part is absent if it has no meaning there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file or directory.
    pub path: Option<PathBuf>,
    /// The id of the segment.
    pub segment: Option<u32>,
    /// The offset in the file, in bytes.
    pub offset: Option<u64>,
    /// The position in the log.
    pub lsn: Option<Lsn>,
}

/// What happened, where, and what to do now.
///
/// ```
/// use segwal::{ErrorKind, Wal};
///
/// let error = Wal::open("/dev/null/nowhere").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Io);
/// assert!(error.place().path.is_some());
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    what: Cow<'static, str>,
    action: Option<Cow<'static, str>>,
    place: Place,
    row: Option<char>,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

impl Error {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where it happened.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// The row of the decision table in `docs/durability.md` by which a log was refused, if one was.
    pub fn row(&self) -> Option<char> {
        self.0.row
    }

    /// The operating system's error number, if the cause is one.
    pub fn os_error(&self) -> Option<i32> {
        let source: &(dyn error::Error + 'static) = self.0.source.as_deref()?;
        if let Some(error) = source.downcast_ref::<io::Error>() {
            return error.raw_os_error();
        }
        source.downcast_ref::<Self>()?.os_error()
    }

    pub(crate) fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            what: what.into(),
            action: None,
            place: Place::default(),
            row: None,
            source: None,
        }))
    }

    /// An I/O error met at `path`, of the kind that its number calls for.
    pub(crate) fn io(what: impl Into<Cow<'static, str>>, path: &Path, source: io::Error) -> Self {
        let error = Self::new(kind_of(&source), what).at_path(path);
        let error = match advice_of(&source) {
            Some(action) => error.advise(action),
            None => error,
        };
        error.caused_by(source)
    }

    /// The error that every call gets after `self` has ended the log.
    pub(crate) fn poison(self) -> Self {
        let place = self.place().clone();
        let mut error = Self::new(
            ErrorKind::Poisoned,
            "the log is poisoned by an earlier failure",
        )
        .caused_by(self);
        error.0.place = place;
        error
    }

    #[must_use]
    pub(crate) fn at_path(mut self, path: &Path) -> Self {
        self.0.place.path = Some(path.to_owned());
        self
    }

    #[must_use]
    pub(crate) fn at_segment(mut self, segment: u32) -> Self {
        self.0.place.segment = Some(segment);
        self
    }

    #[must_use]
    pub(crate) fn at_offset(mut self, offset: u64) -> Self {
        self.0.place.offset = Some(offset);
        self
    }

    #[must_use]
    pub(crate) fn at_lsn(mut self, lsn: Lsn) -> Self {
        self.0.place.lsn = Some(lsn);
        self.0.place.segment.get_or_insert(lsn.segment());
        self.0.place.offset.get_or_insert(lsn.offset());
        self
    }

    #[must_use]
    pub(crate) fn by_row(mut self, letter: char) -> Self {
        self.0.row = Some(letter);
        self
    }

    #[must_use]
    pub(crate) fn caused_by(mut self, source: impl error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Replaces the advice that the kind gives.
    #[must_use]
    pub(crate) fn advise(mut self, action: impl Into<Cow<'static, str>>) -> Self {
        self.0.action = Some(action.into());
        self
    }
}

/// `EMFILE`, `ENOSPC` and their like are different things to do, so they are different kinds.
fn kind_of(source: &io::Error) -> ErrorKind {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::NoSpace
        }
        io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        io::ErrorKind::OutOfMemory => ErrorKind::OutOfResources,
        _ if matches!(source.raw_os_error(), Some(EMFILE | ENFILE | EAGAIN)) => {
            ErrorKind::OutOfResources
        }
        _ => ErrorKind::Io,
    }
}

/// What to do about refusals that no device causes.
fn advice_of(source: &io::Error) -> Option<&'static str> {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            Some("run as the user that the log belongs to, or correct owner and mode")
        }
        // The operating system has no such message of its own: it is this crate's.
        io::ErrorKind::InvalidInput if source.raw_os_error().is_none() => Some(
            "find out who put it there, and restore the file; a log consists of regular files of one name each",
        ),
        _ => None,
    }
}

// The same numbers on every Linux; named here because this layer knows no operating system.
const EAGAIN: i32 = 11;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell(f)?;
        let Inner { kind, action, .. } = &*self.0;
        write!(f, "; {}", action.as_deref().unwrap_or(kind.advice()))
    }
}

impl Error {
    /// What happened and where, down to the first cause. The advice is the outermost error's alone.
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            what,
            place,
            source,
            ..
        } = &*self.0;
        write!(f, "{what}{place}")?;
        let Some(source) = source.as_deref() else {
            return Ok(());
        };
        let source: &(dyn error::Error + 'static) = source;
        f.write_str(": ")?;
        match source.downcast_ref::<Self>() {
            Some(error) => error.tell(f),
            None => write!(f, "{source}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(path) = &self.path {
            parts.push(path.display().to_string());
        }
        match (self.lsn, self.segment, self.offset) {
            (Some(lsn), ..) => parts.push(format!("position {lsn}")),
            (None, Some(segment), Some(offset)) => {
                parts.push(format!("segment {segment} at byte {offset}"));
            }
            (None, Some(segment), None) => parts.push(format!("segment {segment}")),
            (None, None, Some(offset)) => parts.push(format!("at byte {offset}")),
            (None, None, None) => {}
        }
        if parts.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", parts.join(", "))
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(self.0.source.as_deref()? as &(dyn error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_says_what_where_why_and_what_to_do() {
        let source = io::Error::from_raw_os_error(5);
        let lsn = Lsn::new(3, 4096).unwrap();
        let error = Error::io("msync failed", Path::new("/log/3.seg"), source).at_lsn(lsn);
        let text = error.to_string();
        for part in [
            "msync failed",
            "/log/3.seg",
            "position 3:4096",
            "os error 5",
            "device",
        ] {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
        assert_eq!(error.place().segment, Some(3));
        assert_eq!(error.os_error(), Some(5));
    }

    #[test]
    fn poison_keeps_place_and_number_of_its_cause() {
        let cause = Error::io(
            "msync failed",
            Path::new("/log/3.seg"),
            io::Error::from_raw_os_error(28),
        );
        let error = cause.poison();
        assert_eq!(error.kind(), ErrorKind::Poisoned);
        let inner = ErrorKind::NoSpace.advice();
        assert!(
            !error.to_string().contains(inner),
            "the outermost advice alone: {error}"
        );
        assert_eq!(error.os_error(), Some(28));
        assert_eq!(error.place().path.as_deref(), Some(Path::new("/log/3.seg")));
    }

    #[test]
    fn errno_decides_the_kind() {
        let kind =
            |errno| Error::io("x", Path::new("/"), io::Error::from_raw_os_error(errno)).kind();
        for errno in [28, 122, 27] {
            assert_eq!(kind(errno), ErrorKind::NoSpace, "{errno}");
        }
        assert_eq!(kind(30), ErrorKind::ReadOnly);
        assert_eq!(kind(24), ErrorKind::OutOfResources);
        assert_eq!(kind(5), ErrorKind::Io);
    }
}
