//! A repair that is interrupted at each of its operations: the log is refused as before, or it is the repaired one, and
//! what was cut is kept beside with its report. The same for a copy: it is there whole, or not at all.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets an error it does not expect has failed"
)]

use std::path::{Path, PathBuf};

use segwal::fault::{SimDisk, When};
use segwal::{ErrorKind, Lsn, OnDamage, Repair, VerdictKind, WalOptions, WalReader};
use testkit::{Rng, seed};

use crate::explore::stops;

const DIR: &str = "/log";
const SIZE: u64 = 8192;
/// Power cuts tried after each stop.
const CUTS: u64 = 3;

fn options() -> WalOptions {
    let mut options = WalOptions::new();
    options.segment_size(SIZE).preallocate_segments(1);
    options
}

fn segment(id: u32) -> PathBuf {
    Path::new(DIR).join(format!("{id:020}.seg"))
}

/// A log of several segments and two lives, all of it durable; and its `COOKIE` as it was after four records.
fn durable_log() -> (SimDisk, Vec<Lsn>, Vec<u8>) {
    let disk = SimDisk::new();
    let (mut lsns, mut early) = (Vec::new(), Vec::new());
    for life in 0..2 {
        let wal = options().open_on(&disk, DIR, 11 + life).unwrap();
        for index in 0_u8..14 {
            lsns.push(wal.append(&[index; 700]).unwrap());
            if lsns.len() == 4 {
                wal.sync().unwrap();
                early = disk.read_file(&Path::new(DIR).join("COOKIE")).unwrap();
            }
        }
        wal.sync().unwrap();
        drop(wal);
    }
    (disk.power_cut(1), lsns, early)
}

/// What the log has, or why it is refused: as a whole, or in reading the damaged record.
fn records(disk: &SimDisk) -> Result<Vec<Lsn>, ErrorKind> {
    let wal = options()
        .open_on(disk, DIR, 99)
        .map_err(|error| error.kind())?;
    let records = wal.records(wal.head()).map_err(|error| error.kind())?;
    records
        .map(|record| {
            record
                .map(|record| record.lsn())
                .map_err(|error| error.kind())
        })
        .collect()
}

/// What was damaged, the disk, and how many records a repair keeps.
type Damaged = (&'static str, SimDisk, usize);

fn damaged(name: &'static str, damage: &dyn Fn(&SimDisk), kept: usize) -> Damaged {
    let (disk, ..) = durable_log();
    damage(&disk);
    (name, disk, kept)
}

/// Damages the payload of the record at `lsn`.
fn flip(lsn: Lsn) -> impl Fn(&SimDisk) {
    move |disk| {
        disk.flip_bit(&segment(lsn.segment()), 8 * (lsn.offset() + 40))
            .unwrap();
    }
}

/// The kinds of damage: each leaves the log refused by an opening or by a verification, and keeps so many records.
fn damages(lsns: &[Lsn], early: &[u8]) -> Vec<Damaged> {
    let mut all = Vec::new();
    let mut add = |name, damage: &dyn Fn(&SimDisk), kept| all.push(damaged(name, damage, kept));
    let before = |id: u32| lsns.iter().filter(|lsn| lsn.segment() < id).count();
    let last = lsns.len() - 1;
    add("a record in the middle", &flip(lsns[7]), 7);
    add("the first record", &flip(lsns[0]), 0);
    add("the last record", &flip(lsns[last]), last);
    add(
        "a record that only later frames prove to have been durable",
        &|disk| {
            disk.write_file(&Path::new(DIR).join("COOKIE"), early)
                .unwrap();
            flip(lsns[7])(disk);
        },
        7,
    );
    add(
        "a missing segment",
        &|disk| disk.remove_file(&segment(3)).unwrap(),
        before(3),
    );
    add(
        "an activation",
        &|disk| disk.flip_bit(&segment(3), 8 * 520).unwrap(),
        before(3),
    );
    all
}

/// Damage to what says where the log begins and whose it is.
fn damages_beside(lsns: &[Lsn]) -> Vec<Damaged> {
    let mut all = Vec::new();
    let mut add = |name, damage: &dyn Fn(&SimDisk), kept| all.push(damaged(name, damage, kept));
    add(
        "COOKIE is missing",
        &|disk| disk.remove_file(&Path::new(DIR).join("COOKIE")).unwrap(),
        lsns.len(),
    );
    add(
        "COOKIE is missing, and a record is damaged",
        &|disk| {
            disk.remove_file(&Path::new(DIR).join("COOKIE")).unwrap();
            flip(lsns[9])(disk);
        },
        9,
    );
    add(
        "MANIFEST is damaged",
        &|disk| {
            disk.flip_bit(&Path::new(DIR).join("MANIFEST"), 200)
                .unwrap();
        },
        lsns.len(),
    );
    add(
        "both are damaged, and a record",
        &|disk| {
            disk.flip_bit(&Path::new(DIR).join("MANIFEST"), 200)
                .unwrap();
            disk.write_file(&Path::new(DIR).join("COOKIE"), &[9; 100])
                .unwrap();
            flip(lsns[12])(disk);
        },
        12,
    );
    all
}

/// Whether a whole cut lies beside the log.
fn has_report(disk: &SimDisk) -> bool {
    let beside = disk.names(Path::new("/")).unwrap();
    beside.iter().any(|name| {
        name.to_str()
            .is_some_and(|name| name.starts_with("log.cut-"))
            && disk
                .read_file(&Path::new("/").join(name).join("REPORT.txt"))
                .is_ok_and(|report| report.ends_with(b"before the repair.\n"))
    })
}

fn repair(disk: &SimDisk) -> segwal::Result<()> {
    Repair::plan_on(disk, DIR)?.apply(|_| ()).map(drop)
}

#[test]
fn a_repair_that_stops_anywhere_leaves_the_damaged_log_or_the_repaired_one() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    let (_, lsns, early) = durable_log();
    let (mut states, mut refused) = (0_u64, 0_u64);
    for (name, damaged, kept) in damages(&lsns, &early)
        .into_iter()
        .chain(damages_beside(&lsns))
    {
        let whole = damaged.snapshot();
        repair(&whole).unwrap_or_else(|error| panic!("{name}: {error}"));
        let operations = whole.operations();
        assert_eq!(records(&whole).as_deref(), Ok(&lsns[..kept]), "{name}");
        for stop in stops(&operations) {
            let stopped = damaged.snapshot();
            stopped.power_off_at(When::Index(stop as u64));
            repair(&stopped).expect_err("the machine went off");
            let mut images = vec![stopped.snapshot().kill()];
            images.extend((0..CUTS).map(|_| stopped.crash_image(rng.next_u64())));
            for image in images {
                states += 1;
                let context = format!(
                    "{name}, stopped before operation {stop} ({:?}), seed {seed}",
                    operations[stop]
                );
                match records(&image.snapshot()) {
                    Ok(found) => {
                        assert_eq!(found, lsns[..kept], "{context}");
                        assert!(has_report(&image), "{context}: no report");
                    }
                    Err(kind) => {
                        refused += 1;
                        assert_eq!(kind, ErrorKind::Corrupt, "{context}");
                    }
                }
                if Repair::plan_on(&image, DIR).unwrap().is_needed() {
                    repair(&image).unwrap_or_else(|error| panic!("{context}: {error}"));
                }
                assert!(has_report(&image), "{context}");
                assert_eq!(records(&image).as_deref(), Ok(&lsns[..kept]), "{context}");
            }
        }
    }
    println!("{states} interrupted repairs, {refused} of them left the log refused, seed {seed}");
    assert!(
        states > 500 && refused > 100,
        "{states} states, {refused} refused"
    );
}

/// The copy is there, and whole.
fn check_copy(image: &SimDisk, count: usize, stop: usize) {
    let verdict = WalReader::open_on(image, "/backup").unwrap().verify();
    assert_eq!(verdict.kind(), VerdictKind::Clean, "{stop}: {verdict:?}");
    assert_eq!(verdict.records(), count as u64, "{stop}");
}

#[test]
fn a_copy_that_stops_anywhere_is_whole_or_not_there() {
    let mut rng = Rng::new(seed());
    let (disk, lsns, _) = durable_log();
    let copy = |disk: &SimDisk| {
        let reader = WalReader::open_on(disk, DIR)?;
        reader.copy_to("/backup", OnDamage::Refuse, |_| ())
    };
    let whole = disk.snapshot();
    assert_eq!(copy(&whole).unwrap().records(), lsns.len() as u64);
    let operations = whole.operations();
    let mut there = 0;
    for stop in stops(&operations) {
        let stopped = disk.snapshot();
        stopped.power_off_at(When::Index(stop as u64));
        copy(&stopped).expect_err("the machine went off");
        for _ in 0..CUTS {
            let image = stopped.crash_image(rng.next_u64());
            if image.names(Path::new("/backup")).is_err() {
                continue;
            }
            there += 1;
            check_copy(&image, lsns.len(), stop);
        }
    }
    for _ in 0..8 {
        check_copy(
            &whole.crash_image(rng.next_u64()),
            lsns.len(),
            operations.len(),
        );
    }
    println!("{there} of the copies that were cut off were whole");
}
