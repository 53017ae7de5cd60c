//! Holds: what keeps the head back, for as long as somebody lives or for longer than the process.

use std::fs;
use std::path::Path;

use segwal::fault::SimDisk;
use segwal::{ErrorKind, Lsn, VerdictKind, Wal, WalReader};
use testkit::TempDir;

use crate::bad::refused_unchanged;
use crate::scene::{read_all, refused, sized_payload, small};

/// Ten records, about two in each segment.
fn ten(wal: &Wal) -> Vec<Lsn> {
    let append = |sequence| wal.append(&sized_payload(0, sequence, 1500)).unwrap();
    let positions = (0..10).map(append).collect();
    wal.sync().unwrap();
    positions
}

fn listed(wal: &Wal) -> Vec<(Option<String>, Lsn, bool)> {
    let holds = wal.holds();
    let tell =
        |hold: &segwal::HoldInfo| (hold.name().map(str::to_owned), hold.lsn(), hold.is_live());
    holds.iter().map(tell).collect()
}

#[test]
fn the_head_stops_at_the_lowest_hold_and_goes_on_when_it_is_gone() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let at = ten(&wal);
    let low = wal.hold(at[3]).unwrap();
    let high = wal.hold(at[6]).unwrap();
    assert_eq!((low.lsn(), low.name()), (at[3], None));
    wal.discard_before(wal.end()).unwrap();
    assert_eq!(wal.head(), at[3]);
    assert_eq!(read_all(&wal, at[3]).len(), 7);
    low.advance(at[5]).unwrap();
    low.advance(at[4]).unwrap();
    assert_eq!(low.lsn(), at[5], "an advance never goes back");
    wal.discard_before(at[4]).unwrap();
    assert_eq!(wal.head(), at[4], "what is asked for counts below a hold");
    wal.discard_before(wal.end()).unwrap();
    assert_eq!(wal.head(), at[5]);
    drop(low);
    wal.discard_before(wal.end()).unwrap();
    assert_eq!(wal.head(), at[6]);
    high.release().unwrap();
    wal.discard_before(wal.end()).unwrap();
    assert_eq!((wal.head(), listed(&wal)), (wal.end(), vec![]));
}

#[test]
fn a_hold_needs_a_position_that_is_there() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let at = ten(&wal);
    wal.discard_before(at[4]).unwrap();
    for named in [false, true] {
        let hold = |lsn| {
            if named {
                wal.hold_named("replica", lsn)
            } else {
                wal.hold(lsn)
            }
        };
        refused(hold(at[3]), ErrorKind::Discarded);
        let between = Lsn::new(at[5].segment(), at[5].offset() + 8).unwrap();
        refused(hold(between), ErrorKind::NotFound);
        let beyond = Lsn::new(wal.end().segment(), wal.end().offset() + 8).unwrap();
        refused(hold(beyond), ErrorKind::NotFound);
        let held = hold(wal.end()).unwrap();
        refused(held.advance(beyond), ErrorKind::NotFound);
    }
    assert!(!dir.join("replica.hold.new").exists());
    let hold = wal.hold(wal.end()).unwrap();
    wal.close().unwrap();
    refused(hold.advance(at[9]), ErrorKind::Closed);
    refused(wal.hold(at[9]), ErrorKind::Closed);
}

#[test]
fn a_named_hold_counts_until_it_is_taken_over_or_released() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let at = ten(&wal);
    let hold = wal.hold_named("replica-1", at[2]).unwrap();
    let error = refused(wal.hold_named("replica-1", at[2]), ErrorKind::InvalidState);
    assert!(error.to_string().contains("replica-1"), "{error}");
    refused(wal.release_hold("replica-1"), ErrorKind::InvalidState);
    hold.advance(at[4]).unwrap();
    drop((hold, wal));

    let wal = small().open(dir.path()).unwrap();
    assert!(
        wal.recovery().foreign().is_empty()
            && wal
                .recovery()
                .reclaimed()
                .iter()
                .all(|path| path.extension().unwrap() == "seg")
    );
    let name = || Some("replica-1".to_owned());
    assert_eq!(listed(&wal), [(name(), at[4], false)]);
    wal.discard_before(wal.end()).unwrap();
    assert_eq!(wal.head(), at[4]);
    let hold = wal.hold_named("replica-1", at[7]).unwrap();
    assert_eq!(hold.lsn(), at[4], "taken over where it stands");
    assert_eq!(listed(&wal), [(name(), at[4], true)]);
    hold.advance(at[7]).unwrap();
    drop(hold);
    let hold = wal.hold_named("replica-1", at[5]).unwrap();
    assert_eq!(hold.lsn(), at[5], "moved back to what is asked for");
    drop((hold, wal));

    let wal = small().open(dir.path()).unwrap();
    assert_eq!(listed(&wal), [(name(), at[5], false)]);
    refused(wal.release_hold("another"), ErrorKind::NotFound);
    wal.release_hold("replica-1").unwrap();
    assert!(!dir.join("replica-1.hold").exists());
    wal.discard_before(wal.end()).unwrap();
    assert_eq!(wal.head(), wal.end());
    drop(wal);
    assert_eq!(listed(&small().open(dir.path()).unwrap()), []);
}

#[test]
fn names_are_checked_and_their_count_is_bounded() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let end = wal.end();
    for name in ["", "A", "a.b", "a/b", "..", &"x".repeat(65)] {
        refused(wal.hold_named(name, end), ErrorKind::InvalidOption);
    }
    let holds: Vec<_> = (0..64)
        .map(|number| wal.hold_named(&format!("{number}"), end).unwrap())
        .collect();
    refused(wal.hold_named("64", end), ErrorKind::OutOfResources);
    let unnamed = wal.hold(end).unwrap();
    holds.into_iter().next().unwrap().release().unwrap();
    drop((wal.hold_named("64", end).unwrap(), unnamed));
    assert_eq!(wal.holds().len(), 64);
}

#[test]
fn a_damaged_hold_refuses_the_open_and_names_the_file() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let at = ten(&wal);
    drop(wal.hold_named("archive", at[2]).unwrap());
    drop(wal.hold_named("replica", at[3]).unwrap());
    wal.close().unwrap();
    drop(wal);
    let (archive, replica) = (dir.join("archive.hold"), dir.join("replica.hold"));
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let holds = reader.holds().unwrap();
    let told: Vec<_> = holds.iter().map(|hold| (hold.name(), hold.lsn())).collect();
    assert_eq!(told, [("archive", Some(at[2])), ("replica", Some(at[3]))]);
    assert_eq!(reader.verify().kind(), VerdictKind::Clean);

    let sound = fs::read(&archive).unwrap();
    assert_eq!(sound.len(), 8192);
    let mut flipped = sound.clone();
    flipped[4096 + 16] ^= 1;
    let another = fs::read(&replica).unwrap();
    for bytes in [&flipped, &another, &sound[..4100].to_vec(), &vec![]] {
        fs::write(&archive, bytes).unwrap();
        let error = refused_unchanged(dir.path(), &small(), ErrorKind::Corrupt);
        assert_eq!(error.place().path.as_deref(), Some(&*archive), "{error}");
        let verdict = reader.verify();
        assert_eq!((verdict.kind(), verdict.row()), (VerdictKind::Corrupt, 'O'));
        assert!(reader.holds().unwrap()[0].problem().is_some());
    }
    fs::remove_file(&archive).unwrap();
    let wal = small().open(dir.path()).unwrap();
    wal.discard_before(wal.end()).unwrap();
    assert_eq!(wal.head(), at[3]);
}

#[test]
fn a_hold_without_the_rest_of_the_log_is_not_taken_for_a_new_log() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    drop(wal.hold_named("archive", wal.end()).unwrap());
    drop(wal);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "seg") || path.ends_with("COOKIE")
        {
            fs::remove_file(path).unwrap();
        }
    }
    refused_unchanged(dir.path(), &small(), ErrorKind::Corrupt);
    fs::remove_file(dir.join("MANIFEST")).unwrap();
    refused_unchanged(dir.path(), &small(), ErrorKind::Corrupt);
}

#[test]
fn on_a_full_disk_holds_move_and_go_and_none_is_left_half_made() {
    let disk = SimDisk::new();
    let wal = small().open_on(&disk, "/log", 1).unwrap();
    let at = ten(&wal);
    let hold = wal.hold_named("replica", at[1]).unwrap();
    let names = || disk.names(Path::new("/log")).unwrap();
    let before = names();
    disk.set_free_bytes(Some(0));
    refused(wal.hold_named("archive", at[1]), ErrorKind::NoSpace);
    assert_eq!(names(), before);
    hold.advance(at[5]).unwrap();
    drop(hold);
    drop(wal.hold_named("replica", at[2]).unwrap());
    wal.release_hold("replica").unwrap();
    wal.discard_before(wal.end()).unwrap();
    assert_eq!(wal.head(), wal.end());
}

/// Positions behind what the power cut left are used for other records: a hold there would not keep those.
#[test]
fn a_hold_beyond_what_a_power_cut_left_moves_back_to_the_end() {
    let disk = SimDisk::new();
    let wal = small().open_on(&disk, "/log", 1).unwrap();
    let kept = wal.append(b"kept").unwrap();
    wal.sync_to(kept).unwrap();
    let mut ends = vec![wal.end()];
    for lost in 0..4_u64 {
        wal.append(&lost.to_le_bytes()).unwrap();
        ends.push(wal.end());
    }
    let hold = wal.hold_named("replica", ends[1]).unwrap();
    hold.advance(ends[4]).unwrap();
    // Of records nothing is left; the file of the hold is as the process saw it.
    let mut stored = disk.read_file(Path::new("/log/replica.hold")).unwrap();
    let disk = disk.power_cut_choice(&[]);
    disk.write_file(Path::new("/log/replica.hold"), &stored)
        .unwrap();
    let wal = small().open_on(&disk, "/log", 2).unwrap();
    assert_eq!(wal.recovery().end(), ends[0]);
    assert_eq!(listed(&wal), [(Some("replica".to_owned()), ends[0], false)]);
    stored = disk.read_file(Path::new("/log/replica.hold")).unwrap();
    let reader = WalReader::open_on(&disk.power_cut_choice(&[]), "/log").unwrap();
    let durable = reader.holds().unwrap();
    assert_eq!(durable[0].lsn(), Some(ends[0]), "durably: {stored:?}");
}

/// Whichever slot is lost afterwards, the other one says no more than the position that the hold was moved back to.
#[test]
fn a_hold_that_was_moved_back_says_so_in_both_slots() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let at = ten(&wal);
    drop(wal.hold_named("replica", at[8]).unwrap());
    drop(wal.hold_named("replica", at[3]).unwrap());
    wal.close().unwrap();
    drop(wal);
    let path = dir.join("replica.hold");
    let stored = fs::read(&path).unwrap();
    for slot in [0, 4096] {
        let mut bytes = stored.clone();
        bytes[slot] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let wal = small().open(dir.path()).unwrap();
        assert_eq!(listed(&wal), [(Some("replica".to_owned()), at[3], false)]);
    }
}

/// Positions that a truncation made void are positions still: what is kept from there on is what is not void.
#[test]
fn a_hold_on_a_void_position_keeps_what_follows_the_truncation() {
    let dir = TempDir::in_memory();
    let wal = small().open(dir.path()).unwrap();
    let at = ten(&wal);
    let hold = wal.hold_named("replica", at[5]).unwrap();
    wal.truncate_from(at[3]).unwrap();
    let new = wal.append(b"after the truncation").unwrap();
    wal.discard_before(wal.end()).unwrap();
    assert_eq!(wal.head(), at[5]);
    refused(wal.reset(), ErrorKind::InvalidState);
    drop((hold, wal));
    let wal = small().open(dir.path()).unwrap();
    assert_eq!((wal.head(), wal.holds()[0].lsn()), (at[5], at[5]));
    let records = read_all(&wal, wal.head());
    assert_eq!(records, [(new, b"after the truncation".to_vec())]);
    wal.release_hold("replica").unwrap();
    wal.reset().unwrap();
    assert_eq!(wal.head(), wal.end());
}
