//! [`judge`]: the table by which the end of a log is judged.
//!
//! Recovery gathers [`Findings`]; exactly one row of [`ROWS`] matches them, whatever they are. A row reads from strong to
//! weak: what could not be read judges nothing, a log without its head is not judged at its end, and only an end that keeps
//! everything that is known to be durable is looked at for how it came about.
//!
//! | row | found | action |
//! |---|---|---|
//! | A | a clean end | accept |
//! | B | a torn tail: the position's LSN, and no valid frame there or behind | cut, reported |
//! | C | a hole: valid frames behind, none of which proves that it was durable | cut, reported |
//! | D | the end is below what is known to be durable | refuse |
//! | E | `COOKIE` is missing | refuse |
//! | F | `COOKIE` has no valid head | refuse |
//! | G | the head is beyond the end | refuse |
//! | H | a segment below the known durable position is missing or damaged | refuse |
//! | I | something could not be read | refuse |
//! | J | `MANIFEST` is missing or damaged | refuse |
//! | K | something was written by a newer version | refuse |
//! | L | `COOKIE` is that of an unfinished creation, beside records | refuse |
//! | M | a file that may be wanted is no usable segment | refuse |
//! | N | a file of another log stands where one of this log belongs | refuse |
//! | O | the file of a hold says nothing | refuse |

use std::fmt::Display;

use crate::error::{Error, ErrorKind};

/// Whether everything that was wanted could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Complete,
    Failed,
}

/// Whether it is known which log this is, and how it is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Known,
    /// `MANIFEST` is missing beside files of a log, or damaged.
    Lost,
    /// `MANIFEST` or a segment is whole, and a newer version wrote it.
    Newer,
}

/// What became of `COOKIE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CookieState {
    Valid,
    /// It says that the log was never finished, and a segment says that it was.
    Unborn,
    /// It is there, and neither of its head slots is valid.
    WithoutHead,
    Missing,
}

/// The run of linked segments from the head on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// It reaches the known durable position.
    Whole,
    /// A segment is missing, damaged or not linked below it.
    Broken,
}

/// How the end of the frames compares with a position that it must not be below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The end is at the position or beyond.
    Reached,
    /// The end is below the position.
    Short,
}

/// What stands where the frames stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopKind {
    /// Bytes that do not carry the position's LSN, or no room for a frame.
    Clean,
    /// The position's LSN, and no valid frame.
    Torn,
}

/// What is found behind the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    Nothing,
    /// A frame that is valid under a salt in force, or a segment that is linked past the stop.
    Frames,
}

/// Whether it is known what must be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Known,
    /// The file of a hold is damaged.
    Unknown,
}

/// What has the names of segments from the head on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// Segments of this log.
    Ours,
    /// A file that is no segment, or another one than its name says.
    Unusable,
    /// One of another log.
    Foreign,
}

/// Everything by which an end is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) reading: Reading,
    pub(crate) identity: Identity,
    pub(crate) kept: Kept,
    pub(crate) cookie: CookieState,
    pub(crate) chain: Chain,
    /// The end against the head.
    pub(crate) head: Reach,
    /// The end against what is known to be durable: the greatest of what `COOKIE`, links, epochs and frames say, those
    /// behind the stop included.
    pub(crate) durable: Reach,
    pub(crate) files: Files,
    pub(crate) stop: StopKind,
    pub(crate) behind: Behind,
}

/// A log with which nothing is wrong.
pub(crate) const SOUND: Findings = Findings {
    reading: Reading::Complete,
    identity: Identity::Known,
    kept: Kept::Known,
    cookie: CookieState::Valid,
    chain: Chain::Whole,
    head: Reach::Reached,
    durable: Reach::Reached,
    files: Files::Ours,
    stop: StopKind::Clean,
    behind: Behind::Nothing,
};

/// What recovery does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The log ends here, and nothing was lost.
    Accept,
    /// The log ends here; what stands behind is void and reported.
    Cut,
    /// Nothing is changed and the log is not opened.
    Refuse(ErrorKind),
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) letter: char,
    pub(crate) name: &'static str,
    pub(crate) action: Action,
    matches: fn(Findings) -> bool,
}

impl Row {
    /// The refusal by this row, with what was found in particular.
    pub(crate) fn refuse(&self, detail: impl Display) -> Error {
        let Self { letter, name, .. } = self;
        let kind = match self.action {
            Action::Refuse(kind) => kind,
            Action::Accept | Action::Cut => ErrorKind::Internal,
        };
        Error::new(kind, format!("row {letter}: {name}: {detail}")).by_row(*letter)
    }
}

/// The row of this letter.
pub(crate) fn row_named(letter: char) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.letter == letter)
}

const CORRUPT: Action = Action::Refuse(ErrorKind::Corrupt);
const INCOMPATIBLE: Action = Action::Refuse(ErrorKind::Incompatible);

/// The table. Exactly one row matches any findings.
pub(crate) static ROWS: [Row; 15] = [
    Row {
        letter: 'A',
        name: "clean end",
        action: Action::Accept,
        matches: |f| f.is_usable() && f.behind == Behind::Nothing && f.stop == StopKind::Clean,
    },
    Row {
        letter: 'B',
        name: "torn tail",
        action: Action::Cut,
        matches: |f| f.is_usable() && f.behind == Behind::Nothing && f.stop == StopKind::Torn,
    },
    Row {
        letter: 'C',
        name: "hole above the known durable position",
        action: Action::Cut,
        matches: |f| f.is_usable() && f.behind == Behind::Frames,
    },
    Row {
        letter: 'D',
        name: "the log ends below the known durable position",
        action: CORRUPT,
        matches: |f| f.reaches_head() && f.durable == Reach::Short,
    },
    Row {
        letter: 'E',
        name: "COOKIE is missing",
        action: CORRUPT,
        matches: |f| f.is_told() && f.cookie == CookieState::Missing,
    },
    Row {
        letter: 'F',
        name: "COOKIE has no valid head",
        action: CORRUPT,
        matches: |f| f.is_told() && f.cookie == CookieState::WithoutHead,
    },
    Row {
        letter: 'G',
        name: "the head is beyond the end of the log",
        action: CORRUPT,
        matches: |f| f.is_linked() && f.head == Reach::Short,
    },
    Row {
        letter: 'H',
        name: "a segment below the known durable position is missing or damaged",
        action: CORRUPT,
        matches: |f| f.has_head() && f.chain == Chain::Broken,
    },
    Row {
        letter: 'I',
        name: "the log could not be read",
        action: Action::Refuse(ErrorKind::Io),
        matches: |f| !f.is_readable(),
    },
    Row {
        letter: 'J',
        name: "MANIFEST is missing or damaged",
        action: CORRUPT,
        matches: |f| f.is_readable() && f.identity == Identity::Lost,
    },
    Row {
        letter: 'K',
        name: "the log was written by a newer version of segwal",
        action: INCOMPATIBLE,
        matches: |f| f.is_readable() && f.identity == Identity::Newer,
    },
    Row {
        letter: 'L',
        name: "COOKIE is that of an unfinished creation, beside records",
        action: CORRUPT,
        matches: |f| f.is_told() && f.cookie == CookieState::Unborn,
    },
    Row {
        letter: 'M',
        name: "a file that may be wanted is no usable segment",
        action: CORRUPT,
        matches: |f| f.keeps_durable() && f.files == Files::Unusable,
    },
    Row {
        letter: 'N',
        name: "a file of another log stands where one of this log belongs",
        action: INCOMPATIBLE,
        matches: |f| f.keeps_durable() && f.files == Files::Foreign,
    },
    Row {
        letter: 'O',
        name: "the file of a hold says nothing",
        action: CORRUPT,
        matches: |f| f.is_identified() && f.kept == Kept::Unknown,
    },
];

/// The row that the findings match.
pub(crate) fn judge(findings: Findings) -> &'static Row {
    ROWS.iter()
        .find(|row| (row.matches)(findings))
        .expect("the table is exhaustive")
}

/// The levels of the table; each needs the one before it.
impl Findings {
    fn is_readable(self) -> bool {
        self.reading == Reading::Complete
    }

    fn is_identified(self) -> bool {
        self.is_readable() && self.identity == Identity::Known
    }

    fn is_told(self) -> bool {
        self.is_identified() && self.kept == Kept::Known
    }

    fn has_head(self) -> bool {
        self.is_told() && self.cookie == CookieState::Valid
    }

    fn is_linked(self) -> bool {
        self.has_head() && self.chain == Chain::Whole
    }

    fn reaches_head(self) -> bool {
        self.is_linked() && self.head == Reach::Reached
    }

    fn keeps_durable(self) -> bool {
        self.reaches_head() && self.durable == Reach::Reached
    }

    fn is_usable(self) -> bool {
        self.keeps_durable() && self.files == Files::Ours
    }
}

#[cfg(test)]
mod tests;
