//! `cargo xtask skips`: judges the record that tests leave through `testkit::skip!` and `testkit::ran!`.
//!
//! A skip is fine if `.ci/allowed-skips` lists the check and says why that is acceptable. A check that `.ci/must-run`
//! lists has to have run at least once. Both files hold one entry per line; `#` opens a comment line.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use testkit::record::{self, Entry};

/// Prints the recorded skips and fails on one that is not allowed, or on a check that never ran.
pub(crate) fn run() -> Result<()> {
    let root = record::workspace_root();
    let directory = record::directory();
    let skipped = record::entries(&directory)?;
    let ran = record::entries(&directory.join("ran"))?;
    println!("{} checks could not run here", skipped.len());
    for Entry { name, reason } in &skipped {
        println!("  {name}: {reason}");
    }
    let allowed = lines(&root.join(".ci/allowed-skips"))?;
    let must_run = lines(&root.join(".ci/must-run"))?;
    let faults = judge(&skipped, &ran, &allowed, &must_run);
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{}", faults.join("\n"))
}

/// What is wrong with this record, one sentence each.
fn judge(skipped: &[Entry], ran: &[Entry], allowed: &[String], must_run: &[String]) -> Vec<String> {
    let (allowed, unexplained): (Vec<_>, Vec<_>) = allowed
        .iter()
        .map(|line| line.split_once('\t').unwrap_or((line, "")))
        .partition(|(_, why)| !why.trim().is_empty());
    let unexplained = unexplained.iter().map(|(name, _)| {
        format!(
            ".ci/allowed-skips: {name}: no reason given; write `name<TAB>why this is acceptable`"
        )
    });
    let forbidden = skipped
        .iter()
        .filter(|skip| allowed.iter().all(|(name, _)| *name != skip.name))
        .map(|skip| {
            format!(
                "{} was skipped ({}); make it run or list it in .ci/allowed-skips",
                skip.name, skip.reason
            )
        });
    let absent = must_run
        .iter()
        .filter(|name| ran.iter().all(|entry| entry.name != **name))
        .map(|name| format!("{name} must run (.ci/must-run) and did not"));
    unexplained.chain(forbidden).chain(absent).collect()
}

fn lines(path: &Path) -> Result<Vec<String>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let entries = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    Ok(entries.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            reason: "no root".to_owned(),
        }
    }

    fn text(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn an_allowed_skip_passes() {
        assert!(
            judge(
                &[entry("loop")],
                &[],
                &text(&["loop\tno root in containers"]),
                &[]
            )
            .is_empty()
        );
    }

    #[test]
    fn a_skip_that_is_not_listed_fails() {
        let faults = judge(&[entry("loop")], &[], &text(&["loops\twhy"]), &[]);
        assert_eq!(
            faults,
            ["loop was skipped (no root); make it run or list it in .ci/allowed-skips"]
        );
    }

    #[test]
    fn a_listed_skip_without_a_reason_fails() {
        let faults = judge(&[], &[], &text(&["loop\t "]), &[]);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains("no reason given"), "{faults:?}");
    }

    #[test]
    fn a_check_that_must_run_and_did_not_fails() {
        let must_run = text(&["device"]);
        assert_eq!(
            judge(&[], &[], &[], &must_run),
            ["device must run (.ci/must-run) and did not"]
        );
        assert!(judge(&[], &[entry("device")], &[], &must_run).is_empty());
    }
}
