//! What the threads of a log do.
//!
//! | thread | does | sleeps on |
//! |---|---|---|
//! | `segwal-prepare` | makes segments ready, removes surplus files | `prepare` |
//! | `segwal-sync` | syncs what nobody syncs, or when `sync_every` says so, `COOKIE` after a rotation, callbacks' wishes; moves the head of an empty log | `sync` |
//! | `segwal-tails` | looks at what is published while a tail waits; started with the first | in `tail/watches.rs` |
//! | `segwal-prefault` | keeps writable pages ahead of the tail | `prefault`, with ticks while the tail moves |
//!
//! A thread that dies poisons the log. Without threads (`Staffing::Inline`) each request is served at once by the thread
//! that makes it: the simulated disk then sees the same operations in the same order every time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::segment::{Prefaulter, Preparation, Tick};
use crate::sys::{Access, clock, thread};

use super::beat::Beat;
use super::shared::Shared;
use super::signals::{Pace, Request, Rest, Staffing};
use super::space::SpacePressure;

/// A thread's name, and what it does until the log ends.
type Body = (&'static str, fn(&Shared));

/// Starts the threads.
pub(crate) fn start(shared: &Arc<Shared>) -> Result<()> {
    if shared.signals.staffing() != Staffing::Threads {
        return Ok(());
    }
    let bodies: [Body; 3] = [
        ("segwal-prepare", prepare),
        ("segwal-sync", sync),
        ("segwal-prefault", prefault),
    ];
    let start = |(name, body)| start_one(shared, name, body);
    bodies.into_iter().try_for_each(start)
}

/// Starts one thread, which does `body` until the log ends.
pub(crate) fn start_one(shared: &Arc<Shared>, name: &'static str, body: fn(&Shared)) -> Result<()> {
    let mine = Arc::clone(shared);
    let handle = thread::spawn_background(name, move || guarded(&mine, name, body));
    let handle = handle.map_err(|error| {
        let what = "cannot start a thread of the log";
        Error::new(ErrorKind::OutOfResources, what).caused_by(error)
    })?;
    shared.signals.add_thread(handle);
    Ok(())
}

impl Shared {
    /// Makes segments ready on the calling thread, until one can be rotated into or it is known that none can.
    pub(crate) fn prepare_now(&self) {
        self.grow();
        while matches!(step_prepare(self), Step::Again) {}
        self.note_short_at_open();
    }

    /// Has something done: by the log's threads, or here and now if it has none.
    pub(crate) fn request(&self, request: Request) {
        if self.signals.staffing() == Staffing::Threads {
            self.signals.ask(request);
        } else {
            serve_inline(self, request);
        }
    }

    /// Whether the names of the active segment, and of the one before it, still mean the files that are mapped, whole. A
    /// store beyond the end of a file that somebody cut is a `SIGBUS`, and what goes into one without a name is lost; looked
    /// at after each rotation.
    fn check_files(&self) -> Result<()> {
        let active = self.core.tail().segment();
        (active.saturating_sub(1)..=active).try_for_each(|id| self.check_file(id))
    }

    fn check_file(&self, id: u32) -> Result<()> {
        let Some(segment) = self.registry.warm(id) else {
            return Ok(());
        };
        let path = self.shelf.path(id);
        let same = match self.directory.disk().open(&path, Access::Read) {
            Ok(file) => match (file.id(), file.len()) {
                (Ok(id), Ok(len)) => id == segment.file() && len == segment.size(),
                // What cannot be looked at is not known to be wrong.
                _ => true,
            },
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        // Discarded and renamed meanwhile: it was not the active one any more.
        if same || self.registry.warm(id).is_none() {
            return Ok(());
        }
        let what = "the file of a segment was cut or replaced while the log was open";
        Err(Error::new(ErrorKind::Io, what)
            .at_path(&path)
            .at_segment(id)
            .advise("keep other programs out of the directory, and open the log again"))
    }

    /// Makes durable what callbacks wait for, and calls them. Wishes behind a hole wait for another time, so that they hold
    /// up nothing else.
    fn grant_wishes(&self) -> Wishes {
        let mut wishes = self.hooks.take_wishes();
        wishes.sort_by_key(|(lsn, _)| *lsn);
        while let Some((lsn, _)) = wishes.first() {
            if *lsn >= self.core.published() && !self.ending.has_ended() {
                self.hooks.give_back(wishes);
                if self.ending.has_ended() {
                    self.rouse();
                }
                return Wishes::Left;
            }
            let result = self.pass(*lsn, None);
            let durable = self.gate.durable();
            let granted = match result {
                Ok(()) => wishes.partition_point(|(lsn, _)| *lsn < durable),
                Err(_) => 1,
            };
            self.hooks.answer(wishes.drain(..granted), &result);
        }
        Wishes::Granted
    }
}

/// Whether callbacks still wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wishes {
    Granted,
    /// For a record behind one that is still being written.
    Left,
}

/// Runs `body`; its death ends the log.
fn guarded(shared: &Shared, name: &str, body: fn(&Shared)) {
    struct Alive<'a>(&'a Shared, &'a str);
    impl Drop for Alive<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.poison(Error::new(
                    ErrorKind::Internal,
                    format!("the thread {} died", self.1),
                ));
            }
        }
    }
    let _alive = Alive(shared, name);
    body(shared);
}

/// One request, served by the thread that makes it.
fn serve_inline(shared: &Shared, request: Request) {
    match request {
        Request::Prepare => while matches!(step_prepare(shared), Step::Again) {},
        Request::Sync => {
            shared.counters.background_syncs.add(1);
            drop(shared.make_durable(shared.core.published(), None));
        }
        Request::SyncCookie => sync_cookie(shared),
        Request::Wishes => _ = shared.grant_wishes(),
        // A failure has ended the log.
        Request::FollowHead => drop(shared.follow_head()),
    }
}

enum Step {
    Again,
    Wait,
    Retry,
}

fn step_prepare(shared: &Shared) -> Step {
    if shared.ending.has_ended() {
        return Step::Wait;
    }
    if let Err(error) = shared.check_files() {
        shared.poison(error);
        return Step::Wait;
    }
    let prepared = shared.prepare();
    if let Ok(Preparation::Made) = prepared {
        return Step::Again;
    }
    // Last: a file that waits for reuse is surplus only when no segment is to be made of it, and the preparation has just
    // added those that nobody reads any more.
    let trimmed = shared.shelf.trim(shared.depth.value(), &shared.counters);
    let step = trimmed.and_then(|removed| match prepared {
        Ok(_) => Ok(Step::Wait),
        Err(error) if error.kind() != ErrorKind::NoSpace => Err(error),
        Err(_) if removed > 0 => Ok(Step::Again),
        Err(_) => Ok(Step::Retry),
    });
    step.unwrap_or_else(|error| {
        shared.poison(error);
        Step::Wait
    })
}

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

fn prepare(shared: &Shared) {
    let mut retry = FIRST_RETRY;
    let step = || {
        let falls = shared.depth.settle(clock::now_ns());
        let rest = match step_prepare(shared) {
            Step::Again => {
                retry = FIRST_RETRY;
                Rest::Not
            }
            // Nobody says when a reader lets a segment go.
            Step::Wait | Step::Retry if shared.shelf.pinned_count() > 0 => {
                let is_urgent = shared.pressure.level() != SpacePressure::None;
                Rest::For(if is_urgent { FIRST_RETRY } else { LAST_RETRY })
            }
            Step::Wait => Rest::UntilRaised,
            Step::Retry => {
                let rest = Rest::For(retry);
                retry = (retry * 2).min(LAST_RETRY);
                rest
            }
        };
        let falls_in = |ns| Rest::For(Duration::from_nanos(ns));
        rest.at_most(falls.map_or(Rest::UntilRaised, falls_in))
    };
    shared
        .signals
        .prepare
        .serve(|| shared.ending.has_ended(), step);
}

fn sync_cookie(shared: &Shared) {
    if let Err(error) = shared.cookie.sync() {
        shared.poison(error);
    }
}

fn sync(shared: &Shared) {
    let mut wishes = Wishes::Granted;
    let mut beat = Beat::default();
    // What was reserved when a sync was asked for, until it is durable: a hole may have been in the way.
    let mut goal = None;
    let step = || {
        let asked = shared.signals.take_asked();
        if asked.sync() {
            shared.counters.background_syncs.add(1);
            goal = Some(shared.end());
        }
        if goal.is_some() {
            // A failure has poisoned the log, which ends the loop.
            drop(shared.make_durable(shared.core.published(), None));
            goal = goal.filter(|end| *end > shared.gate.durable());
        }
        if asked.cookie() {
            sync_cookie(shared);
        }
        if asked.head() {
            // As above.
            drop(shared.follow_head());
        }
        if asked.wishes() || wishes == Wishes::Left {
            wishes = shared.grant_wishes();
        }
        match wishes {
            _ if !asked.is_nothing() => Rest::Not,
            _ if goal.is_some() => shared.beat(&mut beat).at_most(Rest::For(TICK)),
            Wishes::Left => shared.beat(&mut beat).at_most(Rest::For(TICK)),
            Wishes::Granted => shared.beat(&mut beat),
        }
    };
    shared
        .signals
        .sync
        .serve(|| shared.ending.has_ended(), step);
}

/// A page that a store could not reach: it would have been a `SIGBUS`.
const EFAULT: i32 = 14;
const TICK: Duration = Duration::from_millis(2);
/// The tail stood still for so many ticks: sleep until it moves.
const IDLE_TICKS: u32 = 5;

fn prefault(shared: &Shared) {
    let mut prefaulter = Prefaulter::default();
    let mut idle = 0;
    let step = || {
        idle = match tick(shared, &mut prefaulter) {
            Tick::Moved => 0,
            Tick::Idle => idle + 1,
        };
        let (pace, rest) = if idle < IDLE_TICKS {
            (Pace::Ticking, Rest::For(TICK))
        } else {
            (Pace::Resting, Rest::UntilRaised)
        };
        shared.signals.set_pace(pace);
        rest
    };
    shared
        .signals
        .prefault
        .serve(|| shared.ending.has_ended(), step);
}

/// One look at the tail. A page that cannot be brought in ends the log before a writer meets it.
fn tick(shared: &Shared, prefaulter: &mut Prefaulter) -> Tick {
    let tail = shared.core.tail();
    let segment = shared.registry.warm(tail.segment());
    let Some(ticked) = segment.map(|segment| prefaulter.tick(tail, &segment)) else {
        return Tick::Idle;
    };
    let error = match ticked {
        Ok(tick) => {
            shared.look_ahead(tail);
            return tick;
        }
        Err(error) => error,
    };
    // Anything else, such as a want of memory, leaves the fault to the writer. And a segment that was discarded meanwhile
    // may have been emptied to free its blocks, which nobody misses.
    if error.raw_os_error() == Some(EFAULT) && shared.registry.warm(tail.segment()).is_some() {
        let path = shared.shelf.path(tail.segment());
        let what = "pages of the active segment cannot be brought in";
        shared.poison(Error::io(what, &path, error).at_lsn(tail));
    }
    Tick::Idle
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::WalOptions;
    use crate::wal::Wal;

    fn small(dir: &testkit::TempDir) -> Wal {
        WalOptions::new()
            .segment_size(8192)
            .open(dir.path())
            .unwrap()
    }

    #[test]
    fn a_thread_that_dies_poisons_the_log() {
        let dir = testkit::TempDir::in_memory();
        let wal = small(&dir);
        let lsn = wal.append(b"before").unwrap();
        let shared = Arc::clone(&wal.handle.shared);
        let body = |_: &Shared| panic!("a death that the test wants");
        let died = std::thread::spawn(move || guarded(&shared, "segwal-test", body)).join();
        assert!(died.is_err());
        let error = wal.sync_to(lsn).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
        assert!(error.to_string().contains("segwal-test died"), "{error}");
        assert_eq!(&*wal.get(lsn).unwrap(), b"before", "reads go on");
        drop(wal);
        assert_eq!(
            &*small(&dir).get(lsn).unwrap(),
            b"before",
            "and so does the log"
        );
    }
}
