//! What every verb prints, in both forms, and what it exits with: compared with the transcripts in `tests/snapshots/`.
//!
//! `SNAPSHOTS=overwrite cargo test --package segwal-cli --test snapshots` takes what is printed now as right.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test may panic and says what it is by its name"
)]

mod program;
mod scene;

use std::fs;
use std::os::unix::process::CommandExt;

use program::{code, command, run, stdout};
use scene::{Transcript, damage, log, records};
use segwal::{Wal, WalOptions};
use testkit::TempDir;

/// Every verb that people are told of.
const VERBS: [&str; 11] = [
    "append",
    "cat",
    "tail",
    "inspect",
    "stats",
    "verify",
    "copy",
    "repair",
    "bench",
    "demo",
    "completions",
];

#[test]
fn help() {
    let root = TempDir::in_memory();
    let mut said = Transcript::new(&root);
    said.run(&["--help"]);
    for verb in VERBS {
        said.run(&["help", verb]);
    }
    said.check("help");
}

#[test]
fn completions_know_every_verb_but_the_hidden_one() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert_eq!(code(&output), 0, "{shell}");
        let script = stdout(&output);
        for verb in VERBS {
            assert!(script.contains(verb), "{shell} does not know {verb}");
        }
    }
}

#[test]
fn whole_log() {
    let root = TempDir::in_memory();
    let dir = log(&root, "log");
    let mut said = Transcript::new(&root);
    for verb in ["inspect", "stats", "verify", "cat", "tail", "repair"] {
        said.run(&[verb, &dir]);
        said.run(&[verb, &dir, "--json"]);
    }
    let records = records(&dir);
    let from = records[records.len() - 2].lsn().to_string();
    said.run(&["cat", &dir, "--from", &from]);
    said.run(&["tail", &dir, "-n", "2", "--show-data"]);
    said.run(&["tail", &dir, "--from", &from, "--json", "--show-data"]);
    said.run(&["tail", &dir, "-n", "0"]);
    let copy = root.join("copy");
    let copy = copy.to_str().unwrap();
    said.run(&["copy", &dir, copy]);
    said.run(&["copy", &dir, &format!("{copy}-json"), "--json"]);
    said.run(&["verify", copy]);
    said.check("whole_log");
}

#[test]
fn torn_log() {
    let root = TempDir::in_memory();
    let dir = log(&root, "log");
    let wal = Wal::open(&dir).unwrap();
    let torn = wal.append(b"in the making").unwrap();
    drop(wal);
    damage(&dir, torn);
    let mut said = Transcript::new(&root);
    for verb in ["verify", "repair"] {
        said.run(&[verb, &dir]);
        said.run(&[verb, &dir, "--json"]);
    }
    said.run(&["repair", &dir, "--apply"]);
    let copy = root.join("copy");
    said.run(&["copy", &dir, copy.to_str().unwrap()]);
    said.check("torn_log");
}

#[test]
fn damaged_log() {
    let root = TempDir::in_memory();
    let dir = log(&root, "log");
    let records = records(&dir);
    damage(&dir, records[9].lsn());
    let copy = root.join("copy");
    let copy = copy.to_str().unwrap();
    let mut said = Transcript::new(&root);
    for verb in ["verify", "inspect", "stats", "cat", "tail", "repair"] {
        said.run(&[verb, &dir]);
        said.run(&[verb, &dir, "--json"]);
    }
    said.run(&["copy", &dir, copy]);
    said.run(&["copy", &dir, copy, "--up-to-damage"]);
    said.run(&["repair", &dir, "--apply"]);
    said.run(&["verify", &dir]);
    said.check("damaged_log");
}

#[test]
fn log_without_cookie_or_manifest() {
    let root = TempDir::in_memory();
    let mut said = Transcript::new(&root);
    for name in ["COOKIE", "MANIFEST"] {
        let dir = log(&root, &format!("without-{name}"));
        fs::remove_file(format!("{dir}/{name}")).unwrap();
        for verb in ["verify", "inspect", "stats", "append", "cat", "tail"] {
            said.run(&[verb, &dir]);
        }
        said.run(&["repair", &dir, "--head", "77"]);
        said.run(&["repair", &dir]);
        said.run(&["repair", &dir, "--apply", "--json"]);
        said.run(&["verify", &dir]);
    }
    said.check("log_without_cookie_or_manifest");
}

#[test]
fn names_and_payloads_that_would_move_the_cursor() {
    let root = TempDir::in_memory();
    let hostile = "\x1b]0;owned\x07\x1b[2J";
    let first = root.join("first");
    let wal = WalOptions::new().segment_size(8192).open(&first).unwrap();
    wal.append(hostile.as_bytes()).unwrap();
    wal.append(b"\xff\xfe\r\n").unwrap();
    wal.close().unwrap();
    drop(wal);
    let dir = root.join(format!("log{hostile}"));
    let dir = dir.to_str().unwrap();
    let mut said = Transcript::new(&root);
    said.run(&["copy", first.to_str().unwrap(), dir]);
    fs::write(format!("{dir}/{hostile}"), "text").unwrap();
    said.run(&["inspect", dir]);
    said.run(&["inspect", dir, "--json"]);
    said.run(&["stats", dir]);
    said.run(&["cat", dir, "--json"]);
    said.run(&["tail", dir, "--show-data"]);
    said.run(&["tail", dir, "--show-data", "--json"]);
    said.run(&["verify", &format!("{dir}-missing")]);
    said.run(&["cat", &format!("{dir}-missing")]);
    said.run(&[hostile]);
    damage(dir, records(dir)[0].lsn());
    said.run(&["verify", dir]);
    said.run(&["repair", dir]);
    said.refuse_control_characters();
    said.check("names_and_payloads_that_would_move_the_cursor");
}

#[test]
fn no_log() {
    let root = TempDir::in_memory();
    let (file, missing, empty) = (root.join("file"), root.join("missing"), root.join("empty"));
    fs::write(&file, "text").unwrap();
    fs::create_dir(&empty).unwrap();
    let mut said = Transcript::new(&root);
    for place in [&file, &missing, &empty] {
        let dir = place.to_str().unwrap();
        for verb in ["cat", "tail", "inspect", "stats", "verify", "repair"] {
            said.run(&[verb, dir]);
        }
        said.run(&["copy", dir, root.join("copy").to_str().unwrap()]);
    }
    said.run(&["append", file.to_str().unwrap()]);
    assert!(!missing.exists(), "a reading verb made a directory");
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    said.check("no_log");
}

#[test]
fn log_of_somebody_else() {
    let root = TempDir::in_memory();
    let dir = log(&root, "log");
    let mut said = Transcript::new(&root);
    let somebody = command().uid(65534).gid(65534).arg("--version").output();
    if let Err(error) = somebody {
        testkit::skip!(
            "log-of-somebody-else",
            "the program cannot be run as somebody else: {error}"
        );
    }
    for verb in [
        "cat", "tail", "inspect", "stats", "verify", "repair", "append",
    ] {
        let mut command = command();
        command.uid(65534).gid(65534);
        said.run_as(command, &[verb, &dir]);
    }
    said.check("log_of_somebody_else");
}

#[test]
fn log_in_use() {
    let root = TempDir::in_memory();
    let dir = log(&root, "log");
    let wal = Wal::open(&dir).unwrap();
    let mut said = Transcript::new(&root);
    for verb in ["append", "repair"] {
        said.run(&[verb, &dir]);
    }
    said.run(&["repair", &dir, "--apply", "--json"]);
    for verb in ["verify", "tail"] {
        said.run(&[verb, &dir]);
    }
    let output = run(&["inspect", &dir]);
    let own = format!("process {} (", std::process::id());
    assert!(stdout(&output).contains(&own), "{}", stdout(&output));
    wal.close().unwrap();
    said.check("log_in_use");
}

#[test]
fn wrong_usage() {
    let root = TempDir::in_memory();
    let dir = log(&root, "log");
    let within = format!("{dir}/copy");
    let file = format!("{dir}/MANIFEST");
    let mut said = Transcript::new(&root);
    said.run(&[]);
    said.run(&["unknown"]);
    for verb in VERBS.iter().filter(|verb| **verb != "demo") {
        said.run(&[verb]);
    }
    said.run(&["append", &dir, "--sync", "often"]);
    said.run(&["append", &dir, "--input", &file]);
    said.run(&["tail", &dir, "--from", "1:1"]);
    said.run(&["tail", &dir, "--from", "1:4096", "-n", "1"]);
    said.run(&["tail", &dir, "--from", "9999:4096"]);
    said.run(&["cat", &dir, "--from", "1:4096"]);
    said.run(&["copy", &dir, &within]);
    said.run(&["copy", &dir, &dir]);
    said.run(&["repair", &dir, "--head", "1"]);
    said.run(&["bench", &dir]);
    said.run(&["bench", &dir, "--sizes", "0"]);
    said.run(&["bench", &dir, "--seconds", "-1"]);
    said.run(&["completions", "cmd.exe"]);
    said.check("wrong_usage");
}

#[test]
fn append_reports_and_takes_lines() {
    let root = TempDir::in_memory();
    let dir = root.join("log");
    let dir = dir.to_str().unwrap();
    let mut said = Transcript::new(&root);
    said.run_with(&["append", dir, "--segment-size", "8K"], b"one\ntwo\n");
    said.run_with(&["append", dir, "--json"], b"three\n");
    said.run_with(&["append", dir, "--print-acks"], b"four\nfive\n");
    said.run(&["tail", dir, "--show-data"]);
    said.check("append_reports_and_takes_lines");
}

#[test]
fn bench_measures_and_leaves_nothing_behind() {
    let root = TempDir::on_disk();
    let dir = root.join("bench");
    let arguments = [
        "bench",
        dir.to_str().unwrap(),
        "--seconds",
        "0.1",
        "--sizes",
        "100",
        "--threads",
        "2",
        "--segment-size",
        "1M",
    ];
    let output = run(&[&arguments[..], &["--json"]].concat());
    assert_eq!(code(&output), 0, "{}", program::stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    for run in runs {
        assert!(run["count"].as_u64().unwrap() >= 2, "{run}");
        let at = |name: &str| run[name].as_u64().unwrap();
        assert!(
            at("p50_ns") <= at("p99_9_ns") && at("p99_9_ns") <= at("max_ns"),
            "{run}"
        );
    }
    assert_eq!(runs[0]["sync"], "append");
    assert!(runs[1]["syncs"].as_u64().unwrap() > 0);
    assert!(!dir.exists(), "the directory that it made is left");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("mine"), "text").unwrap();
    assert_eq!(code(&run(&arguments)), 0);
    let left: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["mine"]);
}
