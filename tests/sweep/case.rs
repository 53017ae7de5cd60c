//! [`Case`]: one scenario in which one operation goes wrong, and what must hold afterwards.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use segwal::ErrorKind;
use segwal::fault::{Op, Repeat, SimDisk};

use crate::fault::{Due, Fault};
use crate::life::{Life, Outcome};
use crate::model::Expect;
use crate::play::{Act, Play};
use crate::scenario::Scenario;
use crate::workload::Step;

/// Power cuts that are tried after each run.
const CUTS: u64 = 2;

/// A scenario on a healthy disk.
pub(crate) struct Reference {
    /// The index of the first operation of the acts.
    pub(crate) first: u64,
    pub(crate) operations: Vec<Op>,
}

/// Plays a scenario without a fault.
///
/// # Errors
/// A promise is broken, or the scenario does not come where it wants to be.
pub(crate) fn reference(scenario: &Scenario) -> Result<Reference, String> {
    let place = |what| format!("{}, healthy: {what}", scenario.name);
    let mut play = set_up(scenario)?;
    let first = play.life.disk.operation_count();
    play.expect_faults();
    for act in &scenario.acts {
        let done = play.perform(act).map_err(place)?;
        if let Outcome::Failed(kind) = done.outcome
            && kind != ErrorKind::NoSpace
        {
            return Err(place(format!("{act:?} ended with {kind:?}")));
        }
    }
    if !(scenario.is_there)(&play) {
        let recovery = play.life.wal.as_ref().map(|wal| wal.recovery().clone());
        return Err(place(format!(
            "it is not there, recovery was {recovery:?}, stats {:?}",
            play.life.wal.as_ref().map(segwal::Wal::stats)
        )));
    }
    let mut operations = play.operations();
    let skipped = usize::try_from(first).map_err(|error| error.to_string())?;
    Ok(Reference {
        first,
        operations: operations.split_off(skipped),
    })
}

fn set_up(scenario: &Scenario) -> Result<Play, String> {
    let mut play = Play::new();
    for act in &scenario.setup {
        let done = play.perform(act)?;
        if done.outcome != Outcome::Done {
            return Err(format!(
                "{}: {act:?} ended with {:?} in the setup",
                scenario.name, done.outcome
            ));
        }
    }
    Ok(play)
}

/// One operation that goes wrong.
pub(crate) struct Case<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) index: u64,
    pub(crate) op: Op,
    pub(crate) fault: Fault,
    pub(crate) repeat: Repeat,
    /// Decides what power cuts leave.
    pub(crate) seed: u64,
}

/// What became of a case.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// Errors of the log, in order.
    pub(crate) kinds: Vec<ErrorKind>,
    pub(crate) is_poisoned: bool,
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: operation {}, {:?}, meets {:?} {:?}, seed {}",
            self.scenario.name, self.index, self.op, self.fault, self.repeat, self.seed
        )
    }
}

impl Case<'_> {
    /// Plays the scenario with the fault, and looks at what is left.
    ///
    /// # Errors
    /// A promise is broken, or something panicked.
    pub(crate) fn run(&self) -> Result<Ran, String> {
        guarded(|| {
            let (play, ran) = self.play(self.fault)?;
            check_what_is_left(&play, self.seed)?;
            Ok(ran)
        })
    }

    /// As [`Case::run`], for a model that takes everything that was published for acknowledged.
    pub(crate) fn run_and_overstate(&self) -> Result<Ran, String> {
        guarded(|| {
            let (mut play, ran) = self.play(self.fault)?;
            if let Some(wal) = &play.life.wal {
                let end = wal.end();
                play.life.model.note_durable(end);
            }
            check_what_is_left(&play, self.seed)?;
            Ok(ran)
        })
    }

    /// As [`Case::run`], on a disk on which nothing goes wrong although it should.
    pub(crate) fn run_on_a_disk_that_hides_it(&self) -> Result<Ran, String> {
        guarded(|| Ok(self.play_with(|_| {})?.1))
    }

    fn play(&self, fault: Fault) -> Result<(Play, Ran), String> {
        self.play_with(|disk| fault.inject(disk, self.index, self.repeat))
    }

    fn play_with(&self, inject: impl FnOnce(&SimDisk)) -> Result<(Play, Ran), String> {
        let mut play = set_up(self.scenario)?;
        inject(&play.life.disk);
        play.expect_faults();
        let mut ran = Ran::default();
        let mut met = None;
        for act in &self.scenario.acts {
            let was_open = play.life.wal.is_some();
            let done = play.perform(act)?;
            if let Outcome::Failed(kind) = done.outcome {
                self.check_kind(act, kind)?;
                ran.kinds.push(kind);
            }
            let ended = play.life.disk.operation_count();
            if (done.began..ended).contains(&self.index) {
                met = Some((act, was_open && !ends_the_log(act)));
            }
        }
        let has_faults_left = self.repeat == Repeat::FromThenOn;
        if !has_faults_left {
            play.life.disk.clear_faults();
        }
        let is_open = play.life.wal.is_some();
        let poisoned = play.is_poisoned();
        if has_faults_left && poisoned.is_err() {
            return poisoned.map(|_| (play, ran));
        }
        ran.is_poisoned = poisoned?;
        if let Some((act, true)) = met
            && is_open
            && !self.scenario.acts.iter().any(ends_the_log)
        {
            self.check_due(act, &ran)?;
        }
        Ok((play, ran))
    }

    /// Only what a short read leaves looks like damage.
    fn check_kind(&self, act: &Act, kind: ErrorKind) -> Result<(), String> {
        if kind == ErrorKind::Corrupt && self.fault != Fault::Short {
            return Err(format!("{act:?} took it for damage"));
        }
        Ok(())
    }

    fn check_due(&self, act: &Act, ran: &Ran) -> Result<(), String> {
        let due = self.fault.due(self.op, act);
        match (due, self.repeat, ran.is_poisoned) {
            (Due::Poison, _, false) => Err(format!("{act:?} did not poison the log")),
            (Due::Life, Repeat::Once, true) => Err(format!("{act:?} poisoned the log")),
            _ => Ok(()),
        }
    }
}

fn guarded(run: impl FnOnce() -> Result<Ran, String>) -> Result<Ran, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("a panic".to_owned()))
}

/// Whether another handle, or none, is left after the act.
fn ends_the_log(act: &Act) -> bool {
    matches!(
        act,
        Act::Open | Act::Shut | Act::Die | Act::LosePower(_) | Act::Do(Step::Drop | Step::Close)
    )
}

/// The process dies; the power fails; the one and then the other.
fn check_what_is_left(play: &Play, seed: u64) -> Result<(), String> {
    let life = &play.life;
    let mut next = beside(life, life.disk.snapshot().kill(), 11);
    next.disk.set_free_bytes(None);
    must(&mut next, "after a death", |next| {
        next.open(Expect::Published)
    })?;
    cut(&next, seed, "after a death and an open")?;
    for step in [Step::Append { len: 40, tag: 2 }, Step::Sync] {
        must(&mut next, "going on after a death", |next| next.run(&step))?;
    }
    cut(&next, seed, "after a death and going on")?;
    cut(life, seed, "after a power cut")
}

fn cut(life: &Life, seed: u64, when: &str) -> Result<(), String> {
    for seed in seed..seed + CUTS {
        let disk = life.disk.crash_image(seed);
        disk.set_free_bytes(None);
        let mut next = beside(life, disk, 21 + seed);
        next.model.lose_power();
        must(&mut next, when, |next| next.open(Expect::Durable))
            .map_err(|what| format!("{what} (power cut {seed})"))?;
    }
    Ok(())
}

/// The log as the next process finds it, after the last call of this one returned.
fn beside(life: &Life, disk: SimDisk, seed: u64) -> Life {
    let mut next = life.beside(disk, seed);
    if life.wal.is_some() {
        next.model.begin_call();
    }
    next
}

fn must(
    life: &mut Life,
    when: &str,
    run: impl FnOnce(&mut Life) -> Result<Outcome, String>,
) -> Result<(), String> {
    match run(life) {
        Ok(Outcome::Done) => Ok(()),
        Ok(other) => Err(format!("{when}: {other:?}")),
        Err(what) => Err(format!("{when}: {what}")),
    }
}
