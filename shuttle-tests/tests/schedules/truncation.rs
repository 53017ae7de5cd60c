//! Truncations beside writers, rotation, readers and discards: what is void stays void, as durably as it was promised.

use segwal::internals::Bug;
use segwal::internals::twin::Twin;
use segwal::{ErrorKind, Lsn};
use shuttle_tests::{Crash, Mistake, Reached, Scenario, Stage, join, small};

/// Four of these fill a segment.
const LEN: usize = 1000;

static TRUNCATION: Scenario = Scenario {
    name: "truncation",
    states: &[
        "another's record became void",
        "a truncation lies in a later segment",
        "a void position was discarded",
    ],
    body: truncation,
};

fn truncation(reached: &Reached, number: u64) {
    let stage = Stage::new(&small(), number);
    let mut actors: Vec<_> = (0..2)
        .map(|writer| {
            stage.actor(move |stage| {
                for sequence in 0..4 {
                    let record = stage.append(writer, LEN).unwrap();
                    if sequence % 2 == 0 {
                        assert!(stage.sync_to(record), "the log runs");
                    }
                }
            })
        })
        .collect();
    let marks = reached.clone();
    actors.push(stage.actor(move |stage| {
        for round in 0..2 {
            truncate(stage, number.wrapping_add(round) % 3, &marks);
        }
    }));
    actors.push(stage.actor(read));
    let crash = [Crash::Power, Crash::Kill][(number % 2) as usize];
    actors.push(stage.crash_at_some_time(crash));
    join(actors);
    let known = stage.ledger.now();
    let others = known
        .appended()
        .filter(|(lsn, name)| name.writer < 2 && known.is_void(*lsn));
    reached.add("another's record became void", others.count() as u64);
    stage.finish();
}

/// Keeps a record, and takes back what follows; afterwards nothing, a sync, or a discard of what is void.
fn truncate(stage: &Stage, then: u64, marks: &Reached) {
    let (kept, _) = stage.append(2, 50).unwrap();
    let (conflicting, _) = stage.append(2, 60).unwrap();
    let behind = Lsn::new(kept.segment(), kept.offset() + 8).unwrap();
    let index = stage.ledger.cutting(behind);
    let rewound = stage.wal.truncate_after(kept).unwrap();
    stage.ledger.cut(index, rewound);
    stage.ledger.published(stage.wal.published());
    let later = u64::from(kept.segment() < rewound.segment());
    marks.add("a truncation lies in a later segment", later);
    let gone = stage.wal.get(conflicting).map_err(|error| error.kind());
    assert_eq!(gone.map(drop), Err(ErrorKind::NotFound), "a void record");
    match then {
        0 => {}
        1 => {
            stage.wal.sync_to(rewound).unwrap();
            stage.ledger.cut_acknowledged(index);
        }
        _ => {
            stage.ledger.asked(rewound);
            stage.wal.discard_before(conflicting).unwrap();
            stage.ledger.cut_acknowledged(index);
            stage.ledger.discarded(conflicting);
            marks.mark("a void position was discarded");
        }
    }
}

/// Nothing that was void when a reader began is given out.
fn read(stage: &Stage) {
    for _ in 0..2 {
        let known = stage.ledger.now();
        let records = stage.wal.records(stage.wal.head());
        for record in records.into_iter().flatten() {
            match record {
                Ok(record) => assert!(!known.is_void(record.lsn()), "{record:?} is void"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
                    break;
                }
            }
        }
        shuttle::thread::yield_now();
    }
}

#[test]
fn what_is_void_stays_void_as_durably_as_was_promised() {
    TRUNCATION.holds();
}

#[test]
fn a_truncation_that_takes_effect_later_is_found() {
    TRUNCATION.must_fail(
        Mistake::Bug(Bug::VoidNotNoted),
        &["a void record", "is void"],
    );
}

#[test]
fn a_rewind_that_no_segment_names_is_found() {
    TRUNCATION.must_fail(
        Mistake::Bug(Bug::RewindNotLinked),
        &["a truncation that was promised is lost", "row H"],
    );
}

#[test]
fn a_discard_before_the_rewind_is_durable_is_found() {
    TRUNCATION.must_fail(
        Mistake::Bug(Bug::DiscardBeforeRewind),
        &["is lost", "row G"],
    );
}

#[test]
fn noting_a_rewind_after_the_rotation_is_found() {
    TRUNCATION.must_fail(
        Mistake::Twin(Twin::NoteAfterRotation),
        &["a truncation that was promised is lost", "row H"],
    );
}
