//! [`ReaderRecords`]: the records of a log that another process may be writing, up to where it has come.

use crate::error::{Error, ErrorKind, Result};
use crate::lsn::Lsn;

use super::WalReader;
use super::course::Course;
use super::record::OwnedRecord;

impl WalReader {
    /// The records from `from` on: a record's position, or the head. Ends at the first frame that is not valid as the
    /// reading begins, which in a live log is the one being written. What a truncation made void by then is stepped over; one
    /// that comes later is seen by the next call.
    ///
    /// Beginning costs a walk over the segment that is being written, besides.
    ///
    /// # Errors
    /// [`Discarded`](ErrorKind::Discarded) below the head, [`Corrupt`](ErrorKind::Corrupt) without a valid `COOKIE`. The
    /// iterator gives `Discarded` when a segment was recycled while it was being read, and `Corrupt` when it ends below
    /// what `COOKIE` called durable as the reading began.
    pub fn records(&self, from: Lsn) -> Result<ReaderRecords<'_>> {
        let course = Course::begin(self, from)?;
        Ok(ReaderRecords {
            course,
            state: State::Reading,
        })
    }

    /// The record at `lsn`; of a batch, its first.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if no valid record begins there or it is void; otherwise as
    /// [`records`](Self::records).
    pub fn get(&self, lsn: Lsn) -> Result<OwnedRecord> {
        match Course::begin(self, lsn)?.next()? {
            Some(record) if record.lsn() == lsn => Ok(record),
            _ => {
                Err(Error::new(ErrorKind::NotFound, "no record begins at the position").at_lsn(lsn))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
}

/// The records of a log, copied. See [`WalReader::records`].
#[derive(Debug)]
pub struct ReaderRecords<'a> {
    course: Course<'a>,
    state: State,
}

impl Iterator for ReaderRecords<'_> {
    type Item = Result<OwnedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Ended {
            return None;
        }
        let next = self.course.next().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Ended;
        }
        next
    }
}
