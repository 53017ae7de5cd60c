//! `cargo xtask setup`: installs what CI needs, from package registries only, and does nothing when all is there.
//!
//! A missing toolchain component is an error, since CI cannot do without. A missing system tool is not: the checks that
//! need it record that they could not run, and `cargo xtask skips` judges that.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{program, shown, succeed};

/// A part of the Rust toolchain, and the program that shows it is there.
const COMPONENTS: [(&str, &str); 2] = [("rustfmt", "cargo-fmt"), ("clippy", "cargo-clippy")];

/// A program from the system's packages.
struct Tool {
    program: &'static str,
    package: &'static str,
    needed_for: &'static str,
}

/// Parts of the nightly toolchain, and what in it needs them.
const NIGHTLY_COMPONENTS: [&str; 2] = ["rust-src", "miri"];

const TOOLS: [Tool; 4] = [
    Tool {
        program: "strace",
        package: "strace",
        needed_for: "system calls at rotation",
    },
    Tool {
        program: "mkfs.ext4",
        package: "e2fsprogs",
        needed_for: "device bytes per commit",
    },
    Tool {
        program: "losetup",
        package: "util-linux",
        needed_for: "device bytes per commit",
    },
    Tool {
        program: "valgrind",
        package: "valgrind",
        needed_for: "memory under valgrind",
    },
];

#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Also what `cargo xtask fuzz` needs: a nightly toolchain and cargo-fuzz, which is built here
    #[arg(long)]
    fuzz: bool,
}

/// Installs what is missing.
pub(crate) fn run(options: &Options) -> Result<()> {
    for (component, brings) in COMPONENTS {
        component_present(
            component,
            brings,
            program("rustup").args(["component", "add", component]),
        )?;
    }
    for component in NIGHTLY_COMPONENTS {
        nightly_component(component);
    }
    let missing: Vec<&Tool> = TOOLS
        .iter()
        .filter(|tool| find(tool.program).is_none())
        .collect();
    if !missing.is_empty() {
        install(&missing);
    }
    for tool in TOOLS.iter().filter(|tool| find(tool.program).is_none()) {
        let Tool {
            program,
            package,
            needed_for,
        } = tool;
        println!("missing: {program} (package {package}); checks of {needed_for} will be skipped");
    }
    if options.fuzz {
        install_fuzzer()?;
    }
    println!("setup: done");
    Ok(())
}

/// Adds a component by `add` if the program that it brings does not run.
fn component_present(component: &str, brings: &str, add: &mut Command) -> Result<()> {
    if program(brings)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return Ok(());
    }
    succeed(add).with_context(|| {
        format!(
            "{component} is missing and could not be added; install it for this toolchain by hand"
        )
    })
}

/// Adds a component to the nightly toolchain, if there is one. The checks that need it are skipped without.
fn nightly_component(component: &str) {
    let nightly = |words: &[&str]| {
        let mut command = program("rustup");
        command.args(words).args(["--toolchain", "nightly"]);
        command
    };
    let Ok(installed) = nightly(&["component", "list", "--installed"]).output() else {
        return;
    };
    let list = String::from_utf8_lossy(&installed.stdout);
    if !installed.status.success() || list.lines().any(|line| line.starts_with(component)) {
        return;
    }
    if let Err(error) = succeed(&mut nightly(&["component", "add", component])) {
        println!(
            "missing: {component} of the nightly toolchain ({error:#}); its checks will be skipped"
        );
    }
}

/// Tries the system's package manager; what is still missing afterwards is reported by the caller.
fn install(missing: &[&Tool]) {
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    if !is_root() || find("apt-get").is_none() {
        println!("to install: apt-get install {}", packages.join(" "));
        return;
    }
    let mut update = program("apt-get");
    update.args(["update", "--quiet"]);
    let mut install = program("apt-get");
    install
        .args(["install", "--yes", "--quiet", "--no-install-recommends"])
        .args(packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    if let Err(error) = succeed(&mut update).and_then(|()| succeed(&mut install)) {
        println!("{error}; to try again: {}", shown(&install));
    }
}

/// A nightly toolchain and cargo-fuzz, unless they are there.
fn install_fuzzer() -> Result<()> {
    let nightly = |arguments: &[&str]| {
        let mut command = program("rustup");
        command.args(["run", "nightly"]).args(arguments);
        command
    };
    let runs = |arguments: &[&str]| {
        let output = nightly(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !runs(&["rustc", "--version"]) {
        let mut install = program("rustup");
        succeed(install.args(["toolchain", "install", "nightly", "--profile", "minimal"]))?;
    }
    if !runs(&["cargo", "fuzz", "--version"]) {
        succeed(&mut nightly(&[
            "cargo",
            "install",
            "--locked",
            "cargo-fuzz",
        ]))?;
    }
    Ok(())
}

fn is_root() -> bool {
    program("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// The program in `PATH` or where the system keeps programs for root.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_or_not() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-here").is_none());
    }

    #[test]
    fn a_component_that_cannot_be_had_is_named_in_the_error() {
        component_present("shell", "true", &mut program("false")).unwrap();
        component_present("shell", "no-such-program-here", &mut program("true")).unwrap();
        let error = component_present("shell", "no-such-program-here", &mut program("false"));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("shell is missing")
        );
    }
}
