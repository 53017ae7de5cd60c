//! Repairs of logs that were damaged by hand: what is kept, what is lost, what is kept beside; and when none is needed.

use std::fs;
use std::path::{Path, PathBuf};

use segwal::{ErrorKind, Lsn, Repair, Repaired, VerdictKind, Wal};
use testkit::TempDir;

use crate::bad::durable_log;
use crate::scene::{flip_bit, read_all, refused, segment_path, sized_payload, small, snapshot};

/// A log in a directory of its own, so that what is kept beside is ours as well.
struct Scene {
    _parent: TempDir,
    dir: PathBuf,
    lsns: Vec<Lsn>,
}

impl Scene {
    /// Forty durable records over six segments.
    fn durable() -> Self {
        let first = TempDir::in_memory();
        let lsns = durable_log(&first);
        let parent = TempDir::in_memory();
        let dir = parent.join("log");
        fs::create_dir(&dir).unwrap();
        for (path, bytes) in snapshot(first.path()) {
            fs::write(dir.join(path.file_name().unwrap()), bytes).unwrap();
        }
        Self {
            _parent: parent,
            dir,
            lsns,
        }
    }

    fn path(&self, id: u32) -> PathBuf {
        segment_path(&self.dir, id)
    }

    fn damage(&self, index: usize) {
        let lsn = self.lsns[index];
        flip_bit(&self.path(lsn.segment()), lsn.offset() + 30);
    }

    /// Plans, and looks that nothing was changed by it.
    fn plan(&self) -> Repair {
        let before = snapshot(&self.dir);
        let repair = Repair::plan(&self.dir).unwrap();
        assert!(snapshot(&self.dir) == before, "planning wrote");
        repair
    }

    /// Repairs, and looks that the log has exactly the first `kept` records, and goes on.
    fn repair(&self, kept: usize) -> Repaired {
        let before = snapshot(&self.dir);
        let plan = self.plan();
        assert_eq!(plan.kept_records(), kept as u64, "{:?}", plan.faults());
        let end = plan.end();
        let repaired = plan.apply(|_| ()).unwrap();
        let verdict = Wal::open_read_only(&self.dir).unwrap().verify();
        assert_eq!(verdict.kind(), VerdictKind::Clean, "{verdict:?}");
        assert!(!self.plan().is_needed());
        for (path, bytes) in snapshot(repaired.kept()) {
            let name = path.file_name().unwrap();
            if name != "REPORT.txt" {
                assert!(
                    before[&self.dir.join(name)] == bytes,
                    "{} is not as it was",
                    name.display()
                );
            }
        }
        let wal = small().open(&self.dir).unwrap();
        let found: Vec<Lsn> = read_all(&wal, wal.head())
            .into_iter()
            .map(|(lsn, _)| lsn)
            .collect();
        assert_eq!(found, self.lsns[..kept]);
        assert!(wal.end() >= end);
        let next = wal.append(&sized_payload(1, 0, 2000)).unwrap();
        wal.sync_to(next).unwrap();
        drop(wal);
        let wal = small().open(&self.dir).unwrap();
        assert_eq!(read_all(&wal, wal.head()).len(), kept + 1);
        repaired
    }
}

fn report_of(repaired: &Repaired) -> String {
    fs::read_to_string(repaired.kept().join("REPORT.txt")).unwrap()
}

#[test]
fn damage_below_the_durable_position_is_cut_and_everything_from_there_is_kept_beside() {
    let scene = Scene::durable();
    scene.damage(17);
    let (hurt, last) = (scene.lsns[17], scene.lsns[39]);
    let plan = scene.plan();
    assert!(plan.is_needed());
    let lost = plan.lost().unwrap();
    assert_eq!(lost.start, hurt);
    assert!(lost.end > last);
    assert_eq!(plan.lost_records(), 22);
    assert!(plan.steps().len() >= 3, "{:?}", plan.steps());
    drop(plan);
    let repaired = scene.repair(17);
    assert_eq!(repaired.kept(), scene.dir.with_file_name("log.cut-1"));
    let kept = snapshot(repaired.kept());
    for name in ["COOKIE", "REPORT.txt"] {
        assert!(kept.contains_key(&repaired.kept().join(name)), "{name}");
    }
    for id in hurt.segment()..=last.segment() {
        assert!(
            kept.contains_key(&segment_path(repaired.kept(), id)),
            "{id}"
        );
    }
    let report = report_of(&repaired);
    assert!(
        report.contains(&hurt.to_string()) && report.contains("22 records"),
        "{report}"
    );
    // A second damage gets a directory of its own.
    scene.damage(3);
    assert_eq!(
        scene.repair(3).kept(),
        scene.dir.with_file_name("log.cut-2")
    );
}

#[test]
fn every_record_and_every_header_can_be_the_damaged_one() {
    for index in [0, 1, 6, 7, 38, 39] {
        let scene = Scene::durable();
        scene.damage(index);
        scene.repair(index);
    }
    for id in 2..=6 {
        let scene = Scene::durable();
        flip_bit(&scene.path(id), 514);
        let kept = scene.lsns.iter().filter(|lsn| lsn.segment() < id).count();
        scene.repair(kept);
    }
}

#[test]
fn a_missing_segment_ends_the_log_before_it() {
    for id in 2..=6 {
        let scene = Scene::durable();
        fs::remove_file(scene.path(id)).unwrap();
        let kept = scene.lsns.iter().filter(|lsn| lsn.segment() < id).count();
        scene.repair(kept);
    }
    let scene = Scene::durable();
    fs::remove_file(scene.path(1)).unwrap();
    let error = refused(Repair::plan(&scene.dir), ErrorKind::Corrupt);
    assert_eq!(error.place().segment, Some(1), "{error}");
}

#[test]
fn cookie_and_manifest_are_rebuilt_from_the_segments_without_a_loss() {
    for (name, damage) in [("COOKIE", false), ("COOKIE", true), ("MANIFEST", false)] {
        let scene = Scene::durable();
        let uuid = Wal::open_read_only(&scene.dir).unwrap().uuid();
        if damage {
            fs::write(scene.dir.join(name), vec![7; 20480]).unwrap();
        } else {
            fs::remove_file(scene.dir.join(name)).unwrap();
        }
        assert_eq!(scene.plan().lost(), None);
        let repaired = scene.repair(40);
        assert_eq!(repaired.kept().join(name).exists(), damage);
        assert_eq!(Wal::open_read_only(&scene.dir).unwrap().uuid(), uuid);
    }
    // As it is between the first and the second store of a creation.
    let scene = Scene::durable();
    let path = scene.dir.join("COOKIE");
    let mut cookie = fs::read(&path).unwrap();
    let fresh = TempDir::in_memory();
    drop(small().open(fresh.path()).unwrap());
    let uuid = cookie[24..40].to_vec();
    for (block, slot) in fs::read(fresh.join("COOKIE"))
        .unwrap()
        .chunks(4096)
        .enumerate()
        .take(4)
    {
        let mut slot = slot[..64].to_vec();
        slot[24..40].copy_from_slice(&uuid);
        slot[8..16].copy_from_slice(&1_u64.to_le_bytes());
        let sum = crc32c::crc32c(&slot[..60]);
        slot[60..].copy_from_slice(&sum.to_le_bytes());
        let at = block * 4096;
        cookie[at..at + 64].copy_from_slice(&if block % 2 == 1 { slot } else { vec![0; 64] });
    }
    fs::write(&path, cookie).unwrap();
    assert!(
        scene.plan().faults()[0].contains("row L"),
        "{:?}",
        scene.plan().faults()
    );
    scene.repair(40);
    let scene = Scene::durable();
    flip_bit(&scene.dir.join("MANIFEST"), 30);
    fs::remove_file(scene.dir.join("COOKIE")).unwrap();
    scene.damage(20);
    scene.repair(20);
}

#[test]
fn where_the_log_begins_is_asked_for_when_it_cannot_be_told() {
    let scene = Scene::durable();
    fs::remove_file(scene.dir.join("COOKIE")).unwrap();
    fs::remove_file(scene.path(3)).unwrap();
    let error = refused(Repair::plan(&scene.dir), ErrorKind::Corrupt);
    assert!(error.to_string().contains("1 or 4"), "{error}");
    let repair = Repair::plan_from_segment(&scene.dir, 4).unwrap();
    assert_eq!((repair.head().segment(), repair.lost()), (4, None));
    drop(repair);
    let repair = Repair::plan_from_segment(&scene.dir, 1).unwrap();
    let kept = scene.lsns.iter().filter(|lsn| lsn.segment() < 3).count();
    assert_eq!(repair.kept_records(), kept as u64);
    let repaired = repair.apply(|_| ()).unwrap();
    for id in 4..=6 {
        assert!(segment_path(repaired.kept(), id).exists(), "segment {id}");
    }
    let wal = small().open(&scene.dir).unwrap();
    assert_eq!(read_all(&wal, wal.head()).len(), kept);
}

#[test]
fn a_file_in_the_way_is_moved_aside() {
    let scene = Scene::durable();
    let stranger = scene.path(9);
    fs::write(&stranger, b"not a segment").unwrap();
    refused(small().open(&scene.dir), ErrorKind::Corrupt);
    let repaired = scene.repair(40);
    let kept = fs::read(segment_path(repaired.kept(), 9)).unwrap();
    assert_eq!(kept, b"not a segment");
}

#[test]
fn damage_below_the_head_gives_up_the_rest_of_its_segment() {
    let scene = Scene::durable();
    let wal = small().open(&scene.dir).unwrap();
    wal.discard_before(scene.lsns[39]).unwrap();
    let head = wal.head();
    wal.sync().unwrap();
    drop(wal);
    let first = scene
        .lsns
        .iter()
        .find(|lsn| lsn.segment() == head.segment());
    let first = *first.unwrap();
    assert!(first < head, "the head lies within a segment");
    flip_bit(&scene.path(first.segment()), first.offset() + 30);
    let repair = scene.plan();
    assert!(
        repair.faults()[0].contains("row G"),
        "{:?}",
        repair.faults()
    );
    assert_eq!((repair.head(), repair.end()), (first, first));
    let repaired = repair.apply(|_| ()).unwrap();
    assert!(segment_path(repaired.kept(), head.segment()).exists());
    let wal = small().open(&scene.dir).unwrap();
    assert_eq!(read_all(&wal, wal.head()), []);
}

#[test]
fn a_healthy_a_torn_and_a_live_log_are_left_alone() {
    let scene = Scene::durable();
    let plan = scene.plan();
    assert!(!plan.is_needed() && plan.steps().is_empty());
    refused(plan.apply(|_| ()), ErrorKind::InvalidState);
    let wal = small().open(&scene.dir).unwrap();
    refused(Repair::plan(&scene.dir), ErrorKind::Locked);
    let torn = wal.append(b"torn").unwrap();
    drop(wal);
    flip_bit(&scene.path(torn.segment()), torn.offset() + 25);
    assert!(!scene.plan().is_needed(), "{:?}", scene.plan().faults());
    let parent = scene.dir.parent().unwrap();
    assert_eq!(fs::read_dir(parent).unwrap().count(), 1);
    refused(Repair::plan(parent), ErrorKind::NotFound);
    refused(Repair::plan(Path::new("/")), ErrorKind::InvalidOption);
    assert!(
        !parent.join("LOCK").exists(),
        "a directory without a log was locked"
    );
}

#[test]
fn a_segment_of_which_this_process_holds_records_is_not_cut() {
    let scene = Scene::durable();
    let wal = small().open(&scene.dir).unwrap();
    let (hurt, behind) = (scene.lsns[16], scene.lsns[18]);
    assert_eq!(hurt.segment(), behind.segment());
    let record = wal.get(behind).unwrap();
    let bytes = record.payload().to_vec();
    wal.close().unwrap();
    scene.damage(16);
    let before = snapshot(&scene.dir);
    let error = scene.plan().apply(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidState, "{error}");
    assert_eq!(error.place().segment, Some(hurt.segment()));
    assert!(snapshot(&scene.dir) == before);
    assert_eq!(record.payload(), bytes);
    drop(record);
    scene.repair(16);
}
