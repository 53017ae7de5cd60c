//! Faults that the explorer found, each as the shortest sequence that shows it.

use segwal::fault::SimDisk;

use crate::explore::must_be_done;
use crate::life::Life;
use crate::model::{Expect, Model};
use crate::workload::{Setup, Step};

/// A log with segments of 8 KiB that has done these steps.
fn after(steps: &[Step]) -> Life {
    let mut life = Life::new(SimDisk::new(), Model::new(), Setup::plain(8192), 1);
    let opened = life.open(Expect::Durable).and_then(must_be_done);
    opened.unwrap_or_else(|what| panic!("{what}"));
    for step in steps {
        life.run(step)
            .and_then(must_be_done)
            .unwrap_or_else(|what| panic!("{step:?}: {what}"));
    }
    life
}

/// Reopens what a power cut leaves if nothing that was not synced is kept, apart from `kept` of the choices.
fn open_image(life: &Life, kept: &[bool]) {
    let disk = life.disk.crash_image_choice(kept);
    let mut next = Life::new(disk, life.model.clone(), life.setup, 2);
    next.open(Expect::Durable)
        .and_then(must_be_done)
        .unwrap_or_else(|what| panic!("{kept:?}: {what}"));
}

/// Each of the images in which one thing alone, or all but one, was kept.
fn open_images(life: &Life) {
    let count = life.disk.dirty();
    for one in 0..count {
        open_image(life, &(0..count).map(|at| at == one).collect::<Vec<_>>());
        open_image(life, &(0..count).map(|at| at != one).collect::<Vec<_>>());
    }
}

#[test]
fn aborted_frame_does_not_state_that_the_segment_before_it_is_durable() {
    open_images(&after(&[Step::AppendLeaving(0), Step::Abandon { len: 8 }]));
}

#[test]
fn durable_head_is_not_stored_over_while_the_other_is_not_durable() {
    let append = || Step::Append { len: 8, tag: 0 };
    let steps = [
        append(),
        append(),
        append(),
        append(),
        Step::Close,
        Step::Discard(Some(1)),
        Step::Discard(Some(0)),
    ];
    let life = after(&steps);
    for seed in 0..4000 {
        let mut next = Life::new(
            life.disk.crash_image(seed),
            life.model.clone(),
            life.setup,
            2,
        );
        next.open(Expect::Durable)
            .and_then(must_be_done)
            .unwrap_or_else(|what| panic!("image {seed}: {what}"));
    }
}

#[test]
fn record_whose_position_is_damaged_is_corrupt_and_not_missing() {
    let life = after(&[
        Step::Append { len: 8, tag: 0 },
        Step::AppendLongest,
        Step::Close,
    ]);
    let disk = life.disk.snapshot();
    let path = "/log/00000000000000000001.seg";
    disk.flip_bit(path.as_ref(), 8 * (4096 + 8)).unwrap();
    life.beside(disk, 2).expect_all_or_an_error().unwrap();
}
