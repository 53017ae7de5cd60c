//! [`MappedImage`]: a mapping of a simulated file.

#![expect(unsafe_code, reason = "its contract is that of the real mapping")]

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::super::Populated;
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
            Ok(Way::Honest | Way::Lying) | Err(_) => self.change(&mut machine, offset, bytes),
        }
    }

    fn change(&self, machine: &mut Machine, offset: usize, bytes: &[u8]) {
        let file = machine.tree.file_mut(self.node);
        assert!(
            offset + bytes.len() <= file.len(),
            "a store beyond the end of the file raises SIGBUS"
        );
        file.write(offset, bytes);
    }

    pub(in super::super) fn sync(&self, range: Range<usize>) -> io::Result<()> {
        lock(&self.machine).begin_sync(self.life, Op::MapSync, |tree, written| {
            tree.file_mut(self.node).sync_pages(&range, written);
        })
    }

    pub(in super::super) fn populate(&self) -> io::Result<Populated> {
        lock(&self.machine).begin(self.life, Op::Populate)?;
        Ok(Populated::Done)
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
