//! [`Model`]: a closed program for the checker, the states that it must reach, and what must make it fail.
//!
//! Each check runs in a process of its own: the test binary again, with the one test that asked for it. A failing check
//! must not unwind, because its destructors would run inside the checker's broken state, panic again and abort; so the
//! panic hook of that process reports the message and ends it.

use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fmt, thread};

use segwal::internals::twin::{self, Twin};

/// Set in the process of a check: which one it runs.
const CHECK: &str = "SEGWAL_LOOM_CHECK";

/// What the report of a check begins with; its parts are separated by tabs.
const REPORT: &str = "model-report";

/// A program whose interleavings are explored.
#[derive(Debug)]
pub struct Model {
    /// What its lines of output begin with.
    pub name: &'static str,
    /// The states that some interleaving must reach, or the model shows nothing.
    pub states: &'static [&'static str],
    /// The program. Its main thread prepares, spawns and joins.
    pub body: fn(&Reached),
}

/// How often each state was reached, over all interleavings.
#[derive(Clone, Debug)]
pub struct Reached {
    states: &'static [&'static str],
    counts: Arc<[AtomicU64]>,
}

impl Reached {
    fn new(states: &'static [&'static str]) -> Self {
        Self {
            states,
            counts: states.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Counts one visit of `state`.
    ///
    /// # Panics
    /// If the model does not name the state.
    pub fn mark(&self, state: &str) {
        let index = self.states.iter().position(|known| *known == state);
        let index = index.unwrap_or_else(|| panic!("the model does not name the state `{state}`"));
        // Relaxed: a count, which is read after the check.
        self.counts[index].fetch_add(1, Ordering::Relaxed);
    }

    fn missed(&self) -> Vec<&'static str> {
        let counts = self.counts.iter().zip(self.states);
        counts
            // Relaxed: as in `mark`.
            .filter(|(count, _)| count.load(Ordering::Relaxed) == 0)
            .map(|(_, state)| *state)
            .collect()
    }
}

impl Model {
    /// Explores every interleaving within the bound.
    ///
    /// # Panics
    /// If one of them fails, or none reaches a state that the model names.
    pub fn holds(&self) {
        let Some(outcome) = self.check(None) else {
            return;
        };
        let verdict = if outcome.failure.is_empty() {
            "holds"
        } else {
            "FAILS"
        };
        say(&format!("{:<30} {verdict} {outcome}", self.name));
        assert!(
            outcome.failure.is_empty(),
            "{}: {}",
            self.name,
            outcome.failure
        );
        let missed = &outcome.missed;
        assert!(missed.is_empty(), "{} never reached {missed}", self.name);
    }

    /// Explores until an interleaving fails because of the defect `twin`.
    ///
    /// # Panics
    /// If none fails, or one fails without `sign` in its message.
    pub fn must_fail(&self, twin: Twin, sign: &str) {
        let Some(outcome) = self.check(Some(twin)) else {
            return;
        };
        say(&format!("{:<30} fails {outcome} <- {twin:?}", self.name));
        let failure = &outcome.failure;
        assert!(!failure.is_empty(), "{} holds with {twin:?}", self.name);
        assert!(
            failure.contains(sign),
            "{} with {twin:?} fails, but not with `{sign}`: {failure}",
            self.name
        );
    }

    /// Starts a process for the check, or runs it if this is that process. `None` if this process is for another one.
    fn check(&self, twin: Option<Twin>) -> Option<Outcome> {
        let id = format!("{} {twin:?}", self.name);
        match env::var(CHECK) {
            Ok(wanted) if wanted == id => self.run(twin),
            Ok(_) => None,
            Err(_) => Some(start(&id)),
        }
    }

    /// Explores, reports and ends the process.
    fn run(&self, twin: Option<Twin>) -> ! {
        let reached = Reached::new(self.states);
        let progress = Progress::begin();
        let at_failure = progress.clone();
        panic::set_hook(Box::new(move |panic| {
            at_failure.report("", &message_of(panic));
        }));
        twin::choose(twin);
        let (body, marks, count) = (self.body, reached.clone(), progress.clone());
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound.get_or_insert(2);
        builder.max_branches = builder.max_branches.max(20_000);
        builder.check(move || {
            count.count();
            body(&marks);
        });
        progress.report(&reached.missed().join(", "), "")
    }
}

/// How far a check has come.
#[derive(Clone)]
struct Progress {
    executions: Arc<AtomicU64>,
    began: Instant,
}

impl Progress {
    #[expect(clippy::disallowed_methods, reason = "for the report alone")]
    fn begin() -> Self {
        Self {
            executions: Arc::new(AtomicU64::new(0)),
            began: Instant::now(),
        }
    }

    fn count(&self) {
        // Relaxed: a count, on one thread of the system.
        self.executions.fetch_add(1, Ordering::Relaxed);
    }

    fn report(&self, missed: &str, failure: &str) -> ! {
        // Relaxed: as `count`.
        let executions = self.executions.load(Ordering::Relaxed);
        let micros = self.began.elapsed().as_micros();
        say(&format!(
            "{REPORT}\t{executions}\t{micros}\t{missed}\t{failure}"
        ));
        process::exit(0)
    }
}

/// How a check ended.
#[derive(Debug, Default)]
struct Outcome {
    executions: u64,
    took: Duration,
    missed: String,
    failure: String,
}

impl Outcome {
    /// Reads a report; `None` if `line` is none.
    fn parse(line: &str) -> Option<Self> {
        let (_, report) = line.split_once(REPORT)?;
        let mut parts = report.split('\t').skip(1);
        Some(Self {
            executions: parts.next()?.parse().ok()?,
            took: Duration::from_micros(parts.next()?.parse().ok()?),
            missed: parts.next()?.to_owned(),
            failure: parts.next()?.to_owned(),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (executions, seconds) = (self.executions, self.took.as_secs_f64());
        write!(f, "{executions:>7} executions {seconds:>6.2} s")?;
        if !self.failure.is_empty() {
            let brief: String = self.failure.chars().take(60).collect();
            write!(f, "  {brief}")?;
        }
        Ok(())
    }
}

/// Runs the calling test again, for the check `id` alone.
fn start(id: &str) -> Outcome {
    let test = thread::current();
    let test = test.name().expect("the harness names the threads of tests");
    let output = Command::new(env::current_exe().expect("the test binary"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHECK, id)
        .output()
        .expect("the test binary runs again");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(Outcome::parse)
        .unwrap_or_else(|| panic!("the check `{id}` ended without a report: {output:?}"))
}

fn message_of(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    let text = text.trim().replace(['\n', '\t'], " ");
    match panic.location() {
        Some(place) => format!("{text} ({}:{})", place.file(), place.line()),
        None => text,
    }
}

/// Past the capture of the test harness: how long each model takes is worth seeing when all is well.
fn say(line: &str) {
    writeln!(io::stdout().lock(), "{line}").ok();
}
