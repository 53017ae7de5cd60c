//! [`WalReader::copy_to`]: a backup of a log, alive or dead.
//!
//! # Protocol
//! 1. `COOKIE` is read first: what it calls durable now is in the copy, unless it is discarded meanwhile.
//! 2. Segments from the head on, by id: each valid frame is read by `pread` and written, never a byte beyond the last of
//!    them. A segment is followed by the next if that is linked to exactly the end that was found.
//! 3. After each segment the head is read again. A file is reused only after `COOKIE` has a head beyond it, durably; so
//!    if the head has not passed the segment, everything that was read of it was its own. If it has, the copy begins anew
//!    at the new head, a bounded number of times.
//! 4. `MANIFEST` and a `COOKIE` that calls exactly the copied frames durable are written; every file and the directory are
//!    synced. Only then does the directory, which was built aside, get its name: half a copy is never taken for a log.
//!
//! # Limits
//! Blocks are never shared with the original, as `cp` would have it on XFS: a later store of the writer's into a shared
//! block needs a new one, and on a full disk dies of `SIGBUS`. The rest of each file is allocated and reads as zero.

mod target;

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::format::{Activation, Cookie, FIRST_FRAME, FrameKind, Scanner, Slot, Source, Step};
use crate::lsn::Lsn;
use crate::segment::{COOKIE, Directory, FileSource, MANIFEST, hold_name, segment_name};
use crate::sys::{Access, Made};

use target::Target;

use super::{Verdict, VerdictKind, WalReader, discarded};
use crate::wal::Progress;
use crate::wal::recover::{Depth, Found, read_headers, read_whole};

/// So often a copy begins anew because its segment was recycled.
const ATTEMPTS: u32 = 16;
/// More than the file of a hold has.
const MAX_HOLD_LEN: usize = 64 << 10;

/// What a copy does about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// Copies nothing and says what is wrong.
    Refuse,
    /// Copies the records up to the damage, and reports it.
    CopyUpToIt,
}

/// What was copied.
#[derive(Debug)]
pub struct CopyReport {
    head: Lsn,
    end: Lsn,
    segments: u64,
    records: u64,
    restarts: u32,
    damage: Option<Error>,
}

impl CopyReport {
    /// Where the copy begins.
    pub fn head(&self) -> Lsn {
        self.head
    }

    /// Where the copy ends.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// The segments that were copied.
    pub fn segments(&self) -> u64 {
        self.segments
    }

    /// The records in them, each of a batch counted.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How often the copy began anew because the writer recycled the segment that was being copied.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// What ended the copy before the end of the log.
    pub fn damage(&self) -> Option<&Error> {
        self.damage.as_ref()
    }
}

impl WalReader {
    /// Copies the log into the new directory `to`, beside its writer or alone. The copy is a log of its own with the same
    /// identity and user header; it opens with at least every record that was durable when the call began and is not
    /// discarded since, and is itself durable when this returns.
    ///
    /// While it works, the copy is built beside `to`, under that name and `.new`.
    ///
    /// # Errors
    /// [`InvalidState`](ErrorKind::InvalidState) if `to` or the directory beside it exists;
    /// [`Corrupt`](ErrorKind::Corrupt) if the log is damaged, unless `on_damage` takes it;
    /// [`Discarded`](ErrorKind::Discarded) if the log is discarded faster than it can be copied;
    /// [`NoSpace`](ErrorKind::NoSpace), [`Io`](ErrorKind::Io). Nothing is left behind by a failure.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-copy-{}", std::process::id()));
    /// # let backup = dir.with_extension("backup");
    /// use segwal::{OnDamage, Wal};
    ///
    /// let wal = Wal::open(&dir)?;
    /// wal.append(b"to be kept twice")?;
    /// let reader = Wal::open_read_only(&dir)?;
    /// let copied = reader.copy_to(&backup, OnDamage::Refuse, |_| ())?;
    /// assert_eq!((copied.records(), copied.end()), (1, wal.end()));
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # std::fs::remove_dir_all(&backup).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn copy_to(
        &self,
        to: impl AsRef<Path>,
        on_damage: OnDamage,
        mut progress: impl FnMut(Progress),
    ) -> Result<CopyReport> {
        let to = to.as_ref();
        let aside = self.make_aside(to)?;
        let mut work = Work {
            reader: self,
            target: self.directory.beside(aside),
            on_damage,
            progress: &mut progress,
            done_bytes: 0,
            total_bytes: 0,
        };
        let copied = work.copy().and_then(|report| {
            work.name(to)?;
            Ok(report)
        });
        copied.inspect_err(|_| {
            // The first error is the one to report.
            drop(work.target.remove_all());
        })
    }

    /// Makes the directory in which the copy is built; the target must be free.
    fn make_aside(&self, to: &Path) -> Result<PathBuf> {
        let taken = |path: &Path, what| {
            Err(Error::new(ErrorKind::InvalidState, what)
                .at_path(path)
                .advise("name a directory that does not exist, or remove it first"))
        };
        let name = to.file_name().ok_or_else(|| {
            Error::new(ErrorKind::InvalidOption, "a copy needs a name of its own").at_path(to)
        })?;
        let disk = self.directory.disk();
        match disk.list(to) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(Error::io(
                    "cannot look for the target of the copy",
                    to,
                    error,
                ));
            }
            _ => return taken(to, "the target of the copy is there already"),
        }
        let mut unfinished = name.to_owned();
        unfinished.push(".new");
        let aside = to.with_file_name(unfinished);
        match disk.make_dir(&aside) {
            Ok(Made::Created) => Ok(aside),
            Ok(Made::Existed) => taken(&aside, "an earlier copy to this target was not finished"),
            Err(error) => Err(Error::io(
                "cannot make the directory of the copy",
                &aside,
                error,
            )),
        }
    }
}

/// One copy on its way.
struct Work<'a> {
    reader: &'a WalReader,
    target: Directory,
    on_damage: OnDamage,
    progress: &'a mut dyn FnMut(Progress),
    done_bytes: u64,
    total_bytes: u64,
}

/// The frames that were copied so far.
struct Copied {
    head: Lsn,
    end: Lsn,
    segments: u64,
    records: u64,
}

impl Work<'_> {
    fn copy(&mut self) -> Result<CopyReport> {
        let durable = self.reader.durable()?;
        let mut damage = self.damage_at_the_end()?;
        let mut restarts = 0;
        let copied = loop {
            match self.copy_chain() {
                Err(error) if error.kind() == ErrorKind::Discarded && restarts < ATTEMPTS => {
                    restarts += 1;
                    self.target.remove_files()?;
                }
                Err(error) if error.kind() == ErrorKind::Discarded => {
                    return Err(error.advise(
                        "the log is discarded faster than it is copied; hold it back with `Wal::hold` while it is copied",
                    ));
                }
                copied => break copied?,
            }
        };
        if copied.end < durable.max(copied.head) && damage.is_none() {
            damage = Some(self.short(copied.end, durable));
        }
        if let (Some(damage), OnDamage::Refuse) = (&damage, self.on_damage) {
            return Err(damage.clone());
        }
        let head = copied.head.min(copied.end);
        self.write_identity(head, copied.end)?;
        Ok(CopyReport {
            head,
            end: copied.end,
            segments: copied.segments,
            records: copied.records,
            restarts,
            damage,
        })
    }

    /// What an opening would refuse: the chain alone cannot tell a torn tail from a tail that was durable.
    fn damage_at_the_end(&self) -> Result<Option<Error>> {
        let verdict = self.reader.judge(Depth::Tail);
        let problem = verdict.problem().cloned();
        match (verdict.kind(), self.on_damage) {
            (VerdictKind::Corrupt, OnDamage::CopyUpToIt) => Ok(problem),
            (VerdictKind::Corrupt | VerdictKind::Unreadable, _) => {
                Err(problem.unwrap_or_else(|| unreadable(&verdict)))
            }
            _ => Ok(None),
        }
    }

    fn short(&self, end: Lsn, durable: Lsn) -> Error {
        let what = format!("no valid frame, though the log is known to be durable up to {durable}");
        let path = self.reader.directory.segment(end.segment());
        Error::new(ErrorKind::Corrupt, what)
            .at_path(&path)
            .at_lsn(end)
    }

    /// From the head as far as segments are linked.
    fn copy_chain(&mut self) -> Result<Copied> {
        let head = self.reader.head()?;
        let size = self.reader.manifest.segment_size;
        let durable = self.reader.durable()?.segment();
        let expected = durable.saturating_sub(head.segment()) + 1;
        (self.done_bytes, self.total_bytes) = (0, u64::from(expected) * size);
        let mut copied = Copied {
            head,
            end: Lsn::new(head.segment(), FIRST_FRAME).unwrap_or(head),
            segments: 0,
            records: 0,
        };
        let mut next = Some(self.activation(head.segment())?);
        while let Some(activation) = next.take() {
            let scanned = self.copy_segment(&activation, &mut copied.records);
            if scanned
                .as_ref()
                .err()
                .is_none_or(|error| self.is_of_source(error))
            {
                self.check_head(activation.segment)?;
            }
            let scanner = scanned?;
            copied.segments += 1;
            copied.end = scanner.at();
            self.tell_segments(copied.segments);
            let Some(id) = activation.segment.checked_add(1) else {
                break;
            };
            // Whatever cannot be read there is no continuation; whether it should be is seen by the end.
            let follows = |next: &Activation| {
                next.previous.is_some_and(|end| {
                    end.seal == scanner.at().offset()
                        && end.salt == scanner.salt()
                        && end.last_epoch == scanner.last_epoch()
                })
            };
            next = self.activation(id).ok().filter(follows);
            if next.is_none() {
                // Not there is no end, if it was there and is recycled.
                self.check_head(id)?;
            }
        }
        Ok(copied)
    }

    fn tell_segments(&mut self, count: u64) {
        self.done_bytes = count * self.reader.manifest.segment_size;
        self.tell();
    }

    fn tell(&mut self) {
        self.total_bytes = self.total_bytes.max(self.done_bytes);
        (self.progress)(Progress {
            done_bytes: self.done_bytes,
            total_bytes: self.total_bytes,
        });
    }

    fn activation(&self, id: u32) -> Result<Activation> {
        let reader = self.reader;
        let found = read_headers(&reader.directory, &[id], &reader.manifest);
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.check_head(id)?;
                return Err(error);
            }
        };
        let found = found.get(&id);
        if let Some(activation) = found.and_then(|found| found.activation()) {
            return Ok(*activation);
        }
        self.check_head(id)?;
        let what = found.map_or_else(String::new, Found::fault);
        Err(Error::new(ErrorKind::Corrupt, what)
            .at_path(&reader.directory.segment(id))
            .at_segment(id))
    }

    /// Whether reading failed, which a file that is removed meanwhile explains.
    fn is_of_source(&self, error: &Error) -> bool {
        let path = error.place().path.as_deref();
        path.and_then(Path::parent) == Some(self.reader.directory.path())
    }

    /// What is read of a segment below the head need not be of this segment.
    fn check_head(&self, id: u32) -> Result<()> {
        let head = self.reader.head()?;
        if id < head.segment() {
            let at = Lsn::new(id, FIRST_FRAME).unwrap_or(Lsn::MAX);
            return Err(discarded(at, head));
        }
        Ok(())
    }

    fn copy_segment(&mut self, activation: &Activation, records: &mut u64) -> Result<Scanner> {
        let id = activation.segment;
        let size = self.reader.manifest.segment_size;
        let from = self.reader.directory.segment(id);
        let read = |error| Error::io("cannot read a segment", &from, error).at_segment(id);
        let file = self
            .reader
            .directory
            .open(&segment_name(id), Access::Read)?;
        let mut source = FileSource::new(file, size).map_err(read)?;
        let first = Lsn::new(id, FIRST_FRAME).unwrap_or(Lsn::MAX);
        let mut scanner = Scanner::new(first, activation.salt, None);
        let mut target = Target::create(&self.target, activation, &self.reader.manifest)?;
        loop {
            match scanner.next(&mut source).map_err(read)? {
                Step::Stop(_) => break,
                Step::Frame(frame) => {
                    match frame.header.kind {
                        FrameKind::Record => *records += 1,
                        FrameKind::Batch => *records += u64::from(frame.header.count),
                        FrameKind::Aborted | FrameKind::Epoch | FrameKind::Rewind => {}
                    }
                    let start = frame.lsn.offset();
                    let len = usize::try_from(frame.end_offset - start).unwrap_or(usize::MAX);
                    let written = target.take(source.bytes(start, len).map_err(read)?)?;
                    self.done_bytes += written;
                    if written > 0 {
                        self.tell();
                    }
                }
            }
        }
        target.finish()?;
        Ok(scanner)
    }

    /// `MANIFEST` as it is, and a `COOKIE` that calls exactly the copied frames durable.
    fn write_identity(&self, head: Lsn, end: Lsn) -> Result<()> {
        let manifest = &self.reader.manifest;
        self.copy_holds()?;
        let bytes = manifest.encode().ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "a user header that was read is too long",
            )
        })?;
        self.target.publish(MANIFEST, &bytes)?;
        let slot = |lsn| Slot {
            generation: 2,
            lsn,
            uuid: manifest.uuid,
            boot: [0; 16],
        };
        let cookie = Cookie {
            durable: Some(slot(end)),
            head: Some(slot(head)),
            ..Cookie::default()
        };
        self.target.publish(COOKIE, &cookie.encode())
    }

    /// The files of named holds as they are: who goes on with the copy has to keep back what they keep back.
    fn copy_holds(&self) -> Result<()> {
        for hold in self.reader.holds()? {
            match (hold.problem(), self.on_damage) {
                (None, _) => {}
                (Some(problem), OnDamage::Refuse) => return Err(problem.clone()),
                (Some(_), OnDamage::CopyUpToIt) => continue,
            }
            let name = hold_name(hold.name());
            let path = self.reader.directory.file(&name);
            let file = self.reader.directory.open(&name, Access::Read)?;
            let bytes = read_whole(&*file, MAX_HOLD_LEN)
                .map_err(|error| Error::io("cannot read a hold", &path, error))?;
            self.target.publish(&name, &bytes)?;
        }
        Ok(())
    }

    /// Gives the finished directory its name.
    fn name(&self, to: &Path) -> Result<()> {
        self.target.sync()?;
        let fail = |error| Error::io("cannot name the copy", to, error);
        let disk = self.target.disk();
        disk.rename(self.target.path(), to).map_err(fail)?;
        self.target.beside(to.to_owned()).sync_parent()
    }
}

fn unreadable(verdict: &Verdict) -> Error {
    Error::new(ErrorKind::Io, verdict.name().to_owned())
}
