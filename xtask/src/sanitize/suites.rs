//! What runs under which tool, and the one place for what does not, and why.

use std::process::Command;

use super::Extent;
use super::tool::{Bench, Tool};

/// Some tests, as cargo names them.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) name: &'static str,
    tools: &'static [Tool],
    verb: &'static str,
    arguments: &'static [&'static str],
    /// For the tests themselves: parts of the names of those to run.
    filters: &'static [&'static str],
}

static SUITES: [Suite; 5] = [
    Suite {
        name: "unit tests and integration tests",
        tools: &[Tool::Thread, Tool::Address],
        verb: "test",
        arguments: &[
            "--package",
            "segwal",
            "--lib",
            "--test",
            "it",
            "--test",
            "heap",
        ],
        filters: &[],
    },
    Suite {
        name: "threads on bytes of the heap",
        tools: &[Tool::Miri, Tool::Valgrind],
        verb: "test",
        arguments: &["--package", "segwal", "--test", "heap"],
        filters: &[],
    },
    Suite {
        name: "unit tests of the format, the core, segments and the simulated disk",
        tools: &[Tool::Miri],
        verb: "test",
        arguments: &["--package", "segwal", "--lib"],
        filters: &[
            "format::",
            "log::",
            "segment::",
            "lsn::",
            "sys::sim::",
            "sys::handoff::",
        ],
    },
    Suite {
        name: "unit tests",
        tools: &[Tool::Valgrind],
        verb: "test",
        arguments: &["--package", "segwal", "--lib"],
        filters: &[],
    },
    Suite {
        name: "the demonstration",
        tools: &[Tool::Valgrind],
        verb: "run",
        arguments: &["--package", "segwal-cli", "--", "demo", "--short"],
        filters: &[],
    },
];

/// A test that a tool does not run.
struct Exclusion {
    test: &'static str,
    tools: &'static [Tool],
    /// What it is left out of: the slice, or everything.
    from: Extent,
    /// Printed with the run.
    why: &'static str,
}

const ENGINE: &[Tool] = &[Tool::Thread, Tool::Address];
const MIRI: &[Tool] = &[Tool::Miri];

/// Left out of everything.
const fn never(test: &'static str, tools: &'static [Tool], why: &'static str) -> Exclusion {
    Exclusion {
        test,
        tools,
        from: Extent::All,
        why,
    }
}

/// Left out of the slice alone, because it takes minutes.
const fn long(test: &'static str, why: &'static str) -> Exclusion {
    Exclusion {
        test,
        tools: MIRI,
        from: Extent::Slice,
        why,
    }
}

static EXCLUSIONS: [Exclusion; 14] = [
    never(
        "task::appends_beside_waiting_tails_make_no_system_call",
        ENGINE,
        "the kernel ends its thread at the first system call, and the sanitizers make some",
    ),
    long(
        "batch::tests::limits_of_a_layout_are_exact",
        "batches of 65,535 records",
    ),
    long(
        "cookie::tests::every_flipped_bit_is_seen",
        "thousands of checksums",
    ),
    long(
        "dump::the_document_shows_what_the_code_writes",
        "a long text",
    ),
    long(
        "hold::tests::every_flipped_bit_and_every_length_is_seen",
        "thousands of checksums",
    ),
    long(
        "scan::tests::a_frame_is_found_wherever_the_windows_meet",
        "long scans",
    ),
    long("scan::tests::arbitrary_bytes_never_panic", "random bytes"),
    long(
        "scan::tests::frames_behind_a_hole_are_found_across_epochs_and_windows",
        "long scans",
    ),
    long(
        "scan::tests::headers_made_to_be_summed_cannot_hold_the_search_up",
        "long scans",
    ),
    long(
        "segment_header::tests::every_flipped_bit_of_the_header_is_seen",
        "thousands of checksums",
    ),
    long(
        "verdict::tests::every_row_is_reached_and_has_its_letter",
        "all findings together",
    ),
    long(
        "verdict::tests::exactly_one_row_matches_whatever_is_found",
        "all findings together",
    ),
    long(
        "sim::file::tests::versions_between_are_left_by_chance",
        "hundreds of images",
    ),
    long(
        "sim::tests::images_can_be_taken_while_threads_store",
        "hundreds of images",
    ),
];

/// The suites of a tool, in their order.
pub(super) fn suites(tool: Tool) -> impl Iterator<Item = &'static Suite> {
    SUITES
        .iter()
        .filter(move |suite| suite.tools.contains(&tool))
}

impl Suite {
    pub(super) fn counts_tests(&self) -> bool {
        self.verb == "test"
    }

    pub(super) fn command(&self, bench: &Bench, extent: Extent) -> Command {
        let mut command = bench.cargo(self.verb, self.arguments);
        if self.counts_tests() {
            command.arg("--").args(self.filters);
            for row in excluded(bench.tool(), extent) {
                command.args(["--skip", row.test]);
            }
            shorten(&mut command, bench.tool());
        }
        command
    }
}

/// The tests that do not run.
fn excluded(tool: Tool, extent: Extent) -> impl Iterator<Item = &'static Exclusion> {
    let is_out = move |row: &&Exclusion| {
        row.tools.contains(&tool) && (row.from == Extent::All || extent == Extent::Slice)
    };
    EXCLUSIONS.iter().filter(is_out)
}

/// Says what does not run, and why.
pub(super) fn print_excluded(tool: Tool, extent: Extent) {
    for Exclusion { test, why, .. } in excluded(tool, extent) {
        println!("left out: {test}: {why}");
    }
}

/// Has tests of random input try little where each try takes long, unless the caller says how much.
pub(super) fn shorten(command: &mut Command, tool: Tool) {
    const CASES: &str = "PROPTEST_CASES";
    if tool == Tool::Miri && std::env::var_os(CASES).is_none() {
        command.env(CASES, "4");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use testkit::record::workspace_root;

    use super::*;

    /// The functions in the files below `directory`, with the module that the file is.
    fn functions(directory: &std::path::Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                functions(&path, found);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let names = text.lines().filter_map(|line| {
                    let (name, _) = line.trim().strip_prefix("fn ")?.split_once('(')?;
                    Some(name.to_owned())
                });
                let file = path.with_extension("").to_string_lossy().into_owned();
                found.extend(names.map(|name| (file.clone(), name)));
            }
        }
    }

    #[test]
    fn every_test_that_is_left_out_is_there() {
        let mut found = Vec::new();
        for directory in ["src", "tests"] {
            functions(&workspace_root().join(directory), &mut found);
        }
        for row in &EXCLUSIONS {
            let (module, name) = row.test.rsplit_once("::").unwrap();
            let module = module.split("::").find(|part| *part != "sim").unwrap();
            let is_it = |(file, function): &(String, String)| {
                function == name && file.contains(&format!("/{module}"))
            };
            assert!(found.iter().any(is_it), "there is no test {}", row.test);
        }
    }

    #[test]
    fn the_slice_leaves_more_out_than_all_does() {
        for tool in Tool::ALL {
            let count = |extent| excluded(tool, extent).count();
            assert!(count(Extent::Slice) >= count(Extent::All));
            assert!(suites(tool).next().is_some(), "{tool} has tests");
        }
        assert!(excluded(Tool::Miri, Extent::Slice).count() > 5);
    }
}
