//! The inputs to begin with: structures of logs that the engine wrote, and command lines from the help.

use std::collections::BTreeSet;

use segwal::fault::SimDisk;
use segwal::{EndKind, Lsn, Wal};

use crate::directory::{DIR, Directory, SEGMENT_SIZE, segment_name};
use crate::frames::{u32_at, u64_at};
use crate::open::options;
use crate::parts::written;
use crate::rules::{broken, broken_frames};

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// The target that it is for.
    pub target: &'static str,
    /// The log and the part of it, or what it says.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// A log that is being written. Payloads are short, or zeros, which cost nothing in an input.
struct Writer {
    disk: SimDisk,
    wal: Wal,
    seed: u64,
}

impl Writer {
    fn new() -> Self {
        let disk = SimDisk::new();
        let wal = options().user_header(b"seeds").open_on(&disk, DIR, 1);
        Self {
            disk,
            wal: wal.unwrap(),
            seed: 1,
        }
    }

    fn append(&self, payload: &[u8]) -> Lsn {
        self.wal.append_tagged(3, payload).unwrap()
    }

    fn fill(&self, rest: u64) {
        let len = SEGMENT_SIZE as u64 - self.wal.end().offset() - 24 - rest;
        self.append(&vec![0; usize::try_from(len).unwrap()]);
    }

    fn reopen(&mut self) {
        self.seed += 1;
        self.disk = self.disk.kill();
        self.wal = options().open_on(&self.disk, DIR, self.seed).unwrap();
    }

    /// Two segments, a batch, an aborted frame.
    fn begin(&self) {
        self.append(b"one");
        self.wal
            .append_batch(&[&b"two"[..], b"", b"three"])
            .unwrap();
        let mut appender = self.wal.appender().unwrap();
        drop(appender.reserve(20).unwrap());
        drop(appender);
        self.wal.sync().unwrap();
        self.fill(0);
        self.append(b"four");
        self.wal.sync().unwrap();
    }

    /// Besides: epochs, truncations, a hold, a recycled segment and one whose end takes no frame.
    fn live(&mut self) {
        self.begin();
        self.reopen();
        let kept = self.append(b"five");
        self.append(b"six");
        self.wal.truncate_after(kept).unwrap();
        self.append(b"seven");
        self.wal.sync().unwrap();
        self.fill(16);
        let held = self.append(b"eight");
        drop(self.wal.hold_named("archive", held).unwrap());
        self.append(b"nine");
        self.wal.sync().unwrap();
        self.wal.discard_before(held).unwrap();
        self.fill(0);
        let back = self.append(b"ten");
        self.wal.sync().unwrap();
        self.reopen();
        self.wal.truncate_from(back).unwrap();
        self.append(b"eleven");
        self.wal.sync().unwrap();
        self.reopen();
        self.append(b"twelve");
        self.wal.sync().unwrap();
    }

    /// What the first of many power cuts leaves that leaves such an end.
    fn cut(&self, kind: EndKind) -> SimDisk {
        let left = (0..1000).map(|seed| self.disk.crash_image(seed));
        let ends_so = |disk: &SimDisk| {
            let opened = options().open_on(&disk.snapshot(), DIR, 99);
            opened.is_ok_and(|wal| wal.recovery().kind() == kind)
        };
        left.into_iter().find(ends_so).unwrap()
    }
}

/// The directories of logs with a history, by name.
pub(crate) fn logs() -> Vec<(&'static str, Directory)> {
    let young = Writer::new();
    young.append(b"first");
    young.wal.sync().unwrap();
    young.append(b"second");
    let started = Writer::new();
    started.begin();
    let mut lived = Writer::new();
    lived.live();
    let killed = Directory::of(&lived.disk);
    lived.append(&[1; 40]);
    lived.append(&[2; 600]);
    let torn = Directory::of(&lived.cut(EndKind::TornTail));
    lived.append(&[3; 600]);
    lived.append(&[4; 40]);
    let hole = Directory::of(&lived.cut(EndKind::Hole));
    let mut closed = Writer::new();
    closed.live();
    closed.wal.close().unwrap();
    let mut emptied = Writer::new();
    emptied.live();
    emptied.wal.release_hold("archive").unwrap();
    emptied.wal.reset().unwrap();
    vec![
        ("young", Directory::of(&young.disk)),
        ("started", Directory::of(&started.disk)),
        ("killed", killed),
        ("torn", torn),
        ("hole", hole),
        ("closed", Directory::of(&closed.disk)),
        ("emptied", Directory::of(&emptied.disk)),
    ]
}

/// The command lines that the help shows, and some more.
const LINES: [&str; 26] = [
    "demo --short --threads 16",
    "demo --input lines.txt --dir d --records 100000 --seed 7 --json",
    "demo-child d --starts 1,2 --count 9 --limit-ms 80",
    "append ./log --input events.txt --sync batch:100 --threads 4",
    "append ./log --segment-size 16M --print-acks --sync none",
    "cat ./log --from 3:4096 --json",
    "tail ./log -n 2 --show-data -f",
    "tail ./log --follow --from 1:4096",
    "inspect ./log --all --json",
    "stats ./log",
    "verify -- --json",
    "copy ./log ./copy --up-to-damage",
    "repair ./log --apply --head 7",
    "bench . --sizes 100,4K --threads 1,8,64 --sync each,none --seconds 0.5",
    "bench . --segment-size=1g --json",
    "completions zsh",
    "help verify",
    "--version",
    "cat -h",
    "cat",
    "cat ./log --from 3:4097",
    "append ./log --threads 65",
    "append ./log --segment-size 17179869185G",
    "bench . --seconds nan --sizes 17M",
    "cat ./log --from 4294967296:8",
    "repair ./log --head -1",
];

/// Every seed of every target.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (log, directory) in logs() {
        let mut add = |target, part: &str, bytes| {
            let name = format!("{log}-{part}");
            seeds.push(Seed {
                target,
                name,
                bytes,
            });
        };
        add("open", "whole", directory.to_input().unwrap());
        parts(&directory, &mut add);
        let mut add = |target, rule: &str, bytes| add(target, &format!("rule-{rule}"), bytes);
        match log {
            "killed" => broken(&directory, &mut add),
            "started" | "closed" => broken_frames(&directory, &mut add),
            _ => {}
        }
    }
    for (number, line) in (1..).zip(LINES) {
        let name = line.split(' ').next().unwrap_or_default();
        let name = format!("{number:02}-{}", name.trim_start_matches('-'));
        let bytes = line.replace(' ', "\0").into_bytes();
        seeds.push(Seed {
            target: "arguments",
            name,
            bytes,
        });
    }
    // The same part of several logs is one seed.
    let mut known = BTreeSet::new();
    seeds.retain(|seed| known.insert((seed.target, seed.bytes.clone())));
    seeds
}

fn parts(directory: &Directory, add: &mut impl FnMut(&'static str, &str, Vec<u8>)) {
    let manifest = &directory.files["MANIFEST"];
    let uuid = &manifest[24..40];
    add("manifest", "manifest", written::manifest(manifest));
    add(
        "cookie",
        "cookie",
        written::cookie(&directory.files["COOKIE"], uuid),
    );
    for (file, bytes) in &directory.files {
        if let Some(name) = file.strip_suffix(".hold") {
            add("hold", name, written::hold(bytes, uuid, name));
        }
    }
    for id in 1..=8 {
        let Some(bytes) = directory.files.get(&segment_name(id)) else {
            continue;
        };
        add("header", &id.to_string(), written::header(bytes));
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
        let frames = &bytes[4096..used.next_multiple_of(8).max(4096)];
        if u64_at(bytes, 512) != 0 && frames.len() < 2500 {
            let salt = u64_at(bytes, 520).to_le_bytes();
            add(
                "scanner",
                &id.to_string(),
                written::scanner(u32_at(bytes, 32), salt, frames),
            );
        }
    }
}
