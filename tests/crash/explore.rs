//! [`Explorer`]: takes crash images of a life and checks what comes back from each, and what comes after.
//!
//! An image is opened and checked against the model; some are then driven on into the situations that bring abandoned
//! futures back: records that end where a lost one began, segments filled so that the next one is activated a second time,
//! recovery interrupted at each of its operations, death of the process followed by a power cut.

use std::fmt;

use segwal::fault::{Op, SimDisk};
use segwal::{SyncPadding, WalReader};
use testkit::Rng;

use crate::entry::Entry;
use crate::life::{Cut, DIR, Life, Outcome};
use crate::model::{Expect, Model, read};
use crate::workload::{Setup, Step};

/// How many crash states of each kind were opened and checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) random: u64,
    pub(crate) exhaustive: u64,
    pub(crate) interrupted: u64,
    pub(crate) killed: u64,
    pub(crate) continued: u64,
    pub(crate) failed: u64,
    pub(crate) damaged: u64,
    /// Of the random images, those of a device that loses whole blocks.
    pub(crate) lost_blocks: u64,
}

impl Tally {
    pub(crate) fn total(&self) -> u64 {
        self.random
            + self.exhaustive
            + self.interrupted
            + self.killed
            + self.continued
            + self.failed
            + self.damaged
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} random images ({} with lost blocks), {} of exhaustive sets, {} crashes inside recovery, {} kills before a power cut, {} second \
             crashes after going on, {} after a failed operation, {} damaged",
            self.random,
            self.lost_blocks,
            self.exhaustive,
            self.interrupted,
            self.killed,
            self.continued,
            self.failed,
            self.damaged
        )
    }
}

/// Opens images and counts them.
pub(crate) struct Explorer {
    pub(crate) rng: Rng,
    pub(crate) tally: Tally,
    /// With so many choices or fewer, every combination is tried.
    pub(crate) exhaustive: usize,
    pub(crate) device: Device,
}

/// What a power cut can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// Sectors that were being written.
    Sectors,
    /// Blocks that were being written, if syncs are padded. Not while a log is being opened: that is not promised.
    PaddedBlocks,
    /// Blocks that were being written, padded or not.
    AnyBlocks,
}

/// The block before it, which has no frames, is written again with the first of them.
const FIRST_FRAME: u64 = 4096;

impl Explorer {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            tally: Tally::default(),
            exhaustive: 4,
            device: Device::Sectors,
        }
    }

    /// The setup of the life that follows `life`: now and then it pads and the one before did not, or the reverse.
    fn next_setup(&mut self, life: &Life) -> Setup {
        if self.rng.chance(1, 8) {
            Setup::random(life.setup.segment_size, &mut self.rng)
        } else {
            life.setup
        }
    }

    /// A life that begins on `disk`, with salts of its own.
    fn life(&mut self, disk: SimDisk, model: &Model, setup: Setup) -> Life {
        Life::new(disk, model.clone(), setup, self.rng.next_u64())
    }

    /// Power cuts of the life as it is now: each combination if there are few, `count` at random otherwise.
    ///
    /// # Errors
    /// A promise is broken, and in which image.
    pub(crate) fn power_cuts(&mut self, life: &Life, count: u64) -> Result<(), String> {
        let dirty = life.disk.dirty();
        if dirty <= self.exhaustive {
            for mask in 0_u32..1 << dirty {
                let new: Vec<bool> = (0..dirty).map(|bit| mask >> bit & 1 == 1).collect();
                self.tally.exhaustive += 1;
                let image = life.disk.crash_image_choice(&new);
                self.image(image, life)
                    .map_err(|what| format!("image {new:?}: {what}"))?;
            }
            return Ok(());
        }
        for _ in 0..count {
            let seed = self.rng.next_u64();
            self.tally.random += 1;
            let image = match (self.device, life.setup.padding) {
                (Device::PaddedBlocks, SyncPadding::Block) | (Device::AnyBlocks, _) => {
                    self.tally.lost_blocks += 1;
                    life.disk.crash_image_losing_blocks(seed, FIRST_FRAME)
                }
                _ => life.disk.crash_image(seed),
            };
            self.image(image, life)
                .map_err(|what| format!("image {seed}: {what}"))?;
        }
        Ok(())
    }

    /// One image: opened, checked, and now and then driven on.
    fn image(&mut self, image: SimDisk, life: &Life) -> Result<(), String> {
        let model = &life.model;
        let setup = self.next_setup(life);
        let fate = self.rng.below(64);
        if fate == 0 {
            self.interrupt_recovery(&image, model, setup)?;
        }
        // A log that holds nothing durable need not have been created.
        if fate >= 56 && model.entries.iter().any(|entry| entry.lsn < model.durable) {
            let reader = WalReader::open_on(&image, DIR);
            model.check_reader(&reader.map_err(|error| format!("a reader: {error}"))?)?;
        }
        let mut next = self.life(image, model, setup);
        must_be_done(next.open(Expect::Durable)?)?;
        if fate < 24 {
            self.go_on(&mut next)
                .map_err(|what| format!("going on after it: {what}"))?;
        }
        Ok(())
    }

    /// The process dies here: everything published is there, and what the next process saw survives a power cut.
    ///
    /// # Errors
    /// A promise is broken.
    pub(crate) fn kill_then_power_cut(&mut self, life: &Life, count: u64) -> Result<(), String> {
        let disk = life.disk.snapshot().kill();
        let setup = self.next_setup(life);
        if self.rng.chance(1, 8) {
            self.interrupt_recovery(&disk, &life.model, setup)?;
        }
        let mut next = self.life(disk, &life.model, setup);
        must_be_done(next.open(Expect::Published)?)
            .map_err(|what| format!("after a kill: {what}"))?;
        if self.rng.chance(1, 2) {
            let step = Step::Append { len: 40, tag: 9 };
            must_be_done(next.run(&step)?)?;
        }
        for _ in 0..count {
            let seed = self.rng.next_u64();
            self.tally.killed += 1;
            let mut last = self.life(next.disk.crash_image(seed), &next.model, setup);
            let opened = last.open(Expect::Durable).and_then(must_be_done);
            opened.map_err(|what| format!("after a kill, an open and power cut {seed}: {what}"))?;
        }
        Ok(())
    }

    /// Recovery stops at each of its operations; the one after it finds the same records.
    fn interrupt_recovery(
        &mut self,
        disk: &SimDisk,
        model: &Model,
        setup: Setup,
    ) -> Result<(), String> {
        let clean = disk.dirty() == 0;
        let mut whole = self.life(disk.snapshot(), model, setup);
        must_be_done(whole.open(Expect::Durable)?)?;
        let expected = records_of(&whole)?;
        let operations = whole.disk.operations();
        for index in stops(&operations) {
            let cut = match operations[index] {
                Op::Store if self.rng.chance(1, 3) => Cut::Within(index as u64, self.rng.index(9)),
                _ => Cut::Before(index as u64),
            };
            let mut first = self.life(disk.snapshot(), model, setup);
            first.cut_during_next(cut);
            if first.open(Expect::Durable)? != Outcome::Off {
                return Err(format!("recovery took no notice of {cut:?}"));
            }
            let seed = self.rng.next_u64();
            let after = if self.rng.chance(1, 4) {
                first.disk.kill()
            } else {
                first.disk.power_cut(seed)
            };
            self.tally.interrupted += 1;
            let mut second = self.life(after, model, setup);
            let opened = second.open(Expect::Durable).and_then(must_be_done);
            opened.map_err(|what| {
                format!("after recovery stopped at {cut:?}, power cut {seed}: {what}")
            })?;
            if clean && records_of(&second)? != expected {
                return Err(format!(
                    "after recovery stopped at {cut:?}, power cut {seed}: other records"
                ));
            }
        }
        Ok(())
    }

    /// Appends where ghosts of the lost future may stand, crashes again, appends and crashes once more.
    fn go_on(&mut self, life: &mut Life) -> Result<(), String> {
        for step in self.provocation(life) {
            must_be_done(life.run(&step)?).map_err(|what| format!("{step:?}: {what}"))?;
        }
        let expect = if self.rng.chance(1, 4) {
            Expect::Published
        } else {
            Expect::Durable
        };
        for round in 0..2 {
            if round == 1 || self.rng.chance(3, 4) {
                must_be_done(life.run(&Step::Sync)?)?;
            }
            let seed = self.rng.next_u64();
            self.tally.continued += 1;
            let crash = if expect == Expect::Published {
                Step::Kill
            } else {
                Step::PowerCut(seed)
            };
            must_be_done(life.run(&crash)?)
                .map_err(|what| format!("{crash:?} in round {round}: {what}"))?;
            must_be_done(life.run(&Step::Append { len: 24, tag: 1 })?)?;
        }
        Ok(())
    }

    /// Steps that put new frames where they meet the lost ones.
    fn provocation(&mut self, life: &Life) -> Vec<Step> {
        let ghosts = &life.model.lost;
        let same_lengths = |steps: &mut Vec<Step>| {
            let mut last = None;
            for ghost in ghosts.iter().take(6) {
                if last.replace(ghost.lsn) != Some(ghost.lsn) {
                    steps.push(Step::Append {
                        len: ghost.payload.len(),
                        tag: ghost.tag,
                    });
                }
            }
        };
        let mut steps = Vec::new();
        let end = life.wal.as_ref().expect("the log is open").end();
        match self.rng.below(4) {
            0 => {}
            1 => steps.push(Step::AppendLeaving(8 * self.rng.below(10))),
            // The next frame ends where a ghost begins.
            _ => {
                let first = end.offset() + 24;
                let in_reach = |ghost: &&Entry| {
                    ghost.lsn.segment() == end.segment() && ghost.lsn.offset() >= first
                };
                if let Some(ghost) = ghosts.iter().find(in_reach) {
                    let len = usize::try_from(ghost.lsn.offset() - first)
                        .expect("it is within a segment");
                    steps.push(Step::Append { len, tag: 2 });
                }
            }
        }
        if self.rng.chance(1, 3) {
            steps.push(Step::Sync);
        }
        same_lengths(&mut steps);
        steps
    }
}

fn records_of(life: &Life) -> Result<Vec<Entry>, String> {
    let wal = life.wal.as_ref().ok_or("no log is open")?;
    read(wal).map_err(|error| format!("reading: {error}"))
}

/// The indices before which a stop leaves another state than the one before: after each operation that changes something.
pub(crate) fn stops(operations: &[Op]) -> Vec<usize> {
    (0..operations.len())
        .filter(|&index| index == 0 || changes(operations[index - 1]) || changes(operations[index]))
        .collect()
}

fn changes(op: Op) -> bool {
    !matches!(
        op,
        Op::List
            | Op::Lock
            | Op::Open
            | Op::FileSystem
            | Op::Stat
            | Op::Read
            | Op::Advise
            | Op::Map
            | Op::Populate
    )
}

/// On a disk without faults nothing may fail.
pub(crate) fn must_be_done(outcome: Outcome) -> Result<(), String> {
    match outcome {
        Outcome::Done => Ok(()),
        _ => Err(format!("a step ended with {outcome:?}")),
    }
}
