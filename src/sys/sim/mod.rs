//! [`SimDisk`]: a disk in memory that knows what is durable and what is not, and does what it is told to do wrong.
//!
//! It holds, beside what processes see, what a power cut may leave: for each sector of 512 bytes that changed since its
//! last sync every version from the durable one on, for each file the lengths, for each directory the changes of names.
//! Each of these is chosen on its own, which is all that POSIX promises and more disorder than a journal allows.
//!
//! A [`SimDisk`] is one *life*: what one process can do with the disk. [`SimDisk::kill`] and [`SimDisk::power_cut`] end the
//! life and return the next; handles of an ended life fail, its mappings become private memory, its locks are released.
//!
//! ```text
//! kill:       page cache and unsynced names stay               (the process died)
//! power_cut:  each unsynced thing is old, between, or new      (the machine lost power)
//! ```
//!
//! Both ways can be combined: a kill, an open, and then a power cut finds an engine that trusts what it merely saw.
//!
//! Limits: names are removed and renamed within one directory, directories are never removed, links do not exist, a mapped
//! file does not grow. A failed sync leaves its sectors as the kernel
//! does: not written, yet not dirty either, so that a later sync does not save them.

mod blocks;
mod chooser;
mod directory;
mod disk;
mod fault;
mod file;
mod handle;
mod machine;
mod mapped;
mod memory;
#[cfg(test)]
mod tests;
mod tree;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sync::Mutex;

use super::FileSystem;
use chooser::Chooser;
use fault::Effect;
pub use fault::{Op, Repeat, Touch, When};
use file::FileImage;
pub use machine::is_machine_off;
use machine::{Life, Machine, Shared, lock};
pub(super) use mapped::MappedImage;
use tree::{Found, Tree};

/// What the device writes whole or not at all, apart from tears.
pub const SECTOR: usize = 512;

/// No simulated file is longer.
const LONGEST: usize = 1 << 31;

/// A disk in memory, as one process sees it; clones are the same process.
#[derive(Clone)]
pub struct SimDisk {
    machine: Shared,
    life: Life,
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk, with the directory `/` only.
    pub fn new() -> Self {
        Self::of_tree(Tree::new())
    }

    fn of_tree(tree: Tree) -> Self {
        Self {
            machine: Arc::new(Mutex::new(Machine::new(tree))),
            life: 0,
        }
    }

    /// The process dies: what it wrote stays in the page cache, what it did with names stays visible, nothing becomes
    /// durable. Faults end with it, and operations are counted from zero again.
    #[must_use = "the next process works with the disk that is returned"]
    pub fn kill(&self) -> Self {
        let mut machine = lock(&self.machine);
        let tree = machine.tree.copy();
        self.next_life(machine.start(tree))
    }

    /// The machine loses power and starts again; `seed` decides what is left of all that was not durable. Faults end with
    /// it, and operations are counted from zero again.
    #[must_use = "the next process works with the disk that is returned"]
    pub fn power_cut(&self, seed: u64) -> Self {
        self.power_cut_by(&mut Chooser::random(seed))
    }

    /// As [`SimDisk::power_cut`], with an answer for each of the [`SimDisk::dirty`] choices: whether the new state is left,
    /// or the durable one. Missing answers mean the durable one.
    #[must_use = "the next process works with the disk that is returned"]
    pub fn power_cut_choice(&self, new: &[bool]) -> Self {
        self.power_cut_by(&mut Chooser::given(new))
    }

    fn power_cut_by(&self, chooser: &mut Chooser<'_>) -> Self {
        let mut machine = lock(&self.machine);
        let tree = machine.tree.after_power_cut(chooser);
        self.next_life(machine.start(tree))
    }

    fn next_life(&self, life: Life) -> Self {
        Self {
            machine: Shared::clone(&self.machine),
            life,
        }
    }

    /// Another disk, as this one would be after a power cut; this one goes on. The cheapest way to many crash states.
    #[must_use]
    pub fn crash_image(&self, seed: u64) -> Self {
        self.image(|tree| tree.after_power_cut(&mut Chooser::random(seed)))
    }

    /// As [`SimDisk::crash_image`], of a device that may lose all of a block of 4096 bytes which it is writing: it then reads
    /// as zeros, with what was durable in it. What lies below offset `from` of a file is not lost in this way.
    #[must_use]
    pub fn crash_image_losing_blocks(&self, seed: u64, from: u64) -> Self {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        self.image(|tree| tree.after_power_cut(&mut Chooser::losing_blocks(seed, from)))
    }

    /// As [`SimDisk::crash_image`], with the answers of [`SimDisk::power_cut_choice`].
    #[must_use]
    pub fn crash_image_choice(&self, new: &[bool]) -> Self {
        self.image(|tree| tree.after_power_cut(&mut Chooser::given(new)))
    }

    /// Another disk with the same contents, durable and not; this one goes on. The other has no handles, locks or faults.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        self.image(Tree::copy)
    }

    fn image(&self, of: impl FnOnce(&Tree) -> Tree) -> Self {
        let machine = lock(&self.machine);
        let image = Self::of_tree(of(&machine.tree));
        let mut other = lock(&image.machine);
        other.file_system = machine.file_system;
        other.capacity = machine.capacity;
        other.copies = machine.copies;
        drop(other);
        image
    }

    /// How many things a power cut now would leave old or new.
    pub fn dirty(&self) -> usize {
        lock(&self.machine).tree.choices()
    }

    /// Whether nothing that this process does has an effect any more.
    pub fn is_off(&self) -> bool {
        !lock(&self.machine).is_alive(self.life)
    }

    /// The operations since the start, in order.
    pub fn operations(&self) -> Vec<Op> {
        lock(&self.machine).faults.log().to_vec()
    }

    /// How many operations there were since the start: the index of the next one.
    pub fn operation_count(&self) -> u64 {
        lock(&self.machine).faults.log().len() as u64
    }

    /// From now on notes which bytes are stored, written and synced, for [`touches`](Self::touches).
    pub fn record_touches(&self) {
        lock(&self.machine).touches = Some(Vec::new());
    }

    /// What was stored, written and synced since [`record_touches`](Self::record_touches), in order. A sync that failed is
    /// not among it; one that lied is.
    pub fn touches(&self) -> Vec<Touch> {
        lock(&self.machine).touches.clone().unwrap_or_default()
    }

    /// The number of a file in [`touches`](Self::touches), which it keeps when it is renamed. No operation, and no fault
    /// meets it.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn file_number(&self, path: &Path) -> io::Result<u64> {
        let machine = lock(&self.machine);
        Ok(machine.tree.find_file(path)? as u64)
    }

    /// Has an operation fail with an error number, without an effect; a failing sync also makes nothing durable later. A
    /// store cannot fail, so it ignores this.
    pub fn fail_at(&self, when: When, errno: i32, repeat: Repeat) {
        self.inject(when, repeat, Effect::Fail(errno));
    }

    /// Has a sync answer that all is durable and make nothing so; other operations ignore this.
    pub fn lie_at(&self, when: When, repeat: Repeat) {
        self.inject(when, repeat, Effect::Lie);
    }

    /// Has the machine stop in the middle of a store or write, after this many 8-byte words; others ignore this.
    pub fn tear_at(&self, when: When, words: usize) {
        self.inject(when, Repeat::Once, Effect::Tear { words });
    }

    /// Has an operation do only half of what has a length: a read gives half of the bytes, as if the file ended there; a write
    /// or an allocation changes the first half and fails, as on a disk that is full then. Others ignore this.
    pub fn short_at(&self, when: When, repeat: Repeat) {
        self.inject(when, repeat, Effect::Short);
    }

    /// Has the machine stop before an operation: neither that one nor any later one has an effect, and all fail with an
    /// error that [`is_machine_off`] knows. Followed by [`SimDisk::kill`] it is the death of the process there.
    pub fn power_off_at(&self, when: When) {
        self.inject(when, Repeat::Once, Effect::PowerOff);
    }

    fn inject(&self, when: When, repeat: Repeat, effect: Effect) {
        lock(&self.machine).faults.inject(when, repeat, effect);
    }

    /// Ends all faults, those that repeat themselves as well.
    pub fn clear_faults(&self) {
        lock(&self.machine).faults.clear();
    }

    /// Leaves this much free space, or as much as anybody wants.
    pub fn set_free_bytes(&self, free: Option<u64>) {
        let mut machine = lock(&self.machine);
        let used = machine.used();
        machine.capacity =
            free.map(|free| used.saturating_add(usize::try_from(free).unwrap_or(usize::MAX)));
    }

    /// Makes a copy by reflink of a file, which shares all of its blocks: each store into a page of the file then needs a new
    /// block, and raises `SIGBUS` (a panic here) where there is none. No operation, and no fault meets it.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn share(&self, path: &Path) -> io::Result<()> {
        let mut machine = lock(&self.machine);
        let node = machine.tree.find_file(path)?;
        let file = machine.tree.file_mut(node);
        let len = file.len();
        file.blocks.share(len);
        machine.copies += len;
        Ok(())
    }

    /// Has the page cache lose the pages of a file, mapped or not; its bytes stay. No operation, and no fault meets it.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn evict(&self, path: &Path) -> io::Result<()> {
        let tree = &mut lock(&self.machine).tree;
        let node = tree.find_file(path)?;
        tree.file_mut(node).evictions += 1;
        Ok(())
    }

    /// Which file system the disk says it has: ext4 unless told otherwise.
    pub fn set_file_system(&self, file_system: FileSystem) {
        lock(&self.machine).file_system = file_system;
    }

    /// The bytes of a file, as processes see them. No operation, and no fault meets it.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let machine = lock(&self.machine);
        let node = machine.tree.find_file(path)?;
        Ok(machine.tree.file(node).bytes().to_vec())
    }

    /// Gives a file these bytes, visible and durable, with its name and the directories above. Who has it open keeps the
    /// old one. No operation, and no fault meets it.
    ///
    /// # Errors
    /// `InvalidInput` if the path has no name or goes up; `NotADirectory` if a file is in the way.
    pub fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let tree = &mut lock(&self.machine).tree;
        let mut so_far = PathBuf::new();
        for part in path.parent().unwrap_or(Path::new("")).components() {
            so_far.push(part);
            make_dir_durably(tree, &so_far)?;
        }
        let (dir, name) = tree.place(path)?;
        let node = tree.add_file(FileImage::durable(bytes));
        tree.names_mut(dir).link_durably(name, node);
        Ok(())
    }

    /// Turns one bit of a file over, visibly and durably. No operation, and no fault meets it.
    ///
    /// # Errors
    /// Those of opening the file; `InvalidInput` if it has no such bit.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut bytes = self.read_file(path)?;
        let index = usize::try_from(bit / 8).ok();
        let byte = index
            .and_then(|index| bytes.get_mut(index))
            .ok_or(io::ErrorKind::InvalidInput)?;
        *byte ^= 1 << (bit % 8);
        self.write_file(path, &bytes)
    }

    /// Removes a file, visibly and durably. No operation, and no fault meets it.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        let tree = &mut lock(&self.machine).tree;
        tree.find_file(path)?;
        let (dir, name) = tree.place(path)?;
        tree.names_mut(dir).unlink_durably(name);
        Ok(())
    }

    /// The names in a directory, as processes see them, in order. No operation, and no fault meets it.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`.
    pub fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let machine = lock(&self.machine);
        let dir = machine.tree.dir(dir)?;
        Ok(machine.tree.list(dir))
    }
}

fn make_dir_durably(tree: &mut Tree, dir: &Path) -> io::Result<()> {
    if let Ok((parent, name)) = tree.place(dir)
        && tree.find(parent, name) == Found::Nothing
    {
        let node = tree.add_dir();
        tree.names_mut(parent).link_durably(name, node);
    }
    tree.dir(dir).map(drop)
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}
