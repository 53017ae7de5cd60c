//! [`Machine`]: the state that all handles of a simulated disk share, and the rule on who may still do something.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{error, fmt};

use crate::sync::{Mutex, MutexGuard};

use super::super::FileSystem;
use super::directory::Node;
use super::fault::{Effect, Faults, Op, Touch};
use super::file::Written;
use super::tree::Tree;

/// Tells the disks of a process, and their lives, apart.
fn next_device() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: only a number.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Every handle made under an earlier life is dead.
pub(super) type Life = u64;

pub(super) type Shared = Arc<Mutex<Machine>>;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) tree: Tree,
    pub(super) life: Life,
    /// What files are identified by: no other disk's, and no other life's, since a process that died holds none of them.
    pub(super) device: u64,
    pub(super) is_off: bool,
    pub(super) faults: Faults,
    /// The bytes that named files may have in all.
    pub(super) capacity: Option<usize>,
    pub(super) file_system: FileSystem,
    /// The bytes of copies by reflink, which are on the disk and in no directory.
    pub(super) copies: usize,
    /// What was stored and synced, once somebody wants to know.
    pub(super) touches: Option<Vec<Touch>>,
}

/// How an operation that may go on does so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Honest,
    /// It answers that it did, and did not.
    Lying,
    /// Only the first words of a store become visible before the machine stops.
    Torn {
        words: usize,
    },
    /// Only the first half of what has a length is done.
    Short,
}

/// The machine has no power, or the process that the handle belonged to is dead.
#[derive(Debug)]
struct MachineIsOff;

impl fmt::Display for MachineIsOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated machine is off")
    }
}

impl error::Error for MachineIsOff {}

/// Whether `error` says that nothing can be done any more, in place of a fault of the disk.
pub fn is_machine_off(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn error::Error + Send + Sync>::is::<MachineIsOff>)
}

/// The state, whether or not a thread panicked with it: every change of it is complete.
pub(super) fn lock(machine: &Shared) -> MutexGuard<'_, Machine> {
    machine.lock()
}

impl Machine {
    pub(super) fn new(tree: Tree) -> Self {
        Self {
            tree,
            life: 0,
            device: next_device(),
            is_off: false,
            faults: Faults::default(),
            capacity: None,
            file_system: FileSystem::Ext,
            copies: 0,
            touches: None,
        }
    }

    pub(super) fn is_alive(&self, life: Life) -> bool {
        life == self.life && !self.is_off
    }

    /// Counts an operation of a handle of `life`, and says how it goes.
    pub(super) fn begin(&mut self, life: Life, op: Op) -> io::Result<Way> {
        if !self.is_alive(life) {
            return Err(io::Error::other(MachineIsOff));
        }
        match self.faults.meet(op) {
            None => Ok(Way::Honest),
            Some(Effect::Lie) => Ok(Way::Lying),
            Some(Effect::Tear { words }) => Ok(Way::Torn { words }),
            Some(Effect::Short) => Ok(Way::Short),
            Some(Effect::Fail(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Effect::PowerOff) => {
                self.stop();
                Err(io::Error::other(MachineIsOff))
            }
        }
    }

    /// As [`Machine::begin`], for a sync: says what `write_out` is told, if anything is to be done at all.
    pub(super) fn begin_sync(
        &mut self,
        life: Life,
        op: Op,
        write_out: impl FnOnce(&mut Tree, Written),
    ) -> io::Result<()> {
        match self.begin(life, op) {
            Ok(Way::Honest | Way::Short | Way::Torn { .. }) => {
                write_out(&mut self.tree, Written::Yes);
            }
            Ok(Way::Lying) => {}
            Err(error) if is_machine_off(&error) => return Err(error),
            Err(error) => {
                write_out(&mut self.tree, Written::Stranded);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Notes what an operation did, if that is wanted.
    pub(super) fn touch(&mut self, op: Op, node: Node, range: Range<usize>) {
        if let Some(touches) = &mut self.touches {
            touches.push(Touch {
                op,
                file: node as u64,
                range: range.start as u64..range.end as u64,
            });
        }
    }

    /// From now on nothing of the present life has an effect.
    pub(super) fn stop(&mut self) {
        self.is_off = true;
        self.tree
            .files_mut()
            .for_each(super::file::FileImage::detach);
    }

    /// Begins a new life on `tree`, which shares no memory with the one before.
    pub(super) fn start(&mut self, tree: Tree) -> Life {
        self.tree = tree;
        self.faults = Faults::default();
        self.is_off = false;
        self.life += 1;
        self.device = next_device();
        self.life
    }

    /// Makes the file longer, as far as there is space.
    pub(super) fn extend(&mut self, node: Node, size: usize) -> io::Result<()> {
        let len = self.tree.file(node).len();
        if size <= len {
            return Ok(());
        }
        if self.tree.file(node).is_mapped() {
            return Err(io::Error::new(
                ErrorKind::ResourceBusy,
                "the simulated disk extends no mapped file",
            ));
        }
        let possible = size.min(len.saturating_add(self.free()));
        self.tree.file_mut(node).resize(possible);
        if possible < size {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    }

    /// Gives the file blocks of its own in `range`, if there is space; how many bytes were shared.
    pub(super) fn own(&mut self, node: Node, range: &Range<usize>) -> io::Result<usize> {
        let wanting = self.tree.file(node).blocks.wanting(range);
        if wanting > 0 && wanting > self.free() {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.tree.file_mut(node).blocks.own(range);
        Ok(wanting)
    }

    pub(super) fn used(&self) -> usize {
        self.tree.used() + self.copies
    }

    fn free(&self) -> usize {
        self.capacity
            .map_or(usize::MAX, |capacity| capacity.saturating_sub(self.used()))
    }
}
