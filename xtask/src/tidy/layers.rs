//! Who may import whom in `src/`: layers between directories, and no cycle between the files of one.
//!
//! The table is that of `docs/architecture.md`: a row may import itself, the vocabulary, and the rows it names.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::paths::{Path, paths};
use super::source::Source;

/// The vocabulary that every layer speaks.
const VOCABULARY: [&str; 6] = ["error", "lsn", "options", "seeded", "stats", "sync"];

/// The layers above the vocabulary, each with the layers that it may import besides.
const LAYERS: [(&str, &[&str]); 6] = [
    ("format", &[]),
    ("sys", &[]),
    ("log", &[]),
    ("segment", &["format", "sys", "log"]),
    ("wal", &["format", "sys", "log", "segment"]),
    ("probe", &["format", "segment"]),
];

/// The crate's root re-exports names of every layer and is free to.
const ROOT: &str = "src/lib.rs";

/// Checks all files of `src/` together.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let engine: Vec<&Source> = sources
        .iter()
        .filter(|source| source.path.starts_with("src/"))
        .collect();
    let root_names = root_names(&engine);
    let mut findings = Vec::new();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in engine.iter().filter(|source| source.path != ROOT) {
        let Some(layer) = layer_of(source) else {
            findings.push(Finding::new(
                source,
                1,
                "layers",
                "this module has no row in the layer table; give it one",
            ));
            continue;
        };
        for path in paths(source)
            .iter()
            .filter(|path| path.segments[0] == "crate")
        {
            findings.extend(forbidden(source, layer, path, &root_names));
            let file = module_file(&engine, path);
            edges
                .entry(source.path.clone())
                .or_default()
                .extend(file.filter(|file| is_sibling(file, &source.path)));
        }
    }
    findings.extend(cycles(&edges));
    findings
}

/// What the crate's root re-exports: `Lsn` is `lsn`.
fn root_names(engine: &[&Source]) -> BTreeMap<String, String> {
    let root = engine.iter().find(|source| source.path == ROOT);
    let exported = root.into_iter().flat_map(|source| paths(source));
    exported
        .map(|path| {
            path.segments
                .into_iter()
                .filter(|segment| segment != "crate")
                .collect::<Vec<_>>()
        })
        .filter(|segments| segments.len() > 1 && rank(&segments[0]).is_some())
        .map(|segments| (segments[segments.len() - 1].clone(), segments[0].clone()))
        .collect()
}

fn layer_of(source: &Source) -> Option<&'static str> {
    let name = source.path.strip_prefix("src/")?.split(['/', '.']).next()?;
    rank(name)
}

/// The layer of this name, as the table spells it.
fn rank(name: &str) -> Option<&'static str> {
    VOCABULARY
        .into_iter()
        .chain(LAYERS.map(|(layer, _)| layer))
        .find(|layer| *layer == name)
}

fn may_import(layer: &str, target: &str) -> bool {
    let granted = LAYERS
        .iter()
        .find(|(name, _)| *name == layer)
        .map_or(&[][..], |(_, granted)| granted);
    layer == target || VOCABULARY.contains(&target) || granted.contains(&target)
}

fn forbidden(
    source: &Source,
    layer: &str,
    path: &Path,
    root_names: &BTreeMap<String, String>,
) -> Option<Finding> {
    let named = path.segments.get(1)?;
    let target = rank(named).or_else(|| rank(root_names.get(named)?));
    let advice = match target {
        Some(target) if may_import(layer, target) => return None,
        Some(target) => {
            format!("`{layer}` may not import `{target}`; pass what it needs down, or move it")
        }
        None => {
            format!("`crate::{named}` is in no layer; import it from the module that defines it")
        }
    };
    Some(Finding::new(source, path.line, "layers", &advice))
}

/// The file that defines what a path names.
fn module_file(engine: &[&Source], path: &Path) -> Option<String> {
    let depths = (2..=path.segments.len()).rev();
    let candidates = depths.map(|depth| format!("src/{}.rs", path.segments[1..depth].join("/")));
    candidates
        .into_iter()
        .find(|file| engine.iter().any(|source| source.path == *file))
}

/// Whether two files lie in one directory below `src/`; a `mod.rs` knows its children and they know it.
fn is_sibling(one: &str, other: &str) -> bool {
    let (directory, other_directory) = (one.rsplit_once('/'), other.rsplit_once('/'));
    one != other
        && directory.map(|parts| parts.0) == other_directory.map(|parts| parts.0)
        && !other.ends_with("/mod.rs")
}

fn cycles(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<Finding> {
    let reports_itself = |file: &&String| reachable(edges, file).contains(*file);
    let advice =
        "this file is part of a cycle of imports in its directory; let one of them know less";
    let finding = |file: &String| Finding {
        path: file.clone(),
        line: 1,
        rule: "cycle",
        advice: advice.to_owned(),
    };
    edges.keys().filter(reports_itself).map(finding).collect()
}

fn reachable(edges: &BTreeMap<String, BTreeSet<String>>, start: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(file) = open.pop() {
        let next = edges.get(&file).into_iter().flatten();
        open.extend(
            next.filter(|target| seen.insert((*target).clone()))
                .cloned(),
        );
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::new(path, text))
            .collect();
        check(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_table_allows_what_it_grants() {
        let text = "use crate::{lsn::Lsn, log::Tail, sys::Disk, format::Frame};";
        assert!(findings(&[("src/segment/mod.rs", text), ("src/wal/open.rs", text)]).is_empty());
        assert!(
            findings(&[(
                "src/log/tail.rs",
                "use crate::sync::Arc; use super::slots::Slot;"
            )])
            .is_empty()
        );
    }

    #[test]
    fn an_import_across_layers_is_found_however_it_is_written() {
        let bad = [
            ("src/log/tail.rs", "use crate::{lsn::Lsn, sys::Disk};"),
            ("src/log/mod.rs", "fn a() { super::sys::open() }"),
            ("src/format/frame.rs", "fn a() -> crate::sys::Disk {}"),
            ("src/sys/mod.rs", "use crate::log::Tail;"),
            ("src/segment/pool.rs", "use crate::wal;"),
            ("src/lsn.rs", "use crate::format::Frame;"),
        ];
        for file in bad {
            let found = findings(&[file]);
            assert_eq!(found.len(), 1, "{file:?}: {found:?}");
            assert!(found[0].contains("may not import"), "{found:?}");
        }
    }

    #[test]
    fn a_name_from_the_root_counts_as_its_layer() {
        let root = (ROOT, "mod wal; pub use wal::Wal; pub use lsn::Lsn;");
        let good = ("src/log/tail.rs", "use crate::Lsn;");
        let bad = ("src/log/tail.rs", "use crate::Wal;");
        assert!(findings(&[root, good]).is_empty());
        assert!(findings(&[root, bad])[0].contains("`log` may not import `wal`"));
        assert!(findings(&[("src/log/tail.rs", "use crate::Unknown;")])[0].contains("in no layer"));
    }

    #[test]
    fn a_module_without_a_row_is_found() {
        assert!(findings(&[("src/misc.rs", "")])[0].contains("no row in the layer table"));
    }

    #[test]
    fn a_cycle_between_files_is_found_and_a_parent_is_none() {
        let slots = ("src/log/slots.rs", "use super::tail::Tail;");
        let bad = findings(&[("src/log/tail.rs", "use crate::log::slots::Slot;"), slots]);
        assert_eq!(bad.len(), 2, "{bad:?}");
        let parent = ("src/log/mod.rs", "use self::slots::Slot;");
        assert!(findings(&[("src/log/tail.rs", "use super::Kind;"), parent, slots]).is_empty());
    }

    #[test]
    fn the_table_names_only_layers_above_a_row() {
        for (index, (_, granted)) in LAYERS.iter().enumerate() {
            assert!(
                granted
                    .iter()
                    .all(|name| LAYERS[..index].iter().any(|(above, _)| above == name))
            );
        }
    }
}
