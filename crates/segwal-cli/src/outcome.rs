//! [`Status`] and [`Failure`]: how a verb ends, and what the process exits with.

use std::fmt;
use std::io;
use std::path::Path;

use segwal::ErrorKind;

/// What a verb returns.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// What the process exits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Fine,
    TornTail,
    Corrupt,
    Unreadable,
    /// The command line asks for something that does not exist or does not fit.
    Usage,
    /// A defect of segwal.
    Internal,
    /// Input, output, or the log itself.
    Io,
    /// Locked, no space or no resources: the same command may succeed later.
    TryAgain,
}

impl Status {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::TornTail => 1,
            Self::Corrupt => 2,
            Self::Unreadable => 3,
            Self::Usage => 64,
            Self::Internal => 70,
            Self::Io => 74,
            Self::TryAgain => 75,
        }
    }
}

/// Why a verb stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of standard output closed it: it has what it wanted.
    ReaderGone,
    Failed {
        status: Status,
        message: String,
    },
}

impl Failure {
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Self::Failed {
            status,
            message: message.into(),
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Status::Usage, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Status::Internal, message)
    }

    /// Something other than the log could not be read or written.
    pub(crate) fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(Status::Io, format!("{what} {}: {error}", path.display()))
    }

    /// Standard output could not be written.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it is what `map_err` hands over"
    )]
    pub(crate) fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::new(
            Status::Io,
            format!("standard output cannot be written: {error}"),
        )
    }

    /// The same failure, told after `context`.
    pub(crate) fn after(self, context: &str) -> Self {
        match self {
            Self::ReaderGone => Self::ReaderGone,
            Self::Failed { status, message } => Self::new(status, format!("{context}: {message}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReaderGone => "nobody reads standard output",
            Self::Failed { message, .. } => message,
        })
    }
}

impl From<segwal::Error> for Failure {
    fn from(error: segwal::Error) -> Self {
        Self::new(status_of(&error), error.to_string())
    }
}

fn status_of(error: &segwal::Error) -> Status {
    match error.kind() {
        ErrorKind::Locked
        | ErrorKind::NoSpace
        | ErrorKind::Backpressure
        | ErrorKind::TimedOut
        | ErrorKind::OutOfResources => Status::TryAgain,
        ErrorKind::InvalidOption | ErrorKind::TooLarge | ErrorKind::Discarded => Status::Usage,
        // A position that was asked for, not a log that is not there.
        ErrorKind::NotFound if error.place().lsn.is_some() => Status::Usage,
        ErrorKind::Internal | ErrorKind::InvalidState | ErrorKind::Closed => Status::Internal,
        _ => Status::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_a_reader_that_has_gone() {
        let closed = Failure::output(io::Error::from(io::ErrorKind::BrokenPipe)).after("cat");
        assert!(matches!(closed, Failure::ReaderGone), "{closed:?}");
        let full = Failure::output(io::Error::from(io::ErrorKind::StorageFull)).after("cat");
        let Failure::Failed { status, message } = full else {
            panic!("a full disk is a failure");
        };
        assert_eq!(status, Status::Io);
        assert!(message.starts_with("cat: standard output"), "{message}");
    }
}
