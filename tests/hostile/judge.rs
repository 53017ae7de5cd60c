//! [`judge`]: gives a directory of hostile bytes to every way of reading a log, and says what became of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use segwal::fault::SimDisk;
use segwal::{EndKind, Error, ErrorKind, Lsn, Verdict, VerdictKind, Wal, WalReader};

use crate::entry::Entry;
use crate::forge::word;
use crate::history::{Log, options};
use crate::image::{DIR, Image};
use crate::memory::{LIMIT, peak_of};

/// The marker of payloads that were forged: nothing tells such records from genuine ones.
pub(crate) const FORGED: &[u8] = b"FORGED";

/// How much an input leaves of the promise that nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Honesty {
    /// It is damage: what is left of what the log says must be kept.
    Damage,
    /// Frames with correct checksums stand behind the end: what they add passes, and nothing else is lost.
    Added,
    /// It was made with correct checksums: what it adds passes, what it says of the log is believed.
    Forged,
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    /// The row by which the writing open accepted or refused; `-` for a log made anew where nothing of one was left.
    pub(crate) opened: char,
    /// The row of the verification.
    pub(crate) verified: char,
    /// The most memory that was held.
    pub(crate) peak: usize,
}

/// Opens, reads and verifies the directory.
///
/// # Errors
/// A promise is broken.
pub(crate) fn judge(image: &Image, log: &Log, honesty: Honesty) -> Result<Judged, String> {
    let run = || peak_of(|| looked_at(image, log, honesty));
    let (result, peak) = catch_unwind(AssertUnwindSafe(run)).map_err(|_| "a panic".to_owned())?;
    let (opened, verified) = result?;
    if peak > LIMIT {
        return Err(format!("{peak} bytes of memory were held"));
    }
    Ok(Judged {
        opened,
        verified,
        peak,
    })
}

fn looked_at(image: &Image, log: &Log, honesty: Honesty) -> Result<(char, char), String> {
    let disk = image.disk();
    let verified = read_beside(&disk, image, log, honesty)?;
    if Image::of(&disk) != *image {
        return Err("a reader changed something".to_owned());
    }
    let (opened, problem) = open(&disk, image, log, honesty)?;
    let agree = match verified {
        // A reader need not know what a writer must.
        'A' | 'B' | 'C' => verified == opened || opened == 'K' && honesty == Honesty::Forged,
        // A discarded record in the head's segment is damaged; nobody misses it.
        'G' if matches!(opened, 'A' | 'B' | 'C') => true,
        // The verification reads all that an open does, and more.
        _ => !matches!(opened, 'A' | 'B' | 'C') || problem.is_some() || honesty != Honesty::Damage,
    };
    if !agree && opened != '-' {
        return Err(format!(
            "verified as row {verified}, opened as row {opened}, then {problem:?}"
        ));
    }
    Ok((opened, verified))
}

/// The row, and the error that reading ended with.
fn open(
    disk: &SimDisk,
    image: &Image,
    log: &Log,
    honesty: Honesty,
) -> Result<(char, Option<Error>), String> {
    let wal = match options().open_on(disk, DIR, 77) {
        Ok(wal) => wal,
        Err(error) => {
            if Image::of(disk) != *image {
                return Err(format!("a refusal changed something: {error}"));
            }
            return Ok((row_of(&error)?, Some(error)));
        }
    };
    let row = match wal.recovery().kind() {
        EndKind::Created => return created(image).map(|row| (row, None)),
        EndKind::TornTail => 'B',
        EndKind::Hole => 'C',
        _ => 'A',
    };
    let (records, problem) = read(&wal);
    if let Some(error) = &problem {
        must_be_about_bytes(error)?;
    }
    let known = log.claims.left_in(image, &log.image);
    let ended = problem.is_none();
    let is_damage = honesty == Honesty::Damage;
    check(log, wal.head(), &records, honesty, ended.then_some(known))?;
    if is_damage && ended {
        go_on(&wal, records.len())?;
    }
    Ok((row, problem))
}

/// A log is made anew only where nothing of one is left but its identity.
fn created(image: &Image) -> Result<char, String> {
    let is_left = |name: &str| name == "COOKIE" || name.strip_suffix(".seg").is_some();
    match image.files.iter().find(|file| is_left(&file.name)) {
        Some(file) if file.name == "COOKIE" && image.segments().is_empty() => Ok('-'),
        Some(file) => Err(format!("the log was made anew beside {}", file.name)),
        None => Ok('-'),
    }
}

fn read(wal: &Wal) -> (Vec<Entry>, Option<Error>) {
    let mut entries = Vec::new();
    let records = match wal.records(wal.head()) {
        Ok(records) => records,
        Err(error) => return (entries, Some(error)),
    };
    for record in records {
        match record {
            Ok(record) => entries.push(record.into()),
            Err(error) => return (entries, Some(error)),
        }
    }
    (entries, None)
}

/// What was given back stands in the truth, without a gap, and reaches `known`, if nothing said that it does not.
fn check(
    log: &Log,
    head: Lsn,
    got: &[Entry],
    honesty: Honesty,
    known: Option<u64>,
) -> Result<(), String> {
    if honesty == Honesty::Forged {
        let is_known = |entry: &&Entry| is_added(log, entry) || log.entries.contains(entry);
        return match got.iter().find(|entry| !is_known(entry)) {
            Some(entry) => Err(format!("{entry} was never written")),
            None => Ok(()),
        };
    }
    let truth = log.from(head);
    let is_genuine = |entry: &&Entry| honesty != Honesty::Added || !is_added(log, entry);
    let got: Vec<&Entry> = got.iter().filter(is_genuine).collect();
    if let Some((entry, _)) = got
        .iter()
        .zip(truth.iter().map(Some).chain(std::iter::repeat(None)))
        .find(|(entry, truth)| Some(**entry) != *truth)
    {
        return Err(format!("{entry} was never written there"));
    }
    let must = known.map_or(0, |known| Log::below(truth, known));
    if got.len() < must {
        return Err(format!(
            "lost in silence: {} of {must} records, from {} on",
            must - got.len(),
            truth[got.len()]
        ));
    }
    Ok(())
}

/// Whether a record stands where, or is marked as, forgeries are.
fn is_added(log: &Log, entry: &Entry) -> bool {
    entry.payload.starts_with(FORGED) || word(entry.lsn) >= log.claims.end.word()
}

/// A log that was opened takes records and gives them back.
fn go_on(wal: &Wal, before: usize) -> Result<(), String> {
    let fail = |error: Error| format!("going on: {error}");
    match wal.append(b"one more") {
        Err(error) if error.kind() == ErrorKind::NoSpace => return Ok(()),
        other => other.map_err(fail)?,
    };
    wal.sync().map_err(fail)?;
    let (records, problem) = read(wal);
    if let Some(error) = problem {
        return Err(fail(error));
    }
    let last = records.last().map(|entry| &entry.payload[..]);
    if last != Some(b"one more") || records.len() != before + 1 {
        return Err(format!(
            "going on: {} records after {before}",
            records.len()
        ));
    }
    Ok(())
}

/// Everything that a reader does; the row of the verification.
fn read_beside(disk: &SimDisk, image: &Image, log: &Log, honesty: Honesty) -> Result<char, String> {
    let reader = match WalReader::open_on(disk, DIR) {
        Ok(reader) => reader,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok('-'),
        Err(error) => return row_of(&error),
    };
    let (head, records, problem) = read_all_beside(&reader);
    if let Some(error) = &problem {
        must_be_about_bytes(error)?;
    }
    if let Some(head) = head {
        let known = log.claims.left_in_cookie(image, &log.image);
        let known = problem.is_none().then_some(known);
        check(log, head, &records, honesty, known).map_err(|what| format!("a reader: {what}"))?;
    }
    row_of_verdict(&reader.verify())
}

fn read_all_beside(reader: &WalReader) -> (Option<Lsn>, Vec<Entry>, Option<Error>) {
    let mut entries = Vec::new();
    let head = match reader.head() {
        Ok(head) => head,
        Err(error) => return (None, entries, Some(error)),
    };
    let records = match reader.records(head) {
        Ok(records) => records,
        Err(error) => return (Some(head), entries, Some(error)),
    };
    for record in records {
        match record {
            Ok(record) => entries.push(record.into()),
            Err(error) => return (Some(head), entries, Some(error)),
        }
    }
    (Some(head), entries, None)
}

fn row_of_verdict(verdict: &Verdict) -> Result<char, String> {
    match verdict.kind() {
        VerdictKind::Clean | VerdictKind::TornTail => Ok(verdict.row()),
        VerdictKind::Corrupt | VerdictKind::Unreadable => match verdict.problem() {
            Some(error) => must_be_about_bytes(error).map(|()| verdict.row()),
            None => Err(format!("{verdict:?} names no problem")),
        },
        _ => Err(format!("{verdict:?} of a log that nobody writes")),
    }
}

fn row_of(error: &Error) -> Result<char, String> {
    must_be_about_bytes(error)?;
    error
        .row()
        .ok_or_else(|| format!("refused without a row: {error}"))
}

/// Bytes can be damaged or of another version; nothing else is wrong with a healthy disk.
fn must_be_about_bytes(error: &Error) -> Result<(), String> {
    let is_placed = error.place().path.is_some() || error.place().lsn.is_some();
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Incompatible if is_placed => Ok(()),
        // A head that was forged, or went back, can lie between records.
        ErrorKind::NotFound | ErrorKind::Discarded => Ok(()),
        _ => Err(format!("not an error of bytes: {error}")),
    }
}
