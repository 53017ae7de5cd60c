//! What the threads of a log do.
//!
//! | thread | does | sleeps on |
//! |---|---|---|
//! | `segwal-prepare` | makes segments ready, removes surplus files | `prepare` |
//! | `segwal-sync` | syncs what nobody syncs, `COOKIE` after a rotation, callbacks' wishes | `sync` |
//! | `segwal-prefault` | keeps writable pages ahead of the tail | `prefault`, with ticks while the tail moves |
//!
//! A thread that dies poisons the log. Without threads (`Staffing::Inline`) each request is served at once by the thread
//! that makes it: the simulated disk then sees the same operations in the same order every time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::segment::{Prefaulter, Preparation, Tick};
use crate::sys::{Access, thread};

use super::shared::Shared;
use super::signals::{Pace, Request, Staffing};

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
    for (name, body) in bodies {
        let mine = Arc::clone(shared);
        let handle = thread::spawn_background(name, move || guarded(&mine, name, body));
        shared.signals.add_thread(handle.map_err(|error| {
            Error::new(
                ErrorKind::OutOfResources,
                "cannot start a thread of the log",
            )
            .caused_by(error)
        })?);
    }
    Ok(())
}

impl Shared {
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
    let trimmed = shared
        .shelf
        .trim(shared.options.preallocate_segments, &shared.counters);
    match trimmed.and_then(|()| shared.prepare()) {
        Ok(Preparation::Made) => Step::Again,
        Ok(Preparation::Enough | Preparation::AtLimit | Preparation::Exhausted) => Step::Wait,
        Err(error) if error.kind() == ErrorKind::NoSpace => Step::Retry,
        Err(error) => {
            shared.poison(error);
            Step::Wait
        }
    }
}

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

fn prepare(shared: &Shared) {
    let signal = &shared.signals.prepare;
    let mut retry = FIRST_RETRY;
    while !shared.ending.has_ended() {
        let seen = signal.read();
        match step_prepare(shared) {
            Step::Again => retry = FIRST_RETRY,
            Step::Wait if shared.shelf.pinned_count() > 0 => signal.sleep(seen, Some(LAST_RETRY)),
            Step::Wait => signal.sleep(seen, None),
            Step::Retry => {
                signal.sleep(seen, Some(retry));
                retry = (retry * 2).min(LAST_RETRY);
            }
        }
    }
}

fn sync_cookie(shared: &Shared) {
    if let Err(error) = shared.cookie.sync() {
        shared.poison(error);
    }
}

fn sync(shared: &Shared) {
    let signal = &shared.signals.sync;
    let mut wishes = Wishes::Granted;
    while !shared.ending.has_ended() {
        let seen = signal.read();
        let asked = shared.signals.take_asked();
        if asked.sync() {
            shared.counters.background_syncs.add(1);
            // A failure has poisoned the log, which ends the loop.
            drop(shared.make_durable(shared.core.published(), None));
        }
        if asked.cookie() {
            sync_cookie(shared);
        }
        if asked.wishes() || wishes == Wishes::Left {
            wishes = shared.grant_wishes();
        }
        if asked.is_nothing() {
            signal.sleep(seen, (wishes == Wishes::Left).then_some(TICK));
        }
    }
}

/// A page that a store could not reach: it would have been a `SIGBUS`.
const EFAULT: i32 = 14;
const TICK: Duration = Duration::from_millis(2);
/// The tail stood still for so many ticks: sleep until it moves.
const IDLE_TICKS: u32 = 5;

fn prefault(shared: &Shared) {
    let signal = &shared.signals.prefault;
    let mut prefaulter = Prefaulter::default();
    let mut idle = 0;
    while !shared.ending.has_ended() {
        let seen = signal.read();
        let tail = shared.core.tail();
        let ticked = shared
            .registry
            .warm(tail.segment())
            .map(|segment| prefaulter.tick(tail, &segment));
        match ticked {
            Some(Ok(Tick::Moved)) => idle = 0,
            Some(Ok(Tick::Idle)) | None => idle += 1,
            // Anything else, such as a want of memory, leaves the fault to the writer.
            Some(Err(error)) if error.raw_os_error() != Some(EFAULT) => idle += 1,
            // Discarded meanwhile: its file may have been emptied to free the blocks, which nobody misses.
            Some(Err(_)) if shared.registry.warm(tail.segment()).is_none() => idle += 1,
            Some(Err(error)) => {
                let path = shared.shelf.path(tail.segment());
                let failure = Error::io(
                    "pages of the active segment cannot be brought in",
                    &path,
                    error,
                );
                shared.poison(failure.at_lsn(tail));
            }
        }
        let pace = if idle < IDLE_TICKS {
            Pace::Ticking
        } else {
            Pace::Resting
        };
        shared.signals.set_pace(pace);
        signal.sleep(seen, (pace == Pace::Ticking).then_some(TICK));
    }
}
