//! Readers that hold records beside writers and a discard: what is read is whole, and stays as it is.

use std::sync::{Arc, Mutex};

use segwal::internals::Bug;
use segwal::{ErrorKind, Record};
use shuttle_tests::{Crash, Mistake, Name, Reached, Scenario, Stage, join, small};

/// Two of these fill a segment.
const LEN: usize = 1900;

static READERS: Scenario = Scenario {
    name: "readers",
    states: &["a record outlived its segment", "a segment was reused"],
    body: readers,
};

fn readers(reached: &Reached, number: u64) {
    let stage = Stage::new(&small(), number);
    let mut actors = vec![
        stage.actor(|stage| {
            for _ in 0..11 {
                let (lsn, _) = stage.append(0, LEN).unwrap();
                stage.discard_before(lsn);
            }
        }),
        stage.actor(|stage| {
            let record = stage.append(1, 200).unwrap();
            stage.sync_to(record);
        }),
    ];
    let held = Arc::new(Mutex::new(Vec::new()));
    let mine = Arc::clone(&held);
    actors.push(stage.actor(move |stage| {
        for _ in 0..2 {
            let record = read(stage);
            mine.lock().unwrap().extend(record);
        }
    }));
    actors.push(stage.crash_at_some_time(Crash::Power));
    join(actors);
    for (record, name) in held.lock().unwrap().drain(..) {
        assert_eq!(Name::of(&record), name, "a held record changed");
        let outlived = record.lsn().segment() < stage.wal.head().segment();
        reached.add("a record outlived its segment", outlived.into());
    }
    reached.add("a segment was reused", stage.wal.stats().reused_segments);
    stage.finish();
}

/// Reads everything that is there, and keeps the first.
fn read(stage: &Stage) -> Option<(Record, Name)> {
    let mut first = None;
    let records = stage.wal.records(stage.wal.head());
    for record in records.into_iter().flatten() {
        match record {
            Ok(record) => {
                let name = Name::of(&record);
                first.get_or_insert((record, name));
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
                break;
            }
        }
    }
    first
}

#[test]
fn what_is_read_is_whole_and_stays_as_it_is() {
    READERS.holds();
}

#[test]
fn reusing_a_segment_while_a_reader_has_it_is_found() {
    READERS.must_fail(
        Mistake::Bug(Bug::ReuseWhilePinned),
        &["changed", "are others", "index out of bounds"],
    );
}

#[test]
fn publishing_before_filling_is_found() {
    READERS.must_fail(
        Mistake::Bug(Bug::PublishBeforeFill),
        &[
            "corrupt",
            "Corrupt",
            "are others",
            "left: ",
            "is lost",
            "discard",
        ],
    );
}
