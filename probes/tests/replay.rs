//! The corpus of the fuzz targets, given to the same probes, so that what a fuzzer once found stays mended where there is
//! none.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test may panic, and says which input it is at"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use probes::{PROBES, Probe, Reached, seeds};

/// Everything that is checked in has to stay below.
const MAX_CORPUS_LEN: u64 = 512 << 10;

/// What each corpus must reach. An input that no longer gets there has rotted: the format or the language of inputs changed,
/// and `cargo xtask fuzz --seeds`, or fuzzing again, brings inputs that do.
const WANTED: [(&str, &str); 7] = [
    (
        "scanner",
        "Record Batch Aborted Epoch Rewind Evidence NoRoom NotThisPosition UnknownKind UnknownFlags TooLong BadCount BadTag \
         BadLength BadChecksum BadPayload BrokenEpoch",
    ),
    (
        "header",
        "Activation Link Link+Epoch Rewind Prepared TooShort Absent BadMagic BadChecksum NewerVersion UnknownFeatures \
         ReservedNotZero NoSegment BadSize A:TooShort A:BadMagic A:BadChecksum A:WrongSegment A:ReservedNotZero A:BadSeal \
         A:BadEpoch A:BadDurable A:BadRewind",
    ),
    (
        "manifest",
        "Manifest UserHeader ReadOnly TooShort BadMagic BadLength BadChecksum NewerVersion UnknownFeatures ReservedNotZero \
         BadSegmentSize",
    ),
    (
        "cookie",
        "Durable Head Clean TooShort Absent BadMagic BadChecksum ReservedNotZero BadLsn WrongUuid WrongPlace BadGeneration",
    ),
    (
        "hold",
        "Name Hold TooShort Absent BadMagic BadChecksum ReservedNotZero BadLsn WrongUuid WrongPlace BadGeneration",
    ),
    (
        "open",
        "opened:Created opened:Closed opened:Clean opened:TornTail opened:Hole records voids holds appended damaged \
         verified:A verified:B verified:C verified:G",
    ),
    (
        "arguments",
        "append cat tail inspect stats verify copy repair bench demo demo-child completions DisplayHelp DisplayVersion \
         MissingRequiredArgument ValueValidation UnknownArgument InvalidSubcommand InvalidValue",
    ),
];

fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

/// The inputs of a target by name, in the order of their names.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(directory(target)).unwrap();
    let paths: BTreeSet<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

/// Gives every input to the probe of `target`, whole and cut short and with one bit turned over.
fn replay(target: &str) {
    let probe = Probe::of(target);
    let mut reached = Reached::new();
    let mut count = 0;
    for (path, input) in corpus(target) {
        // The last line before a panic names the input.
        println!("{}", path.display());
        reached.extend(probe.run(&input));
        reached.extend(probe.run(&input[..input.len() * 2 / 3]));
        let mut turned = input.clone();
        if let Some(byte) = turned.get_mut(input.len() / 2) {
            *byte ^= 4;
        }
        reached.extend(probe.run(&turned));
        count += 3;
    }
    println!("{target}: {count} inputs reach {reached:?}");
    let (_, wanted) = WANTED.iter().find(|(name, _)| *name == target).unwrap();
    let missed: Vec<&str> = wanted
        .split_whitespace()
        .filter(|name| !reached.contains(*name))
        .collect();
    assert!(
        missed.is_empty(),
        "the corpus of {target} no longer reaches {missed:?}"
    );
}

#[test]
fn scanner() {
    replay("scanner");
}

#[test]
fn header() {
    replay("header");
}

#[test]
fn manifest() {
    replay("manifest");
}

#[test]
fn cookie() {
    replay("cookie");
}

#[test]
fn hold() {
    replay("hold");
}

#[test]
fn open() {
    replay("open");
}

#[test]
fn arguments() {
    replay("arguments");
}

#[test]
fn every_target_has_a_probe_and_a_corpus_and_is_replayed() {
    let names = |dir: &Path| -> BTreeSet<String> {
        let files = fs::read_dir(dir).unwrap();
        let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
        let files = files.map(|file| file.unwrap().path());
        files
            .filter(|path| path.extension().is_none_or(|end| end == "rs"))
            .map(|path| name(&path))
            .collect()
    };
    let probes: BTreeSet<String> = PROBES.iter().map(|probe| probe.name().to_owned()).collect();
    let replayed: BTreeSet<String> = WANTED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let corpus = directory("");
    assert_eq!(names(&corpus.join("../fuzz_targets")), probes);
    assert_eq!(names(&corpus), probes);
    assert_eq!(replayed, probes);
}

#[test]
fn the_corpus_is_small() {
    let inputs = PROBES.iter().flat_map(|probe| {
        let inputs = corpus(probe.name()).into_iter();
        inputs.map(|(path, input)| (path, input.len(), probe.max_len()))
    });
    let mut sum = 0;
    for (path, len, max_len) in inputs {
        assert!(len <= max_len, "{} has {len} bytes", path.display());
        sum += len as u64;
    }
    assert!(sum <= MAX_CORPUS_LEN, "{sum} bytes");
}

/// What the seeds alone must reach: the ways that a sound log takes.
const SOUND: [(&str, &str); 7] = [
    ("scanner", "Record Batch Aborted Epoch Rewind"),
    ("header", "Prepared Activation Link Link+Epoch Rewind"),
    ("manifest", "Manifest UserHeader"),
    ("cookie", "Durable Head Clean"),
    ("hold", "Name Hold"),
    (
        "open",
        "opened:Closed opened:Clean opened:TornTail opened:Hole records voids holds appended",
    ),
    (
        "arguments",
        "append bench demo-child DisplayHelp ValueValidation",
    ),
];

#[test]
fn seeds_of_the_present_engine_reach_into_every_target() {
    let seeds = seeds();
    for (target, wanted) in SOUND {
        let mine = seeds.iter().filter(|seed| seed.target == target);
        let reached: Reached = mine
            .flat_map(|seed| Probe::of(target).run(&seed.bytes))
            .collect();
        let missed: Vec<&str> = wanted
            .split(' ')
            .filter(|name| !reached.contains(*name))
            .collect();
        assert!(
            missed.is_empty(),
            "the seeds of {target} do not reach {missed:?}"
        );
    }
}
