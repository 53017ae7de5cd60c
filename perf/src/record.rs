//! [`Record`]: a run as it is kept, with where and of what it was measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::series::Series;

/// Changes when older records can no longer be read.
const SCHEMA: u32 = 1;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    schema: u32,
    /// When it began.
    pub begun: Timestamp,
    /// What was measured; with a plus sign if the tree was not clean.
    pub commit: String,
    /// Where.
    pub environment: Environment,
    /// How each engine is set up.
    pub setups: Vec<Setup>,
    /// By workloads, then engines.
    pub series: Vec<Series>,
}

/// How an engine is set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Which.
    pub engine: String,
    /// In words.
    pub setup: String,
}

impl Record {
    /// An empty one of this commit and this machine.
    ///
    /// # Errors
    /// Where it is measured cannot be told.
    pub fn begin(within: &Path) -> Result<Self> {
        Ok(Self {
            schema: SCHEMA,
            begun: Timestamp::now(),
            commit: commit(),
            environment: Environment::capture(within)?,
            setups: Vec::new(),
            series: Vec::new(),
        })
    }

    /// The series of an engine and of the limit at the same workload.
    pub fn beside_limit(&self) -> impl Iterator<Item = (&Series, Option<&Series>)> {
        self.series.iter().map(|series| {
            let limit = self
                .series
                .iter()
                .find(|other| other.engine == "limit" && other.workload == series.workload);
            (series, limit)
        })
    }

    /// Writes it into `directory` under a name of its own, and returns that.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, directory: &Path) -> Result<PathBuf> {
        fs::create_dir_all(directory)?;
        let date = self.begun.strftime("%Y-%m-%d");
        let path = directory.join(format!("{date}-{}.json", self.commit));
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is not there, damaged, or of another schema.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let record: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is no record of a run", path.display()))?;
        ensure!(
            record.schema == SCHEMA,
            "{} has schema {}, not {SCHEMA}",
            path.display(),
            record.schema
        );
        Ok(record)
    }
}

/// The commit that is checked out, as git tells; "unknown" without.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=10", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => commit + "+",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_what_it_wrote() {
        let dir = testkit::TempDir::in_memory();
        let record = Record::begin(dir.path()).unwrap();
        let path = record.save(dir.path()).unwrap();
        assert_eq!(Record::load(&path).unwrap(), record);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let dir = testkit::TempDir::in_memory();
        let path = dir.path().join("record.json");
        assert!(Record::load(&path).is_err());
        let mut record = Record::begin(dir.path()).unwrap();
        record.schema += 1;
        fs::write(&path, serde_json::to_string(&record).unwrap()).unwrap();
        let error = Record::load(&path).unwrap_err();
        assert!(error.to_string().contains("schema"), "{error:#}");
        fs::write(&path, "{}").unwrap();
        assert!(Record::load(&path).is_err());
    }
}
