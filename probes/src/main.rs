//! `probes`: writes the seeds, or gives single inputs to a probe and says what each reached.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a tool for the terminal prints"
)]

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use probes::{PROBES, Probe, seeds};

const USAGE: &str = "\
probes list                  the name and the longest input of each probe
probes seeds DIR             write the seeds into DIR/TARGET/seed-NAME, in place of those that are there
probes run TARGET FILE...    give each file to the probe, and say what it reached";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["list"] => {
            for probe in &PROBES {
                println!("{} {}", probe.name(), probe.max_len());
            }
            Ok(())
        }
        ["seeds", dir] => write_seeds(Path::new(dir)),
        ["run", target, ref files @ ..] => run(Probe::of(target), files),
        _ => Err(io::Error::other(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write_seeds(dir: &Path) -> io::Result<()> {
    for probe in &PROBES {
        let dir = dir.join(probe.name());
        fs::create_dir_all(&dir)?;
        for file in fs::read_dir(&dir)? {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with("seed-") {
                fs::remove_file(file.path())?;
            }
        }
    }
    for seed in seeds() {
        let name = format!("seed-{}", seed.name);
        fs::write(dir.join(seed.target).join(name), seed.bytes)?;
    }
    Ok(())
}

fn run(probe: &Probe, files: &[&str]) -> io::Result<()> {
    for file in files {
        let reached = probe.run(&fs::read(file)?);
        let reached: Vec<String> = reached.into_iter().collect();
        println!("{file}: {}", reached.join(" "));
    }
    Ok(())
}
