//! Whether a tool works here, and whether it sees what it is for: wrong programs, and an engine with a deliberate bug in it.

use anyhow::{Result, bail};

use crate::command::succeed;

use super::outcome::Outcome;
use super::suites;
use super::tool::{Bench, Tool};

/// A wrong program of `xtask/defects`, and the words in which a tool reports it.
struct Defect {
    name: &'static str,
    tool: Tool,
    words: &'static str,
}

const fn defect(tool: Tool, name: &'static str, words: &'static str) -> Defect {
    Defect { name, tool, words }
}

const LEAK: &str = "leak";

static DEFECTS: [Defect; 14] = [
    defect(Tool::Thread, "race", "ThreadSanitizer: data race"),
    defect(
        Tool::Address,
        "overflow",
        "AddressSanitizer: heap-buffer-overflow",
    ),
    defect(
        Tool::Address,
        "use-after-free",
        "AddressSanitizer: heap-use-after-free",
    ),
    defect(Tool::Address, LEAK, "LeakSanitizer: detected memory leaks"),
    defect(
        Tool::Miri,
        "aliasing",
        "Undefined Behavior: attempting a write access",
    ),
    defect(Tool::Miri, LEAK, "memory leaked"),
    defect(
        Tool::Miri,
        "overflow",
        "Undefined Behavior: memory access failed",
    ),
    defect(Tool::Miri, "race", "Undefined Behavior: Data race detected"),
    defect(
        Tool::Miri,
        "uninitialised",
        "Undefined Behavior: reading memory",
    ),
    defect(Tool::Miri, "use-after-free", "has been freed"),
    defect(Tool::Valgrind, LEAK, "definitely lost"),
    defect(Tool::Valgrind, "overflow", "Invalid read of size 1"),
    defect(
        Tool::Valgrind,
        "uninitialised",
        "depends on uninitialised value",
    ),
    defect(Tool::Valgrind, "use-after-free", "Invalid read of size 1"),
];

/// A deliberate bug of the engine, and the words in which a tool reports it.
struct Seeded {
    tool: Tool,
    bug: &'static str,
    /// The binary with a test that comes by it.
    binary: &'static str,
    /// For that binary.
    arguments: &'static [&'static str],
    words: &'static str,
}

/// Each is an access to a segment's bytes that nothing orders: mapped ones for the sanitizer, those of the heap for Miri.
static SEEDED: [Seeded; 2] = [
    Seeded {
        tool: Tool::Thread,
        bug: "PublishBeforeFill",
        binary: "it",
        arguments: &["--exact", "tail::a_tail_goes_on_through_recycled_segments"],
        words: "ThreadSanitizer: data race",
    },
    Seeded {
        tool: Tool::Miri,
        bug: "PublishBeforeFill",
        binary: "heap",
        arguments: &[],
        words: "Undefined Behavior: Data race detected",
    },
];

/// Why the tool, though it is there, cannot watch a program that is right.
pub(super) fn refusal(bench: &Bench) -> Result<Option<String>> {
    let outcome = Outcome::of(bench, &mut bench.defect("sound"))?;
    if outcome.is_clean() {
        return Ok(None);
    }
    // What it says of a system that it cannot work on, such as one that places memory where it keeps its own.
    if let Some(line) = outcome.line("FATAL: ThreadSanitizer") {
        return Ok(Some(line.to_owned()));
    }
    outcome.print();
    bail!(
        "a program that is right does not pass under {}",
        bench.tool()
    )
}

/// Whether leaks are looked for at the end: that stops all threads of the process by tracing it, which may be forbidden.
pub(super) fn sees_leaks(bench: &Bench) -> Result<bool> {
    let outcome = Outcome::of(bench, &mut bench.defect(LEAK))?;
    Ok(outcome
        .line("LeakSanitizer has encountered a fatal error")
        .is_none())
}

/// Demands a report of each fault that is there; counts them.
pub(super) fn must_report(bench: &Bench) -> Result<usize> {
    let mut count = 0;
    let defects = DEFECTS.iter().filter(|defect| defect.tool == bench.tool());
    for defect in defects.filter(|defect| defect.name != LEAK || bench.looks_for_leaks()) {
        let outcome = Outcome::of(bench, &mut bench.defect(defect.name))?;
        count += judge(bench, &outcome, defect.name, defect.words)?;
    }
    for seeded in SEEDED.iter().filter(|seeded| seeded.tool == bench.tool()) {
        let test = ["--package", "segwal", "--test", seeded.binary];
        // Built with the bug asleep: Miri runs a program in the environment in which it was built, too.
        succeed(bench.cargo("test", &test).arg("--no-run"))?;
        let mut command = bench.cargo("test", &test);
        command.arg("--").args(seeded.arguments);
        command.env("SEGWAL_SEEDED", seeded.bug);
        suites::shorten(&mut command, bench.tool());
        bench.end_at_first_report(&mut command);
        let outcome = Outcome::of(bench, &mut command)?;
        count += judge(bench, &outcome, seeded.bug, seeded.words)?;
    }
    Ok(count)
}

fn judge(bench: &Bench, outcome: &Outcome, fault: &str, words: &str) -> Result<usize> {
    if !outcome.says(words) {
        outcome.print();
        bail!("{} does not report `{words}` of {fault}", bench.tool());
    }
    println!("{fault}: {}", outcome.line(words).unwrap_or_default());
    Ok(1)
}
