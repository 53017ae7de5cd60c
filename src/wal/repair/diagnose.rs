//! [`diagnose`]: what is wrong with a log, and what of it can be kept. Changes nothing.
//!
//! # Invariants
//! * X1. What is kept is a prefix: from the head every frame, up to the first that is not valid. Nothing behind it is.
//! * X2. A log that an opening accepts, every frame of which is valid up to what is known to be durable, has no fault.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{COOKIE_SIZE, Cookie, FIRST_FRAME, Manifest};
use crate::lsn::Lsn;
use crate::segment::{COOKIE, Directory, FileSource, MANIFEST, Salts, segment_name};
use crate::sys::Access;

use super::behind::{Behind, look_behind};
use crate::wal::create::is_unfinished;
use crate::wal::recover::{
    Found, Header, Prefix, Survey, Walk, identity_of_segments, prefix, read_headers, read_manifest,
    read_whole,
};

/// What is wrong, and what becomes of the log.
#[derive(Debug)]
pub(super) struct Diagnosis {
    /// What is wrong, in words; nothing if no repair is needed.
    pub(super) faults: Vec<String>,
    pub(super) manifest: Manifest,
    /// Whether `MANIFEST` is written anew, and was there.
    pub(super) manifest_is: Part,
    /// What the valid slots of `COOKIE` say.
    pub(super) cookie: Cookie,
    pub(super) cookie_is: Part,
    pub(super) head: Lsn,
    /// Where the valid frames end.
    pub(super) end: Lsn,
    /// Everything below is known to have been durable.
    pub(super) known: Lsn,
    pub(super) kept_records: u64,
    pub(super) cut: Option<Cut>,
}

/// What was found of one of the small files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Valid,
    Damaged,
    Missing,
}

/// What is given up.
#[derive(Debug)]
pub(super) struct Cut {
    /// The end of the last thing that is known behind the new end.
    pub(super) lost_end: Lsn,
    /// The records behind the new end that can still be read.
    pub(super) records: u64,
    /// Segments that are copied aside: that of the end, and each behind it that holds anything.
    pub(super) kept: Vec<u32>,
    /// Segments that are removed: all behind that of the end.
    pub(super) removed: Vec<u32>,
}

/// What follows from a lost `COOKIE`.
const REBUILT: &str =
    "where the log begins follows from its segments, and records that were discarded may be back";

/// There must be something of a log before a lock is taken, for taking it makes a file.
pub(super) fn check_there(directory: &Directory) -> Result<()> {
    let none = || {
        Error::new(ErrorKind::NotFound, "there is no log")
            .at_path(directory.path())
            .advise("name the directory of a log")
    };
    match Survey::of(directory) {
        Ok(survey) if survey.is_blank() => Err(none()),
        Ok(_) => Ok(()),
        Err(error) if error.os_error() == Some(2) => Err(none()),
        Err(error) => Err(error),
    }
}

/// Looks at everything.
pub(super) fn diagnose(directory: &Directory, head: Option<u32>) -> Result<Diagnosis> {
    let survey = Survey::of(directory)?;
    let mut faults = Vec::new();
    let (manifest, manifest_is) = identify(directory, &survey, &mut faults)?;
    let (mut cookie, mut cookie_is) = read_cookie(directory, &survey, &manifest, &mut faults)?;
    let files = read_headers(directory, &survey.segments, &manifest)?;
    let walk = Walk {
        directory,
        segments: &files,
        size: manifest.segment_size,
    };
    if is_unfinished(&cookie) {
        if is_unborn(walk)? {
            return Err(unborn(directory));
        }
        faults.push("row L: COOKIE is that of an unfinished creation, beside records".to_owned());
        (cookie, cookie_is) = (Cookie::default(), Part::Damaged);
    }
    let head = match (cookie.head, head) {
        (Some(slot), None) => slot.lsn,
        (Some(slot), Some(id)) if slot.lsn.segment() == id => slot.lsn,
        (Some(slot), Some(_)) => return Err(head_is_known(directory, slot.lsn)),
        (None, Some(id)) => first_of(id),
        (None, None) => first_of(oldest_linked(directory, &files, manifest.segment_size)?),
    };
    let stated = cookie.durable.map_or(head, |slot| slot.lsn.max(head));
    if files
        .get(&head.segment())
        .and_then(Found::activation)
        .is_none()
    {
        return Err(nothing_to_keep(directory, head, files.get(&head.segment())));
    }
    let found = prefix(walk, head, stated)?;
    let behind = look_behind(walk, &found)?;
    judge(directory, head, &found, &files, &mut faults);
    let cut = (!faults.is_empty())
        .then(|| cut_of(head, &found, &files, &behind))
        .flatten();
    Ok(Diagnosis {
        faults,
        manifest,
        manifest_is,
        cookie,
        cookie_is,
        head,
        end: found.end,
        known: found.known,
        kept_records: found.records,
        cut,
    })
}

/// Whether nothing was ever appended: at most segment 1 is there, and no frame in it.
fn is_unborn(walk: Walk<'_>) -> Result<bool> {
    if walk.segments.keys().any(|id| *id != 1) {
        return Ok(false);
    }
    let activated = walk.segments.get(&1).and_then(Found::activation).is_some();
    let first = first_of(1);
    Ok(!activated || prefix(walk, first, first)?.end == first)
}

fn first_of(segment: u32) -> Lsn {
    Lsn::new(segment, FIRST_FRAME).unwrap_or(Lsn::MAX)
}

fn identify(
    directory: &Directory,
    survey: &Survey,
    faults: &mut Vec<String>,
) -> Result<(Manifest, Part)> {
    let path = directory.file(MANIFEST);
    let part = if survey.has_manifest {
        match read_manifest(directory) {
            Ok(manifest) if manifest.read_only_features() == 0 => {
                return Ok((manifest, Part::Valid));
            }
            Ok(_) => {
                let what = "the log has features that this version cannot write";
                return Err(Error::new(ErrorKind::Incompatible, what).at_path(&path));
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => Part::Damaged,
            Err(error) => return Err(error),
        }
    } else {
        Part::Missing
    };
    let is = if part == Part::Damaged {
        "damaged"
    } else {
        "missing"
    };
    let agreed = identity_of_segments(directory, &survey.segments)?.ok_or_else(|| {
        let what = format!("MANIFEST is {is}, and the segments do not agree on whose they are");
        Error::new(ErrorKind::Corrupt, what).at_path(&path)
    })?;
    faults.push(format!(
        "MANIFEST is {is}; the segments agree on the log {} with segments of {} bytes; the user header is lost",
        agreed.uuid, agreed.segment_size
    ));
    Ok((agreed, part))
}

fn read_cookie(
    directory: &Directory,
    survey: &Survey,
    manifest: &Manifest,
    faults: &mut Vec<String>,
) -> Result<(Cookie, Part)> {
    let nothing = Cookie::default();
    if !survey.has_cookie {
        faults.push(format!("row E: COOKIE is missing; {REBUILT}"));
        return Ok((nothing, Part::Missing));
    }
    let path = directory.file(COOKIE);
    let file = directory.open(COOKIE, Access::Read)?;
    let size = usize::try_from(COOKIE_SIZE).unwrap_or(0);
    let mut bytes =
        read_whole(&*file, size).map_err(|error| Error::io("cannot read COOKIE", &path, error))?;
    let len = bytes.len();
    bytes.resize(size, 0);
    let cookie = Cookie::decode(&bytes, &manifest.uuid);
    if len == size && cookie.head.is_some() {
        return Ok((cookie, Part::Valid));
    }
    faults.push(if len < size {
        format!("row F: COOKIE has {len} bytes instead of {size}; {REBUILT}")
    } else {
        format!("row F: COOKIE has no valid head; {REBUILT}")
    });
    Ok((cookie, Part::Damaged))
}

/// The faults of the chain, and of what stands where it would go on.
fn judge(
    directory: &Directory,
    head: Lsn,
    found: &Prefix,
    files: &BTreeMap<u32, Found>,
    faults: &mut Vec<String>,
) {
    let end = found.end;
    if end < head {
        let fault = &found.fault;
        faults.push(format!(
            "row G: the valid frames end at {end} ({fault}), below the head, {head}"
        ));
    } else if end < found.known {
        let next = end.segment().checked_add(1);
        let why = next
            .filter(|next| *next <= found.known.segment())
            .filter(|_| found.is_whole_segment)
            .map(|next| {
                let what = files
                    .get(&next)
                    .map_or_else(|| "there is no such file".to_owned(), Found::fault);
                format!("segment {next}: {what}")
            });
        let why = why.unwrap_or_else(|| found.fault.to_string());
        faults.push(format!(
            "the valid frames end at {end} ({why}), though the log is known to have been durable up to {}",
            found.known
        ));
    }
    for (id, stranger) in files.range(head.segment()..) {
        if !matches!(stranger.header, Header::Ours(_)) && *id > end.segment() {
            faults.push(format!(
                "{}: {}",
                directory.segment(*id).display(),
                stranger.fault()
            ));
        }
    }
}

fn cut_of(head: Lsn, found: &Prefix, files: &BTreeMap<u32, Found>, behind: &Behind) -> Option<Cut> {
    let last = found.end.segment();
    let removed: Vec<u32> = files.keys().copied().filter(|id| *id > last).collect();
    let holds_something = |id: &u32| {
        let ready = |found: &Found| {
            matches!(
                found.header,
                Header::Ours(Err(crate::format::ActivationFault::Absent))
            )
        };
        !files.get(id).is_some_and(ready)
    };
    let mut kept: Vec<u32> = removed.iter().copied().filter(holds_something).collect();
    let is_short = found.end < found.known || found.end < head;
    if kept.is_empty() && !is_short {
        return None;
    }
    kept.insert(0, last);
    Some(Cut {
        lost_end: found
            .known
            .max(found.end)
            .max(behind.end.unwrap_or(found.end)),
        records: behind.records,
        kept,
        removed,
    })
}

/// The first segment of the only run of linked ones.
fn oldest_linked(directory: &Directory, files: &BTreeMap<u32, Found>, size: u64) -> Result<u32> {
    let mut heads = Vec::new();
    let activated = |id: u32| files.get(&id).and_then(Found::activation);
    for id in files.keys().copied().filter(|id| activated(*id).is_some()) {
        let before = id
            .checked_sub(1)
            .filter(|before| activated(*before).is_some());
        let is_linked = match before {
            Some(before) => is_linked(directory, files, before, size)?,
            None => false,
        };
        if !is_linked {
            heads.push(id);
        }
    }
    match heads[..] {
        [head] => Ok(head),
        [] => Err(Error::new(
            ErrorKind::Corrupt,
            "COOKIE is lost, and no segment holds anything that could be read",
        )
        .at_path(directory.path())),
        _ => Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "COOKIE is lost, and the log could begin with segment {}",
                list(&heads)
            ),
        )
        .at_path(directory.path())
        .advise("say where it begins: the owner of the log knows which records it still needs")),
    }
}

fn list(ids: &[u32]) -> String {
    let words: Vec<_> = ids.iter().map(u32::to_string).collect();
    words.join(" or ")
}

/// Whether the segment behind `id` names a salt that `id` leads to.
fn is_linked(
    directory: &Directory,
    files: &BTreeMap<u32, Found>,
    id: u32,
    size: u64,
) -> Result<bool> {
    let activation = |id: u32| files.get(&id).and_then(Found::activation);
    let Some((before, end)) = activation(id).zip(activation(id + 1).and_then(|next| next.previous))
    else {
        return Ok(false);
    };
    let path = directory.segment(id);
    let file = directory.open(&segment_name(id), Access::Read)?;
    let mut source = FileSource::new(file, size)
        .map_err(|error| Error::io("cannot read a segment", &path, error).at_segment(id))?;
    match Salts::read_back(&mut source, before, &end) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(false),
        Err(error) => Err(error.at_path(&path)),
    }
}

fn unborn(directory: &Directory) -> Error {
    Error::new(
        ErrorKind::InvalidState,
        "the creation of the log was interrupted; nothing was ever appended",
    )
    .at_path(directory.path())
    .advise("open it for writing, which ends the creation")
}

fn head_is_known(directory: &Directory, head: Lsn) -> Error {
    let what = format!("COOKIE is valid, and says that the log begins at {head}");
    Error::new(ErrorKind::InvalidOption, what).at_path(directory.path())
}

fn nothing_to_keep(directory: &Directory, head: Lsn, found: Option<&Found>) -> Error {
    let why = found.map_or_else(|| "there is no such file".to_owned(), Found::fault);
    let what = format!("the log begins at {head}, and nothing of that segment can be read: {why}");
    Error::new(ErrorKind::Corrupt, what)
        .at_path(&directory.segment(head.segment()))
        .at_segment(head.segment())
        .advise("no prefix of the log is left; move the directory away, restore a copy, or begin a new log")
}
