//! [`Background`]: the threads of a log, and how work reaches them.
//!
//! | thread | does | sleeps on |
//! |---|---|---|
//! | `segwal-prepare` | makes segments ready, removes surplus files | `prepare` |
//! | `segwal-sync` | syncs what nobody syncs, `COOKIE` after a rotation, callbacks' wishes | `sync` |
//! | `segwal-prefault` | keeps writable pages ahead of the tail | `prefault`, with ticks while the tail moves |
//!
//! A thread that dies poisons the log. Without threads ([`Staffing::Inline`]) each request is served at once by the thread
//! that makes it: the simulated disk then sees the same operations in the same order every time.
//!
//! # Memory orderings
//! A request is a bit, set (Release) and then announced on the thread's word; the thread takes all bits (Acquire) after it
//! read the word, so none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::segment::{Prefaulter, Preparation, Tick};
use crate::sync::Mutex;
use crate::sys::{futex, thread};

use super::shared::Shared;

/// Something to do in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Make segments ready.
    Prepare,
    /// Sync what is published.
    Sync,
    /// Make `COOKIE` durable.
    SyncCookie,
    /// Make durable what callbacks wait for.
    Wishes,
}

/// Who works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Staffing {
    /// Threads of the log's own.
    Threads,
    /// Whoever asks.
    #[cfg(feature = "fault")]
    Inline,
}

/// A word to sleep on.
#[derive(Debug, Default)]
struct Signal(AtomicU32);

impl Signal {
    fn read(&self) -> u32 {
        // Acquire: pairs with `raise`.
        self.0.load(Ordering::Acquire)
    }

    fn raise(&self) {
        // Release: pairs with `read`.
        self.0.fetch_add(1, Ordering::Release);
        futex::wake(&self.0, u32::MAX >> 1);
    }

    fn sleep(&self, seen: u32, timeout: Option<Duration>) {
        futex::wait(&self.0, seen, timeout);
    }
}

const SYNC: u32 = 1;
const COOKIE: u32 = 2;
const WISHES: u32 = 4;

/// A thread's name, and what it does until the log ends.
type Body = (&'static str, fn(&Shared));

/// The threads of a log.
#[derive(Debug)]
pub(crate) struct Background {
    staffing: Staffing,
    prepare: Signal,
    sync: Signal,
    sync_bits: AtomicU32,
    prefault: Signal,
    prefault_idle: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Background {
    pub(crate) fn new(staffing: Staffing) -> Self {
        Self {
            staffing,
            prepare: Signal::default(),
            sync: Signal::default(),
            sync_bits: AtomicU32::new(0),
            prefault: Signal::default(),
            prefault_idle: AtomicBool::new(false),
            threads: Mutex::new(Vec::new()),
        }
    }

    /// Starts the threads.
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<()> {
        if shared.background.is_inline() {
            return Ok(());
        }
        let bodies: [Body; 3] = [
            ("segwal-prepare", prepare),
            ("segwal-sync", sync),
            ("segwal-prefault", prefault),
        ];
        let mut threads = shared.background.threads.lock();
        for (name, body) in bodies {
            let shared = Arc::clone(shared);
            let handle = thread::spawn_background(name, move || guarded(&shared, name, body))
                .map_err(|error| {
                    Error::new(
                        ErrorKind::OutOfResources,
                        "cannot start a thread of the log",
                    )
                    .caused_by(error)
                })?;
            threads.push(handle);
        }
        Ok(())
    }

    fn is_inline(&self) -> bool {
        self.staffing != Staffing::Threads
    }

    /// Asks for something to be done.
    pub(crate) fn request(&self, shared: &Shared, request: Request) {
        if self.is_inline() {
            return serve_inline(shared, request);
        }
        match request {
            Request::Prepare => self.prepare.raise(),
            Request::Sync => self.request_sync(SYNC),
            Request::SyncCookie => self.request_sync(COOKIE),
            Request::Wishes => self.request_sync(WISHES),
        }
    }

    fn request_sync(&self, bit: u32) {
        // Release: pairs with the swap in `sync`.
        self.sync_bits.fetch_or(bit, Ordering::Release);
        self.sync.raise();
    }

    /// Says that the tail moves.
    pub(crate) fn moved(&self) {
        // Relaxed: only saves a wake-up; a stale value costs some faults.
        if self.prefault_idle.load(Ordering::Relaxed) {
            self.prefault.raise();
        }
    }

    /// Wakes all threads, because the log has ended.
    pub(crate) fn rouse(&self) {
        for signal in [&self.prepare, &self.sync, &self.prefault] {
            signal.raise();
        }
    }

    /// Waits for the threads to end. Not from one of them.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        let me = std::thread::current().id();
        for thread in threads
            .into_iter()
            .filter(|thread| thread.thread().id() != me)
        {
            // A panic was turned into poison by the thread itself.
            drop(thread.join());
        }
    }
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
        Request::Wishes => shared.hooks.grant(shared),
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
    let signal = &shared.background.prepare;
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
    let background = &shared.background;
    while !shared.ending.has_ended() {
        let seen = background.sync.read();
        // Acquire: pairs with `request_sync`.
        let bits = background.sync_bits.swap(0, Ordering::Acquire);
        if bits & SYNC != 0 {
            shared.counters.background_syncs.add(1);
            // A failure has poisoned the log, which ends the loop.
            drop(shared.make_durable(shared.core.published(), None));
        }
        if bits & COOKIE != 0 {
            sync_cookie(shared);
        }
        if bits & WISHES != 0 {
            shared.hooks.grant(shared);
        }
        if bits == 0 {
            background.sync.sleep(seen, None);
        }
    }
}

/// A page that a store could not reach: it would have been a `SIGBUS`.
const EFAULT: i32 = 14;
const TICK: Duration = Duration::from_millis(2);
/// The tail stood still for so many ticks: sleep until it moves.
const IDLE_TICKS: u32 = 5;

fn prefault(shared: &Shared) {
    let background = &shared.background;
    let mut prefaulter = Prefaulter::default();
    let mut idle = 0;
    while !shared.ending.has_ended() {
        let seen = background.prefault.read();
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
        let rest = idle >= IDLE_TICKS;
        // Relaxed: see `moved`.
        background.prefault_idle.store(rest, Ordering::Relaxed);
        background.prefault.sleep(seen, (!rest).then_some(TICK));
    }
}
