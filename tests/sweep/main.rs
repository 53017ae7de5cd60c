//! Failing calls: every operation of every scenario goes wrong in every way, once and from then on. Each call then succeeds
//! or returns a typed error, the log is poisoned where it must be, and what was acknowledged survives the death of the
//! process, a power cut, and both.
//!
//! `SEGWAL_CAMPAIGN=full` goes through everything several times with other power cuts, as `cargo xtask campaign sweep` does.
//! Without optimisation it is a slice, which another `SEGWAL_SEED` shifts.

#![expect(
    clippy::print_stdout,
    reason = "the count of runs is what this test is asked for"
)]

mod case;
mod companions;
#[path = "../entry/mod.rs"]
mod entry;
mod fault;
mod interrupted;
mod keep;

#[expect(dead_code, reason = "the explorer of crash states uses the rest")]
#[path = "../crash/life.rs"]
mod life;
#[expect(dead_code, reason = "the explorer of crash states uses the rest")]
#[path = "../crash/model.rs"]
mod model;
mod play;
mod scenario;
mod watch;
#[expect(dead_code, reason = "the explorer of crash states uses the rest")]
#[path = "../crash/workload.rs"]
mod workload;

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use segwal::ErrorKind;
use segwal::fault::{Op, Repeat};
use testkit::seed;

use case::{Case, Ran, reference};
use fault::{FAULTS, Fault};
use scenario::{Scenario, all};
use watch::Watch;

/// How much is swept.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// One of so many cases is run.
    stride: u64,
    /// With so many different power cuts.
    rounds: u64,
}

impl Extent {
    fn wanted() -> Self {
        let is_campaign = std::env::var("SEGWAL_CAMPAIGN").is_ok_and(|what| what == "full");
        Self {
            stride: if cfg!(debug_assertions) { 17 } else { 1 },
            rounds: if is_campaign { 8 } else { 1 },
        }
    }
}

/// What was swept.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    runs: u64,
    refused: u64,
    poisoned: u64,
    short_of_space: u64,
}

impl Tally {
    fn note(&mut self, ran: &Ran) {
        self.runs += 1;
        self.refused += u64::from(!ran.kinds.is_empty());
        self.poisoned += u64::from(ran.is_poisoned);
        self.short_of_space += u64::from(ran.kinds.contains(&ErrorKind::NoSpace));
    }

    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.refused += other.refused;
        self.poisoned += other.poisoned;
        self.short_of_space += other.short_of_space;
    }
}

/// The ways in which an operation can go wrong.
fn ways(op: Op) -> impl Iterator<Item = (Fault, Repeat)> {
    let faults = FAULTS.into_iter().filter(move |fault| fault.meets(op));
    faults.flat_map(|fault| [Repeat::Once, Repeat::FromThenOn].map(|repeat| (fault, repeat)))
}

/// Sweeps one scenario; `watch` knows which case is running.
fn sweep(scenario: &Scenario, extent: Extent, watch: &Watch) -> Result<Tally, String> {
    let whole = reference(scenario)?;
    let mut tally = Tally::default();
    let mut turn = seed();
    for (index, op) in (whole.first..).zip(&whole.operations) {
        for (fault, repeat) in ways(*op) {
            turn = turn.wrapping_add(1);
            if !turn.is_multiple_of(extent.stride) {
                continue;
            }
            for round in 0..extent.rounds {
                let case = Case {
                    scenario,
                    index,
                    op: *op,
                    fault,
                    repeat,
                    seed: turn.wrapping_add(round << 32) >> 1,
                };
                watch.begin(&case);
                let ran = case.run().map_err(|what| format!("{case}: {what}"))?;
                tally.note(&ran);
            }
        }
    }
    Ok(tally)
}

/// Takes one scenario after the other; the lines say what was done with each.
fn sweep_some(
    scenarios: &[Scenario],
    next: &AtomicUsize,
    extent: Extent,
) -> Result<(Tally, String), String> {
    let watch = Watch::start();
    let mut lines = String::new();
    let mut total = Tally::default();
    // Relaxed: a number that orders nothing.
    while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
        let tally = sweep(scenario, extent, &watch)?;
        let Tally { runs, poisoned, .. } = tally;
        let name = scenario.name;
        let line = writeln!(lines, "  {name:<36} {runs:>6} runs, {poisoned:>5} poisoned");
        line.map_err(|error| error.to_string())?;
        total.add(tally);
    }
    Ok((total, lines))
}

/// Sweeps all scenarios on two threads and prints what was done.
fn sweep_all(extent: Extent) -> Tally {
    let scenarios = all();
    let next = AtomicUsize::new(0);
    let seed = seed();
    let swept = thread::scope(|scope| {
        let worker = || scope.spawn(|| sweep_some(&scenarios, &next, extent));
        [worker(), worker()].map(|worker| worker.join().expect("a sweep does not panic"))
    });
    let mut total = Tally::default();
    for part in swept {
        let (tally, lines) =
            part.unwrap_or_else(|what| panic!("{what}\nreplay: SEGWAL_SEED={seed}"));
        print!("{lines}");
        total.add(tally);
    }
    println!(
        "failing calls: {} runs of {} scenarios, seed {seed}: {} with an error, {} poisoned, {} short of space",
        total.runs,
        scenarios.len(),
        total.refused,
        total.poisoned,
        total.short_of_space
    );
    total
}

#[test]
fn every_failing_call_is_a_typed_error_and_loses_nothing_acknowledged() {
    let extent = Extent::wanted();
    let total = sweep_all(extent);
    assert!(all().len() >= 12);
    assert!(total.runs * extent.stride >= 20_000, "{total:?}");
    assert!(
        total.poisoned > 0 && total.short_of_space > 0 && total.refused > total.poisoned,
        "{total:?}"
    );
}

#[test]
fn every_scenario_comes_where_it_wants_to_be() {
    let lost: Vec<String> = all()
        .iter()
        .filter_map(|scenario| match reference(scenario) {
            Ok(whole) if whole.operations.is_empty() => {
                Some(format!("{} does nothing", scenario.name))
            }
            Ok(_) => None,
            Err(what) => Some(what),
        })
        .collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

/// The cases of one scenario with one fault at every operation of one kind.
fn cases_of(name: &str, op: Op, fault: Fault, mut check: impl FnMut(&Case<'_>)) -> u64 {
    let scenarios = all();
    let scenario = scenarios
        .iter()
        .find(|scenario| scenario.name == name)
        .expect("there is such a scenario");
    let whole = reference(scenario).unwrap_or_else(|what| panic!("{what}"));
    let mut count = 0;
    for (index, _) in (whole.first..)
        .zip(&whole.operations)
        .filter(|(_, found)| **found == op)
    {
        let repeat = Repeat::Once;
        check(&Case {
            scenario,
            index,
            op,
            fault,
            repeat,
            seed: index,
        });
        count += 1;
    }
    count
}

/// The sweep can fail: an acknowledgement that the disk does not keep, and one record too many, are found.
#[test]
fn sweep_finds_an_acknowledgement_that_was_none() {
    let mut found = 0;
    let count = cases_of("append and sync", Op::MapSync, Fault::Io, |case| {
        found += u64::from(case.run_and_overstate().is_err());
    });
    assert!(found > 0 && count > 0, "{found} of {count} were found");
}

#[test]
fn sweep_finds_a_sync_that_did_not_poison() {
    let mut found = 0;
    let count = cases_of("append and sync", Op::MapSync, Fault::Io, |case| {
        found += u64::from(case.run_on_a_disk_that_hides_it().is_err());
    });
    assert_eq!(found, count);
}
