//! The probe of directories: files of any bytes are read, verified, opened, and go on as a log.
//!
//! What must hold, whatever the bytes are:
//!
//! * D1. Nobody panics or holds much memory; a reader and a refusal change nothing.
//! * D2. A refusal is a row of the decision table and says where, or is about a size that `MANIFEST` states.
//! * D3. Every record that is given back stands in the input, in a frame that is intact under the salt that rules its
//!   place, between head and end, once, in order, and in no range that is void.
//! * D4. A reader that was there before and one that comes after agree with the log that was opened.
//! * D5. What was opened takes a record, and gives back the same and this one after a kill and after a power cut.

use std::collections::BTreeMap;
use std::ops::Range;

use segwal::fault::SimDisk;
use segwal::probe::Reached;
use segwal::{
    EndKind, Error, ErrorKind, Lsn, OnFull, Verdict, VerdictKind, Wal, WalOptions, WalReader,
};

use crate::directory::{DIR, Directory, SEGMENT_SIZE};
use crate::frames::{Frame, u32_at, word};
use crate::going_on::go_on;

/// One record that was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) lsn: Lsn,
    pub(crate) index: u16,
    pub(crate) tag: u8,
    pub(crate) payload: Vec<u8>,
}

/// Records up to the end, or to the error behind them.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) entries: Vec<Entry>,
    pub(crate) problem: Option<Error>,
}

pub(crate) fn options() -> WalOptions {
    let mut options = WalOptions::new();
    options
        .segment_size(SEGMENT_SIZE as u64)
        .preallocate_segments(1)
        .reserve_segments(0)
        .on_full(OnFull::Fail);
    options
}

/// Chunks of files, as `directory` says.
pub(crate) fn open(input: &[u8]) -> Reached {
    let said = Directory::said(input);
    let disk = said.disk();
    let mut reached = Reached::new();
    let before = read_beside(&disk, &mut reached);
    assert!(Directory::of(&disk) == said, "a reader changed something");
    let wal = match options().open_on(&disk, DIR, 77) {
        Err(error) => {
            assert!(
                Directory::of(&disk) == said,
                "a refusal changed something: {error}"
            );
            check_refusal(&error, &said);
            reached.insert(format!("refused:{}", error.row().unwrap_or('-')));
            return reached;
        }
        Ok(wal) => wal,
    };
    reached.insert(format!("opened:{:?}", wal.recovery().kind()));
    if wal.recovery().kind() == EndKind::Created {
        let is_left = |name: &String| name.strip_suffix(".seg").is_some_and(|id| id.len() == 20);
        assert!(
            !said.files.keys().any(is_left),
            "made anew beside a segment"
        );
    }
    let given = read(&wal);
    check(&wal, &given, &said);
    if !given.entries.is_empty() {
        reached.insert("records".to_owned());
    }
    if !wal.recovery().voids().is_empty() {
        reached.insert("voids".to_owned());
    }
    if !wal.holds().is_empty() {
        reached.insert("holds".to_owned());
    }
    if let Some(error) = &given.problem {
        check_damage(error);
        reached.insert("damaged".to_owned());
        return reached;
    }
    if let Some(entries) = &before.entries {
        assert_eq!(*entries, given.entries, "a reader before the opening");
    }
    reached.extend(go_on(wal, &disk, given.entries, &before));
    reached
}

/// What a reader saw before the log was opened.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// What it gave, if it came to the end.
    entries: Option<Vec<Entry>>,
    is_damaged: bool,
}

impl Before {
    /// Whether it is no wonder that a reader meets this.
    pub(crate) fn is_damaged_to(&self, error: &Error) -> bool {
        check_damage(error);
        self.is_damaged
    }
}

/// Everything that a reader does.
fn read_beside(disk: &SimDisk, reached: &mut Reached) -> Before {
    let reader = match WalReader::open_on(disk, DIR) {
        Ok(reader) => reader,
        Err(error) => {
            check_row(&error);
            return Before::default();
        }
    };
    let verdict = reader.verify();
    check_verdict(&verdict);
    reached.insert(format!("verified:{}", verdict.row()));
    for hold in reader.holds().unwrap() {
        assert!(hold.name().len() <= 64);
    }
    let mut before = Before {
        entries: None,
        is_damaged: verdict.problem().is_some(),
    };
    match read_by(&reader) {
        Some(Given {
            entries,
            problem: None,
        }) => before.entries = Some(entries),
        Some(Given {
            problem: Some(error),
            ..
        }) => {
            check_damage(&error);
            before.is_damaged = true;
        }
        None => {}
    }
    before
}

/// What a reader gives; none if it does not know where to begin.
pub(crate) fn read_by(reader: &WalReader) -> Option<Given> {
    let records = reader.records(reader.head().ok()?);
    Some(Given::of(records, |record| Entry {
        lsn: record.lsn(),
        index: record.index(),
        tag: record.tag(),
        payload: record.payload().to_vec(),
    }))
}

/// What an open log gives.
pub(crate) fn read(wal: &Wal) -> Given {
    Given::of(wal.records(wal.head()), |record| Entry {
        lsn: record.lsn(),
        index: record.index(),
        tag: record.tag(),
        payload: record.payload().to_vec(),
    })
}

impl Given {
    /// What the iterator gives, or why there is none.
    fn of<R>(
        records: segwal::Result<impl Iterator<Item = segwal::Result<R>>>,
        entry: impl Fn(R) -> Entry,
    ) -> Self {
        let mut given = Self {
            entries: Vec::new(),
            problem: None,
        };
        match records {
            Err(error) => given.problem = Some(error),
            Ok(records) => {
                for record in records {
                    match record {
                        Err(error) => given.problem = Some(error),
                        Ok(record) => given.entries.push(entry(record)),
                    }
                }
            }
        }
        given
    }
}

/// D3.
fn check(wal: &Wal, given: &Given, said: &Directory) {
    let recovery = wal.recovery();
    assert_eq!(wal.head(), recovery.head());
    assert!(recovery.head() <= recovery.end() && recovery.end() <= wal.end());
    let standing = Standing::of(said, recovery.head(), recovery.end());
    let mut last = None;
    for entry in &given.entries {
        let Entry { lsn, index, .. } = *entry;
        assert!(
            recovery.head() <= lsn && lsn < recovery.end(),
            "{entry:?} in {recovery:?}"
        );
        assert!(last < Some((lsn, index)), "{entry:?} behind {last:?}");
        last = Some((lsn, index));
        let is_void = recovery.voids().iter().any(|void| void.contains(&lsn));
        assert!(!is_void, "{entry:?} is void in {recovery:?}");
        standing.check(said, entry);
    }
}

/// What stands between two positions, by the document alone.
struct Standing {
    frames: BTreeMap<u64, Frame>,
    voids: Vec<Range<u64>>,
}

impl Standing {
    fn of(said: &Directory, head: Lsn, end: Lsn) -> Self {
        let mut standing = Self {
            frames: BTreeMap::new(),
            voids: Vec::new(),
        };
        for id in head.segment()..=end.segment() {
            let Some(file) = said.segment(id) else {
                continue;
            };
            let limit = match said.segment(id.saturating_add(1)) {
                _ if id == end.segment() => end.offset(),
                Some(next) if next.len() >= 576 => u64::from(u32_at(next, 532)) * 8,
                _ => SEGMENT_SIZE as u64,
            };
            let frames = Frame::all(file, id, usize::try_from(limit).unwrap());
            let voids = frames.iter().filter_map(|frame| frame.voids(file, id));
            standing.voids.extend(voids);
            let frames = frames.into_iter().map(|frame| (word(id, frame.at), frame));
            standing.frames.extend(frames);
        }
        standing
    }

    fn check(&self, said: &Directory, entry: &Entry) {
        let lsn = entry.lsn.to_word();
        let is_void = self.voids.iter().any(|void| void.contains(&lsn));
        assert!(!is_void, "{entry:?} was taken back");
        let file = said.segment(entry.lsn.segment());
        let frame = self.frames.get(&lsn);
        let record = frame
            .zip(file)
            .and_then(|(frame, file)| frame.record(file, entry.index));
        let given = (entry.tag, &entry.payload[..]);
        assert!(
            record == Some(given),
            "{entry:?} was never there: {record:?}"
        );
    }
}

/// D2, of a writing open.
fn check_refusal(error: &Error, said: &Directory) {
    let is_about_size = matches!(error.kind(), ErrorKind::InvalidOption | ErrorKind::NoSpace);
    if !(is_about_size && said.has_forged_size()) {
        check_row(error);
    }
}

fn check_row(error: &Error) {
    check_damage(error);
    assert!(
        error.row().is_some() || error.kind() == ErrorKind::NotFound,
        "no row: {error}"
    );
}

/// Bytes can be damaged or of another version; nothing else is wrong with a healthy disk.
pub(crate) fn check_damage(error: &Error) {
    let is_placed = error.place().path.is_some() || error.place().lsn.is_some();
    let is_about_bytes = match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Incompatible => is_placed,
        // A head that was forged, or went back, can lie between records.
        ErrorKind::NotFound | ErrorKind::Discarded => true,
        _ => false,
    };
    assert!(is_about_bytes, "not an error of bytes: {error}");
}

fn check_verdict(verdict: &Verdict) {
    match verdict.kind() {
        VerdictKind::Clean | VerdictKind::TornTail => {
            assert!(matches!(verdict.row(), 'A' | 'B' | 'C'), "{verdict:?}");
            assert!(verdict.end().is_some() && verdict.problem().is_none());
        }
        VerdictKind::Corrupt | VerdictKind::Unreadable => {
            check_damage(verdict.problem().unwrap());
        }
        _ => panic!("{verdict:?} of a log that nobody writes"),
    }
}
