//! [`MappedImage`]: a mapping of a simulated file.

#![expect(unsafe_code, reason = "its contract is that of the real mapping")]

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::{Kept, PAGE_SIZE, Populated};
use super::directory::Node;
use super::fault::Op;
use super::machine::{Life, Machine, Shared, Way, lock};
use super::memory::Memory;

/// The first `size` bytes of a file. When its life ends the memory stays with it, and the file goes on with a copy.
pub(in super::super) struct MappedImage {
    machine: Shared,
    life: Life,
    node: Node,
    memory: Arc<Memory>,
    size: usize,
    present: Mutex<Present>,
}

/// The pages that were brought in through the mapping since the page cache last lost any.
#[derive(Debug, Default)]
struct Present {
    evictions: u64,
    pages: BTreeSet<usize>,
}

impl MappedImage {
    pub(super) fn new(
        machine: Shared,
        life: Life,
        node: Node,
        memory: Arc<Memory>,
        size: usize,
    ) -> Self {
        Self {
            machine,
            life,
            node,
            memory,
            size,
            present: Mutex::default(),
        }
    }

    pub(in super::super) fn size(&self) -> usize {
        self.size
    }

    pub(in super::super) fn base(&self) -> *const u8 {
        self.memory.start()
    }

    /// Stores into the live image, or into memory that only the dead process sees.
    ///
    /// # Safety
    /// The bytes lie in the mapping, and M1 and M2 of [`Mapping`](super::super::Mapping) hold for them.
    pub(in super::super) unsafe fn store(&self, offset: usize, bytes: &[u8]) {
        let mut machine = lock(&self.machine);
        if !machine.is_alive(self.life) {
            return self.memory.store(offset, bytes);
        }
        match machine.begin(self.life, Op::Store) {
            Ok(Way::Torn { words }) => {
                let visible = (offset - offset % 8 + 8 * words).saturating_sub(offset);
                self.change(&mut machine, offset, &bytes[..visible.min(bytes.len())]);
                machine.stop();
                self.memory.store(offset, bytes);
            }
            Err(_) if machine.is_off => self.memory.store(offset, bytes),
            // A store has no way to fail.
            Ok(Way::Honest | Way::Lying | Way::Short) | Err(_) => {
                self.change(&mut machine, offset, bytes);
            }
        }
    }

    fn change(&self, machine: &mut Machine, offset: usize, bytes: &[u8]) {
        let range = offset..offset + bytes.len();
        assert!(
            range.end <= machine.tree.file(self.node).len(),
            "a store beyond the end of the file raises SIGBUS"
        );
        assert!(
            machine.own(self.node, &range).is_ok(),
            "a store into shared blocks on a full disk raises SIGBUS"
        );
        machine.tree.file_mut(self.node).write(offset, bytes);
        machine.touch(Op::Store, self.node, range.clone());
        self.bring_in(machine, range);
    }

    fn bring_in(&self, machine: &Machine, range: Range<usize>) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let evictions = machine.tree.file(self.node).evictions;
        if present.evictions != evictions {
            *present = Present {
                evictions,
                pages: BTreeSet::new(),
            };
        }
        let pages = range.start / PAGE_SIZE..range.end.div_ceil(PAGE_SIZE);
        present.pages.extend(pages);
    }

    pub(in super::super) fn sync(&self, range: Range<usize>) -> io::Result<()> {
        let mut machine = lock(&self.machine);
        machine.begin_sync(self.life, Op::MapSync, |tree, written| {
            tree.file_mut(self.node).sync_pages(&range, written);
        })?;
        machine.touch(Op::MapSync, self.node, range);
        Ok(())
    }

    pub(in super::super) fn populate_write(&self, range: Range<usize>) -> io::Result<Populated> {
        let mut machine = lock(&self.machine);
        machine.begin(self.life, Op::Populate)?;
        let owned = machine.own(self.node, &range);
        owned.map_err(|_| io::Error::from_raw_os_error(libc::EFAULT))?;
        self.bring_in(&machine, range);
        Ok(Populated::Done)
    }

    pub(in super::super) fn kept(&self) -> Kept {
        let machine = lock(&self.machine);
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = machine.is_alive(self.life)
            && present.evictions == machine.tree.file(self.node).evictions
            && present.pages.len() == self.size.div_ceil(PAGE_SIZE);
        if whole { Kept::Whole } else { Kept::Lost }
    }

    pub(in super::super) fn release(&self) -> io::Result<()> {
        lock(&self.machine).begin(self.life, Op::Advise)?;
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.pages.clear();
        Ok(())
    }
}

impl fmt::Debug for MappedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedImage")
            .field("node", &self.node)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
