//! The demo survives its kills, says so in both forms, and leaves foreign files alone.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test may panic and says what it is by its name"
)]

mod program;

use std::fs;

use program::{code, run, stderr, stdout};
use serde_json::Value;
use testkit::TempDir;

fn demo(dir: &TempDir, arguments: &[&str]) -> std::process::Output {
    let seed = (testkit::seed() >> 32).to_string();
    let log = dir.join("log");
    let fixed = [
        "demo",
        "--short",
        "--seed",
        &seed,
        "--dir",
        log.to_str().unwrap(),
    ];
    run(&[&fixed, arguments].concat())
}

#[test]
fn three_kills_lose_nothing() {
    let dir = TempDir::on_disk();
    let output = demo(&dir, &["--records", "400", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lives = report["lives"].as_array().unwrap();
    let ends: Vec<_> = lives
        .iter()
        .map(|life| life["ended_by"].as_str().unwrap())
        .collect();
    assert_eq!(ends, ["SIGKILL", "SIGKILL", "SIGKILL", "close"]);
    for life in lives {
        assert_eq!(life["lost"], 0);
        let (acknowledged, recovered) = (&life["acknowledged"], &life["recovered"]);
        assert!(acknowledged.as_u64() > Some(0), "{life}");
        assert!(recovered.as_u64() >= acknowledged.as_u64(), "{life}");
        let latencies = life["latency_us_p50_p99_p999"].as_array().unwrap();
        assert!(
            latencies.iter().all(|latency| latency.as_f64() > Some(0.1)),
            "{life}"
        );
    }
}

#[test]
fn the_table_tells_what_was_lost() {
    let dir = TempDir::in_memory();
    let input = dir.join("input.txt");
    fs::write(&input, b"one\ntwo\n\xff\n").unwrap();
    let input = input.to_str().unwrap();
    for _ in 0..2 {
        let output = demo(
            &dir,
            &["--records", "100", "--threads", "2", "--input", input],
        );
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let text = stdout(&output);
        assert!(text.contains("input.txt: 3 lines"), "{text}");
        assert!(text.contains("Records lost: 0."), "{text}");
    }
}

#[test]
fn a_directory_of_others_is_refused() {
    let dir = TempDir::in_memory();
    let log = dir.join("log");
    drop(segwal::Wal::open(&log).unwrap());
    let before = fs::read(log.join("MANIFEST")).unwrap();
    let output = demo(&dir, &["--records", "10"]);
    assert_eq!(code(&output), 64, "{}", stderr(&output));
    assert_eq!(fs::read(log.join("MANIFEST")).unwrap(), before);
}

#[test]
fn an_input_that_is_missing_or_empty_is_refused() {
    let dir = TempDir::in_memory();
    let input = dir.join("input.txt");
    let arguments = ["--input", input.to_str().unwrap()];
    assert_eq!(code(&demo(&dir, &arguments)), 74);
    fs::write(&input, "").unwrap();
    assert_eq!(code(&demo(&dir, &arguments)), 64);
}
