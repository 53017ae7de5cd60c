//! The cargo targets in a directory: each `name.rs`, and each `name/main.rs`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Their names, sorted; a directory without one is an error, since a step that ran nothing proves nothing.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>> {
    let listing =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut names = Vec::new();
    for file in listing {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            || path.join("main.rs").exists()
        {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    ensure!(
        !names.is_empty(),
        "{} holds no target to run",
        directory.display()
    );
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_directories_with_a_main_are_targets() {
        let dir = testkit::TempDir::in_memory();
        fs::write(dir.join("notes.md"), "").unwrap();
        let error = names(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("holds no target to run"), "{error}");
        fs::create_dir_all(dir.join("gate")).unwrap();
        fs::write(dir.join("gate/main.rs"), "").unwrap();
        fs::write(dir.join("tail.rs"), "").unwrap();
        assert_eq!(names(dir.path()).unwrap(), ["gate", "tail"]);
    }
}
