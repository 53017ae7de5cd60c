//! Crash states: random and exhaustive power cuts, deaths and failed syncs at every operation of random workloads, on the
//! simulated disk, each followed by recovery and a check of what it gives back.
//!
//! `SEGWAL_SEED` replays a run; the failing workload, its step and the image stand in the message. `SEGWAL_CRASH_TIMES`
//! explores as many times more, for a long run, `SEGWAL_CRASH_PART` so small a part: 10 is the tenth.

#![expect(
    clippy::print_stdout,
    reason = "the count of crash states is what this test is asked for"
)]

#[path = "../entry/mod.rs"]
mod entry;
mod explore;
mod full;
mod holds;
mod life;
mod model;
mod padding;
mod regressions;
mod repair;
mod workload;

use std::sync::atomic::{AtomicU64, Ordering};

use segwal::ErrorKind;
use segwal::fault::{Op, Repeat, SimDisk, When};
use testkit::{Rng, seed};

use explore::{Device, Explorer, Tally, must_be_done, stops};
use life::{Cut, Faults, Life, Outcome};
use model::{Expect, Model};
use workload::{Scale, Step, Workload};

const EIO: i32 = 5;

/// So many workloads, fewer without optimisation.
const fn count(release: u64, debug: u64) -> u64 {
    if cfg!(debug_assertions) {
        debug
    } else {
        release
    }
}

/// `SEGWAL_CRASH_TIMES`: how many times as many, for a long run.
fn times() -> u64 {
    number("SEGWAL_CRASH_TIMES")
}

/// `SEGWAL_CRASH_PART`: how small a part, for a glance.
fn part() -> u64 {
    number("SEGWAL_CRASH_PART")
}

fn number(variable: &str) -> u64 {
    let number = std::env::var(variable).map(|number| number.parse());
    number.map_or(1, |number| {
        number.unwrap_or_else(|error| panic!("{variable}: {error}"))
    })
}

/// Ends the test with everything that is needed to replay it.
fn fail(test: &str, seed: u64, workload: &Workload, tally: Tally, what: &str) -> ! {
    let count = tally.total();
    panic!(
        "{what}\nfound after {count} crash states\n{workload:#?}\nreplay: SEGWAL_SEED={seed} cargo test --release --test crash {test}"
    );
}

/// Prints what was explored, and how much all tests of this process have by now.
fn report(test: &str, seed: u64, tally: Tally) {
    static ALL: AtomicU64 = AtomicU64::new(0);
    let count = tally.total();
    // Relaxed: a sum that orders nothing.
    let all = ALL.fetch_add(count, Ordering::Relaxed) + count;
    println!("crash states explored: {count} ({all} so far), seed {seed}, by {test}: {tally}");
}

/// Runs `check` on each of so many workloads.
fn each_workload(
    test: &str,
    scale: Scale,
    count: u64,
    check: impl Fn(&mut Explorer, &Workload) -> Result<(), String>,
) -> Tally {
    let seed = seed();
    let mut rng = Rng::new(seed);
    let mut explorer = Explorer::new(rng.next_u64());
    for _ in 0..(count * times()).div_ceil(part()) {
        let workload = Workload::of(rng.next_u64(), scale);
        if let Err(what) = check(&mut explorer, &workload) {
            fail(test, seed, &workload, explorer.tally, &what);
        }
    }
    report(test, seed, explorer.tally);
    explorer.tally
}

/// A life of the workload with the log created and open.
fn begin(workload: &Workload) -> Result<Life, String> {
    let mut life = Life::new(SimDisk::new(), Model::new(), workload.setup, workload.seed);
    must_be_done(life.open(Expect::Durable)?)?;
    Ok(life)
}

/// A life that has done the first `count` steps.
fn after_steps(workload: &Workload, count: usize) -> Result<Life, String> {
    let mut life = begin(workload)?;
    for step in &workload.steps[..count] {
        must_be_done(life.run(step)?).map_err(|what| format!("{step:?}: {what}"))?;
    }
    Ok(life)
}

/// The life, stopped within step `index`.
fn stopped(workload: &Workload, index: usize, cut: Cut) -> Result<Life, String> {
    let mut life = after_steps(workload, index)?;
    life.cut_during_next(cut);
    life.run(&workload.steps[index])?;
    Ok(life)
}

#[test]
fn power_cut_between_calls_of_long_workloads_loses_nothing_acknowledged() {
    let name = "power_cut_between_calls_of_long_workloads_loses_nothing_acknowledged";
    let images = count(12, 4);
    let tally = each_workload(
        name,
        Scale::Large,
        count(3500, 300),
        |explorer, workload| {
            explorer.device = Device::PaddedBlocks;
            let mut life = begin(workload)?;
            for (index, step) in workload.steps.iter().enumerate() {
                let run = life.run(step).and_then(must_be_done);
                run.map_err(|what| format!("step {index}, {step:?}: {what}"))?;
                if let Some(wal) = &life.wal {
                    life.model
                        .check_live(wal)
                        .map_err(|what| format!("after step {index}, {step:?}: {what}"))?;
                }
                explorer
                    .power_cuts(&life, images)
                    .map_err(|what| format!("after step {index}, {step:?}: {what}"))?;
                life.model.begin_call();
                explorer
                    .kill_then_power_cut(&life, 2)
                    .map_err(|what| format!("after step {index}, {step:?}: {what}"))?;
            }
            Ok(())
        },
    );
    assert!(
        cfg!(debug_assertions) || part() > 1 || tally.total() >= 100_000,
        "{tally}"
    );
    assert!(
        tally.random > 0
            && tally.lost_blocks > 0
            && tally.killed > 0
            && tally.interrupted > 0
            && tally.continued > 0,
        "{tally}"
    );
}

#[test]
fn power_cut_at_every_operation_of_short_workloads_loses_nothing_acknowledged() {
    let name = "power_cut_at_every_operation_of_short_workloads_loses_nothing_acknowledged";
    let tally = each_workload(name, Scale::Small, count(150, 20), |explorer, workload| {
        explorer.exhaustive = if cfg!(debug_assertions) { 6 } else { 10 };
        for index in 0..workload.steps.len() {
            let mut whole = after_steps(workload, index)?;
            whole.run(&workload.steps[index])?;
            let began = usize::try_from(whole.step_began).expect("few operations");
            let operations = whole.disk.operations().split_off(began);
            for stop in stops(&operations) {
                let cut = match operations[stop] {
                    Op::Store if explorer.rng.chance(1, 4) => {
                        Cut::Within(stop as u64, explorer.rng.index(40))
                    }
                    _ => Cut::Before(stop as u64),
                };
                let place =
                    |what| format!("step {index}, {:?}, {cut:?}: {what}", workload.steps[index]);
                let life = stopped(workload, index, cut).map_err(place)?;
                explorer.power_cuts(&life, 16).map_err(place)?;
                explorer.kill_then_power_cut(&life, 1).map_err(place)?;
            }
        }
        Ok(())
    });
    assert!(tally.exhaustive > 0, "{tally}");
}

#[test]
fn crash_at_every_operation_of_creation_leaves_a_log_that_opens() {
    let name = "crash_at_every_operation_of_creation_leaves_a_log_that_opens";
    let tally = each_workload(name, Scale::Small, count(60, 6), |explorer, workload| {
        let whole = begin(workload)?;
        for stop in stops(&whole.disk.operations()) {
            let cut = Cut::Before(stop as u64);
            let place = |what| format!("creation, {cut:?}: {what}");
            let mut life = Life::new(SimDisk::new(), Model::new(), workload.setup, workload.seed);
            life.cut_during_next(cut);
            life.open(Expect::Durable).map_err(place)?;
            explorer.power_cuts(&life, 20).map_err(place)?;
            explorer.kill_then_power_cut(&life, 4).map_err(place)?;
        }
        Ok(())
    });
    assert!(tally.total() > 0, "{tally}");
}

/// An operation fails; if it was a sync the log is poisoned. What the next process in the same boot sees, it keeps.
fn fail_an_operation(
    explorer: &mut Explorer,
    workload: &Workload,
    ops: &[Op],
) -> Result<(), String> {
    let op = *explorer.rng.pick(ops);
    let repeat = *explorer.rng.pick(&[Repeat::Once, Repeat::FromThenOn]);
    let nth = explorer.rng.below(6);
    let place = |what| format!("{op:?} {nth} fails {repeat:?}: {what}");
    let mut life = begin(workload)?;
    life.faults = Faults::Injected;
    life.disk.fail_at(When::Nth(op, nth), EIO, repeat);
    run_until_failed(&mut life, workload, op).map_err(place)?;
    life.wal = None;
    if repeat == Repeat::FromThenOn && explorer.rng.chance(1, 2) {
        // An open on the failing disk is refused, or right.
        life.open(Expect::Durable).map_err(place)?;
        life.wal = None;
    }
    life.disk.clear_faults();
    life.faults = Faults::None;
    if explorer.rng.chance(1, 3) {
        life.disk = life.disk.kill();
    }
    let reopened = life.open(Expect::Durable).and_then(must_be_done);
    reopened.map_err(|what| place(format!("reopening: {what}")))?;
    if explorer.rng.chance(1, 2) {
        life.run(&Step::Append { len: 100, tag: 7 })
            .and_then(must_be_done)
            .map_err(place)?;
    }
    let before = explorer.tally;
    let cuts = explorer.power_cuts(&life, 12);
    let taken =
        explorer.tally.random + explorer.tally.exhaustive - before.random - before.exhaustive;
    explorer.tally.random = before.random;
    explorer.tally.exhaustive = before.exhaustive;
    explorer.tally.failed += taken;
    cuts.map_err(|what| place(format!("after reopening: {what}")))
}

/// Runs the workload up to the first call that fails.
fn run_until_failed(life: &mut Life, workload: &Workload, op: Op) -> Result<(), String> {
    for step in calls(workload) {
        let place = |what| format!("{step:?}: {what}");
        match life.run(step).map_err(place)? {
            Outcome::Done => {}
            Outcome::Failed(ErrorKind::Io | ErrorKind::Poisoned) => {
                let is_sync = matches!(op, Op::MapSync | Op::FileSync | Op::DirSync);
                return if is_sync {
                    stays_poisoned(life).map_err(place)
                } else {
                    Ok(())
                };
            }
            other => return Err(place(format!("{other:?}"))),
        }
    }
    Ok(())
}

/// The steps of a workload without its accidents, which would end the faults.
fn calls(workload: &Workload) -> impl Iterator<Item = &Step> {
    workload
        .steps
        .iter()
        .filter(|step| !matches!(step, Step::Kill | Step::PowerCut(_)))
}

/// Nothing is appended, synced, discarded or closed in order any more.
fn stays_poisoned(life: &mut Life) -> Result<(), String> {
    let Some(wal) = life.wal.clone() else {
        return Ok(());
    };
    let durable = wal.durable();
    life.model.note_durable(durable);
    let answers = [
        wal.append(b"no").map(drop),
        wal.sync().map(drop),
        wal.append_batch([b"no"]).map(drop),
        wal.discard_before(wal.end()),
        wal.truncate_from(wal.head()).map(drop),
        wal.reset().map(drop),
        wal.close(),
    ];
    let kinds = answers.map(|answer| answer.map_err(|error| error.kind()));
    if kinds.iter().any(|kind| *kind != Err(ErrorKind::Poisoned)) || wal.durable() != durable {
        return Err(format!(
            "after a failed sync: {kinds:?}, durable {durable} then {}",
            wal.durable()
        ));
    }
    Ok(())
}

#[test]
fn failed_sync_poisons_and_what_is_seen_afterwards_is_kept() {
    let name = "failed_sync_poisons_and_what_is_seen_afterwards_is_kept";
    let syncs = [
        Op::MapSync,
        Op::MapSync,
        Op::MapSync,
        Op::FileSync,
        Op::DirSync,
    ];
    let tally = each_workload(
        name,
        Scale::Large,
        count(12_000, 800),
        |explorer, workload| fail_an_operation(explorer, workload, &syncs),
    );
    assert!(tally.failed > 0, "{tally}");
}

#[test]
fn failed_operation_of_any_other_kind_loses_nothing() {
    let name = "failed_operation_of_any_other_kind_loses_nothing";
    let ops = [
        Op::MakeDir,
        Op::List,
        Op::Lock,
        Op::Create,
        Op::Open,
        Op::Rename,
        Op::Remove,
        Op::FileSystem,
        Op::Stat,
        Op::Allocate,
        Op::Read,
        Op::Write,
        Op::Map,
        Op::Populate,
    ];
    let tally = each_workload(
        name,
        Scale::Large,
        count(4000, 300),
        |explorer, workload| fail_an_operation(explorer, workload, &ops),
    );
    assert!(tally.failed > 0, "{tally}");
}

/// Turns a bit over below what `COOKIE` knows to be durable; nothing may be missing or changed in silence.
fn damage(explorer: &mut Explorer, workload: &Workload) -> Result<(), String> {
    let mut life = after_steps(workload, workload.steps.len())?;
    life.run(&Step::Drop).and_then(must_be_done)?;
    let known = life.model.durable;
    for step in [Step::Append { len: 30, tag: 3 }, Step::Sync] {
        life.run(&step).and_then(must_be_done)?;
    }
    // Where the head is by now: it follows the tail out of a segment that was left without a record.
    let head = life.wal.as_ref().expect("the log is open").head();
    if head.segment() > known.segment() {
        return Ok(());
    }
    for _ in 0..16 {
        let segment = u32::try_from(
            explorer
                .rng
                .range(head.segment().into()..u64::from(known.segment()) + 1),
        )
        .expect("an id");
        let end = if segment == known.segment() {
            known.offset()
        } else {
            life.setup.segment_size
        };
        let bit = explorer.rng.range(0..8 * end);
        explorer.tally.damaged += 1;
        let disk = life.disk.crash_image_choice(&[]);
        let path = format!("/log/{segment:020}.seg");
        disk.flip_bit(path.as_ref(), bit)
            .map_err(|error| format!("{path}: {error}"))?;
        let mut next = life.beside(disk, explorer.rng.next_u64());
        next.expect_all_or_an_error()
            .map_err(|what| format!("bit {bit} of segment {segment}: {what}"))?;
    }
    Ok(())
}

#[test]
fn damage_below_the_known_durable_position_is_never_cut_off_in_silence() {
    let name = "damage_below_the_known_durable_position_is_never_cut_off_in_silence";
    let tally = each_workload(name, Scale::Large, count(2000, 200), damage);
    assert!(tally.damaged > 0, "{tally}");
}

/// How many of so many workloads the explorer finds fault with when the disk lies about `op`.
fn found_when_lying(op: Op) -> u64 {
    let mut rng = Rng::new(seed());
    let mut found = 0;
    for _ in 0..count(60, 30) {
        let workload = Workload::of(rng.next_u64(), Scale::Large);
        let mut explorer = Explorer::new(rng.next_u64());
        let mut life = begin(&workload).expect("the disk is honest so far");
        life.disk.lie_at(When::Nth(op, 0), Repeat::FromThenOn);
        let steps = workload
            .steps
            .iter()
            .filter(|step| !matches!(step, Step::Kill | Step::PowerCut(_)));
        for step in steps {
            life.run(step)
                .expect("nothing is wrong before the power cut");
        }
        life.run(&Step::AppendLongest).expect("it fits");
        life.run(&Step::Sync).expect("the disk says so");
        found += u64::from(explorer.power_cuts(&life, 6).is_err());
    }
    found
}

#[test]
fn explorer_finds_the_loss_on_a_disk_that_lies() {
    for op in [Op::MapSync, Op::DirSync, Op::FileSync] {
        let found = found_when_lying(op);
        println!("lying {op:?}: found in {found} workloads");
        assert!(
            found > 0,
            "a disk on which {op:?} lies was taken for an honest one"
        );
    }
}

#[test]
fn explorer_finds_a_loss_when_one_record_more_was_acknowledged() {
    let mut rng = Rng::new(seed());
    let mut found = 0;
    let cases = 40;
    for _ in 0..cases {
        let mut workload = Workload::of(rng.next_u64(), Scale::Large);
        workload
            .steps
            .extend([Step::Sync, Step::Append { len: 200, tag: 0 }]);
        let mut life = after_steps(&workload, workload.steps.len()).expect("an honest disk");
        let end = life.wal.as_ref().expect("it is open").end();
        life.model.note_durable(end);
        found += u64::from(Explorer::new(rng.next_u64()).power_cuts(&life, 8).is_err());
    }
    assert!(
        found > cases / 2,
        "only {found} of {cases} wrong acknowledgements were found"
    );
}

#[test]
fn explorer_finds_a_ghost_when_a_record_was_forgotten() {
    let workload = Workload::of(seed(), Scale::Small);
    let mut life = begin(&workload).expect("an honest disk");
    for _ in 0..2 {
        life.run(&Step::Append { len: 20, tag: 0 })
            .expect("it fits");
    }
    life.run(&Step::Sync).expect("an honest disk");
    life.model.entries.remove(0);
    assert!(Explorer::new(1).power_cuts(&life, 1).is_err());
}
