//! The names of the files in a log's directory.

use std::ffi::OsStr;

use crate::format::is_hold_name;

/// Held locked by the writing opener.
pub(crate) const LOCK: &str = "LOCK";
/// The identity of the log.
pub(crate) const MANIFEST: &str = "MANIFEST";
/// The durable position, the head, and the mark of a clean close.
pub(crate) const COOKIE: &str = "COOKIE";
/// What a file is called until it is complete.
const UNFINISHED: &str = ".new";
const SEGMENT: &str = ".seg";
const HOLD: &str = ".hold";
const DIGITS: usize = 20;

/// What a name in the directory stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Lock,
    Manifest,
    Cookie,
    Segment(u32),
    /// Of the hold with this name.
    Hold(String),
    /// A file of ours that was never finished.
    Unfinished,
    /// Not ours.
    Foreign,
}

/// The name of segment `id`.
pub(crate) fn segment(id: u32) -> String {
    format!("{id:0DIGITS$}{SEGMENT}")
}

/// The name of the file of the hold `name`.
pub(crate) fn hold(name: &str) -> String {
    format!("{name}{HOLD}")
}

/// The name under which the file `name` is made.
pub(crate) fn unfinished(name: &str) -> String {
    format!("{name}{UNFINISHED}")
}

impl Name {
    /// What `name` stands for; only the exact spelling counts.
    pub(crate) fn parse(name: &OsStr) -> Self {
        let Some(name) = name.to_str() else {
            return Self::Foreign;
        };
        match name {
            LOCK => Self::Lock,
            MANIFEST => Self::Manifest,
            COOKIE => Self::Cookie,
            _ => Self::parse_suffixed(name),
        }
    }

    fn parse_suffixed(name: &str) -> Self {
        let hold = name.strip_suffix(HOLD).filter(|name| is_hold_name(name));
        if let Some(hold) = hold {
            return Self::Hold(hold.to_owned());
        }
        if let Some(finished) = name.strip_suffix(UNFINISHED) {
            let ours = !matches!(
                Self::parse(OsStr::new(finished)),
                Self::Foreign | Self::Unfinished | Self::Lock
            );
            return if ours {
                Self::Unfinished
            } else {
                Self::Foreign
            };
        }
        let id = name
            .strip_suffix(SEGMENT)
            .filter(|id| id.len() == DIGITS && id.bytes().all(|b| b.is_ascii_digit()));
        let id = id
            .and_then(|id| id.parse::<u64>().ok())
            .and_then(|id| u32::try_from(id).ok());
        id.filter(|id| *id > 0).map_or(Self::Foreign, Self::Segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Name {
        Name::parse(OsStr::new(name))
    }

    #[test]
    fn names_round_trip() {
        for id in [1, 42, u32::MAX] {
            assert_eq!(parse(&segment(id)), Name::Segment(id));
            assert_eq!(parse(&unfinished(&segment(id))), Name::Unfinished);
        }
        assert_eq!(segment(42), "00000000000000000042.seg");
        assert_eq!(parse("archive-1.hold"), Name::Hold("archive-1".to_owned()));
        assert_eq!(parse("archive-1.hold.new"), Name::Unfinished);
        assert_eq!(parse("MANIFEST"), Name::Manifest);
        assert_eq!(parse("MANIFEST.new"), Name::Unfinished);
    }

    #[test]
    fn only_the_exact_spelling_is_ours() {
        for name in [
            "42.seg",
            "00000000000000000000.seg",
            "00000000004294967296.seg",
            "+0000000000000000042.seg",
        ] {
            assert_eq!(parse(name), Name::Foreign, "{name}");
        }
        for name in [
            "lock",
            "LOCK.new",
            "MANIFEST.new.new",
            "notes.txt",
            "Archive.hold",
            ".hold",
            "00000000000000000042.seg ",
            ".new",
        ] {
            assert_eq!(parse(name), Name::Foreign, "{name}");
        }
    }
}
