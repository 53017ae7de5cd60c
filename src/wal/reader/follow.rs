//! [`Follower`]: the records of a log that another process is writing, as they come.
//!
//! Nobody in another process can wake a reader that takes no lock and writes nothing, so a follower looks again: at first
//! after a millisecond, then after twice as long as before, up to [`INTERVAL`]. A record starts it over.

use std::time::Duration;

use crate::error::Result;
use crate::lsn::Lsn;
use crate::sys::{clock, thread};

use super::WalReader;
use super::course::Course;
use super::record::OwnedRecord;

/// How long an idle follower waits between two looks, at most.
const INTERVAL: Duration = Duration::from_millis(16);
const FIRST_INTERVAL: Duration = Duration::from_millis(1);

impl WalReader {
    /// The records from `from` on, as they are written by another process: `from` is a record's position, the end of one,
    /// the head, or the end of the log.
    ///
    /// Like [`records`](Self::records), but not over at the end. It does not take back what it gave out: a record that is
    /// truncated after it was read is not heard of again.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-follow-{}", std::process::id()));
    /// use std::time::Duration;
    /// use segwal::Wal;
    ///
    /// let wal = Wal::open(&dir)?; // in another process
    /// wal.append(b"first")?;
    ///
    /// let reader = Wal::open_read_only(&dir)?;
    /// let mut follower = reader.follow(reader.head()?)?;
    /// let first = follower.next_timeout(Duration::from_secs(1))?.unwrap();
    /// assert_eq!(first.payload(), b"first");
    /// assert!(follower.next_timeout(Duration::ZERO)?.is_none(), "nothing more yet");
    ///
    /// wal.append(b"second")?;
    /// let second = follower.next_timeout(Duration::from_secs(1))?.unwrap();
    /// assert_eq!((second.payload(), second.lsn()), (&b"second"[..], first.end()));
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(&self, from: Lsn) -> Result<Follower<'_>> {
        let course = Course::begin(self, from)?;
        Ok(Follower { course })
    }
}

/// The records of a log, copied, as another process writes them. See [`WalReader::follow`].
#[derive(Debug)]
pub struct Follower<'a> {
    course: Course<'a>,
}

impl Follower<'_> {
    /// The next record, waiting for it for at most `timeout`; `None` if none came. With a timeout of zero it looks once.
    ///
    /// The wait is a poll: an idle follower looks every 16 ms at the most, so a record is seen that much after it was
    /// appended. A record that is seen has survived the death of its process; whether it is known to survive a loss of
    /// power is [`is_known_durable`](OwnedRecord::is_known_durable), which is settled when the record is read and stays as it
    /// is.
    ///
    /// # Errors
    /// [`Discarded`](crate::ErrorKind::Discarded) if the writer discarded what comes next, and used its segment again: follow
    /// anew from the head. [`Corrupt`](crate::ErrorKind::Corrupt) if nothing valid stands where `COOKIE` says that something
    /// durable does. The follower stays where it is after an error, and can be asked again.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<OwnedRecord>> {
        if let Some(record) = self.course.next()? {
            return Ok(Some(record));
        }
        let begun_ns = clock::now_ns();
        let mut interval = FIRST_INTERVAL;
        loop {
            self.course.refresh()?;
            if let Some(record) = self.course.next()? {
                return Ok(Some(record));
            }
            let waited = Duration::from_nanos(clock::now_ns().saturating_sub(begun_ns));
            let rest = timeout.saturating_sub(waited).min(interval);
            if rest.is_zero() {
                return Ok(None);
            }
            thread::rest_ns(u64::try_from(rest.as_nanos()).unwrap_or(u64::MAX));
            interval = (interval * 2).min(INTERVAL);
        }
    }

    /// Where the follower goes on: the position of the next record once it is there. To go on later, follow from here.
    ///
    /// Within a batch it is the batch's position, so its records are given once more.
    pub fn next_lsn(&self) -> Lsn {
        self.course.position()
    }
}
