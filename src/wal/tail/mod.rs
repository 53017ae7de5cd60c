//! [`Tail`]: the records of a log in order, and those to come.

mod watches;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::format::FIRST_FRAME;
use crate::log::Ticket;
use crate::lsn::Lsn;
use crate::sync::{AtomicBool, Ordering};
use crate::sys::{clock, fork};

use super::Wal;
use super::cursor::{Cursor, Footing};
use super::frame::no_frame;
use super::record::Record;
use super::reservation::holds_reservation;
use super::shared::{OsHost, Shared};
use super::signals::Staffing;

pub(crate) use watches::Watches;
use watches::{TICK_NS, start_ticker};

/// Which records a [`Tail`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Those that are published: `append` has returned, or is about to. They survive the death of the process, but a loss of
    /// power may take them back.
    Published,
    /// Those that a sync has covered. A tail syncs nothing itself: without somebody who does it gives nothing.
    Durable,
}

/// The records of a log in order, and those to come. See [`Wal::tail`].
///
/// It is one reader's: calls take `&mut self`. Like every clone of the log it keeps the log open until it is dropped, and so
/// [`Wal::close`] is what ends a tail in another thread.
pub struct Tail {
    wal: Wal,
    visibility: Visibility,
    cursor: Cursor,
    recall: Arc<Recall>,
    /// A waker that was left.
    ticket: Option<Ticket>,
    going: Going,
}

/// Whether a tail as an iterator goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    On,
    Over,
}

/// Set by who calls a tail back, cleared by the call that returns for it.
#[derive(Debug, Default)]
struct Recall(AtomicBool);

impl Recall {
    fn set(&self) {
        // Release: pairs with `take`. Set before the announcement.
        self.0.store(true, Ordering::Release);
    }

    fn take(&self) -> bool {
        // Acquire: pairs with `set`.
        self.0.swap(false, Ordering::Acquire)
    }
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// Something to look at.
    Moved,
    Recalled,
}

impl Wal {
    /// The records from `from` on, in order, and those to come: each checksum verified, none copied.
    ///
    /// `from` is the position of a record, the [`end`](Record::end) of one, [`head`](Self::head), or [`end`](Self::end). What an
    /// append costs does not depend on tails: it neither looks at them nor wakes them. So a tail of
    /// [published](Visibility::Published) records that waits is told at each sync, and otherwise sees a record at most a
    /// millisecond after it was published; in that time a thread of the log looks, and only while such a tail waits. A tail of
    /// [durable](Visibility::Durable) records is told by the sync.
    ///
    /// A record that another thread is still writing, or that it holds a [reservation](crate::Reservation) for, keeps back all
    /// behind it.
    ///
    /// A tail steps over what was [truncated](Self::truncate_after) before it came there, and is not told of what is truncated
    /// after it was given.
    ///
    /// Between two calls a tail keeps no segment from being reused: it does not hold a discard back, and one that was
    /// overtaken is told [`Discarded`](ErrorKind::Discarded), with the head. A [`hold`](Self::hold) prevents that.
    ///
    /// # Errors
    /// [`Discarded`](ErrorKind::Discarded) below the head, [`NotFound`](ErrorKind::NotFound) beyond the end or within a
    /// record; [`Closed`](ErrorKind::Closed).
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-tail-{}", std::process::id()));
    /// use segwal::{Visibility, Wal};
    ///
    /// let wal = Wal::open(&dir)?;
    /// let mut tail = wal.tail(wal.end(), Visibility::Durable)?;
    /// let shipper = std::thread::spawn(move || -> segwal::Result<u32> {
    ///     let mut shipped = 0;
    ///     for record in &mut tail {
    ///         println!("ship {:?}", record?);
    ///         shipped += 1;
    ///     }
    ///     Ok(shipped) // the log was closed
    /// });
    /// for number in 0..100_u32 {
    ///     wal.append(&number.to_le_bytes())?;
    /// }
    /// wal.sync()?;
    /// # while wal.stats().waiting_tails == 0 { std::thread::yield_now(); }
    /// wal.close()?;
    /// println!("shipped {}", shipper.join().unwrap()?);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn tail(&self, from: Lsn, visibility: Visibility) -> Result<Tail> {
        let shared = self.shared();
        self.check_readable()?;
        let from = shared.not_discarded(from)?;
        let head = shared.head();
        let footing = if from <= shared.core.published() {
            if from.offset() != FIRST_FRAME && from != head {
                shared.check_boundary(from)?;
            }
            Footing::Boundary
        } else if from <= shared.end() {
            // Behind records that are being written: it shows when they are.
            Footing::Claimed
        } else {
            return Err(no_frame(from, "the position is beyond the end of the log"));
        };
        Ok(Tail {
            wal: self.clone(),
            visibility,
            cursor: Cursor::new(from, footing),
            recall: Arc::default(),
            ticket: None,
            going: Going::On,
        })
    }
}

impl Tail {
    /// The next record, waiting for it for at most `timeout`; `None` if none came, or somebody [woke](TailWaker::wake) the tail.
    ///
    /// With a timeout of zero it does not wait, and may miss a record that was published within the last millisecond.
    ///
    /// # Errors
    /// [`Discarded`](ErrorKind::Discarded) if what comes next was discarded: go on from a new tail at the head.
    /// [`Poisoned`](ErrorKind::Poisoned) after the last record that could be read, and [`Closed`](ErrorKind::Closed) at once.
    /// [`Corrupt`](ErrorKind::Corrupt) if a checksum fails, [`NotFound`](ErrorKind::NotFound) if no record begins at a position
    /// that was the [`end`](Wal::end) for somebody. [`InvalidState`](ErrorKind::InvalidState) if it would have to wait while this
    /// thread holds a reservation, or in a forked child; [`OutOfResources`](ErrorKind::OutOfResources) if a thread cannot be
    /// started. After an error the tail is where it was.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-tail-timeout-{}", std::process::id()));
    /// use std::time::Duration;
    /// use segwal::{Visibility, Wal};
    ///
    /// let wal = Wal::open(&dir)?;
    /// let mut tail = wal.tail(wal.head(), Visibility::Published)?;
    /// assert!(tail.next_timeout(Duration::from_millis(1))?.is_none());
    /// wal.append(b"to be seen")?;
    /// let record = tail.next_timeout(Duration::from_secs(1))?.unwrap();
    /// assert_eq!(record.payload(), b"to be seen");
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Record>> {
        if let Some(record) = self.look()? {
            return Ok(Some(record));
        }
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        if timeout_ns == 0 {
            self.recall.take();
            return Ok(None);
        }
        self.wait(Some(clock::now_ns().saturating_add(timeout_ns)))
    }

    /// The next record, for asynchronous code: leaves the task's waker if there is none yet. `None` once the log was
    /// closed, after an error, or when somebody [woke](TailWaker::wake) the tail.
    ///
    /// No runtime is needed, and none is assumed: the waker is called on a thread of the log. The meaning is that of
    /// `Stream::poll_next`. A tail that is dropped takes its waker back.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::task::{Context, Poll, Wake, Waker};
    /// # struct Unpark(std::thread::Thread);
    /// # impl Wake for Unpark { fn wake(self: Arc<Self>) { self.0.unpark(); } }
    /// # fn block_on<F: Future>(future: F) -> F::Output {
    /// #     let mut future = std::pin::pin!(future);
    /// #     let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    /// #     loop {
    /// #         match future.as_mut().poll(&mut Context::from_waker(&waker)) {
    /// #             Poll::Ready(output) => return output,
    /// #             Poll::Pending => std::thread::park(),
    /// #         }
    /// #     }
    /// # }
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-tail-poll-{}", std::process::id()));
    /// use std::future::poll_fn;
    /// use segwal::{Visibility, Wal};
    ///
    /// let wal = Wal::open(&dir)?;
    /// let mut tail = wal.tail(wal.head(), Visibility::Published)?;
    /// let appender = {
    ///     let wal = wal.clone();
    ///     std::thread::spawn(move || wal.append(b"some time later"))
    /// };
    /// // In an async function: poll_fn(|cx| tail.poll_next(cx)).await
    /// let record = block_on(poll_fn(|cx| tail.poll_next(cx)));
    /// assert_eq!(record.unwrap()?.payload(), b"some time later");
    /// # appender.join().unwrap()?;
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Record>>> {
        if self.going == Going::Over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(next) = self.look_or_recall() {
            return self.settle(next);
        }
        if let Err(error) = start_ticker(&self.wal.handle.shared) {
            return self.settle(Err(error));
        }
        let watch = self.wal.shared().watches.of(self.visibility);
        self.ticket = Some(watch.leave_waker(&OsHost, self.ticket, cx.waker()));
        // Only now: what was announced before the waker was left woke nobody.
        match self.look_or_recall() {
            Poll::Ready(next) => self.settle(next),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The position of the next record, once it is there. A tail from here goes on where this one is; within a batch it gives
    /// the batch's records anew.
    pub fn next_lsn(&self) -> Lsn {
        self.cursor.position()
    }

    /// Which records it gives.
    pub fn visibility(&self) -> Visibility {
        self.visibility
    }

    /// Something by which another thread can make a call on this tail return.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-tail-waker-{}", std::process::id()));
    /// use segwal::{Visibility, Wal};
    ///
    /// let wal = Wal::open(&dir)?;
    /// let mut tail = wal.tail(wal.end(), Visibility::Published)?;
    /// let waker = tail.waker();
    /// let reader = std::thread::spawn(move || (&mut tail).count());
    /// waker.wake();
    /// assert_eq!(reader.join().unwrap(), 0);
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn waker(&self) -> TailWaker {
        TailWaker {
            shared: Arc::clone(&self.wal.handle.shared),
            visibility: self.visibility,
            recall: Arc::clone(&self.recall),
        }
    }

    /// What can be had now.
    fn look(&mut self) -> Result<Option<Record>> {
        let shared = self.wal.shared();
        // First: what was published before the end is given before the error is.
        let running = shared.check();
        match &running {
            Err(error) if error.kind() != ErrorKind::Poisoned => return Err(error.clone()),
            _ => {}
        }
        let record = self.cursor.next(shared, shared.visible(self.visibility))?;
        if record.is_some() || (running.is_ok() && self.visibility == Visibility::Durable) {
            return Ok(record);
        }
        if running.is_err() {
            shared.core.published();
        } else {
            shared.tick_if_due();
        }
        match self.cursor.next(shared, shared.visible(self.visibility))? {
            None => running.map(|()| None),
            record => Ok(record),
        }
    }

    fn wait(&mut self, deadline_ns: Option<u64>) -> Result<Option<Record>> {
        loop {
            if let Some(record) = self.look()? {
                return Ok(Some(record));
            }
            match self.await_news(deadline_ns)? {
                Some(News::Recalled) => return Ok(None),
                None if is_over(deadline_ns) => return self.look(),
                Some(News::Moved) | None => {}
            }
        }
    }

    /// Sleeps until there is something to look at; `None` if it slept long enough.
    fn await_news(&self, deadline_ns: Option<u64>) -> Result<Option<News>> {
        let shared = self.wal.shared();
        if holds_reservation(shared.number) {
            return Err(Error::new(
                ErrorKind::InvalidState,
                "this thread holds a reservation of this log, which may be what the tail waits for",
            ));
        }
        if self.visibility == Visibility::Published {
            start_ticker(&self.wal.handle.shared)?;
        }
        let at = self.cursor.at();
        let look = || {
            if self.recall.take() {
                return Some(News::Recalled);
            }
            let bound = shared.visible(self.visibility).bound();
            (bound > at || shared.check().is_err()).then_some(News::Moved)
        };
        let watch = shared.watches.of(self.visibility);
        Ok(watch.wait(&OsHost, self.patience(deadline_ns), look))
    }

    /// Until when to sleep. A log without threads has nobody who ticks, so who waits does it.
    fn patience(&self, deadline_ns: Option<u64>) -> Option<u64> {
        let staffing = self.wal.shared().signals.staffing();
        if staffing == Staffing::Threads || self.visibility == Visibility::Durable {
            return deadline_ns;
        }
        let tick_ns = clock::now_ns().saturating_add(TICK_NS);
        Some(deadline_ns.map_or(tick_ns, |deadline_ns| deadline_ns.min(tick_ns)))
    }

    /// What can be had now, or that somebody woke the tail.
    fn look_or_recall(&mut self) -> Poll<Result<Option<Record>>> {
        match self.look() {
            Ok(None) if !self.recall.take() => Poll::Pending,
            settled => Poll::Ready(settled),
        }
    }

    fn settle(&mut self, next: Result<Option<Record>>) -> Poll<Option<Result<Record>>> {
        self.take_waker_back();
        Poll::Ready(self.given(next))
    }

    /// The end of an iterator is that the log was closed, and what comes after an error.
    fn given(&mut self, next: Result<Option<Record>>) -> Option<Result<Record>> {
        let Err(error) = next else {
            return next.transpose();
        };
        self.going = Going::Over;
        (error.kind() != ErrorKind::Closed).then_some(Err(error))
    }

    fn take_waker_back(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let watches = &self.wal.shared().watches;
            watches.of(self.visibility).take_back(ticket);
        }
    }
}

fn is_over(deadline_ns: Option<u64>) -> bool {
    deadline_ns.is_some_and(|deadline_ns| clock::now_ns() >= deadline_ns)
}

/// Waits for each record without a limit. `None` once the log was closed, after an error, or when somebody
/// [woke](TailWaker::wake) the tail; in that case it can be asked again.
///
/// Errors are those of [`next_timeout`](Tail::next_timeout).
impl Iterator for Tail {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.going == Going::Over {
            return None;
        }
        let next = self.wait(None);
        self.given(next)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // A forked child has nobody to take it back from, and its copy of a lock may be held for ever.
        if self.wal.shared().generation == fork::generation() {
            self.take_waker_back();
        }
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("visibility", &self.visibility)
            .field("position", &self.next_lsn())
            .finish_non_exhaustive()
    }
}

/// Makes a call on a [`Tail`] return. See [`Tail::waker`].
///
/// It does not keep the log open.
#[derive(Clone)]
pub struct TailWaker {
    shared: Arc<Shared>,
    visibility: Visibility,
    recall: Arc<Recall>,
}

impl TailWaker {
    /// The call that waits, or the next one that would, returns without a record. Several wakes before that are as one.
    pub fn wake(&self) {
        // In a forked child nobody waits.
        if self.shared.generation == fork::generation() {
            self.recall.set();
            self.shared.announce(self.visibility);
        }
    }
}

impl fmt::Debug for TailWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TailWaker").finish_non_exhaustive()
    }
}
