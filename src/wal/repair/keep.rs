//! [`keep`]: copies aside, durably, everything that a repair is about to change.
//!
//! The directory lies beside the log, so that neither mistakes the other for its own. Its report is written last: a
//! directory without one is of a repair that ended before it changed anything.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::segment::{COOKIE, Directory, MANIFEST, segment_name};
use crate::sys::{Access, DiskFile, Made};

use super::diagnose::{Diagnosis, Part};
use crate::wal::Progress;

/// What was cut, in words.
const REPORT: &str = "REPORT.txt";
/// More cuts than this lie beside no log.
const MOST: u32 = 10_000;
/// How much is copied at a time.
const STEP: usize = 1 << 20;

/// Copies what `diagnosis` changes into a new directory; returns its path.
pub(super) fn keep(
    directory: &Directory,
    diagnosis: &Diagnosis,
    report: &str,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    let kept = make(directory)?;
    let copied = fill(directory, &kept, &files(diagnosis), report, progress);
    copied.inspect_err(|_| {
        // Nothing was changed yet; the first error is the one to report.
        drop(kept.remove_all());
    })?;
    Ok(kept.path().to_owned())
}

/// The names of the small files that will change.
pub(super) fn small_files(diagnosis: &Diagnosis) -> Vec<String> {
    let mut files = Vec::new();
    if diagnosis.manifest_is == Part::Damaged {
        files.push(MANIFEST.to_owned());
    }
    if diagnosis.cookie_is != Part::Missing {
        files.push(COOKIE.to_owned());
    }
    files
}

fn files(diagnosis: &Diagnosis) -> Vec<String> {
    let mut files = small_files(diagnosis);
    let segments = diagnosis.cut.iter().flat_map(|cut| &cut.kept);
    files.extend(segments.map(|id| segment_name(*id)));
    files
}

/// A new directory beside the log, with the first free number.
fn make(directory: &Directory) -> Result<Directory> {
    for number in 1..=MOST {
        let path = numbered(directory.path(), number);
        match directory.disk().make_dir(&path) {
            Ok(Made::Created) => return Ok(directory.beside(path)),
            Ok(Made::Existed) => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
            Err(error) => {
                let what = "cannot make the directory for what is cut";
                return Err(Error::io(what, &path, error));
            }
        }
    }
    let what = "every name for what is cut is taken";
    Err(Error::new(ErrorKind::OutOfResources, what).at_path(directory.path()))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".cut-{number}"));
    path.with_file_name(name)
}

fn fill(
    directory: &Directory,
    kept: &Directory,
    files: &[String],
    report: &str,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let mut opened = Vec::new();
    let mut done = Progress {
        done_bytes: 0,
        total_bytes: 0,
    };
    for name in files {
        let file = directory.open(name, Access::Read)?;
        let len = file.len().map_err(|error| {
            Error::io(
                "cannot tell the length of a file",
                &directory.file(name),
                error,
            )
        })?;
        done.total_bytes += len;
        opened.push((name, file, len));
    }
    for (name, file, len) in opened {
        copy(directory, kept, (name, &*file, len), &mut |count| {
            done.done_bytes += count;
            progress(done);
        })?;
    }
    kept.sync()?;
    // The report is durable only after everything that it speaks of.
    kept.publish(REPORT, report.as_bytes())?;
    kept.sync_parent()
}

fn copy(
    directory: &Directory,
    kept: &Directory,
    (name, from, len): (&str, &dyn DiskFile, u64),
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let (source, path) = (directory.file(name), kept.file(name));
    let fail = |error| Error::io("cannot keep a file that is cut", &path, error);
    let to = kept.disk().create(&path).map_err(fail)?;
    if len > 0 {
        to.allocate(len).map_err(fail)?;
    }
    let mut buffer = vec![0; STEP];
    let mut at = 0;
    while at < len {
        let read = from.read_at(at, &mut buffer);
        let read =
            read.map_err(|error| Error::io("cannot read a file that is cut", &source, error))?;
        if read == 0 {
            break;
        }
        to.write_at(at, &buffer[..read]).map_err(fail)?;
        at += read as u64;
        progress(read as u64);
    }
    to.sync().map_err(fail)
}
