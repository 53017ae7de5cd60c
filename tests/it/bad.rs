//! Damaged, foreign and newer files: each refusal is typed, says where, and changes nothing in the directory.

use std::fs;
use std::path::Path;

use segwal::{Error, ErrorKind, Lsn, Wal, WalOptions};
use testkit::{Rng, TempDir, seed};

use crate::scene::{
    flip_bit, names, read_all, refused, segment_path, sized_payload, small, snapshot,
};

/// A log of several segments, all of it durable, and the positions of its records.
pub(crate) fn durable_log(dir: &TempDir) -> Vec<Lsn> {
    let wal = small().open(dir.path()).unwrap();
    let append = |sequence| wal.append(&sized_payload(0, sequence, 500)).unwrap();
    let lsns: Vec<_> = (0..40).map(append).collect();
    wal.sync().unwrap();
    assert!(
        wal.durable() == wal.end() && wal.end().segment() == 6,
        "{}",
        wal.end()
    );
    lsns
}

/// Opens a log that must be refused, twice, and checks that nothing changes.
#[track_caller]
pub(crate) fn refused_unchanged(dir: &Path, options: &WalOptions, kind: ErrorKind) -> Error {
    let before = snapshot(dir);
    let error = refused(options.open(dir), kind);
    let after = snapshot(dir);
    assert!(after.keys().eq(before.keys()), "{:?}", after.keys());
    assert!(after == before, "bytes changed");
    let again = refused(options.open(dir), kind);
    assert_eq!(error.to_string(), again.to_string());
    error
}

#[track_caller]
fn corrupt(dir: &TempDir) -> Error {
    let error = refused_unchanged(dir.path(), &small(), ErrorKind::Corrupt);
    assert!(error.place().path.is_some(), "{error}");
    error
}

#[test]
fn foreign_files_are_left_alone_and_reported() {
    let dir = TempDir::in_memory();
    fs::create_dir(dir.join("photos")).unwrap();
    fs::write(dir.join("photos/1.seg"), "not a segment").unwrap();
    fs::write(dir.join("1.seg"), "nor this").unwrap();
    let before = snapshot(dir.path());
    let wal = small().open(dir.path()).unwrap();
    wal.append(b"beside them").unwrap();
    wal.close().unwrap();
    drop(wal);
    let wal = small().open(dir.path()).unwrap();
    assert_eq!(
        wal.recovery().foreign(),
        [dir.join("1.seg"), dir.join("photos")]
    );
    drop(wal);
    let after = snapshot(dir.path());
    assert!(
        before
            .iter()
            .all(|(path, bytes)| after.get(path) == Some(bytes))
    );
}

#[test]
fn a_path_that_is_no_directory_is_refused() {
    let dir = TempDir::in_memory();
    let file = dir.join("file");
    fs::write(&file, "text").unwrap();
    let before = snapshot(dir.path());
    for error in [
        Wal::open(&file).unwrap_err(),
        Wal::open_read_only(&file).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    }
    let error = refused(Wal::open(dir.join("none/deeper")), ErrorKind::Io);
    assert!(
        error.os_error().is_some() && error.place().path.is_some(),
        "{error}"
    );
    assert_eq!(snapshot(dir.path()), before);
}

/// Stores `bytes` at `offset` of `MANIFEST`, and the checksum that makes it valid.
fn rewrite_manifest(dir: &TempDir, offset: usize, bytes: &[u8]) {
    let path = dir.join("MANIFEST");
    let mut manifest = fs::read(&path).unwrap();
    manifest[offset..offset + bytes.len()].copy_from_slice(bytes);
    let sum = crc32c::crc32c_append(crc32c::crc32c(&manifest[..60]), &manifest[64..]);
    manifest[60..64].copy_from_slice(&sum.to_le_bytes());
    fs::write(path, manifest).unwrap();
}

#[test]
fn a_newer_version_and_unknown_features_are_incompatible() {
    let version = (8, u32::MAX);
    let features_for_nobody = (20, 1 << 31);
    for (offset, value) in [version, features_for_nobody] {
        let dir = TempDir::in_memory();
        durable_log(&dir);
        rewrite_manifest(&dir, offset, &u32::to_le_bytes(value));
        let error = refused_unchanged(dir.path(), &small(), ErrorKind::Incompatible);
        assert_eq!(error.place().path, Some(dir.join("MANIFEST")), "{error}");
        refused(Wal::open_read_only(dir.path()), ErrorKind::Incompatible);
    }
}

#[test]
fn features_that_only_a_writer_must_know_leave_the_log_readable() {
    let dir = TempDir::in_memory();
    let lsns = durable_log(&dir);
    rewrite_manifest(&dir, 16, &u32::to_le_bytes(1));
    let error = refused_unchanged(dir.path(), &small(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("read-only"), "{error}");
    let reader = Wal::open_read_only(dir.path()).unwrap();
    assert_eq!(
        reader.records(reader.head().unwrap()).unwrap().count(),
        lsns.len()
    );
}

#[test]
fn a_manifest_damaged_truncated_or_missing_is_corrupt() {
    let damage: [&dyn Fn(&Path); 5] = [
        &|path| flip_bit(path, 0),
        &|path| flip_bit(path, 41),
        &|path| cut(path, 63),
        &|path| cut(path, 0),
        &|path| fs::remove_file(path).unwrap(),
    ];
    for (case, damage) in damage.iter().enumerate() {
        let dir = TempDir::in_memory();
        durable_log(&dir);
        damage(&dir.join("MANIFEST"));
        let error = corrupt(&dir);
        assert!(
            error.to_string().contains("MANIFEST"),
            "case {case}: {error}"
        );
        refused(Wal::open_read_only(dir.path()), ErrorKind::Corrupt);
    }
}

fn cut(path: &Path, len: usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..len]).unwrap();
}

#[test]
fn a_cookie_missing_or_truncated_is_corrupt() {
    let dir = TempDir::in_memory();
    durable_log(&dir);
    let cookie = fs::read(dir.join("COOKIE")).unwrap();
    for len in [0, 64, 4096, cookie.len() - 1] {
        fs::write(dir.join("COOKIE"), &cookie[..len]).unwrap();
        let error = corrupt(&dir);
        assert_eq!(
            error.place().path,
            Some(dir.join("COOKIE")),
            "{len} bytes: {error}"
        );
    }
    fs::remove_file(dir.join("COOKIE")).unwrap();
    let error = corrupt(&dir);
    assert!(error.to_string().contains("COOKIE is missing"), "{error}");
    fs::write(dir.join("COOKIE"), &cookie).unwrap();
    let wal = small().open(dir.path()).unwrap();
    assert_eq!(read_all(&wal, wal.head()).len(), 40);
}

/// Where `docs/format.md` puts the slots of `COOKIE`.
const HEAD_SLOTS: [u64; 2] = [8192, 12_288];
const DURABLE_SLOTS: [u64; 2] = [0, 4096];

#[test]
fn one_damaged_slot_of_each_kind_is_borne_and_two_damaged_heads_are_not() {
    let pairs = HEAD_SLOTS
        .into_iter()
        .flat_map(|head| DURABLE_SLOTS.map(|durable| (head, durable)));
    for (head, durable) in pairs {
        let dir = TempDir::in_memory();
        durable_log(&dir);
        flip_bit(&dir.join("COOKIE"), head + 16);
        flip_bit(&dir.join("COOKIE"), durable + 16);
        let wal = small().open(dir.path()).unwrap();
        assert_eq!(read_all(&wal, wal.head()).len(), 40);
    }
    let dir = TempDir::in_memory();
    durable_log(&dir);
    for slot in HEAD_SLOTS {
        flip_bit(&dir.join("COOKIE"), slot + 16);
    }
    let error = corrupt(&dir);
    assert!(error.to_string().contains("no valid head"), "{error}");
}

#[test]
fn without_a_durable_slot_the_log_itself_says_what_is_durable() {
    let dir = TempDir::in_memory();
    let lsns = durable_log(&dir);
    for slot in DURABLE_SLOTS {
        flip_bit(&dir.join("COOKIE"), slot + 16);
    }
    let wal = small().open(dir.path()).unwrap();
    assert_eq!(read_all(&wal, wal.head()).len(), lsns.len());
}

#[test]
fn a_missing_segment_is_named_wherever_it_stood() {
    for id in 1..=6 {
        let dir = TempDir::in_memory();
        durable_log(&dir);
        fs::remove_file(segment_path(dir.path(), id)).unwrap();
        let error = corrupt(&dir);
        assert_eq!(error.place().segment, Some(id), "{error}");
        assert_eq!(
            error.place().path,
            Some(segment_path(dir.path(), id)),
            "{error}"
        );
    }
}

#[test]
fn a_truncated_or_grown_segment_is_named() {
    for id in 1..=6 {
        for len in [0, 4095, 4096, 5000, 8191, 8193, 1 << 20] {
            let dir = TempDir::in_memory();
            durable_log(&dir);
            let path = segment_path(dir.path(), id);
            let mut bytes = fs::read(&path).unwrap();
            bytes.resize(len, 0);
            fs::write(&path, bytes).unwrap();
            let error = corrupt(&dir);
            assert_eq!(error.place().segment, Some(id), "{len} bytes: {error}");
            assert_eq!(error.place().path, Some(path), "{error}");
        }
    }
}

#[test]
fn a_segment_of_another_log_is_refused() {
    let (dir, other) = (TempDir::in_memory(), TempDir::in_memory());
    durable_log(&other);
    for id in 1..=6 {
        let dir = if id == 1 { &dir } else { &TempDir::in_memory() };
        durable_log(dir);
        fs::copy(segment_path(other.path(), id), segment_path(dir.path(), id)).unwrap();
        let before = snapshot(dir.path());
        let error = small().open(dir.path()).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Incompatible),
            "{error}"
        );
        assert_eq!(error.place().segment, Some(id), "{error}");
        assert!(
            error.to_string().contains("another log")
                || error.to_string().contains("belongs to the log"),
            "{error}"
        );
        assert!(snapshot(dir.path()) == before);
    }
}

#[test]
fn two_segments_that_changed_places_are_refused() {
    for (a, b) in [(1, 2), (2, 5), (5, 6), (1, 6)] {
        let dir = TempDir::in_memory();
        durable_log(&dir);
        let paths = [a, b].map(|id| segment_path(dir.path(), id));
        let [first, second] = [0, 1].map(|index: usize| fs::read(&paths[index]).unwrap());
        fs::write(&paths[0], second).unwrap();
        fs::write(&paths[1], first).unwrap();
        let error = corrupt(&dir);
        assert!(
            error.place().segment == Some(a) || error.place().segment == Some(b),
            "{error}"
        );
    }
}

#[test]
fn a_copy_of_an_earlier_life_of_a_segment_is_refused() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    wal.append(&sized_payload(0, 0, 500)).unwrap();
    let early = fs::read(segment_path(dir.path(), 1)).unwrap();
    drop(wal);
    let wal = small().open(dir.path()).unwrap();
    (1..40).for_each(|sequence| _ = wal.append(&sized_payload(0, sequence, 500)).unwrap());
    wal.close().unwrap();
    drop(wal);
    fs::write(segment_path(dir.path(), 1), early).unwrap();
    let error = corrupt(&dir);
    assert_eq!(error.place().segment, Some(1), "{error}");
}

#[test]
fn a_flipped_bit_in_the_last_segment_below_durable_is_corruption_with_its_place() {
    let mut rng = Rng::new(seed());
    for _ in 0..30 {
        let dir = TempDir::in_memory();
        let lsns = durable_log(&dir);
        let last: Vec<_> = lsns.iter().filter(|lsn| lsn.segment() == 6).collect();
        let victim = *rng.pick(&last);
        let path = segment_path(dir.path(), 6);
        flip_bit(&path, victim.offset() + rng.below(24 + 512));
        let error = corrupt(&dir);
        let place = error.place();
        assert_eq!(
            (place.segment, place.lsn, place.path.as_ref()),
            (Some(6), Some(*victim), Some(&path)),
            "{error}"
        );
        let verdict = Wal::open_read_only(dir.path()).unwrap().verify();
        assert_eq!(verdict.problem().unwrap().to_string(), error.to_string());
    }
}

#[test]
fn a_flipped_bit_in_an_earlier_segment_is_found_when_it_is_read_or_verified() {
    let mut rng = Rng::new(seed());
    for _ in 0..30 {
        let dir = TempDir::in_memory();
        let lsns = durable_log(&dir);
        let index = rng.index(30);
        let victim = lsns[index];
        let path = segment_path(dir.path(), victim.segment());
        flip_bit(&path, victim.offset() + 24 + rng.below(512));
        let verdict = Wal::open_read_only(dir.path()).unwrap().verify();
        assert_eq!(verdict.kind(), segwal::VerdictKind::Corrupt, "{verdict:?}");
        assert_eq!(
            verdict.problem().unwrap().place().lsn,
            Some(victim),
            "{verdict:?}"
        );
        let wal = small().open(dir.path()).unwrap();
        let error = refused(wal.get(victim), ErrorKind::Corrupt);
        let place = error.place();
        assert_eq!(
            (place.segment, place.lsn, place.path.clone()),
            (Some(victim.segment()), Some(victim), Some(path))
        );
        let mut records = wal.records(wal.head()).unwrap();
        let good = records
            .by_ref()
            .map_while(Result::ok)
            .inspect(|record| _ = names(record))
            .count();
        assert_eq!(good, index, "everything before it is given");
        assert!(records.next().is_none());
        assert_eq!(
            names(&wal.get(lsns[index + 1]).unwrap()),
            (0, index as u64 + 1)
        );
    }
}

#[test]
fn a_damaged_header_is_refused_wherever_it_stands() {
    let mut rng = Rng::new(seed());
    for id in 1..=6 {
        for part in [0, 512] {
            let dir = TempDir::in_memory();
            durable_log(&dir);
            flip_bit(&segment_path(dir.path(), id), part + rng.below(64));
            let before = snapshot(dir.path());
            let error = small().open(dir.path()).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Incompatible),
                "{error}"
            );
            assert!(
                error
                    .place()
                    .segment
                    .is_some_and(|named| named == id || named + 1 == id),
                "{id}: {error}"
            );
            assert!(snapshot(dir.path()) == before);
        }
    }
}
