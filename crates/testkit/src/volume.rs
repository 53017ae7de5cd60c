//! File systems of a test's own, on loop devices or in memory: small enough to be filled, or alone enough to be counted.
//!
//! They need root and the tools of each file system. Without, making one answers with the reason, for a skip on record.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{TempDir, wait_until};

/// Whoever forks at the wrong moment lets go of a volume within this time.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a tool; its output, or what went wrong.
///
/// # Errors
/// What the tool said, or why it could not be started.
pub fn run(tool: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(tool).args(arguments).output();
    let output = output.map_err(|error| format!("{tool}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{tool} {}: {}", arguments.join(" "), said.trim()))
    }
}

/// Fills the file system of `path` with a file there, to the last block; without one if there is not even room for that.
///
/// # Panics
/// If anything but a want of space ends it.
pub fn take_all(path: &Path) {
    let full = |error: io::Error| {
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    };
    let mut file = match fs::File::create(path) {
        Ok(file) => file,
        Err(error) => return full(error),
    };
    for step in [1 << 20, 4096] {
        let bytes = vec![1; step];
        full(loop {
            if let Err(error) = file.write_all(&bytes) {
                break error;
            }
        });
    }
}

/// How the image of a volume takes room on what lies below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// Block by block, when it is written to.
    Sparse,
    /// All of it, so that nothing is allocated below while a test counts.
    Written,
}

/// A mounted file system, unmounted and detached when dropped.
#[derive(Debug)]
pub struct Volume {
    kind: &'static str,
    mount: PathBuf,
    is_mounted: bool,
    device: Option<String>,
    /// What the image of the device lies on, and the directories; they go after the volume.
    below: Option<Box<Self>>,
    _files: TempDir,
}

impl Volume {
    /// A file system in memory with room for so many bytes.
    ///
    /// # Errors
    /// Why there cannot be one here.
    pub fn tmpfs(bytes: u64) -> Result<Self, String> {
        let mut volume = Self::unmounted("tmpfs", TempDir::in_memory())?;
        let size = format!("size={bytes}");
        let mount = text(&volume.mount)?;
        run(
            "mount",
            &["-t", "tmpfs", "-o", &size, "segwal-test", &mount],
        )?;
        volume.is_mounted = true;
        Ok(volume)
    }

    /// An ext4 file system of so many bytes on a loop device.
    ///
    /// # Errors
    /// Why there cannot be one here.
    pub fn ext4(bytes: u64, image: Image) -> Result<Self, String> {
        let files = TempDir::on_disk();
        let path = files.join("image");
        make_image(&path, bytes, image)?;
        let lazy = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        run(
            "mkfs.ext4",
            &["-q", "-F", "-b", "4096", "-E", lazy, &text(&path)?],
        )?;
        Self::unmounted("ext4", files)?.on_loop(&path, "--direct-io=on")
    }

    /// An XFS file system of so many bytes, at least 300 MiB, on a loop device.
    ///
    /// # Errors
    /// Why there cannot be one here.
    pub fn xfs(bytes: u64) -> Result<Self, String> {
        let files = TempDir::on_disk();
        let path = files.join("image");
        make_image(&path, bytes, Image::Sparse)?;
        run("mkfs.xfs", &["-q", "-f", "-K", &text(&path)?])?;
        Self::unmounted("xfs", files)?.on_loop(&path, "--direct-io=on")
    }

    /// An ext4 file system of so many bytes, without a journal, whose image lies block by block on a file system in memory
    /// with only `room` bytes: space that it gives away need not be there.
    ///
    /// # Errors
    /// Why there cannot be one here.
    pub fn thin_ext4(bytes: u64, room: u64) -> Result<Self, String> {
        const METADATA: &str = "2M";
        let below = Self::tmpfs(room)?;
        let path = below.path().join("image");
        make_image(&path, bytes, Image::Sparse)?;
        let image = text(&path)?;
        let options = "-q -F -b 4096 -N 64 -O ^has_journal -E nodiscard";
        let options: Vec<_> = options.split(' ').chain([image.as_str()]).collect();
        run("mkfs.ext4", &options)?;
        // What the file system writes of its own has room, so that only files meet the want of it.
        run("fallocate", &["--length", METADATA, &image])?;
        let mut volume = Self::unmounted("ext4", TempDir::in_memory())?;
        volume.below = Some(Box::new(below));
        volume.on_loop(&path, "--direct-io=off")
    }

    fn unmounted(kind: &'static str, files: TempDir) -> Result<Self, String> {
        let mount = files.join("mount");
        fs::create_dir(&mount).map_err(|error| error.to_string())?;
        Ok(Self {
            kind,
            mount,
            is_mounted: false,
            device: None,
            below: None,
            _files: files,
        })
    }

    fn on_loop(mut self, image: &Path, direct: &str) -> Result<Self, String> {
        let device = run("losetup", &["--find", "--show", direct, &text(image)?])?;
        self.device = Some(device);
        self.mount()?;
        self.is_mounted = true;
        Ok(self)
    }

    fn mount(&self) -> Result<(), String> {
        let device = self.device.as_deref().unwrap_or_default();
        let mount = text(&self.mount)?;
        run("mount", &["-t", self.kind, "-o", "noatime", device, &mount]).map(drop)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Empties the page cache of the volume, as a boot does: only what is read from now on shapes it.
    ///
    /// # Errors
    /// What a tool said.
    pub fn remount(&self) -> Result<(), String> {
        unmount(&self.mount)?;
        self.mount()
    }

    /// Gives the file system below, which [`Volume::thin_ext4`] made, so many bytes of room.
    ///
    /// # Errors
    /// What a tool said.
    pub fn make_room_below(&self, bytes: u64) -> Result<(), String> {
        let below = self.below.as_ref().ok_or("nothing lies below")?;
        let size = format!("remount,size={bytes}");
        run("mount", &["-o", &size, &text(&below.mount)?]).map(drop)
    }

    /// How many bytes a file could have.
    ///
    /// # Errors
    /// What a tool said.
    pub fn free_bytes(&self) -> Result<u64, String> {
        let found = run("stat", &["-f", "-c", "%a %S", &text(&self.mount)?])?;
        let numbers: Vec<u64> = found
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        match numbers[..] {
            [blocks, size] => Ok(blocks * size),
            _ => Err(format!("stat said {found:?}")),
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted {
            report(unmount(&self.mount));
        }
        if let Some(device) = &self.device {
            report(run("losetup", &["--detach", device]));
        }
    }
}

fn make_image(path: &Path, bytes: u64, image: Image) -> Result<(), String> {
    let made = match image {
        Image::Sparse => fs::File::create(path).and_then(|file| file.set_len(bytes)),
        Image::Written => fs::write(path, vec![0; bytes as usize]),
    };
    made.map_err(|error| format!("{}: {error}", path.display()))
}

fn text(path: &Path) -> Result<String, String> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("{} is no text", path.display()))
}

/// A process that another test forks holds for an instant what was open at that moment.
fn unmount(mount: &Path) -> Result<String, String> {
    let mount = text(mount)?;
    let mut result = run("umount", &[&mount]);
    // The last error is the answer, if the volume stays busy.
    let _in_time = wait_until(LIMIT, || {
        if result.is_err() {
            result = run("umount", &[&mount]);
        }
        result.is_ok()
    });
    result
}

fn report(result: Result<String, String>) {
    if let Err(error) = result {
        println!("left behind: {error}");
    }
}
