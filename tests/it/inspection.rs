//! What an inspection shows: of live, of damaged, and of half-gone logs; and that it changes nothing.

use std::fs;

use segwal::{ErrorKind, Inspection, SegmentState, VerdictKind, Wal};
use testkit::TempDir;

use crate::bad::durable_log;
use crate::scene::{flip_bit, refused, segment_path, sized_payload, small, snapshot};

fn inspect(dir: &TempDir) -> Inspection {
    let before = snapshot(dir.path());
    let seen = Inspection::of(dir.path(), |_| ()).unwrap();
    assert!(snapshot(dir.path()) == before, "the inspection wrote");
    seen
}

fn states(seen: &Inspection) -> Vec<SegmentState> {
    seen.segments()
        .iter()
        .map(segwal::SegmentInfo::state)
        .collect()
}

#[test]
fn each_segment_is_counted_by_itself() {
    let dir = TempDir::in_memory();
    let wal = small().user_header(b"ledger").open(dir.path()).unwrap();
    let lsns: Vec<_> = (0..20)
        .map(|sequence| wal.append(&sized_payload(0, sequence, 500)).unwrap())
        .collect();
    let batch = wal.append_batch([b"a", b"b", b"c"]).unwrap();
    wal.sync().unwrap();
    // Its background works on, so the directory changes by itself.
    let seen = Inspection::of(dir.path(), |_| ()).unwrap();
    let identity = seen.identity().unwrap();
    assert_eq!(
        (identity.uuid(), identity.user_header_len()),
        (wal.uuid(), 6)
    );
    assert_eq!(identity.format_version(), Some(0));
    let positions = seen.positions().unwrap();
    assert_eq!(
        (positions.head(), positions.durable()),
        (Some(wal.head()), Some(batch.end))
    );
    let in_segment = |id| lsns.iter().filter(|lsn| lsn.segment() == id).count() as u64;
    for segment in seen.segments() {
        let Some(contents) = segment.contents() else {
            assert_eq!(segment.state(), SegmentState::Ready);
            continue;
        };
        let is_last = segment.id() == batch.start.segment();
        let (records, batches) = if is_last { (3, 1) } else { (0, 0) };
        assert_eq!(contents.records(), in_segment(segment.id()) + records);
        assert_eq!(contents.batches(), batches, "segment {}", segment.id());
        assert_eq!(segment.seal(), (!is_last).then(|| contents.end().offset()));
        assert!(segment.salt().is_some());
    }
    assert!(seen.problems().is_empty(), "{:?}", seen.problems());
    assert_eq!(seen.opening().unwrap().end(), Some(batch.end));
    drop(wal);
    let wal = small().open(dir.path()).unwrap();
    wal.discard_before(lsns[12]).unwrap();
    let seen = Inspection::of(dir.path(), |_| ()).unwrap();
    let last = seen
        .segments()
        .iter()
        .find(|segment| segment.state() == SegmentState::Active);
    assert_eq!(last.unwrap().contents().unwrap().epochs(), 1);
    let below = |segment: &&segwal::SegmentInfo| segment.id() < lsns[12].segment();
    assert!(
        seen.segments()
            .iter()
            .filter(below)
            .all(|segment| segment.state() == SegmentState::Dead)
    );
}

#[test]
fn damage_is_named_where_it_is_and_the_rest_is_shown() {
    let dir = TempDir::in_memory();
    let lsns = durable_log(&dir);
    let in_third = lsns.iter().find(|lsn| lsn.segment() == 3).unwrap();
    flip_bit(&segment_path(dir.path(), 3), in_third.offset() + 30);
    let seen = inspect(&dir);
    let third = &seen.segments()[2];
    assert!(
        third
            .problem()
            .unwrap()
            .contains(&format!("end at {in_third}"))
    );
    let contents = third.contents().unwrap();
    assert_eq!(
        (contents.records(), contents.behind()),
        (0, 6),
        "{contents:?}"
    );
    assert!(seen.segments()[3].problem().is_none());
    assert_eq!(seen.segments()[3].contents().unwrap().records(), 7);
    // An opening checks the frames of the end alone.
    assert_eq!(seen.opening().unwrap().kind(), VerdictKind::Clean);
    assert_eq!(seen.problems().len(), 1, "{:?}", seen.problems());
}

#[test]
fn a_log_without_manifest_or_cookie_or_a_segment_shows_what_is_left() {
    let dir = TempDir::in_memory();
    durable_log(&dir);
    let whole = inspect(&dir);
    fs::remove_file(dir.join("MANIFEST")).unwrap();
    let seen = inspect(&dir);
    let identity = seen.identity().unwrap();
    assert!(identity.is_from_segments() && identity.format_version().is_none());
    assert_eq!(identity.uuid(), whole.identity().unwrap().uuid());
    assert_eq!(states(&seen), states(&whole));
    assert!(seen.problems()[0].contains("MANIFEST is missing"));
    fs::remove_file(dir.join("COOKIE")).unwrap();
    fs::remove_file(segment_path(dir.path(), 2)).unwrap();
    fs::write(segment_path(dir.path(), 3), b"no segment").unwrap();
    let seen = inspect(&dir);
    assert!(seen.positions().is_none());
    assert_eq!(states(&seen)[1], SegmentState::Damaged);
    let text = seen.problems().join("\n");
    for part in [
        "COOKIE is missing",
        "segment 2: there is no such file",
        "segment 3: its header is not valid",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(seen.opening().unwrap().kind(), VerdictKind::Corrupt);
}

#[test]
fn where_there_is_no_log_there_is_nothing_to_inspect() {
    let dir = TempDir::in_memory();
    refused(Inspection::of(dir.path(), |_| ()), ErrorKind::NotFound);
    let missing = dir.join("none");
    refused(Inspection::of(missing, |_| ()), ErrorKind::NotFound);
    fs::write(dir.join("file"), "text").unwrap();
    refused(Inspection::of(dir.join("file"), |_| ()), ErrorKind::Io);
}

#[test]
fn an_unfinished_frame_is_a_problem_only_when_nobody_writes_it() {
    let dir = TempDir::in_memory();
    let wal = Wal::open(dir.path()).unwrap();
    wal.append(b"durable").unwrap();
    wal.sync().unwrap();
    let torn = wal.append(b"torn").unwrap();
    drop(wal);
    flip_bit(&segment_path(dir.path(), 1), torn.offset() + 24);
    let seen = inspect(&dir);
    assert_eq!(seen.opening().unwrap().kind(), VerdictKind::TornTail);
    assert!(seen.problems()[0].contains(&torn.to_string()));
}

#[test]
fn void_records_are_counted_apart() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns: Vec<_> = (0..40)
        .map(|sequence| wal.append(&sized_payload(0, sequence, 500)).unwrap())
        .collect();
    wal.append_batch([b"a", b"b", b"c"]).unwrap();
    let counts = |dir: &TempDir| {
        let seen = Inspection::of(dir.path(), |_| ()).unwrap();
        let contents = || seen.segments().iter().filter_map(|found| found.contents());
        let seen = (
            contents().map(segwal::SegmentContents::records).sum(),
            contents().map(segwal::SegmentContents::void).sum(),
        );
        let verdict = Wal::open_read_only(dir.path()).unwrap().verify();
        assert_eq!((verdict.records(), verdict.void()), seen, "{verdict:?}");
        seen
    };
    assert_eq!(counts(&dir), (43, 0));
    wal.truncate_after(lsns[4]).unwrap();
    wal.append(b"instead").unwrap();
    assert_eq!(counts(&dir), (6, 38));
    drop(wal);
    let wal = small().open(dir.path()).unwrap();
    assert_eq!(wal.records(wal.head()).unwrap().count(), 6);
    assert_eq!(counts(&dir), (6, 38));
    wal.discard_before(lsns[4]).unwrap();
    assert_eq!(wal.head().segment(), 1);
    assert_eq!(counts(&dir), (6, 38), "discarded, and still in the segment");
}
