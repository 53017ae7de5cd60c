//! Disks that fill: real file systems, small enough to be filled, and a process for each, so that a signal is seen.
//!
//! | module | what |
//! |---|---|
//! | `filling` | what the process does: append until full, look, discard, go on |
//! | `child` | starting it, and what became of it |
//!
//! On each disk: appends end in a typed `NoSpace`, no signal, every acknowledged record readable, no file left half made,
//! the log opens and discards with no free block, and appends go on by themselves.
#![expect(
    clippy::unwrap_used,
    reason = "a test that meets an error it does not expect has failed"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "the narrowed numbers are small"
)]
#![expect(
    clippy::print_stdout,
    reason = "the process tells the test what it saw, and the test its reader"
)]

mod child;
mod filling;

use std::fs;

use testkit::volume::{Image, run, take_all};
use testkit::{Volume, skip};

use child::{Scene, live};

const MIB: u64 = 1 << 20;

/// A disk, or a skip on record.
macro_rules! or_skip {
    ($name:expr, $volume:expr) => {
        match $volume {
            Ok(volume) => volume,
            Err(reason) => skip!($name, "no small file system: {reason}"),
        }
    };
}

/// Takes space until only so many bytes are free.
fn leave(volume: &Volume, bytes: u64) {
    let taken = volume.free_bytes().unwrap().saturating_sub(bytes);
    let filler = volume.path().join("filler");
    let filler = filler.to_str().unwrap();
    run("fallocate", &["--length", &taken.to_string(), filler]).unwrap();
}

#[test]
fn a_full_tmpfs_is_survived() {
    let name = "disk-full-tmpfs";
    let volume = or_skip!(name, Volume::tmpfs(4 * MIB));
    live(Scene::Fill, volume.path());
    testkit::ran!(name);
}

#[test]
fn a_full_ext4_is_survived() {
    let name = "disk-full-ext4";
    let volume = or_skip!(name, Volume::ext4(24 * MIB, Image::Sparse));
    leave(&volume, 4 * MIB);
    live(Scene::Fill, volume.path());
    testkit::ran!(name);
}

#[test]
fn a_full_xfs_is_survived() {
    let name = "disk-full-xfs";
    let volume = or_skip!(name, Volume::xfs(320 * MIB));
    leave(&volume, 4 * MIB);
    live(Scene::Fill, volume.path());
    testkit::ran!(name);
}

/// A copy of the whole directory shares every block: then each store needs a block, also one into a written page.
#[test]
fn a_full_xfs_with_a_copy_by_reflink_is_survived() {
    let name = "disk-full-xfs-reflink";
    let volume = or_skip!(name, Volume::xfs(320 * MIB));
    live(Scene::Write, volume.path());
    let text = |name: &str| volume.path().join(name).to_str().unwrap().to_owned();
    let (log, copy) = (text("log"), text("copy"));
    run("cp", &["-r", "--reflink=always", &log, &copy]).unwrap();
    leave(&volume, 4 * MIB);
    let rest = volume.path().join("rest");
    take_all(&rest);
    live(Scene::OpenShared, volume.path());
    drop(fs::remove_file(rest));
    live(Scene::Fill, volume.path());
    testkit::ran!(name);
}

/// `fallocate` succeeds there, and the want of space arrives when bytes are written back.
#[test]
fn a_full_thin_image_is_survived() {
    let name = "disk-full-thin";
    let volume = or_skip!(name, Volume::thin_ext4(64 * MIB, 6 * MIB));
    live(Scene::Thin, volume.path());
    volume.make_room_below(64 * MIB).unwrap();
    live(Scene::Continue, volume.path());
    testkit::ran!(name);
}
