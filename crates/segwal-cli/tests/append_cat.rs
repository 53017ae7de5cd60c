//! What goes in with `append` comes out with `cat`, and what goes wrong has its exit code.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test may panic and says what it is by its name"
)]

mod program;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use program::{code, lines, run, run_with, stderr, stdout};
use testkit::TempDir;

/// Bytes that a line may hold: text, nothing, control characters, no text at all.
const LINES: &[u8] = b"one\n\nt\x1b[31mwo\r\n\xff\xfe\0\nlast";

fn fill(dir: &TempDir, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let path = dir.path().to_str().unwrap();
    let output = run_with(&[&["append", path], arguments].concat(), input);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    output.stdout
}

fn cat(dir: &TempDir, arguments: &[&str]) -> std::process::Output {
    run(&[&["cat", dir.path().to_str().unwrap()], arguments].concat())
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_same_bytes_come_back_in_order() {
    let dir = TempDir::in_memory();
    fill(&dir, &[], LINES);
    fill(&dir, &["--sync", "none"], b"more\n");
    let output = cat(&dir, &[]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(output.stdout, [LINES, b"\nmore\n"].concat());
}

#[test]
fn several_threads_lose_and_double_nothing() {
    let dir = TempDir::in_memory();
    let input: Vec<String> = (0..3_000).map(|number| format!("line {number}")).collect();
    let input = input.join("\n") + "\n";
    let file = dir.join("input.txt");
    fs::write(&file, &input).unwrap();
    let log = dir.join("log");
    let output = run(&[
        "append",
        log.to_str().unwrap(),
        "--input",
        file.to_str().unwrap(),
        "--threads",
        "4",
        "--sync",
        "batch:7",
        "--segment-size",
        "16K",
        "--json",
    ]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let summary = json(&stdout(&output));
    assert_eq!(summary["acknowledged"], 3_000);
    assert_eq!(summary["bytes"], input.len() - 3_000);
    let output = run(&["cat", log.to_str().unwrap()]);
    let text = stdout(&output);
    let mut found: Vec<&str> = text.lines().collect();
    let mut expected: Vec<&str> = input.lines().collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn each_acknowledgement_is_printed_once_and_is_a_position() {
    for policy in ["each", "batch:3", "none"] {
        let dir = TempDir::in_memory();
        let printed = fill(&dir, &["--print-acks", "--sync", policy], b"a\nb\nc\nd\n");
        let printed = lines(&printed);
        assert_eq!(printed.len(), 4, "{policy}");
        let third = cat(&dir, &["--from", &printed[2]]);
        assert_eq!(third.stdout, b"c\nd\n", "{policy}");
    }
}

#[test]
fn an_acknowledgement_comes_before_the_next_line_is_there() {
    let dir = TempDir::in_memory();
    let mut child = program::command()
        .args(["append", dir.path().to_str().unwrap(), "--print-acks"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut acks = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..3 {
        std::io::Write::write_all(&mut input, b"line\n").unwrap();
        let mut ack = String::new();
        acks.read_line(&mut ack).unwrap();
        assert!(ack.contains(':') && ack.ends_with('\n'), "{ack:?}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_leaves_ends_cat_quietly_and_append_not_at_all() {
    let dir = TempDir::in_memory();
    let input = "a line of some length that fills the pipe\n".repeat(20_000);
    let path = dir.path().to_str().unwrap();
    let mut child = program::command()
        .args(["append", path, "--sync", "none", "--print-acks"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("acknowledged 20000 records"),
        "{}",
        stderr(&output)
    );

    let mut child = program::command()
        .args(["cat", path])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 6];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((&first, code(&output)), (b"a line", 0));
    assert_eq!(stderr(&output), "");
}

#[test]
fn json_tells_text_from_other_bytes() {
    let dir = TempDir::in_memory();
    fill(&dir, &[], LINES);
    let output = cat(&dir, &["--json"]);
    let records: Vec<_> = lines(&output.stdout)
        .iter()
        .map(|line| json(line))
        .collect();
    assert_eq!(records.len(), 5);
    assert_eq!(records[0]["text"], "one");
    assert_eq!(records[0]["len"], 3);
    assert_eq!(records[0]["durable"], true);
    assert_eq!(records[3]["hex"], "fffe00");
    assert_eq!(records[3]["text"], serde_json::Value::Null);
}

#[test]
fn a_position_that_is_none_is_wrong_usage() {
    let dir = TempDir::in_memory();
    fill(&dir, &[], LINES);
    for position in ["nonsense", "1:4097", "9:4096"] {
        let output = cat(&dir, &["--from", position]);
        assert_eq!(code(&output), 64, "{position}: {}", stderr(&output));
        assert!(
            stderr(&output).starts_with("segwal: "),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_record_that_never_fits_is_refused_with_what_was_done_before() {
    let dir = TempDir::in_memory();
    let input = format!("short\n{}\n", "x".repeat(20_000));
    let path = dir.path().to_str().unwrap();
    let output = run_with(&["append", path, "--segment-size", "16K"], input.as_bytes());
    assert_eq!(code(&output), 64, "{}", stderr(&output));
    assert!(
        stderr(&output).starts_with("segwal: after 1 acknowledged records"),
        "{}",
        stderr(&output)
    );
    assert_eq!(cat(&dir, &[]).stdout, b"short\n");
}
