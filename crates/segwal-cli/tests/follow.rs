//! `tail --follow` shows records as they come, and ends in order: by an interrupt, or when nobody reads any more.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test may panic and says what it is by its name"
)]

mod program;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use program::command;
use segwal::Wal;
use serde_json::Value;
use testkit::{TempDir, wait_until};

fn follow(dir: &TempDir, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = command()
        .args(["tail", "--follow", "--json", "--show-data"])
        .arg(dir.path())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn text(out: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let record: Value = serde_json::from_str(&line).unwrap();
    record["text"].as_str().unwrap().to_owned()
}

#[test]
fn records_are_shown_as_they_come_until_an_interrupt() {
    let dir = TempDir::in_memory();
    let wal = Wal::open(dir.path()).unwrap();
    for text in ["one", "two", "three"] {
        wal.append(text.as_bytes()).unwrap();
    }
    let (mut child, mut out) = follow(&dir, &["-n", "2"]);
    assert_eq!([text(&mut out), text(&mut out)], ["two", "three"]);
    wal.append(b"four").unwrap();
    assert_eq!(text(&mut out), "four");
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    assert_eq!(out.read_line(&mut rest).unwrap(), 0, "{rest}");
    wal.close().unwrap();
}

#[test]
fn it_ends_when_nobody_reads_any_more() {
    let dir = TempDir::in_memory();
    let wal = Wal::open(dir.path()).unwrap();
    let first = wal.append(b"one").unwrap();
    let (mut child, mut out) = follow(&dir, &["--from", &first.to_string()]);
    assert_eq!(text(&mut out), "one");
    drop(out);
    let mut status = None;
    let has_ended = wait_until(Duration::from_secs(60), || {
        wal.append(b"more").unwrap();
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert!(has_ended, "it goes on for nobody");
    assert_eq!(status.unwrap().code(), Some(0));
    wal.close().unwrap();
}
