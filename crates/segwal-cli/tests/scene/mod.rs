//! Logs that look the same in every run, and transcripts of what the program says of them.
#![allow(
    clippy::format_push_string,
    clippy::unwrap_used,
    reason = "a helper of tests, of which each file uses a part"
)]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use regex::Regex;
use segwal::{Lsn, OnDamage, OwnedRecord, Wal, WalOptions};
use snapbox::Data;
use testkit::TempDir;

use crate::program::{code, run_with, stderr, stdout};

/// A log with two lives, a batch, a tag, and a head that has moved. It is a copy: nothing in it depends on how far the
/// background came.
pub(crate) fn log(root: &TempDir, name: &str) -> String {
    let first = TempDir::in_memory();
    let mut options = WalOptions::new();
    options
        .segment_size(8192)
        .preallocate_segments(1)
        .user_header(b"ledger v1");
    let wal = options.open(first.path()).unwrap();
    let mut lsns = Vec::new();
    for number in 0..16 {
        let payload = format!("record {number:<500}");
        lsns.push(
            wal.append(payload.trim_end_matches('.').as_bytes())
                .unwrap(),
        );
    }
    wal.close().unwrap();
    drop(wal);
    let wal = options.open(first.path()).unwrap();
    wal.append_tagged(7, "tagged, and caf\u{e9}".as_bytes())
        .unwrap();
    let batch = wal.append_batch([&b"debit"[..], b"credit"]).unwrap();
    wal.sync_to(batch.start).unwrap();
    wal.discard_before(lsns[3]).unwrap();
    let to = root.join(name);
    let reader = Wal::open_read_only(first.path()).unwrap();
    reader.copy_to(&to, OnDamage::Refuse, |_| ()).unwrap();
    wal.close().unwrap();
    to.to_str().unwrap().to_owned()
}

/// The records that can be read.
pub(crate) fn records(dir: &str) -> Vec<OwnedRecord> {
    let reader = Wal::open_read_only(dir).unwrap();
    let records = reader.records(reader.head().unwrap()).unwrap();
    records.map(Result::unwrap).collect()
}

/// Changes the payload of the record at `lsn`.
pub(crate) fn damage(dir: &str, lsn: Lsn) {
    let path = Path::new(dir).join(format!("{:020}.seg", lsn.segment()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, lsn.offset() + 26).unwrap();
    file.write_all_at(&[byte[0] ^ 1], lsn.offset() + 26)
        .unwrap();
}

/// Commands, what they printed, and what they exited with.
pub(crate) struct Transcript {
    root: String,
    text: String,
}

impl Transcript {
    pub(crate) fn new(root: &TempDir) -> Self {
        Self {
            root: root.path().to_str().unwrap().to_owned(),
            text: String::new(),
        }
    }

    pub(crate) fn run(&mut self, arguments: &[&str]) {
        self.run_with(arguments, b"");
    }

    pub(crate) fn run_with(&mut self, arguments: &[&str], input: &[u8]) {
        let output = run_with(arguments, input);
        self.take(arguments, &output);
    }

    pub(crate) fn run_as(&mut self, mut command: Command, arguments: &[&str]) {
        let output = command.args(arguments).output().unwrap();
        self.take(arguments, &output);
    }

    fn take(&mut self, arguments: &[&str], output: &Output) {
        let line: Vec<_> = arguments
            .iter()
            .map(|argument| argument.escape_debug().to_string())
            .collect();
        self.text += &format!("$ segwal {}\n", line.join(" "));
        self.text += &stdout(output);
        for line in stderr(output).lines() {
            self.text += &format!("! {line}\n");
        }
        self.text += &format!("=> {}\n\n", code(output));
    }

    /// Nothing that was printed may be obeyed by a terminal.
    pub(crate) fn refuse_control_characters(&self) {
        let hostile = self.text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(hostile, None, "{}", self.text.escape_debug());
    }

    /// Compares with the file of this name; values that change with each run are replaced before.
    pub(crate) fn check(&self, name: &str) {
        let mut text = self.text.replace(&self.root, "[ROOT]");
        for (pattern, placeholder) in [
            ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[UUID]"),
            (r"\b[0-9a-f]{16}\b", "[SALT]"),
            (r"in [0-9.]+ (us|ms|s)\b", "in [TIME]"),
            (r#""seconds":[0-9.e-]+"#, r#""seconds":"[TIME]""#),
            (r#""syncs":[0-9]+"#, r#""syncs":"[COUNT]""#),
        ] {
            text = Regex::new(pattern)
                .unwrap()
                .replace_all(&text, placeholder)
                .into_owned();
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/snapshots")
            .join(format!("{name}.txt"));
        snapbox::Assert::new()
            .action_env("SNAPSHOTS")
            .eq(text, Data::read_from(&path, None).raw());
    }
}
