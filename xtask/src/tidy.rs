//! `cargo xtask tidy`: what the house rules ask of the source tree and no compiler checks.
//!
//! Each rule is a function over the text of files, with tests that show it a bad file. One more test runs all rules over
//! the real tree, so that `cargo test --workspace` sees what CI sees.

mod layers;
mod paths;
mod shape;
mod source;
mod text;
mod words;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use testkit::record::workspace_root;

use crate::command::program;
use source::Source;

/// Where Rust files follow the rules on shape and words.
const RUST_DIRECTORIES: [&str; 11] = [
    "src",
    "crates",
    "xtask",
    "tests",
    "loom-tests",
    "shuttle-tests",
    "benches",
    "examples",
    "perf",
    "probes",
    "fuzz",
];

/// One place that breaks one rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    /// What to do about it.
    advice: String,
}

impl Finding {
    fn new(source: &Source, line: usize, rule: &'static str, advice: &str) -> Self {
        Self {
            path: source.path.clone(),
            line,
            rule,
            advice: advice.to_owned(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: [{}] {}",
            self.path, self.line, self.rule, self.advice
        )
    }
}

/// Checks the whole tree, prints what it finds, and fails if that is anything.
pub(crate) fn run() -> Result<()> {
    let files = read(&workspace_root())?;
    let findings = check(&files);
    for finding in &findings {
        println!("{finding}");
    }
    ensure!(findings.is_empty(), "tidy: {} findings", findings.len());
    println!("tidy: {} files are fine", files.len());
    Ok(())
}

/// Applies every rule to these files, given as path and text.
fn check(files: &[(String, String)]) -> Vec<Finding> {
    let rust = files.iter().filter(|(path, _)| is_rust(path));
    let sources: Vec<Source> = rust.map(|(path, text)| Source::new(path, text)).collect();
    let mut findings: Vec<Finding> = files
        .iter()
        .flat_map(|(path, text)| text::check(path, text))
        .collect();
    findings.extend(sources.iter().flat_map(shape::check));
    findings.extend(sources.iter().flat_map(words::check));
    findings.extend(layers::check(&sources));
    findings.sort();
    findings
}

fn is_rust(path: &str) -> bool {
    let directory = path.split('/').next().unwrap_or_default();
    RUST_DIRECTORIES.contains(&directory)
        && Path::new(path)
            .extension()
            .is_some_and(|extension| extension == "rs")
}

/// The text files of the repository: those that git tracks, and new ones that it does not ignore.
fn read(root: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for path in listing(root)? {
        match fs::read(root.join(&path)) {
            Ok(bytes) => files.extend(String::from_utf8(bytes).ok().map(|text| (path, text))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        }
    }
    Ok(files)
}

fn listing(root: &Path) -> Result<Vec<String>> {
    let mut git = program("git");
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    match git.output() {
        Ok(output) if output.status.success() => {
            let listed = output
                .stdout
                .split(|byte| *byte == 0)
                .filter(|path| !path.is_empty());
            Ok(listed
                .map(|path| String::from_utf8_lossy(path).into_owned())
                .collect())
        }
        _ => walk(root),
    }
}

/// For a copy of the sources without git: everything but build output and hidden directories.
fn walk(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() {
                let path = entry.path();
                let Ok(relative) = path.strip_prefix(root) else {
                    bail!("{} escaped", path.display())
                };
                files.push(relative.to_string_lossy().into_owned());
            } else if entry.file_type()?.is_dir()
                && !name.starts_with("target")
                && !name.starts_with('.')
            {
                open.push(entry.path());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let findings = check(&read(&workspace_root()).unwrap());
        let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "\n{}", shown.join("\n"));
    }

    #[test]
    fn every_group_of_rules_is_applied() {
        let text = concat!(
            "// ",
            "TO",
            "DO\nuse crate::wal::Wal;\nstatic A: B = SeqCst;\n"
        );
        let found = check(&[("src/log/tail.rs".to_owned(), text.to_owned())]);
        let rules: Vec<&str> = found.iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, ["header", "unfinished", "layers", "seqcst"]);
        assert!(
            found[3]
                .to_string()
                .starts_with("src/log/tail.rs:3: [seqcst] ")
        );
    }

    #[test]
    fn a_tree_without_git_is_walked() {
        let dir = testkit::TempDir::in_memory();
        for name in ["target/a.rs", ".git/b", "src/c.rs"] {
            fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
            fs::write(dir.join(name), "").unwrap();
        }
        assert_eq!(walk(dir.path()).unwrap(), ["src/c.rs"]);
    }
}
