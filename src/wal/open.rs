//! Opening a log for appending: lock, look, decide, settle, start.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::format::verdict::{CookieState, Findings, Identity, SOUND, judge};
use crate::format::{Activation, Cookie, Manifest, Scanner, Slot, Step, Uuid};
use crate::options::{Create, UnknownFilesystem, WalOptions};
use crate::seeded::{self, Bug};
use crate::segment::{
    CookieFile, Directory, FileSource, LOCK, Mold, Registry, Shelf, hold_name, segment_name,
};
use crate::stats::Counters;
use crate::sys::{Access, Disk, FileSystem, Lock, Made, Random, RealDisk, clock};

use super::Wal;
use super::create::{first_lsn, first_segment, is_unfinished, write_manifest};
use super::holds::{Holds, read_holds};
use super::opened::{Basis, Opened};
use super::recover::{
    Header, Room as Remaining, Survey, manifest_missing, read_cookie, read_headers, read_manifest,
};
use super::recovery::{EndKind, Recovery};
use super::reopen::{Past, reopen};
use super::rewinds::Rewinds;
use super::signals::Staffing;

/// What the machine provides.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) random: Arc<Random>,
    pub(crate) staffing: Staffing,
    pub(crate) boot: [u8; 16],
}

impl Setting {
    fn system() -> Self {
        Self {
            disk: Arc::new(RealDisk),
            random: Arc::new(Random::system()),
            staffing: Staffing::Threads,
            boot: clock::boot_id(),
        }
    }

    #[cfg(feature = "fault")]
    fn simulated(disk: &crate::sys::sim::SimDisk, seed: u64, staffing: Staffing) -> Self {
        Self {
            disk: Arc::new(disk.clone()),
            random: Arc::new(Random::seeded(seed)),
            staffing,
            boot: [0; 16],
        }
    }
}

impl WalOptions {
    /// Opens the log in `dir` for appending.
    ///
    /// # Errors
    /// [`InvalidOption`](ErrorKind::InvalidOption), [`UnsupportedFilesystem`](ErrorKind::UnsupportedFilesystem),
    /// [`Locked`](ErrorKind::Locked), [`Incompatible`](ErrorKind::Incompatible), [`Corrupt`](ErrorKind::Corrupt) with the row of the
    /// decision table, [`NoSpace`](ErrorKind::NoSpace) when a log cannot be created, [`Io`](ErrorKind::Io). Nothing of the
    /// log is changed by an open that is refused.
    pub fn open(&self, dir: impl AsRef<Path>) -> Result<Wal> {
        open(self, dir.as_ref(), &Setting::system())
    }

    /// Opens the log in `dir` on a simulated disk, with random numbers that follow from `seed`, and without threads: what
    /// the background would do is done by the calls that need it. The same calls then give the same operations.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[cfg(feature = "fault")]
    pub fn open_on(
        &self,
        disk: &crate::sys::sim::SimDisk,
        dir: impl AsRef<Path>,
        seed: u64,
    ) -> Result<Wal> {
        open(
            self,
            dir.as_ref(),
            &Setting::simulated(disk, seed, Staffing::Inline),
        )
    }

    /// As [`open_on`](Self::open_on), with threads, which a scheduler runs.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[cfg(all(shuttle, feature = "shuttle", feature = "fault"))]
    #[doc(hidden)]
    pub fn open_scheduled(
        &self,
        disk: &crate::sys::sim::SimDisk,
        dir: impl AsRef<Path>,
        seed: u64,
    ) -> Result<Wal> {
        open(
            self,
            dir.as_ref(),
            &Setting::simulated(disk, seed, Staffing::Threads),
        )
    }
}

pub(super) fn open(options: &WalOptions, dir: &Path, setting: &Setting) -> Result<Wal> {
    let began_ns = clock::now_ns();
    options.validate()?;
    let directory = Directory::new(Arc::clone(&setting.disk), dir.to_owned());
    make_directory(&directory, options)?;
    check_file_system(&directory, options)?;
    let lock = take_lock(&directory)?;
    // V3: before any name is believed.
    if !seeded::is(Bug::OpenTrustsDirectory) {
        directory.sync()?;
        directory.sync_parent()?;
    }
    let survey = Survey::of(&directory)?;
    let manifest = identify(&directory, options, &survey, &setting.random)?;
    options.validate_for(manifest.segment_size)?;
    let mold = Mold {
        directory: directory.clone(),
        uuid: manifest.uuid,
        size: manifest.segment_size,
        random: Arc::clone(&setting.random),
        old_payloads: options.old_payloads,
    };
    let holds = read_holds(&directory, &manifest, &survey)?;
    let counters = Counters::default();
    let mut opened = match read_cookie(&directory, &manifest.uuid)? {
        Some(cookie) if !is_unfinished(&cookie) => {
            let past = Past {
                survey: &survey,
                manifest: &manifest,
                known: &cookie,
                holds: &holds,
            };
            reopen(&mold, options, setting.boot, &past)?
        }
        // `COOKIE` is durable before a segment is named: beside segments its want is a loss, no unfinished creation.
        None if !survey.segments.is_empty() || !holds.is_empty() => {
            return Err(cookie_missing(&directory));
        }
        found => {
            check_unborn(&mold, &survey, &manifest)?;
            check_unheld(&directory, &survey)?;
            begin(&mold, options, setting, found, &counters)?
        }
    };
    remove_unfinished(&directory, &survey, &mut opened.recovery)?;
    opened.recovery.foreign = survey.foreign;
    opened.recovery.duration = Duration::from_nanos(clock::now_ns().saturating_sub(began_ns));
    opened.run(Basis {
        options: options.clone(),
        manifest,
        directory,
        counters,
        staffing: setting.staffing,
        lock,
    })
}

fn make_directory(directory: &Directory, options: &WalOptions) -> Result<()> {
    let path = directory.path();
    if options.create == Create::Never {
        return Ok(());
    }
    match directory.disk().make_dir(path) {
        Ok(Made::Created | Made::Existed) => Ok(()),
        Err(error) => Err(Error::io(
            "cannot make the directory of the log",
            path,
            error,
        )),
    }
}

fn check_file_system(directory: &Directory, options: &WalOptions) -> Result<()> {
    let path = directory.path();
    let found = directory
        .disk()
        .file_system(path)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(ErrorKind::NotFound, "there is no log").at_path(path)
            }
            _ => Error::io("cannot tell the file system of the log", path, error),
        })?;
    let known = matches!(
        found,
        FileSystem::Ext | FileSystem::Xfs | FileSystem::Tmpfs | FileSystem::Overlay
    );
    if known || options.unknown_filesystem == UnknownFilesystem::Allow {
        return Ok(());
    }
    let what =
        format!("mapped appends have not been shown to be safe on this file system, {found:?}");
    Err(Error::new(ErrorKind::UnsupportedFilesystem, what).at_path(path))
}

pub(super) fn take_lock(directory: &Directory) -> Result<Box<dyn Lock>> {
    let path = directory.file(LOCK);
    directory
        .disk()
        .lock(&path)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => {
                Error::new(ErrorKind::Locked, "the log is open for writing elsewhere")
                    .at_path(&path)
            }
            std::io::ErrorKind::PermissionDenied => {
                Error::new(ErrorKind::ReadOnly, "this process may not write to the log")
                    .at_path(&path)
                    .caused_by(error)
            }
            _ => Error::io("cannot lock the log", &path, error),
        })
}

/// The identity of the log that is there, or of the one that is made.
fn identify(
    directory: &Directory,
    options: &WalOptions,
    survey: &Survey,
    random: &Random,
) -> Result<Manifest> {
    let path = directory.path();
    if !survey.has_manifest {
        if !survey.is_blank() {
            return Err(manifest_missing(directory));
        }
        if options.create == Create::Never {
            return Err(Error::new(ErrorKind::NotFound, "there is no log").at_path(path));
        }
        // Before anything is written: an open that is refused makes nothing.
        options.validate_for(options.segment_size)?;
        return write_manifest(directory, options, random);
    }
    if options.create == Create::Always {
        return Err(
            Error::new(ErrorKind::InvalidState, "there is a log already")
                .at_path(path)
                .advise("choose another directory, or open the log that is there"),
        );
    }
    let manifest = read_manifest(directory)?;
    if manifest.read_only_features() != 0 {
        let identity = Identity::Newer;
        return Err(judge(Findings { identity, ..SOUND })
            .refuse("the log has features that this version cannot write")
            .at_path(path)
            .advise("open it read-only, or with a newer version of segwal"));
    }
    Ok(manifest)
}

fn cookie_missing(directory: &Directory) -> Error {
    let cookie = CookieState::Missing;
    judge(Findings { cookie, ..SOUND })
        .refuse("there is no such file, beside segments")
        .at_path(directory.path())
}

/// Refuses to make a log anew over records: an unfinished creation left at most a first segment without any.
fn check_unborn(mold: &Mold, survey: &Survey, manifest: &Manifest) -> Result<()> {
    let files = read_headers(&mold.directory, &survey.segments, manifest)?;
    for (id, found) in &files {
        let is_empty = *id == 1
            && match found.activation() {
                Some(activation) => is_without_frames(mold, activation)?,
                None => matches!(found.header, Header::Ours(_)),
            };
        if !is_empty {
            let cookie = CookieState::Unborn;
            let row = judge(Findings { cookie, ..SOUND });
            return Err(row
                .refuse("this segment says that the log was finished")
                .at_path(&mold.directory.segment(*id))
                .at_segment(*id));
        }
    }
    Ok(())
}

/// A log can be held only once it is whole.
fn check_unheld(directory: &Directory, survey: &Survey) -> Result<()> {
    let Some(name) = survey.holds.first() else {
        return Ok(());
    };
    let cookie = CookieState::Unborn;
    Err(judge(Findings { cookie, ..SOUND })
        .refuse("a hold says that the log was finished")
        .at_path(&directory.file(&hold_name(name))))
}

fn is_without_frames(mold: &Mold, activation: &Activation) -> Result<bool> {
    let path = mold.directory.segment(activation.segment);
    let fail = |error| Error::io("cannot read a segment", &path, error);
    let file = mold
        .directory
        .open(&segment_name(activation.segment), Access::Read)?;
    let mut source = FileSource::new(file, mold.size).map_err(fail)?;
    let mut scanner = Scanner::new(first_lsn(), activation.salt, None);
    let step = scanner.next(&mut source).map_err(fail)?;
    Ok(matches!(step, Step::Stop(_)))
}

/// A log without records: made now, or left unfinished by an earlier creation.
fn begin(
    mold: &Mold,
    options: &WalOptions,
    setting: &Setting,
    found: Option<Cookie>,
    counters: &Counters,
) -> Result<Opened> {
    let directory = &mold.directory;
    let known = if let Some(cookie) = found {
        cookie
    } else {
        CookieFile::create(directory, mold.uuid, setting.boot, first_lsn())?;
        Cookie {
            durable: None,
            head: None,
            clean: None,
            head_fault: None,
        }
    };
    let cookie = CookieFile::open(directory, mold.uuid, setting.boot, &made_once(known))?;
    let shelf = Shelf::new(mold.clone(), options.max_wal_bytes, Some(1));
    let registry = Registry::default();
    let segment = first_segment(directory, &shelf, &cookie, &registry, counters)?;
    registry.insert(&segment);
    let end = first_lsn();
    let recovery = Recovery {
        kind: EndKind::Created,
        head: end,
        end,
        cut: None,
        segments: 1,
        scanned_bytes: 0,
        scanned_records: 0,
        stored_again_bytes: 0,
        duration: Duration::ZERO,
        reclaimed: Vec::new(),
        foreign: Vec::new(),
        voids: Vec::new(),
    };
    Ok(Opened {
        segment,
        end,
        room: Remaining::Left,
        head: end,
        cookie,
        shelf,
        registry,
        holds: Holds::default(),
        rewinds: Rewinds::default(),
        recovery,
    })
}

/// A cookie just created has the first generation in both kinds of slot.
fn made_once(known: Cookie) -> Cookie {
    let slot = Slot {
        generation: 1,
        lsn: first_lsn(),
        uuid: Uuid::from_bytes([0; 16]),
        boot: [0; 16],
    };
    Cookie {
        durable: known.durable.or(Some(slot)),
        head: known.head.or(Some(slot)),
        clean: known.clean,
        head_fault: None,
    }
}

fn remove_unfinished(
    directory: &Directory,
    survey: &Survey,
    recovery: &mut Recovery,
) -> Result<()> {
    for name in &survey.unfinished {
        directory.remove(name)?;
        recovery.reclaimed.push(directory.file(name));
    }
    Ok(())
}
