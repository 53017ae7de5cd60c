//! Full disks: workloads that use the last segment up, write critical records into the reserve, discard and go on; power cuts
//! between their calls and at every operation of them.

use testkit::{Rng, seed};

use crate::explore::{Device, Explorer, must_be_done, stops};
use crate::life::Cut;
use crate::workload::{Setup, Step, Workload};
use crate::{after_steps, begin, count, fail, part, report, stopped, times};

/// A workload most of which finds no free block.
fn workload(rng: &mut Rng, most: u64) -> Workload {
    let mut steps: Vec<_> = (0..rng.range(0..3)).map(|_| Step::AppendLongest).collect();
    steps.push(Step::FillDisk);
    for _ in 0..rng.range(4..most) {
        steps.push(match rng.below(32) {
            0..8 => Step::Append {
                len: rng.index(3000),
                tag: 1,
            },
            8..11 => Step::AppendLongest,
            11..19 => Step::Critical {
                len: rng.index(1500),
            },
            19..22 => Step::Sync,
            22..24 => Step::Discard(None),
            24..26 => Step::Discard(Some(rng.index(3))),
            26 => Step::FreeDisk,
            27 => Step::FillDisk,
            28 => Step::Close,
            29 => Step::Kill,
            _ => Step::PowerCut(rng.next_u64()),
        });
    }
    Workload {
        setup: Setup::random(*rng.pick(&[8192, 12288]), rng),
        seed: rng.next_u64(),
        steps,
    }
}

/// Power cuts after each step; how many records went to the reserve.
fn between_calls(explorer: &mut Explorer, workload: &Workload) -> Result<u64, String> {
    let mut life = begin(workload)?;
    let mut critical = 0;
    for (index, step) in workload.steps.iter().enumerate() {
        let place = |what| format!("step {index}, {step:?}: {what}");
        let written = |life: &crate::life::Life| {
            let wal = life.wal.as_ref();
            wal.map_or(0, |wal| wal.stats().critical_appends)
        };
        let before = written(&life);
        life.run(step).and_then(must_be_done).map_err(place)?;
        critical += written(&life).saturating_sub(before);
        if let Some(wal) = &life.wal {
            life.model.check_live(wal).map_err(place)?;
        }
        explorer.power_cuts(&life, 6).map_err(place)?;
        life.model.begin_call();
        explorer.kill_then_power_cut(&life, 2).map_err(place)?;
    }
    Ok(critical)
}

#[test]
fn power_cut_on_a_full_disk_loses_nothing_acknowledged() {
    let name = "power_cut_on_a_full_disk_loses_nothing_acknowledged";
    let seed = seed();
    let mut rng = Rng::new(seed);
    let mut explorer = Explorer::new(rng.next_u64());
    explorer.device = Device::PaddedBlocks;
    let mut critical = 0;
    for _ in 0..count(400, 60) * times() / part() {
        let workload = workload(&mut rng, 16);
        critical += between_calls(&mut explorer, &workload)
            .unwrap_or_else(|what| fail(name, seed, &workload, explorer.tally, &what));
    }
    report(name, seed, explorer.tally);
    assert!(part() > 1 || critical > 20, "{critical} in the reserve");
}

#[test]
fn power_cut_at_every_operation_on_a_full_disk_loses_nothing_acknowledged() {
    let name = "power_cut_at_every_operation_on_a_full_disk_loses_nothing_acknowledged";
    let seed = seed();
    let mut rng = Rng::new(seed);
    let mut explorer = Explorer::new(rng.next_u64());
    for _ in 0..count(60, 6) * times() / part() {
        let workload = workload(&mut rng, 8);
        at_every_operation(&mut explorer, &workload)
            .unwrap_or_else(|what| fail(name, seed, &workload, explorer.tally, &what));
    }
    report(name, seed, explorer.tally);
    assert!(explorer.tally.total() > 0);
}

fn at_every_operation(explorer: &mut Explorer, workload: &Workload) -> Result<(), String> {
    for index in 0..workload.steps.len() {
        let mut whole = after_steps(workload, index)?;
        whole.run(&workload.steps[index])?;
        let began = usize::try_from(whole.step_began).expect("few operations");
        for stop in stops(&whole.disk.operations().split_off(began)) {
            let cut = Cut::Before(stop as u64);
            let place =
                |what| format!("step {index}, {:?}, {cut:?}: {what}", workload.steps[index]);
            let life = stopped(workload, index, cut).map_err(place)?;
            explorer.power_cuts(&life, 6).map_err(place)?;
            explorer.kill_then_power_cut(&life, 1).map_err(place)?;
        }
    }
    Ok(())
}
