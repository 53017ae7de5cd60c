//! A crash test of one's own: a small key-value engine on a simulated disk, which loses power, lies and fills up.
//!
//! Needs the feature `fault`, which a crate that embeds segwal turns on for its tests. What to copy: an engine that can be
//! opened on either disk ([`Store::on`]), a history of every state that it went through ([`History`]), and one rule for what
//! may come back: a state that it was in, none older than the last one that it acknowledged.
//!
//! ```text
//! acknowledged ⊆ recovered ⊆ attempted
//! ```
#![allow(
    clippy::print_stdout,
    clippy::panic_in_result_fn,
    reason = "an example talks to its reader, and a test asserts"
)]

use std::collections::BTreeMap;

use segwal::fault::{Op, Repeat, SimDisk, When};
use segwal::{ErrorKind, OnFull, Result, Wal, WalOptions};

fn main() -> Result<()> {
    power_cuts()?;
    a_lying_disk()?;
    a_full_disk()
}

/// Keys and values.
type Map = BTreeMap<u8, Vec<u8>>;

/// The engine: a map in memory, and every change of it in the log.
struct Store {
    wal: Wal,
    map: Map,
}

const SET: u8 = 1;
const DELETE: u8 = 2;
/// All of the map: what stands before it in the log is not needed any more.
const SNAPSHOT: u8 = 3;

impl Store {
    /// Opens the store on a simulated disk. In the engine itself `Wal::open` stands here, and nothing else differs.
    fn on(disk: &SimDisk, seed: u64) -> Result<Self> {
        let mut options = WalOptions::new();
        // Small, so that the log rotates within a test; and a full disk is an error, not a wait.
        options.segment_size(16 << 10).on_full(OnFull::Fail);
        let wal = options.open_on(disk, "/store", seed)?;
        let mut map = Map::new();
        for record in wal.records(wal.head())? {
            let record = record?;
            replay(&mut map, record.tag(), record.payload());
        }
        Ok(Self { wal, map })
    }

    /// Changes a key. Not durable before [`commit`](Self::commit).
    fn set(&mut self, key: u8, value: &[u8]) -> Result<()> {
        self.change(SET, &[&[key], value].concat())
    }

    fn delete(&mut self, key: u8) -> Result<()> {
        self.change(DELETE, &[key])
    }

    fn change(&mut self, tag: u8, payload: &[u8]) -> Result<()> {
        self.wal.append_tagged(tag, payload)?;
        replay(&mut self.map, tag, payload);
        Ok(())
    }

    /// Makes all changes durable.
    fn commit(&self) -> Result<()> {
        self.wal.sync().map(drop)
    }

    /// Writes all of the map as one record, and lets the log forget what stands before it.
    fn compact(&self) -> Result<()> {
        let mut all = Vec::new();
        for (key, value) in &self.map {
            let len = u32::try_from(value.len()).expect("a short value");
            all.push(*key);
            all.extend(len.to_le_bytes());
            all.extend(value);
        }
        let lsn = self.wal.append_tagged(SNAPSHOT, &all)?;
        self.wal.sync_to(lsn)?;
        self.wal.discard_before(lsn)
    }
}

fn replay(map: &mut Map, tag: u8, payload: &[u8]) {
    match (tag, payload) {
        (SET, [key, value @ ..]) => drop(map.insert(*key, value.to_vec())),
        (DELETE, [key]) => drop(map.remove(key)),
        (SNAPSHOT, mut rest) => {
            map.clear();
            while let [key, a, b, c, d, values @ ..] = rest {
                let len = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
                let (value, after) = values.split_at(len);
                map.insert(*key, value.to_vec());
                rest = after;
            }
        }
        other => unreachable!("no record of this engine: {other:?}"),
    }
}

/// Every state that a store was put into, and how many of them it has acknowledged.
struct History {
    states: Vec<Map>,
    acknowledged: usize,
}

impl History {
    fn of(store: &Store) -> Self {
        Self {
            states: vec![store.map.clone()],
            acknowledged: 0,
        }
    }

    /// Which of the states this is, the newest one if there are several.
    fn find(&self, map: &Map) -> Option<usize> {
        self.states.iter().rposition(|state| state == map)
    }

    /// The rule. Returns how many changes that nobody had acknowledged came back.
    fn check(&self, recovered: &Map) -> usize {
        let found = self.find(recovered);
        let found = found.expect("the store came back in a state that it never was in");
        assert!(found >= self.acknowledged, "something acknowledged is lost");
        found - self.acknowledged
    }
}

/// Works at random, until it is done or the disk fails.
fn work(store: &mut Store, history: &mut History, steps: u32, mut random: u64) -> Result<()> {
    for step in 0..steps {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let [.., len, choice, key] = random.to_le_bytes();
        match choice % 16 {
            0..10 => {
                // A change that was begun counts as attempted, whatever becomes of it. No two values are the same.
                let value = [&step.to_le_bytes()[..], &vec![key; usize::from(len)]].concat();
                let mut next = store.map.clone();
                next.insert(key % 32, value.clone());
                history.states.push(next);
                store.set(key % 32, &value)?;
            }
            10..12 => {
                let mut next = store.map.clone();
                next.remove(&(key % 32));
                history.states.push(next);
                store.delete(key % 32)?;
            }
            12..15 => {
                store.commit()?;
                history.acknowledged = history.states.len() - 1;
            }
            _ => {
                store.compact()?;
                history.acknowledged = history.states.len() - 1;
            }
        }
    }
    Ok(())
}

/// The machine stops before some operation of the disk, and each sector that was not synced is old or new.
fn power_cuts() -> Result<()> {
    let (mut kept, mut stops) = (0, 0);
    for seed in 0..300 {
        let disk = SimDisk::new();
        let mut store = Store::on(&disk, seed)?;
        let mut history = History::of(&store);
        let stop = disk.operation_count() + seed * 3;
        disk.power_off_at(When::Index(stop));
        let worked = work(&mut store, &mut history, 100, seed);
        // Appends store into memory and cannot fail, so the work may end before it notices.
        assert!(
            worked.is_ok() || disk.is_off(),
            "only the power cut is an error"
        );
        stops += u32::from(disk.is_off());

        let disk = disk.power_cut(seed);
        let mut store = Store::on(&disk, seed + 1000)?;
        kept += history.check(&store.map);

        // A store that was recovered works, and dies by the death of its process: that loses nothing that was written.
        let mut history = History::of(&store);
        work(&mut store, &mut history, 20, seed)?;
        let again = Store::on(&disk.kill(), seed + 2000)?;
        assert_eq!(again.map, store.map);
    }
    println!(
        "power cuts: 300, {stops} of them in the midst of the work; nothing acknowledged was lost, and {kept} changes that were not came back"
    );
    Ok(())
}

/// The disk says that it synced and did not. No log can keep such a promise; but what comes back is a state that the store was
/// in, or an error. And it shows that the rule above can be broken, so that it is worth checking.
fn a_lying_disk() -> Result<()> {
    let (mut lost, mut refused, mut whole) = (0, 0, 0);
    for seed in 0..200 {
        let disk = SimDisk::new();
        let mut store = Store::on(&disk, seed)?;
        let mut history = History::of(&store);
        disk.lie_at(When::Nth(Op::MapSync, seed % 10), Repeat::FromThenOn);
        work(&mut store, &mut history, 60, seed)?;
        match Store::on(&disk.power_cut(seed), seed + 1000) {
            Ok(store) => match history.find(&store.map) {
                Some(found) if found >= history.acknowledged => whole += 1,
                Some(_) => lost += 1,
                None => panic!("seed {seed}: a state that the store never was in"),
            },
            Err(error) if error.kind() == ErrorKind::Corrupt => refused += 1,
            Err(error) => return Err(error),
        }
    }
    assert!(lost + refused > 0, "a lying disk must show");
    println!(
        "lying disk: of 200 stores {whole} came back whole, {lost} with a loss that only the test knows of, {refused} were refused as corrupt"
    );
    Ok(())
}

/// The disk is full: changes are refused, those that were acknowledged stay, and once there is space the store goes on.
fn a_full_disk() -> Result<()> {
    let disk = SimDisk::new();
    let mut store = Store::on(&disk, 1)?;
    disk.set_free_bytes(Some(40 << 10));
    // Without compaction, which would make room.
    let refusal = (0..10_000_u32).find_map(|number| {
        let value = number.to_le_bytes().repeat(100);
        store.set(number.to_le_bytes()[0] % 32, &value).err()
    });
    let refusal = refusal.expect("nothing else ends it");
    assert_eq!(refusal.kind(), ErrorKind::NoSpace, "{refusal}");
    // What was refused was not done: the store is as it was before.
    store.commit()?;
    let full = Store::on(&disk.crash_image(1), 2)?;
    assert_eq!(full.map, store.map);

    disk.set_free_bytes(None);
    let mut history = History::of(&store);
    work(&mut store, &mut history, 50, 7)?;
    store.commit()?;
    drop(store.wal);
    let store = Store::on(&disk.power_cut(2), 3)?;
    history.acknowledged = history.states.len() - 1;
    history.check(&store.map);
    println!(
        "full disk: refused with \"{refusal}\"; nothing was lost, and with space the store went on"
    );
    Ok(())
}
