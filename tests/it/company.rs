//! Bad company: what other programs can put in the place of a log's files. Each refusal is typed and names the file, and
//! nothing of the log changes.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use segwal::{ErrorKind, Wal};
use testkit::{TempDir, skip};

use crate::bad::{durable_log, refused_unchanged};
use crate::scene::{segment_path, small, within};

const FILES: [&str; 5] = [
    "LOCK",
    "MANIFEST",
    "COOKIE",
    "00000000000000000001.seg",
    "00000000000000000006.seg",
];

pub(crate) fn is_root() -> bool {
    // SAFETY: reads a number of this process.
    unsafe { libc::geteuid() == 0 }
}

/// Every name with its type, owner, mode and length, and the bytes of regular files; no pipe is opened.
pub(crate) fn look(dir: &Path) -> BTreeMap<String, (String, u32, u32, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut all = BTreeMap::new();
    for entry in entries {
        let found = fs::symlink_metadata(entry.path()).unwrap();
        let bytes = if found.is_file() {
            fs::read(entry.path()).unwrap()
        } else {
            Vec::new()
        };
        let kind = format!("{:?}", found.file_type());
        let name = entry.file_name().into_string().unwrap();
        all.insert(name, (kind, found.uid(), found.mode(), bytes));
    }
    all
}

/// Opens a log that must be refused because of `name`, for writing, and for reading unless a reader needs no such file.
#[track_caller]
fn refused_for(dir: &TempDir, name: &str) {
    let before = look(dir.path());
    let path = dir.path().to_owned();
    let error = within(move || small().open(path).map(drop)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{name}: {error}");
    let place = error.place().path.clone().unwrap();
    assert_eq!(place, dir.join(name), "{error}");
    assert!(error.to_string().contains("regular file"), "{error}");
    if name != "LOCK" {
        read_refused(dir, name);
    }
    assert!(look(dir.path()) == before, "{name}: something changed");
}

/// The reader finds `name` in its way too: when it opens, when it reads, or in its verdict.
#[track_caller]
fn read_refused(dir: &TempDir, name: &str) {
    let path = dir.path().to_owned();
    let error = within(move || {
        let reader = Wal::open_read_only(path)?;
        let head = reader.head()?;
        reader
            .records(head)?
            .try_for_each(|record| record.map(drop))
    });
    let error = error.unwrap_err();
    let place = error.place().path.clone().unwrap();
    assert_eq!(place, dir.join(name), "{error}");
}

/// Puts something else where a file of a log was, and the file aside.
fn replace(name: &str, put: impl Fn(&Path, &Path)) -> TempDir {
    let (dir, aside) = (TempDir::in_memory(), TempDir::in_memory());
    durable_log(&dir);
    let was = aside.join("aside");
    fs::copy(dir.join(name), &was).unwrap();
    fs::remove_file(dir.join(name)).unwrap();
    put(&was, &dir.join(name));
    refused_for(&dir, name);
    dir
}

#[test]
fn a_symbolic_link_is_never_followed() {
    for name in FILES {
        replace(name, |was, path| symlink(was, path).unwrap());
        let dangling = TempDir::in_memory();
        replace(name, |_, path| {
            symlink(dangling.join("nothing"), path).unwrap();
        });
        assert!(
            look(dangling.path()).is_empty(),
            "{name}: the target was made"
        );
    }
}

#[test]
fn a_pipe_is_refused_and_nobody_waits_for_its_other_end() {
    for name in FILES {
        replace(name, |_, path| make_node(path, libc::S_IFIFO, 0));
    }
}

#[test]
fn a_socket_and_a_directory_are_refused() {
    for name in FILES {
        replace(name, |_, path| drop(UnixListener::bind(path).unwrap()));
        replace(name, |_, path| fs::create_dir(path).unwrap());
    }
}

#[test]
fn a_file_with_two_names_is_refused() {
    for name in FILES {
        let dir = TempDir::in_memory();
        durable_log(&dir);
        let other = dir.join("other");
        fs::hard_link(dir.join(name), &other).unwrap();
        refused_for(&dir, name);
        fs::remove_file(other).unwrap();
        small().open(dir.path()).unwrap();
    }
}

#[test]
fn a_device_is_refused() {
    if !is_root() {
        skip!("device-node-refused", "making a device node needs root");
    }
    for name in FILES {
        // The null device: reads as empty, takes every write.
        let dir = replace(name, |_, path| {
            make_node(path, libc::S_IFCHR, libc::makedev(1, 3));
        });
        let kind = fs::symlink_metadata(dir.join(name)).unwrap().file_type();
        assert!(kind.is_char_device());
    }
}

fn make_node(path: &Path, kind: libc::mode_t, device: libc::dev_t) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path ends in a zero byte.
    let made = unsafe { libc::mknod(path.as_ptr(), kind | 0o600, device) };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_log_put_together_from_two_is_refused() {
    for name in ["MANIFEST", "COOKIE", "00000000000000000001.seg"] {
        let (dir, other) = (TempDir::in_memory(), TempDir::in_memory());
        durable_log(&dir);
        durable_log(&other);
        fs::copy(other.join(name), dir.join(name)).unwrap();
        let error = small().open(dir.path()).unwrap_err();
        let kinds = [ErrorKind::Corrupt, ErrorKind::Incompatible];
        assert!(kinds.contains(&error.kind()), "{name}: {error}");
        let text = error.to_string();
        assert!(
            text.contains("another log") || text.contains("belongs to the log"),
            "{name}: {text}"
        );
        refused_unchanged(dir.path(), &small(), error.kind());
    }
}

/// A copy that somebody left under the name of a segment to come: nobody can know that it is not wanted.
#[test]
fn an_extra_segment_is_refused_and_stays_as_it_is() {
    let dir = TempDir::in_memory();
    durable_log(&dir);
    let extra = segment_path(dir.path(), 40);
    fs::copy(segment_path(dir.path(), 3), &extra).unwrap();
    let error = refused_unchanged(dir.path(), &small(), ErrorKind::Corrupt);
    assert_eq!(error.place().path.as_ref(), Some(&extra), "{error}");
    assert!(
        error.to_string().contains("header is that of segment 3"),
        "{error}"
    );

    let other = TempDir::in_memory();
    durable_log(&other);
    fs::copy(segment_path(other.path(), 3), &extra).unwrap();
    let bytes = fs::read(&extra).unwrap();
    // Left alone it would be in the way of segment 40.
    let error = refused_unchanged(dir.path(), &small(), ErrorKind::Incompatible);
    assert_eq!(error.place().path.as_ref(), Some(&extra), "{error}");
    assert!(error.to_string().contains("belongs to the log"), "{error}");
    assert!(fs::read(&extra).unwrap() == bytes);
}
