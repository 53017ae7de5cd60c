//! [`Model`]: a closed program for the checker, the states that it must reach, and what must make it fail.
//!
//! Each check runs in a process of its own: the test binary again, with the one test that asked for it. A failing check
//! must not unwind, because its destructors would run inside the checker's broken state, panic again and abort; so the
//! panic hook of that process reports the message and ends it.

use std::panic;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fmt};

use segwal::internals::twin::{self, Twin};
use testkit::check::{Reached, message_of, run_again, say};

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
            Err(_) => Some(run_again(CHECK, &id, Outcome::parse)),
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
        progress.report(&reached.missed(), "")
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
