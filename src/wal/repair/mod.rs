//! [`Repair`]: what would make a damaged log open again, and doing it.
//!
//! A log that is only torn needs none: an opening cuts what was never durable. A repair gives up records that *were*
//! durable, so it never happens by itself: [`Repair::plan`] says what is wrong, what is kept and what is lost and changes
//! nothing; [`Repair::apply`] does it. The lock is held from the one to the other.
//!
//! | file | what it does |
//! |---|---|
//! | `diagnose` | what is wrong; the head, the end, what is known to have been durable |
//! | `behind` | what can still be read behind the new end |
//! | `keep` | copies aside everything that is about to change |
//! | `apply` | the change, in an order that a crash cannot spoil |

mod apply;
mod behind;
mod diagnose;
mod keep;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::lsn::Lsn;
use crate::segment::Directory;
use crate::sys::{Disk, Lock, RealDisk};

use super::Progress;
use diagnose::{Diagnosis, diagnose};

/// What would make a log open again. See [`plan`](Self::plan).
#[derive(Debug)]
pub struct Repair {
    directory: Directory,
    diagnosis: Diagnosis,
    /// Held until the repair is done or given up.
    _lock: Box<dyn Lock>,
}

impl Repair {
    /// Looks for what keeps the log in `dir` from being opened, or damages it below what is known to be durable. Reads
    /// every frame, takes the lock, and changes nothing.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no log, [`Locked`](ErrorKind::Locked) while somebody writes it,
    /// [`Incompatible`](ErrorKind::Incompatible) for a newer one, [`Io`](ErrorKind::Io) if something cannot be read;
    /// [`Corrupt`](ErrorKind::Corrupt) if no part of the log can be kept: no segment tells whose it is, the segment at the
    /// head is gone, or it cannot be told where the log begins.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-repair-{}", std::process::id()));
    /// # segwal::Wal::open(&dir)?.close()?;
    /// let repair = segwal::Repair::plan(&dir)?;
    /// assert!(!repair.is_needed());
    /// assert_eq!(repair.lost(), None);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn plan(dir: impl AsRef<Path>) -> Result<Self> {
        Self::with(Arc::new(RealDisk), dir.as_ref(), None)
    }

    /// As [`plan`](Self::plan), for a log whose `COOKIE` is lost and whose segments do not follow each other without a gap:
    /// it begins with segment `head`.
    ///
    /// # Errors
    /// As [`plan`](Self::plan); [`InvalidOption`](ErrorKind::InvalidOption) if `COOKIE` is valid and says otherwise.
    pub fn plan_from_segment(dir: impl AsRef<Path>, head: u32) -> Result<Self> {
        Self::with(Arc::new(RealDisk), dir.as_ref(), Some(head))
    }

    /// As [`plan`](Self::plan), on a simulated disk.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    #[cfg(feature = "fault")]
    pub fn plan_on(disk: &crate::sys::sim::SimDisk, dir: impl AsRef<Path>) -> Result<Self> {
        Self::with(Arc::new(disk.clone()), dir.as_ref(), None)
    }

    fn with(disk: Arc<dyn Disk>, dir: &Path, head: Option<u32>) -> Result<Self> {
        if dir.file_name().is_none() {
            let what = "what is cut is kept beside the directory, which needs a name for that";
            return Err(Error::new(ErrorKind::InvalidOption, what).at_path(dir));
        }
        let directory = Directory::new(disk, dir.to_owned());
        diagnose::check_there(&directory)?;
        let lock = super::open::take_lock(&directory)?;
        let diagnosis = diagnose(&directory, head)?;
        Ok(Self {
            directory,
            diagnosis,
            _lock: lock,
        })
    }

    /// Whether anything is wrong that an opening does not mend by itself.
    pub fn is_needed(&self) -> bool {
        !self.diagnosis.faults.is_empty()
    }

    /// What is wrong, a line each.
    pub fn faults(&self) -> &[String] {
        &self.diagnosis.faults
    }

    /// Where the repaired log begins.
    pub fn head(&self) -> Lsn {
        self.diagnosis.head.min(self.diagnosis.end)
    }

    /// Where the repaired log ends.
    pub fn end(&self) -> Lsn {
        self.diagnosis.end
    }

    /// The records that are kept in the log, each of a batch counted.
    pub fn kept_records(&self) -> u64 {
        self.diagnosis.kept_records
    }

    /// The positions that are known to have held something and are given up, if any. A repaired log gives them out again.
    pub fn lost(&self) -> Option<Range<Lsn>> {
        let cut = self.diagnosis.cut.as_ref()?;
        Some(self.diagnosis.end..cut.lost_end)
    }

    /// The records behind the new end that can still be read, each of a batch counted: they are in what is kept beside.
    pub fn lost_records(&self) -> u64 {
        let cut = self.diagnosis.cut.as_ref();
        cut.map_or(0, |cut| cut.records)
    }

    /// What [`apply`](Self::apply) would do, in order, a line each.
    pub fn steps(&self) -> Vec<String> {
        apply::steps(&self.directory, &self.diagnosis)
    }

    /// Does it. First everything that will change is copied, durably, into a new directory beside the log with its name and
    /// `.cut-1`, or the next free number, together with a report. A crash at any point leaves a log that is still refused,
    /// and can be repaired again, or the repaired one.
    ///
    /// # Errors
    /// [`InvalidState`](ErrorKind::InvalidState) if no repair [is needed](Self::is_needed), or if this process still holds a
    /// [`Record`](crate::Record) of the segment that is cut, from before the log was closed;
    /// [`NoSpace`](ErrorKind::NoSpace) if what is cut cannot be kept, and nothing was changed; [`Io`](ErrorKind::Io).
    pub fn apply(self, mut progress: impl FnMut(Progress)) -> Result<Repaired> {
        if !self.is_needed() {
            let what = "the log needs no repair; an opening cuts a torn tail by itself";
            return Err(Error::new(ErrorKind::InvalidState, what).at_path(self.directory.path()));
        }
        apply::refuse_while_read(&self.directory, &self.diagnosis)?;
        let report = self.report();
        self.directory.sync()?;
        self.directory.sync_parent()?;
        let kept = keep::keep(&self.directory, &self.diagnosis, &report, &mut progress)?;
        apply::apply(&self.directory, &self.diagnosis)?;
        Ok(Repaired { kept })
    }

    /// What is written beside the cut.
    fn report(&self) -> String {
        let mut lines = vec![
            format!(
                "A repair of the segwal log {}.",
                self.directory.path().display()
            ),
            String::new(),
            "What was wrong:".to_owned(),
        ];
        lines.extend(self.faults().iter().map(|fault| format!("  {fault}")));
        lines.push(String::new());
        lines.push(format!(
            "The log keeps {} records from {} to {}.",
            self.kept_records(),
            self.head(),
            self.end()
        ));
        if let Some(lost) = self.lost() {
            lines.push(format!(
                "Lost: the positions from {} to {}. {} records of them can still be read in the files beside this report.",
                lost.start,
                lost.end,
                self.lost_records()
            ));
            lines.push("The log gives these positions out again.".to_owned());
        }
        lines.push(String::new());
        lines.push("The files beside this report are as they were before the repair.".to_owned());
        lines.join("\n") + "\n"
    }
}

/// A repair that was done.
#[derive(Debug)]
pub struct Repaired {
    kept: PathBuf,
}

impl Repaired {
    /// The directory with everything that was changed, as it was before, and `REPORT.txt`.
    pub fn kept(&self) -> &Path {
        &self.kept
    }
}
