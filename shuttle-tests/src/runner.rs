//! [`Scenario`]: a program for the scheduler, the states that its schedules must reach, and what must make it fail.
//!
//! Each check runs in a process of its own: the test binary again, with the one test that asked for it. A failing schedule
//! must not unwind, because its destructors would run inside the scheduler's broken state; so the panic hook of that process
//! reports the message and ends it.

use std::panic;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fmt};

use segwal::internals::twin::{self, Twin};
use segwal::internals::{Bug, choose_bug};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use testkit::check::{Reached, message_of, run_again, say};

/// Set in the process of a check: which one it runs.
const CHECK: &str = "SEGWAL_SHUTTLE_CHECK";

/// What the report of a check begins with; its parts are separated by tabs.
const REPORT: &str = "schedule-report";

/// Schedules of a scenario unless `SEGWAL_SCHEDULES` says otherwise; half of them by random priorities.
const SCHEDULES: u64 = 3000;

/// Schedules within which a mistake must be found.
const SCHEDULES_OF_A_MISTAKE: u64 = 20_000;

/// So many times by turns a stretch of random schedules and one of random priorities.
const ROUNDS: u64 = 4;

/// So many changes of priority.
const DEPTH: usize = 3;

/// What is wrong with the engine on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// One of the engine's.
    Bug(Bug),
    /// One of the core's.
    Twin(Twin),
}

/// A program whose schedules are explored.
#[derive(Debug)]
pub struct Scenario {
    /// What its lines of output begin with.
    pub name: &'static str,
    /// The states that some schedule must reach, or the scenario shows nothing.
    pub states: &'static [&'static str],
    /// The program; the number differs from schedule to schedule.
    pub body: fn(&Reached, u64),
}

impl Scenario {
    /// Explores schedules; none may fail.
    ///
    /// # Panics
    /// If one fails, or none reaches a state that the scenario names.
    pub fn holds(&self) {
        let Some(outcome) = self.check(None) else {
            return;
        };
        let (name, failure, missed) = (self.name, &outcome.failure, &outcome.missed);
        let verdict = if failure.is_empty() { "holds" } else { "FAILS" };
        say(&format!("{name:<32} {verdict} {outcome}"));
        assert!(
            failure.is_empty(),
            "{name}: {failure}\n{}",
            outcome.replay(self.name)
        );
        assert!(missed.is_empty(), "{name} never reached {missed}");
    }

    /// Explores until a schedule fails because of `mistake`.
    ///
    /// # Panics
    /// If none fails, or one fails without any of `signs` in its message.
    pub fn must_fail(&self, mistake: Mistake, signs: &[&str]) {
        let Some(outcome) = self.check(Some(mistake)) else {
            return;
        };
        let (name, failure) = (self.name, &outcome.failure);
        say(&format!("{name:<32} fails {outcome} <- {mistake:?}"));
        assert!(!failure.is_empty(), "{name} holds with {mistake:?}");
        assert!(
            signs.iter().any(|sign| failure.contains(sign)),
            "{name} with {mistake:?} fails, but with none of {signs:?}: {failure}"
        );
    }

    /// Starts a process for the check, or runs it if this is that process. `None` if this process is for another one.
    fn check(&self, mistake: Option<Mistake>) -> Option<Outcome> {
        let id = format!("{} {mistake:?}", self.name);
        match env::var(CHECK) {
            Ok(wanted) if wanted == id => self.run(mistake),
            Ok(_) => None,
            Err(_) => Some(run_again(CHECK, &id, Outcome::parse)),
        }
    }

    /// Explores, reports and ends the process.
    fn run(&self, mistake: Option<Mistake>) -> ! {
        let seed = seed(mistake);
        let progress = Progress::begin(seed);
        let reached = Reached::new(self.states);
        let at_failure = progress.clone();
        panic::set_hook(Box::new(move |panic| {
            at_failure.report("", &message_of(panic))
        }));
        match mistake {
            Some(Mistake::Bug(bug)) => choose_bug(Some(bug)),
            Some(Mistake::Twin(twin)) => twin::choose(Some(twin)),
            None => {}
        }
        for round in 0..ROUNDS {
            let (seed, count) = (
                seed.wrapping_add(round),
                schedules(mistake).div_ceil(2 * ROUNDS),
            );
            self.explore(
                RandomScheduler::new_from_seed(seed, count as usize),
                &reached,
                &progress,
            );
            self.explore(
                PctScheduler::new_from_seed(seed, DEPTH, count as usize),
                &reached,
                &progress,
            );
        }
        progress.report(&reached.missed(), "")
    }

    fn explore(&self, scheduler: impl Scheduler + 'static, reached: &Reached, progress: &Progress) {
        let mut config = shuttle::Config::new();
        config.stack_size = 256 << 10;
        config.silence_warnings = true;
        config.failure_persistence = shuttle::FailurePersistence::None;
        let (body, reached, progress) = (self.body, reached.clone(), progress.clone());
        shuttle::Runner::new(scheduler, config).run(move || body(&reached, progress.count()));
    }
}

/// How many schedules a scenario gets. A mistake gets more, of which it needs as many as it takes.
fn schedules(mistake: Option<Mistake>) -> u64 {
    let count = env::var("SEGWAL_SCHEDULES").map(|count| count.parse());
    match mistake {
        None => count.map_or(SCHEDULES, |count| {
            count.expect("SEGWAL_SCHEDULES is a number")
        }),
        Some(_) => SCHEDULES_OF_A_MISTAKE,
    }
}

/// A seed of its own for each run; a mistake has the same schedules every time, since it must be found.
fn seed(mistake: Option<Mistake>) -> u64 {
    mistake.map_or_else(testkit::seed, |_| 1)
}

/// How far a check has come.
#[derive(Clone)]
struct Progress {
    seed: u64,
    schedules: Arc<AtomicU64>,
    began: Instant,
}

impl Progress {
    #[expect(clippy::disallowed_methods, reason = "for the report alone")]
    fn begin(seed: u64) -> Self {
        Self {
            seed,
            schedules: Arc::new(AtomicU64::new(0)),
            began: Instant::now(),
        }
    }

    fn count(&self) -> u64 {
        // Relaxed: a count, on one thread of the system.
        self.schedules.fetch_add(1, Ordering::Relaxed)
    }

    fn report(&self, missed: &str, failure: &str) -> ! {
        // Relaxed: as `count`.
        let schedules = self.schedules.load(Ordering::Relaxed);
        let micros = self.began.elapsed().as_micros();
        say(&format!(
            "{REPORT}\t{schedules}\t{micros}\t{}\t{missed}\t{failure}",
            self.seed
        ));
        process::exit(0)
    }
}

/// How a check ended.
#[derive(Debug)]
struct Outcome {
    schedules: u64,
    took: Duration,
    seed: String,
    missed: String,
    failure: String,
}

impl Outcome {
    /// Reads a report; `None` if `line` is none.
    fn parse(line: &str) -> Option<Self> {
        let (_, report) = line.split_once(REPORT)?;
        let mut parts = report.split('\t').skip(1);
        Some(Self {
            schedules: parts.next()?.parse().ok()?,
            took: Duration::from_micros(parts.next()?.parse().ok()?),
            seed: parts.next()?.to_owned(),
            missed: parts.next()?.to_owned(),
            failure: parts.next()?.to_owned(),
        })
    }

    fn replay(&self, name: &str) -> String {
        let seed = &self.seed;
        format!("replay: SEGWAL_SEED={seed} cargo xtask shuttle, scenario {name}")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (schedules, seconds) = (self.schedules, self.took.as_secs_f64());
        write!(
            f,
            "{schedules:>6} schedules {seconds:>6.2} s, seed {}",
            self.seed
        )?;
        if !self.failure.is_empty() {
            let brief: String = self.failure.chars().take(90).collect();
            write!(f, "  {brief}")?;
        }
        Ok(())
    }
}
