//! A reader beside a writer, and verification; neither writes anything.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use segwal::{ErrorKind, Lsn, SegmentState, VerdictKind, Wal};
use testkit::TempDir;

use crate::scene::{
    LIMIT, flip_bit, names, payload, refused, segment_path, sized_payload, small, snapshot,
};

#[test]
fn everything_is_read_and_nothing_is_written() {
    let dir = TempDir::in_memory();
    let wal = small().user_header(b"mine").open(dir.path()).unwrap();
    let (uuid, mut lsns) = (wal.uuid(), Vec::new());
    for sequence in 0..100 {
        let lsn = wal.append_tagged(sequence as u8, &payload(0, sequence));
        lsns.push(lsn.unwrap());
    }
    let batch = wal
        .append_batch([payload(0, 100), payload(0, 101), payload(0, 102)])
        .unwrap();
    drop(wal);
    let before = snapshot(dir.path());
    let reader = Wal::open_read_only(dir.path()).unwrap();
    assert_eq!(
        (reader.uuid(), reader.user_header(), reader.segment_size()),
        (uuid, &b"mine"[..], 8192)
    );
    assert_eq!(reader.path(), dir.path());
    let records: Vec<_> = reader
        .records(reader.head().unwrap())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(records.len(), 103);
    for (sequence, record) in records.iter().enumerate() {
        assert_eq!(names(record.payload()), (0, sequence as u64));
        let (lsn, index, tag) = match lsns.get(sequence) {
            Some(lsn) => (*lsn, 0, sequence as u8),
            None => (batch.start, sequence as u16 - 100, 0),
        };
        assert_eq!(
            (record.lsn(), record.index(), record.tag()),
            (lsn, index, tag)
        );
    }
    assert_eq!(reader.get(lsns[37]).unwrap(), records[37]);
    assert_eq!(reader.get(batch.start).unwrap(), records[100]);
    assert_eq!(records[102].end(), batch.end);
    assert_eq!(reader.verify().kind(), VerdictKind::Clean);
    assert!(reader.segments().unwrap().len() > 3);
    assert!(snapshot(dir.path()) == before, "the reader wrote");
}

#[test]
fn a_record_is_known_to_be_durable_after_its_sync() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    wal.append(b"durable").unwrap();
    wal.sync().unwrap();
    wal.append(b"only published").unwrap();
    let reader = Wal::open_read_only(dir.path()).unwrap();
    assert_eq!(reader.durable().unwrap(), wal.durable());
    let known: Vec<_> = reader
        .records(wal.head())
        .unwrap()
        .map(|record| record.unwrap().is_known_durable())
        .collect();
    assert_eq!(known, [true, false]);
}

/// What the writer says: the position of each record, before it is published, and the last that it discarded.
struct Said {
    sequences: Mutex<BTreeMap<Lsn, u64>>,
    done: AtomicBool,
}

/// Ends the writer when the reader is done, panicking or not.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        // Release: pairs with the writer's load.
        self.0.store(true, Ordering::Release);
    }
}

/// Appends through rotation and recycling until `done`; at least `least` records.
fn write(wal: &Wal, said: &Said, least: u64) {
    let mut sequence = 0;
    let mut kept = Vec::new();
    // Acquire: pairs with the reader's store; nothing but the flag is read through it.
    while sequence < least || !said.done.load(Ordering::Acquire) {
        let lsn = wal.append(&payload(0, sequence)).unwrap();
        said.sequences.lock().unwrap().insert(lsn, sequence);
        kept.push(lsn);
        sequence += 1;
        if kept.len() == 300 {
            wal.discard_before(kept[200]).unwrap();
            kept.drain(..200);
        }
    }
}

#[test]
fn a_reader_of_a_live_log_sees_only_what_was_appended_in_order_without_a_gap() {
    let dir = TempDir::in_memory();
    let wal = small().preallocate_segments(8).open(dir.path()).unwrap();
    wal.append(&payload(0, 0)).unwrap();
    wal.discard_before(wal.end()).unwrap();
    let said = Said {
        sequences: Mutex::default(),
        done: AtomicBool::new(false),
    };
    let (mut seen, mut passes, mut discarded) = (0_u64, 0, 0);
    thread::scope(|scope| {
        let (wal, said) = (&wal, &said);
        let writer = scope.spawn(move || write(wal, said, 6000));
        let stop = Stop(&said.done);
        let reader = Wal::open_read_only(dir.path()).unwrap();
        let mut last_pass_after_end = false;
        while !last_pass_after_end {
            passes += 1;
            last_pass_after_end = writer.is_finished();
            let mut expected = None;
            let records = match reader.records(reader.head().unwrap()) {
                Ok(records) => records,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
                    continue;
                }
            };
            for record in records {
                let record = match record {
                    Ok(record) => record,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
                        discarded += 1;
                        break;
                    }
                };
                let (_, sequence) = names(record.payload());
                assert_eq!(
                    sequence,
                    expected.unwrap_or(sequence),
                    "a gap at {}",
                    record.lsn()
                );
                expected = Some(sequence + 1);
                // The writer may not have noted the newest one yet.
                let noted = said.sequences.lock().unwrap().get(&record.lsn()).copied();
                assert!(
                    noted.is_none_or(|noted| noted == sequence),
                    "{} at {}",
                    sequence,
                    record.lsn()
                );
                seen += 1;
            }
            // What is not read by then is read in the last pass.
            if seen > 5000 {
                said.done.store(true, Ordering::Release);
            }
        }
        drop(stop);
        writer.join().unwrap();
    });
    println!(
        "{seen} records in {passes} passes, {discarded} of them overtaken; {:?}",
        wal.stats()
    );
    assert!(wal.stats().reused_segments > 50 && passes > 1);
}

#[test]
fn verifying_a_live_log_never_finds_corruption() {
    let dir = TempDir::in_memory();
    let wal = small().segment_size(64 << 10).open(dir.path()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for sequence in 0..20_000 {
                let lsn = wal.append(&payload(0, sequence)).unwrap();
                if sequence % 50 == 0 {
                    wal.sync_to(lsn).unwrap();
                }
                // Acquire: pairs with the store below.
                if done.load(Ordering::Acquire) {
                    return;
                }
            }
        });
        let reader = Wal::open_read_only(dir.path()).unwrap();
        for _ in 0..40 {
            let verdict = reader.verify();
            assert!(
                matches!(verdict.kind(), VerdictKind::Clean | VerdictKind::TornTail),
                "{verdict:?}"
            );
        }
        // Release: pairs with the load above.
        done.store(true, Ordering::Release);
    });
}

#[test]
fn a_reader_is_told_that_its_records_were_discarded() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns: Vec<_> = (0..100)
        .map(|sequence| wal.append(&payload(0, sequence)).unwrap())
        .collect();
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let mut records = reader.records(lsns[0]).unwrap();
    names(records.next().unwrap().unwrap().payload());
    wal.discard_before(lsns[99]).unwrap();
    for sequence in 100..300 {
        let lsn = wal.append(&payload(0, sequence)).unwrap();
        wal.discard_before(lsn).unwrap();
    }
    assert!(wal.stats().reused_segments > 0);
    let error = records
        .find_map(Result::err)
        .expect("the segment was recycled");
    assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
    refused(reader.records(lsns[0]), ErrorKind::Discarded);
    refused(reader.get(lsns[50]), ErrorKind::Discarded);
}

#[test]
fn the_verdict_names_what_stands_at_the_end() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    (0..20).for_each(|sequence| _ = wal.append(&sized_payload(0, sequence, 300)).unwrap());
    wal.sync().unwrap();
    let (durable, end) = (wal.durable(), wal.end());
    drop(wal);
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let verdict = reader.verify();
    assert_eq!(
        (verdict.kind(), verdict.row(), verdict.name()),
        (VerdictKind::Clean, 'A', "clean end")
    );
    assert_eq!(
        (verdict.records(), verdict.end(), verdict.durable()),
        (20, Some(end), Some(durable))
    );
    assert_eq!(verdict.segments(), u64::from(end.segment()));
    assert!(verdict.bytes() > 20 * 300 && verdict.problem().is_none());

    let wal = small().open(dir.path()).unwrap();
    let torn = wal.append(&sized_payload(0, 20, 100)).unwrap();
    drop(wal);
    let path = segment_path(dir.path(), torn.segment());
    flip_bit(&path, torn.offset() + 30);
    let before = snapshot(dir.path());
    let verdict = reader.verify();
    assert_eq!(
        (verdict.kind(), verdict.row()),
        (VerdictKind::TornTail, 'B')
    );
    assert_eq!((verdict.end(), verdict.records()), (Some(torn), 20));
    assert!(
        snapshot(dir.path()) == before,
        "verification cut something off"
    );

    flip_bit(&segment_path(dir.path(), 1), 4096 + 40);
    let verdict = reader.verify();
    assert_eq!(verdict.kind(), VerdictKind::Corrupt);
    let problem = verdict.problem().unwrap();
    assert_eq!(
        (problem.kind(), problem.place().segment),
        (ErrorKind::Corrupt, Some(1)),
        "{problem}"
    );
    assert_eq!((verdict.end(), verdict.durable()), (None, None));
    std::fs::remove_file(dir.join("COOKIE")).unwrap();
    assert_eq!(reader.verify().row(), 'E');
}

#[test]
fn segments_are_shown_in_their_states() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns: Vec<_> = (0..60)
        .map(|sequence| wal.append(&sized_payload(0, sequence, 500)).unwrap())
        .collect();
    let end = wal.end();
    let record = wal.get(lsns[0]).unwrap();
    wal.discard_before(lsns[20]).unwrap();
    let wanted = u64::from(end.segment() - lsns[20].segment()) + 1;
    assert_eq!(wal.stats().retained_segments, wanted);
    let ready = testkit::wait_until(LIMIT, || wal.stats().ready_segments > 0);
    assert!(ready);
    // From here on nothing is renamed or removed; a live writer's background may do both at any time.
    drop(wal);
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let state = |id| {
        let segments = reader.segments().unwrap();
        segments
            .iter()
            .find(|segment| segment.id() == id)
            .map(|segment| (segment.state(), segment.seal()))
    };
    assert_eq!(
        state(1),
        Some((SegmentState::Dead, None)),
        "held by a reader"
    );
    assert!(matches!(
        state(lsns[20].segment()),
        Some((SegmentState::Sealed, Some(4096..=8192)))
    ));
    assert_eq!(state(end.segment()), Some((SegmentState::Active, None)));
    assert_eq!(state(end.segment() + 1), Some((SegmentState::Ready, None)));
    assert!(
        reader
            .segments()
            .unwrap()
            .iter()
            .all(|segment| segment.bytes() == 8192 && segment.path().is_file())
    );
    drop(record);
    flip_bit(&segment_path(dir.path(), end.segment() + 1), 3);
    assert_eq!(
        state(end.segment() + 1),
        Some((SegmentState::Damaged, None))
    );
}

/// The frames before the head are what leads to it, within its segment.
#[test]
fn damage_among_discarded_records_is_met_in_the_segment_of_the_head() {
    for more in [0, 20] {
        let dir = TempDir::in_memory();
        let wal = small().open(dir.path()).unwrap();
        let lsns: Vec<_> = (0..5)
            .map(|sequence| wal.append(&sized_payload(0, sequence, 500)).unwrap())
            .collect();
        wal.discard_before(lsns[3]).unwrap();
        (0..more).for_each(|sequence| _ = wal.append(&sized_payload(1, sequence, 500)).unwrap());
        wal.close().unwrap();
        drop(wal);
        flip_bit(&segment_path(dir.path(), 1), lsns[1].offset() + 30);
        let verdict = Wal::open_read_only(dir.path()).unwrap().verify();
        assert_eq!(verdict.row(), 'G', "{verdict:?}");
        match small().open(dir.path()) {
            Err(error) => assert_eq!((more, error.row()), (0, Some('G')), "{error}"),
            // Links are all that is looked at below the known durable position.
            Ok(wal) => assert_eq!((more, wal.head()), (20, lsns[3])),
        }
    }
}
