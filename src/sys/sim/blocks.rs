//! [`Blocks`]: what of a simulated file lies in blocks that another file has as well.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::PAGE_SIZE;

/// Which pages share their blocks with a copy. The copy itself is not simulated, apart from the room that it takes, whatever
/// becomes of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    shared: BTreeSet<usize>,
}

impl Blocks {
    /// The first `len` bytes are shared from now on.
    pub(super) fn share(&mut self, len: usize) {
        self.shared = (0..len.div_ceil(PAGE_SIZE)).collect();
    }

    /// How many bytes of new blocks stores into `range` need.
    pub(super) fn wanting(&self, range: &Range<usize>) -> usize {
        self.shared.range(pages(range)).count() * PAGE_SIZE
    }

    /// Gives the pages that `range` touches blocks of their own.
    pub(super) fn own(&mut self, range: &Range<usize>) {
        let pages = pages(range);
        self.shared.retain(|page| !pages.contains(page));
    }

    /// The bytes of the blocks that the copy has as well.
    pub(super) fn shared_bytes(&self) -> usize {
        self.shared.len() * PAGE_SIZE
    }
}

fn pages(range: &Range<usize>) -> Range<usize> {
    if range.is_empty() {
        return 0..0;
    }
    range.start / PAGE_SIZE..range.end.div_ceil(PAGE_SIZE)
}
