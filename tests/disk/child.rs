//! The process that meets the full disk.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::filling;

const SCENE: &str = "SEGWAL_TEST_DISK_SCENE";
const DIR: &str = "SEGWAL_TEST_DISK_DIR";

/// What the process does on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    /// Makes a log with some segments.
    Write,
    /// Appends until the disk is full, and goes on once it has made room.
    Fill,
    /// Opens a log whose blocks are shared where no block is left.
    OpenShared,
    /// Appends until bytes cannot be written back.
    Thin,
    /// Opens a log that was left on a full disk, now that there is room.
    Continue,
}

const SCENES: [Scene; 5] = [
    Scene::Write,
    Scene::Fill,
    Scene::OpenShared,
    Scene::Thin,
    Scene::Continue,
];

/// Plays a scene in a process of its own on the disk mounted at `mount`.
#[track_caller]
pub(crate) fn live(scene: Scene, mount: &Path) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child::child", "--nocapture"]);
    command.env(SCENE, format!("{scene:?}")).env(DIR, mount);
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    println!("{scene:?}: {}", String::from_utf8_lossy(&output.stdout));
    let signal = output.status.signal();
    assert_eq!(signal, None, "{scene:?}: the process died by a signal");
    assert!(output.status.success(), "{scene:?}: {}", output.status);
}

/// What the test starts; does nothing in a run of all tests.
#[test]
fn child() {
    let (Some(mount), Ok(name)) = (env::var_os(DIR), env::var(SCENE)) else {
        return;
    };
    let scene = SCENES
        .into_iter()
        .find(|scene| format!("{scene:?}") == name)
        .unwrap();
    filling::play(scene, Path::new(&mount));
}
