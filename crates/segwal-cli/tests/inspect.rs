//! `stats` and `verify` report in both forms, and each way to end has its exit code.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test may panic and says what it is by its name"
)]

mod program;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use program::{code, run, run_with, stderr, stdout};
use segwal::Wal;
use serde_json::Value;
use testkit::TempDir;

fn filled() -> TempDir {
    let dir = TempDir::in_memory();
    let output = run_with(
        &["append", dir.path().to_str().unwrap()],
        b"one\ntwo\nthree\n",
    );
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    dir
}

fn on(verb: &str, dir: &TempDir, arguments: &[&str]) -> std::process::Output {
    run(&[&[verb, dir.path().to_str().unwrap()], arguments].concat())
}

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Changes the first byte of the payload of the record at `lsn`.
fn damage(dir: &TempDir, lsn: &str, payload: &[u8]) {
    let offset: u64 = lsn.split_once(':').unwrap().1.parse().unwrap();
    let path = dir.join("00000000000000000001.seg");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut frame = [0; 64];
    file.read_exact_at(&mut frame, offset).unwrap();
    let start = frame
        .windows(payload.len())
        .position(|window| window == payload);
    file.write_all_at(b"?", offset + start.unwrap() as u64)
        .unwrap();
}

fn json_first_record(dir: &TempDir) -> String {
    let output = on("cat", dir, &["--json"]);
    let text = stdout(&output);
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    first["lsn"].as_str().unwrap().to_owned()
}

#[test]
fn stats_count_records_and_list_files() {
    let dir = filled();
    let report = json(&on("stats", &dir, &["--json"]));
    assert_eq!(report["records"], 3);
    assert_eq!(report["segment_size"], 64 << 20);
    assert_eq!(report["uuid"].as_str().unwrap().len(), 36);
    let files = report["files"].as_array().unwrap();
    let names: Vec<_> = files
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    for name in ["COOKIE", "MANIFEST", "00000000000000000001.seg"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let text = stdout(&on("stats", &dir, &[]));
    assert!(text.contains("records       3\n"), "{text}");
}

#[test]
fn a_closed_log_is_clean() {
    let dir = filled();
    let output = on("verify", &dir, &["--json"]);
    let report = json(&output);
    assert_eq!((code(&output), &report["row"]), (0, &Value::from("A")));
    assert_eq!(
        (&report["kind"], &report["records"]),
        (&Value::from("clean"), &Value::from(3))
    );
    let text = stdout(&on("verify", &dir, &[]));
    assert!(
        text.starts_with("verdict:  clean (row A: clean end)\n"),
        "{text}"
    );
}

#[test]
fn a_record_that_was_never_finished_is_a_torn_tail_and_cut_by_the_next_opening() {
    let (dir, copy) = (TempDir::in_memory(), TempDir::in_memory());
    let wal = Wal::open(dir.path()).unwrap();
    let durable = wal.append(b"durable").unwrap();
    wal.sync_to(durable).unwrap();
    let torn = wal.append(b"in the making").unwrap();
    for file in fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    wal.close().unwrap();
    damage(&copy, &torn.to_string(), b"in the making");

    let output = on("verify", &copy, &["--json"]);
    let report = json(&output);
    assert_eq!(
        (code(&output), &report["row"]),
        (1, &Value::from("B")),
        "{report}"
    );
    assert_eq!(report["records"], 1);
    let text = stdout(&on("verify", &copy, &[]));
    assert!(text.contains("to do:    nothing"), "{text}");
    assert_eq!(code(&on("append", &copy, &[])), 0);
    assert_eq!(code(&on("verify", &copy, &[])), 0);
    assert_eq!(on("cat", &copy, &[]).stdout, b"durable\n");
}

#[test]
fn damage_below_the_durable_position_is_corrupt_and_located() {
    let dir = filled();
    let first = json_first_record(&dir);
    damage(&dir, &first, b"one");
    let output = on("verify", &dir, &["--json"]);
    let report = json(&output);
    assert_eq!(code(&output), 2, "{report}");
    assert_eq!(report["problem"]["lsn"], Value::from(first), "{report}");
    assert!(stdout(&on("verify", &dir, &[])).contains("do not change the directory"));
    let refused = on("append", &dir, &[]);
    assert_eq!(code(&refused), 74, "{}", stderr(&refused));
}

#[test]
fn a_directory_without_a_log_is_unreadable() {
    let dir = TempDir::in_memory();
    let missing = dir.join("missing");
    let output = run(&["verify", missing.to_str().unwrap(), "--json"]);
    assert_eq!(
        (code(&output), &json(&output)["kind"]),
        (3, &Value::from("unreadable"))
    );
    for verb in ["cat", "stats"] {
        let output = run(&[verb, missing.to_str().unwrap()]);
        assert_eq!(code(&output), 74, "{verb}: {}", stderr(&output));
        assert!(
            stderr(&output).starts_with("segwal: "),
            "{}",
            stderr(&output)
        );
    }
    assert!(!missing.exists());
}

#[test]
fn a_log_in_use_can_be_read_but_not_appended_to() {
    let dir = filled();
    let wal = Wal::open(dir.path()).unwrap();
    let refused = on("append", &dir, &[]);
    assert_eq!(code(&refused), 75, "{}", stderr(&refused));
    assert_eq!(on("cat", &dir, &[]).stdout, b"one\ntwo\nthree\n");
    wal.close().unwrap();
    assert_eq!(code(&on("append", &dir, &[])), 0);
}

#[test]
fn wrong_usage_has_its_code_and_help_is_fine() {
    let dir = TempDir::in_memory();
    let path = dir.join("log");
    let path = path.to_str().unwrap();
    for arguments in [
        &[][..],
        &["unknown"],
        &["append"],
        &["append", path, "--sync", "often"],
        &["append", path, "--threads", "0"],
        &["append", path, "--threads", "65"],
        &["append", path, "--segment-size", "5"],
        &["cat", path, "--from", "1:1"],
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 64, "{arguments:?}: {}", stderr(&output));
    }
    for verb in ["append", "cat", "stats", "verify", "demo"] {
        let output = run(&["help", verb]);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("Examples:"), "{verb}");
    }
    let text = stdout(&run(&["--help"]));
    assert!(
        text.contains("Exit codes") && !text.contains("demo-child"),
        "{text}"
    );
    assert!(
        fs::read_dir(dir.path()).unwrap().next().is_none(),
        "something was made"
    );
}

#[test]
fn void_records_are_told_apart() {
    let dir = filled();
    let text = |verb| stdout(&on(verb, &dir, &[]));
    assert!(!text("inspect").contains("void") && !text("verify").contains("void"));
    let wal = Wal::open(dir.path()).unwrap();
    wal.truncate_after(wal.head()).unwrap();
    wal.close().unwrap();
    drop(wal);
    let seen = json(&on("inspect", &dir, &["--json"]));
    assert_eq!(
        (&seen["totals"]["records"], &seen["totals"]["void"]),
        (&1.into(), &2.into())
    );
    assert_eq!(seen["segments"][0]["void"], 2);
    let verdict = json(&on("verify", &dir, &["--json"]));
    assert_eq!(
        (&verdict["records"], &verdict["void"]),
        (&1.into(), &2.into())
    );
    assert!(
        text("inspect").contains("\n1 records and 2 void ones in "),
        "{}",
        text("inspect")
    );
    assert!(
        text("verify").contains("records 1, void records 2, "),
        "{}",
        text("verify")
    );
}
