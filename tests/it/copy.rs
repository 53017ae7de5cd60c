//! Copies: beside a writer that rotates and recycles, of dead, torn and damaged logs.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use segwal::{ErrorKind, Lsn, OnDamage, VerdictKind, Wal};
use testkit::TempDir;

use crate::bad::durable_log;
use crate::scene::{
    flip_bit, names, payload, read_all, refused, segment_ids, segment_path, sized_payload, small,
    snapshot,
};

fn copy(from: &Path, to: &Path) -> segwal::CopyReport {
    let reader = Wal::open_read_only(from).unwrap();
    reader.copy_to(to, OnDamage::Refuse, |_| ()).unwrap()
}

/// The records of the log in `dir`, which must be whole and open.
fn records(dir: &Path) -> Vec<(Lsn, Vec<u8>)> {
    let verdict = Wal::open_read_only(dir).unwrap().verify();
    assert_eq!(verdict.kind(), VerdictKind::Clean, "{verdict:?}");
    let wal = small().open(dir).unwrap();
    read_all(&wal, wal.head())
}

#[test]
fn a_copy_is_a_log_of_its_own_with_the_same_records_and_header() {
    let dir = TempDir::in_memory();
    let wal = small().user_header(b"mine").open(dir.path()).unwrap();
    let mut lsns = Vec::new();
    for sequence in 0..60 {
        lsns.push(wal.append(&sized_payload(0, sequence, 300)).unwrap());
    }
    wal.append_batch([b"a", b"b"]).unwrap();
    wal.sync().unwrap();
    let hold = wal.hold_named("archive", lsns[30]).unwrap();
    wal.discard_before(lsns[20]).unwrap();
    let whole = read_all(&wal, wal.head());
    let target = TempDir::in_memory();
    let to = target.join("backup");
    let report = copy(dir.path(), &to);
    assert_eq!(
        (report.head(), report.end(), report.records()),
        (lsns[20], wal.end(), {
            let first = lsns[20].segment();
            lsns.iter().filter(|lsn| lsn.segment() >= first).count() as u64 + 2
        })
    );
    drop(hold);
    let uuid = wal.uuid();
    drop(wal);
    assert_eq!(records(&to), whole);
    let reader = Wal::open_read_only(&to).unwrap();
    assert_eq!(
        (reader.uuid(), reader.user_header(), reader.head().unwrap()),
        (uuid, &b"mine"[..], lsns[20])
    );
    assert_eq!(reader.holds().unwrap()[0].lsn(), Some(lsns[30]));
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 1);
}

#[test]
fn a_copy_belongs_to_its_owner_and_has_its_blocks_and_nothing_behind_the_frames() {
    let dir = TempDir::on_disk();
    let wal = small().open(dir.path()).unwrap();
    for sequence in 0..40 {
        wal.append(&sized_payload(0, sequence, 500)).unwrap();
    }
    let seals: BTreeMap<u32, u64> = Wal::open_read_only(dir.path())
        .unwrap()
        .segments()
        .unwrap()
        .iter()
        .filter_map(|segment| Some((segment.id(), segment.seal()?)))
        .collect();
    // What an earlier life of the file would have left.
    let active = segment_path(dir.path(), wal.end().segment());
    let active = OpenOptions::new().write(true).open(active).unwrap();
    active.write_all_at(&[0x55; 8], 8184).unwrap();
    let target = TempDir::on_disk();
    let to = target.join("backup");
    let end = copy(dir.path(), &to).end();
    assert_eq!(
        fs::metadata(&to).unwrap().permissions().mode() & 0o777,
        0o700
    );
    for id in segment_ids(&to) {
        let path = segment_path(&to, id);
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
        assert_eq!(found.len(), 8192);
        assert!(found.blocks() * 512 >= 8192, "segment {id} has holes");
        let seal = seals.get(&id).copied().unwrap_or(end.offset()) as usize;
        let bytes = fs::read(&path).unwrap();
        assert!(bytes[seal..].iter().all(|&byte| byte == 0), "segment {id}");
    }
}

#[test]
fn a_target_that_is_there_is_never_touched() {
    let dir = TempDir::in_memory();
    durable_log(&dir);
    let target = TempDir::in_memory();
    let reader = Wal::open_read_only(dir.path()).unwrap();
    fs::create_dir(target.join("empty")).unwrap();
    fs::write(target.join("file"), "text").unwrap();
    fs::create_dir(target.join("half.new")).unwrap();
    let before = snapshot(target.path());
    for name in ["empty", "file", "half"] {
        let to = target.join(name);
        let copied = reader.copy_to(to, OnDamage::Refuse, |_| ());
        refused(copied, ErrorKind::InvalidState);
    }
    let own = reader.copy_to(dir.path(), OnDamage::Refuse, |_| ());
    refused(own, ErrorKind::InvalidState);
    let nowhere = reader.copy_to(target.join("no/where"), OnDamage::Refuse, |_| ());
    refused(nowhere, ErrorKind::Io);
    assert_eq!(snapshot(target.path()), before);
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 3);
}

#[test]
fn a_torn_tail_is_left_out_and_damage_is_refused_unless_told() {
    let dir = TempDir::in_memory();
    let lsns = durable_log(&dir);
    let wal = small().open(dir.path()).unwrap();
    let torn = wal.append(b"torn").unwrap();
    drop(wal);
    flip_bit(
        &segment_path(dir.path(), torn.segment()),
        torn.offset() + 25,
    );
    let target = TempDir::in_memory();
    copy(dir.path(), &target.join("torn"));
    assert_eq!(records(&target.join("torn")).len(), lsns.len());

    let hurt = lsns[17];
    flip_bit(
        &segment_path(dir.path(), hurt.segment()),
        hurt.offset() + 30,
    );
    let reader = Wal::open_read_only(dir.path()).unwrap();
    let to = target.join("damaged");
    let error = refused(
        reader.copy_to(&to, OnDamage::Refuse, |_| ()),
        ErrorKind::Corrupt,
    );
    assert_eq!(error.place().lsn, Some(hurt), "{error}");
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 1);
    let report = reader.copy_to(&to, OnDamage::CopyUpToIt, |_| ()).unwrap();
    assert_eq!((report.end(), report.records()), (hurt, 17));
    assert_eq!(report.damage().unwrap().place().lsn, Some(hurt));
    let kept: Vec<Lsn> = records(&to).into_iter().map(|(lsn, _)| lsn).collect();
    assert_eq!(kept, lsns[..17]);
}

/// Ends the writer when the copying is over, panicking or not.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        // Relaxed: a lone flag.
        self.0.store(true, Ordering::Relaxed);
    }
}

fn write(wal: &Wal, done: &AtomicBool) -> u64 {
    let mut kept = Vec::new();
    for sequence in 0.. {
        // Relaxed: a lone flag.
        if done.load(Ordering::Relaxed) {
            return sequence;
        }
        kept.push(wal.append(&payload(0, sequence)).unwrap());
        if kept.len() == 300 {
            wal.discard_before(kept[200]).unwrap();
            kept.drain(..200);
        }
    }
    unreachable!("the sequence has no end")
}

#[test]
fn a_copy_beside_a_writer_that_recycles_holds_what_was_durable_without_a_gap() {
    let dir = TempDir::in_memory();
    let wal = small().preallocate_segments(4).open(dir.path()).unwrap();
    let done = AtomicBool::new(false);
    let (mut copies, mut restarts, mut too_fast) = (0_u64, 0, 0_u64);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(&wal, &done));
        let stop = Stop(&done);
        let target = TempDir::in_memory();
        let reader = Wal::open_read_only(dir.path()).unwrap();
        while copies < 12 {
            let durable = reader.durable().unwrap();
            let to = target.join(format!("copy-{copies}-{too_fast}"));
            let report = match reader.copy_to(&to, OnDamage::Refuse, |_| ()) {
                Ok(report) => report,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Discarded, "{error}");
                    assert!(!to.exists());
                    too_fast += 1;
                    assert!(too_fast < 1000, "no copy gets through");
                    continue;
                }
            };
            assert!(report.end() >= durable, "{report:?} lacks up to {durable}");
            restarts += report.restarts();
            let copied = records(&to);
            let sequences: Vec<u64> = copied.iter().map(|(_, bytes)| names(bytes).1).collect();
            assert!(
                sequences.windows(2).all(|pair| pair[0] + 1 == pair[1]),
                "a gap: {sequences:?}"
            );
            copies += 1;
        }
        drop(stop);
        let appended = writer.join().unwrap();
        println!("{appended} records, {restarts} restarts, {too_fast} copies given up");
    });
    assert!(wal.stats().reused_segments > 0, "nothing was recycled");
}
