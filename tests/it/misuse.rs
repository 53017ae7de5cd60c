//! Options, ways of creating and positions that are refused, and change nothing.

use std::fs;

use segwal::{Create, ErrorKind, Lsn, OnFull, Wal, WalOptions};
use testkit::TempDir;

use crate::bad::{durable_log, refused_unchanged};
use crate::scene::{read_all, refused, segment_path, sized_payload, small, snapshot, within};

#[test]
fn creation_is_what_the_option_says() {
    let dir = TempDir::in_memory();
    let mut never = small();
    never.create(Create::Never);
    let error = refused(never.open(dir.join("absent")), ErrorKind::NotFound);
    assert!(error.to_string().contains("there is no log"), "{error}");
    assert!(!dir.join("absent").exists());
    refused_unchanged(dir.path(), &never, ErrorKind::NotFound);
    refused(Wal::open_read_only(dir.path()), ErrorKind::NotFound);
    refused(Wal::open_read_only(dir.join("absent")), ErrorKind::NotFound);

    let mut always = small();
    always.create(Create::Always);
    let wal = always.open(dir.path()).unwrap();
    wal.append(b"x").unwrap();
    drop(wal);
    refused_unchanged(dir.path(), &always, ErrorKind::InvalidState);
    let wal = never.open(dir.path()).unwrap();
    assert_eq!(read_all(&wal, wal.head()).len(), 1);
}

#[test]
fn options_out_of_range_name_the_field_and_make_nothing() {
    let dir = TempDir::in_memory();
    let refuse = |field: &str, set: &dyn Fn(&mut WalOptions)| {
        let mut options = small();
        set(&mut options);
        let error = refused(options.open(dir.join("log")), ErrorKind::InvalidOption);
        assert!(error.to_string().contains(field), "{error}");
        assert!(!dir.join("log").join("MANIFEST").exists(), "{field}");
    };
    for size in [0, 1, 4096, 8191, 12_000, (1 << 30) + 4096, u64::MAX] {
        refuse("segment_size", &|options| _ = options.segment_size(size));
    }
    for count in [0, 65, usize::MAX] {
        refuse("preallocate_segments", &|options| {
            _ = options.preallocate_segments(count);
        });
    }
    for count in [9, usize::MAX] {
        refuse("reserve_segments", &|options| {
            _ = options.reserve_segments(count);
        });
    }
    for count in [0, 1, 65, u32::MAX] {
        refuse("max_unsynced_segments", &|options| {
            _ = options.max_unsynced_segments(count);
        });
    }
    for bytes in [0, 8192, 8 * 8192 - 1] {
        refuse("max_wal_bytes", &|options| {
            _ = options.max_wal_bytes(Some(bytes));
        });
    }
    for bytes in [0, 4073, u32::MAX] {
        refuse("max_record_len", &|options| {
            _ = options.max_record_len(bytes);
        });
    }
    refuse("user_header", &|options| {
        _ = options.user_header(&[0; 4097]);
    });
    let mut options = small();
    options
        .user_header(&[7; 4096])
        .max_wal_bytes(Some(8 * 8192))
        .max_record_len(4072)
        .on_full(OnFull::Fail);
    let wal = options.open(dir.join("log")).unwrap();
    assert_eq!(wal.user_header(), [7; 4096]);
}

#[test]
fn positions_that_are_no_boundary_are_not_found() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let lsns: Vec<_> = (0..40)
        .map(|sequence| wal.append(&sized_payload(0, sequence, 500)).unwrap())
        .collect();
    let state = (wal.head(), wal.end());
    let first = lsns[0].segment();
    for lsn in &lsns {
        for step in [8, 16, 24, 496] {
            let between = Lsn::new(lsn.segment(), lsn.offset() + step).unwrap();
            refused(wal.get(between), ErrorKind::NotFound);
            refused(wal.get_in_batch(between, 0), ErrorKind::NotFound);
            refused(wal.records(between), ErrorKind::NotFound);
            refused(wal.discard_before(between), ErrorKind::NotFound);
        }
        refused(wal.get_in_batch(*lsn, 1), ErrorKind::NotFound);
    }
    let header = Lsn::new(first + 1, 0).unwrap();
    refused(wal.get(header), ErrorKind::NotFound);
    refused(wal.discard_before(header), ErrorKind::NotFound);
    refused(wal.records(header), ErrorKind::NotFound);
    let end = wal.end();
    for beyond in [
        Lsn::new(end.segment(), end.offset() + 8).unwrap(),
        Lsn::new(end.segment() + 3, 4096).unwrap(),
        Lsn::MAX,
    ] {
        refused(wal.get(beyond), ErrorKind::NotFound);
        refused(wal.records(beyond), ErrorKind::NotFound);
        refused(wal.discard_before(beyond), ErrorKind::NotFound);
    }
    refused(wal.get(end), ErrorKind::NotFound);
    assert_eq!(wal.records(end).unwrap().count(), 0);
    assert_eq!((wal.head(), wal.end()), state);
    assert_eq!(read_all(&wal, wal.head()).len(), 40);
}

#[test]
fn a_position_that_only_looks_like_a_frame_is_refused() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let inner = wal.append(&sized_payload(0, 0, 100)).unwrap();
    // A record that carries the very bytes of a frame, with the position that they will have.
    let frame = fs::read(segment_path(dir.path(), 1)).unwrap();
    let mut fake = frame[inner.offset() as usize..][..136].to_vec();
    let at = Lsn::new(1, wal.end().offset() + 24).unwrap();
    fake[8..16].copy_from_slice(&at.to_word().to_le_bytes());
    wal.append(&fake).unwrap();
    let error = wal.get(at).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound),
        "{error}"
    );
    assert!(wal.discard_before(at).is_err());
    assert_eq!(wal.head(), inner);
}

#[test]
fn a_reader_refuses_as_well_what_it_cannot_give() {
    let dir = TempDir::in_memory();
    let lsns = durable_log(&dir);
    let before = snapshot(dir.path());
    let reader = Wal::open_read_only(dir.path()).unwrap();
    for lsn in &lsns {
        assert_eq!(reader.get(*lsn).unwrap().lsn(), *lsn);
        refused(
            reader.get(Lsn::new(lsn.segment(), lsn.offset() + 8).unwrap()),
            ErrorKind::NotFound,
        );
    }
    refused(reader.get(Lsn::MAX), ErrorKind::NotFound);
    assert_eq!(snapshot(dir.path()), before);
}

/// What is appended to a file that lost its name is lost: the log notices at the next rotation, and poisons.
#[test]
fn a_replaced_active_segment_poisons_the_log() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let name = dir.join("00000000000000000001.seg");
    let bytes = fs::read(&name).unwrap();
    fs::remove_file(&name).unwrap();
    fs::write(&name, bytes).unwrap();
    let failed = within(move || {
        (0..100_000).find_map(|_| {
            let lsn = wal.append(&[1; 1000]);
            lsn.and_then(|lsn| wal.sync_to(lsn)).err()
        })
    });
    let failed = failed.unwrap();
    assert_eq!(failed.kind(), ErrorKind::Poisoned, "{failed}");
    assert_eq!(failed.place().path.as_deref(), Some(&*name));
}
