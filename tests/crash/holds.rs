//! Named holds: a death or a power cut at every operation of making, moving, taking over and releasing them. A hold that was
//! returned is never lost, one whose release returned never comes back, and what it keeps is there.

use std::collections::BTreeMap;

use segwal::fault::{Op, SimDisk, When};
use segwal::{Hold, Lsn, OnFull, Result, Wal, WalOptions};

const DIR: &str = "/log";
/// Power cuts of each state.
const CUTS: u64 = 12;

fn options() -> WalOptions {
    let mut options = WalOptions::new();
    options
        .segment_size(8192)
        .preallocate_segments(1)
        .on_full(OnFull::Fail);
    options
}

/// What a name may stand for after an accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// A call on it had begun and not returned: there, at this position or before, or not there.
    Maybe(Lsn),
    /// There, at this position or before.
    Held(Lsn),
    /// Its release had returned.
    Gone,
}

/// What the process knew when it died.
#[derive(Default)]
struct Known {
    told: BTreeMap<&'static str, Told>,
    /// The highest position that was given to discard.
    head: Option<Lsn>,
}

impl Known {
    /// Calls `make`, which ends with a hold of `name` at `lsn`.
    fn hold(&mut self, wal: &Wal, name: &'static str, lsn: Lsn) -> Result<Hold> {
        let before = self.told.get(name).copied();
        let highest = match before {
            Some(Told::Held(at) | Told::Maybe(at)) => at.max(lsn),
            _ => lsn,
        };
        let begun = match before {
            Some(Told::Held(_)) => Told::Held(highest),
            _ => Told::Maybe(highest),
        };
        self.told.insert(name, begun);
        let hold = wal.hold_named(name, lsn)?;
        self.told.insert(name, Told::Held(hold.lsn()));
        must_keep(&hold, lsn);
        Ok(hold)
    }

    fn advance(&mut self, hold: &Hold, lsn: Lsn) -> Result<()> {
        let name = self
            .told
            .iter_mut()
            .find(|(name, _)| hold.name() == Some(name));
        *name.expect("a hold that was made").1 = Told::Held(lsn);
        hold.advance(lsn)
    }

    fn release(&mut self, hold: Hold, name: &'static str) -> Result<()> {
        self.told.insert(name, Told::Maybe(hold.lsn()));
        hold.release()?;
        self.told.insert(name, Told::Gone);
        Ok(())
    }
}

fn must_keep(hold: &Hold, lsn: Lsn) {
    assert!(hold.lsn() <= lsn, "what was asked for is kept");
}

/// Everything that is done with holds; ends early where the machine stops.
fn drive(disk: &SimDisk, known: &mut Known) -> Result<()> {
    let wal = options().open_on(disk, DIR, 1)?;
    let mut at = Vec::new();
    for sequence in 0..12_u8 {
        at.push(wal.append(&[sequence; 1500])?);
    }
    wal.sync()?;
    let replica = known.hold(&wal, "replica", at[1])?;
    known.advance(&replica, at[2])?;
    known.advance(&replica, at[4])?;
    let archive = known.hold(&wal, "archive", at[3])?;
    known.head = Some(at[3]);
    wal.discard_before(wal.end())?;
    known.advance(&archive, at[8])?;
    known.head = Some(at[4]);
    wal.discard_before(wal.end())?;
    drop(replica);
    let replica = known.hold(&wal, "replica", at[6])?;
    known.advance(&replica, at[9])?;
    drop(replica);
    let replica = known.hold(&wal, "replica", at[5])?;
    known.release(archive, "archive")?;
    let archive = known.hold(&wal, "archive", at[10])?;
    known.release(replica, "replica")?;
    known.head = Some(at[10]);
    wal.discard_before(wal.end())?;
    known.release(archive, "archive")
}

/// Opens what is left, and compares with what was told.
fn check(disk: &SimDisk, known: &Known, what: &str) {
    let wal = options()
        .open_on(disk, DIR, 2)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let holds = wal.holds();
    let find = |name: &str| holds.iter().find(|hold| hold.name() == Some(name));
    for (name, told) in &known.told {
        let found = find(name).map(segwal::HoldInfo::lsn);
        match (told, found) {
            (Told::Gone | Told::Maybe(_), None) => {}
            (Told::Held(highest) | Told::Maybe(highest), Some(lsn)) => {
                assert!(
                    lsn <= *highest,
                    "{what}: {name} is at {lsn}, above {highest}"
                );
            }
            (told, found) => panic!("{what}: {name} is {found:?}, told {told:?}"),
        }
    }
    assert!(
        holds
            .iter()
            .all(|hold| known.told.contains_key(hold.name().unwrap_or_default()))
    );
    assert!(known.head.is_none_or(|head| wal.head() <= head), "{what}");
    wal.discard_before(wal.end()).expect("a sound log");
    let lowest = holds.iter().map(segwal::HoldInfo::lsn).min();
    assert_eq!(wal.head(), lowest.unwrap_or(wal.end()), "{what}");
    let records = wal.records(wal.head()).expect("the head is a boundary");
    assert!(records.into_iter().all(|record| record.is_ok()), "{what}");
}

/// Each state that an accident at `index` may leave.
fn explore(stop: impl Fn(&SimDisk), what: &str) -> bool {
    let disk = SimDisk::new();
    stop(&disk);
    let mut known = Known::default();
    let done = drive(&disk, &mut known).is_ok();
    if known.told.is_empty() {
        return done;
    }
    check(&disk.snapshot(), &known, &format!("{what}, death"));
    for seed in 0..CUTS {
        check(
            &disk.crash_image(seed),
            &known,
            &format!("{what}, power cut {seed}"),
        );
    }
    check(
        &disk.crash_image_choice(&[]),
        &known,
        &format!("{what}, nothing left"),
    );
    let all = vec![true; disk.dirty()];
    check(
        &disk.crash_image_choice(&all),
        &known,
        &format!("{what}, all left"),
    );
    done
}

#[test]
fn a_hold_that_was_returned_is_never_lost_and_one_that_was_released_never_comes_back() {
    let mut index = 0;
    while !explore(
        |disk| disk.power_off_at(When::Index(index)),
        &format!("operation {index}"),
    ) {
        index += 1;
    }
    println!("stopped before each of {index} operations");
}

#[test]
fn a_torn_position_of_a_hold_leaves_the_one_before_it() {
    let writes = {
        let disk = SimDisk::new();
        drive(&disk, &mut Known::default()).expect("a sound disk");
        let written = |op: &&Op| **op == Op::Write;
        disk.operations().iter().filter(written).count() as u64
    };
    for nth in 0..writes {
        for words in 0..9 {
            let what = format!("write {nth} torn after {words} words");
            explore(|disk| disk.tear_at(When::Nth(Op::Write, nth), words), &what);
        }
    }
}
