//! [`FileImage`]: the live bytes of a simulated file, and what of them need not survive.
//!
//! The page cache is the live image. For each sector that changed since its last sync there are its earlier versions, the
//! durable one first; for the length as well. So what is clean costs nothing, and a power cut picks one version of each.
//!
//! A sync that fails leaves the kernel with pages that it takes for clean and never wrote. Such sectors are *stranded*: no
//! later sync makes them durable until a store makes their page dirty again, as in Linux.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::super::PAGE_SIZE;
use super::SECTOR;
use super::blocks::Blocks;
use super::chooser::{Chooser, Left};
use super::memory::Memory;

/// More versions of a sector than these are not told apart: the oldest between the durable and the newest goes.
const MOST_VERSIONS: usize = 16;
const SECTORS_PER_PAGE: usize = PAGE_SIZE / SECTOR;

#[derive(Debug)]
pub(super) struct FileImage {
    memory: Arc<Memory>,
    len: usize,
    /// The lengths before the present one since the last sync, the durable one first.
    earlier_lens: Vec<usize>,
    dirty: BTreeMap<usize, Versions>,
    has_stranded: bool,
    pub(super) is_locked: bool,
    pub(super) blocks: Blocks,
    /// How many times the page cache has lost the file's pages.
    pub(super) evictions: u64,
}

/// The versions of a sector before the live one, the durable one first.
#[derive(Clone, Debug, Default)]
struct Versions {
    earlier: Vec<[u8; SECTOR]>,
    is_stranded: bool,
}

/// How a sync ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    /// It failed, and the kernel will not try again.
    Stranded,
}

impl FileImage {
    pub(super) fn empty() -> Self {
        Self::clean(Memory::zeroed(0), 0)
    }

    /// A file that has been durable for ever.
    pub(super) fn durable(bytes: &[u8]) -> Self {
        let memory = Memory::zeroed(bytes.len());
        memory.store(0, bytes);
        Self::clean(memory, bytes.len())
    }

    fn clean(memory: Memory, len: usize) -> Self {
        Self {
            memory: Arc::new(memory),
            len,
            earlier_lens: Vec::new(),
            dirty: BTreeMap::new(),
            has_stranded: false,
            is_locked: false,
            blocks: Blocks::default(),
            evictions: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.memory.bytes(0..self.len)
    }

    pub(super) fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory)
    }

    pub(super) fn is_mapped(&self) -> bool {
        Arc::strong_count(&self.memory) > 1
    }

    /// Leaves the memory to those who have it mapped, and goes on with a copy.
    pub(super) fn detach(&mut self) {
        if self.is_mapped() {
            self.memory = Arc::new(self.memory.copy(0));
        }
    }

    /// Changes the length; a file that grows is not mapped.
    pub(super) fn resize(&mut self, len: usize) {
        if len == self.len {
            return;
        }
        if len > self.memory.size() {
            self.memory = Arc::new(self.memory.copy(len));
        }
        if len < self.len {
            // What is cut off reads as zero when the file grows again.
            self.change(len, &vec![0; self.len - len]);
        }
        self.earlier_lens.push(self.len);
        self.len = len;
    }

    /// Writes `bytes`, beyond the end as well.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if offset + bytes.len() > self.len {
            self.resize(offset + bytes.len());
        }
        self.change(offset, bytes);
    }

    /// Changes bytes of the live image and keeps the versions of the sectors from before.
    fn change(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.has_stranded {
            self.dirty_pages(offset..end);
        }
        let mut at = offset;
        while at < end {
            let sector = at / SECTOR;
            let until = end.min((sector + 1) * SECTOR);
            let part = &bytes[at - offset..until - offset];
            if self.memory.bytes(at..until) != part {
                self.keep_version(sector);
                self.memory.store(at, part);
            }
            at = until;
        }
    }

    fn keep_version(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let mut version = [0; SECTOR];
        version.copy_from_slice(self.memory.bytes(start..start + SECTOR));
        let earlier = &mut self.dirty.entry(sector).or_default().earlier;
        if earlier.len() == MOST_VERSIONS {
            earlier.remove(1);
        }
        earlier.push(version);
    }

    /// The kernel takes the pages for dirty again, so the next sync writes them.
    fn dirty_pages(&mut self, range: Range<usize>) {
        for versions in self.dirty.range_mut(sectors_of_pages(&range)) {
            versions.1.is_stranded = false;
        }
    }

    /// Syncs the pages that `range` touches.
    pub(super) fn sync_pages(&mut self, range: &Range<usize>, written: Written) {
        let sectors = sectors_of_pages(range);
        match written {
            Written::Yes if self.has_stranded => {
                self.dirty
                    .retain(|sector, versions| !sectors.contains(sector) || versions.is_stranded);
            }
            Written::Yes => self.dirty.retain(|sector, _| !sectors.contains(sector)),
            Written::Stranded => {
                self.has_stranded = true;
                self.dirty
                    .range_mut(sectors)
                    .for_each(|(_, versions)| versions.is_stranded = true);
            }
        }
    }

    /// Syncs all bytes, and the length.
    pub(super) fn sync(&mut self, written: Written) {
        let size = self.memory.size();
        self.sync_pages(&(0..size), written);
        if written == Written::Yes {
            self.earlier_lens.clear();
        }
    }

    /// How many choices between old and new [`FileImage::after_power_cut`] makes.
    pub(super) fn choices(&self) -> usize {
        self.dirty.len() + usize::from(!self.earlier_lens.is_empty())
    }

    /// What is left, all of it durable.
    pub(super) fn after_power_cut(&self, chooser: &mut Chooser<'_>) -> Self {
        let memory = self.memory.copy(0);
        let len = self.len_after_power_cut(chooser);
        for (&sector, versions) in &self.dirty {
            let count = versions.earlier.len() + 1;
            match chooser.sector(count) {
                Left::Whole(version) => self.put(&memory, sector, versions, version, SECTOR),
                Left::Torn { version, words } => {
                    self.put(&memory, sector, versions, version - 1, SECTOR);
                    self.put(&memory, sector, versions, version, words * 8);
                }
            }
        }
        let mut pages: Vec<_> = self
            .dirty
            .keys()
            .map(|sector| sector / SECTORS_PER_PAGE)
            .collect();
        pages.dedup();
        for page in pages {
            if chooser.loses_block(page * PAGE_SIZE) {
                let size = memory
                    .size()
                    .saturating_sub(page * PAGE_SIZE)
                    .min(PAGE_SIZE);
                memory.store(page * PAGE_SIZE, &vec![0; size]);
            }
        }
        memory.store(len, &vec![0; memory.size() - len]);
        Self {
            blocks: self.blocks.clone(),
            ..Self::clean(memory, len)
        }
    }

    fn len_after_power_cut(&self, chooser: &mut Chooser<'_>) -> usize {
        if self.earlier_lens.is_empty() {
            return self.len;
        }
        let version = chooser.version(self.earlier_lens.len() + 1);
        self.earlier_lens.get(version).copied().unwrap_or(self.len)
    }

    /// Puts the first `len` bytes of a version into `memory`.
    fn put(&self, memory: &Memory, sector: usize, versions: &Versions, version: usize, len: usize) {
        let start = sector * SECTOR;
        match versions.earlier.get(version) {
            Some(bytes) => memory.store(start, &bytes[..len]),
            None => memory.store(start, self.memory.bytes(start..start + len)),
        }
    }

    /// A copy with everything that is not durable, that nobody has mapped or locked.
    pub(super) fn copy(&self) -> Self {
        Self {
            memory: Arc::new(self.memory.copy(0)),
            len: self.len,
            earlier_lens: self.earlier_lens.clone(),
            dirty: self.dirty.clone(),
            has_stranded: self.has_stranded,
            is_locked: false,
            blocks: self.blocks.clone(),
            evictions: self.evictions,
        }
    }
}

fn sectors_of_pages(range: &Range<usize>) -> Range<usize> {
    if range.is_empty() {
        return 0..0;
    }
    range.start / PAGE_SIZE * SECTORS_PER_PAGE..range.end.div_ceil(PAGE_SIZE) * SECTORS_PER_PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(file: &FileImage, new: &[bool]) -> Vec<u8> {
        file.after_power_cut(&mut Chooser::given(new))
            .bytes()
            .to_vec()
    }

    #[test]
    fn every_sector_and_the_length_choose_on_their_own() {
        let mut file = FileImage::durable(&[1; 1024]);
        file.write(0, &[2; 1024]);
        file.write(1024, &[3; 10]);
        assert_eq!(file.choices(), 4);
        assert_eq!(after(&file, &[]), [1; 1024]);
        assert_eq!(
            after(&file, &[false, true, false]),
            [[2; 512], [1; 512]].concat()
        );
        assert_eq!(
            after(&file, &[true, false, true, false])[512..],
            [&[2; 512][..], &[0; 10]].concat()
        );
        assert_eq!(after(&file, &[true; 4]), file.bytes());
    }

    #[test]
    fn versions_between_are_left_by_chance() {
        let mut file = FileImage::durable(&[0; 512]);
        for version in 1..=3 {
            file.write(0, &[version; 512]);
        }
        let mut seen = [false; 4];
        for seed in 0..200 {
            let left = file.after_power_cut(&mut Chooser::random(seed));
            let first = usize::from(left.bytes()[0]);
            seen[first] = true;
            // A tear leaves the version before in the rest, never a mixture within a word.
            assert!(
                left.bytes()
                    .chunks(8)
                    .all(|word| word.iter().all(|&byte| byte == word[0]))
            );
        }
        assert_eq!(seen, [true; 4]);
    }

    #[test]
    fn sync_of_a_range_covers_its_pages_and_not_the_length() {
        let mut file = FileImage::empty();
        file.resize(3 * PAGE_SIZE);
        file.write(0, &[1; 3 * PAGE_SIZE]);
        file.sync_pages(&(PAGE_SIZE + 10..PAGE_SIZE + 11), Written::Yes);
        assert_eq!(file.choices(), 1 + 16);
        assert_eq!(
            after(&file, &[true])[PAGE_SIZE..2 * PAGE_SIZE],
            [1; PAGE_SIZE]
        );
        assert!(after(&file, &[]).is_empty());
        file.sync(Written::Yes);
        assert_eq!(file.choices(), 0);
    }

    #[test]
    fn failed_sync_is_not_made_good_by_another() {
        let mut file = FileImage::durable(&[0; PAGE_SIZE]);
        file.write(0, b"lost");
        file.sync_pages(&(0..4), Written::Stranded);
        file.sync(Written::Yes);
        assert_eq!(after(&file, &[])[..4], [0; 4]);
        file.write(600, b"the same page");
        file.sync(Written::Yes);
        assert_eq!(&after(&file, &[])[..4], b"lost");
    }

    #[test]
    fn storing_the_same_bytes_makes_a_page_dirty_again_after_a_failed_sync() {
        let mut file = FileImage::durable(&[0; 2 * PAGE_SIZE]);
        file.write(0, b"lost");
        file.write(PAGE_SIZE, b"lost as well");
        file.sync_pages(&(0..2 * PAGE_SIZE), Written::Stranded);
        file.write(0, b"lost");
        file.sync(Written::Yes);
        assert_eq!(&after(&file, &[])[..4], b"lost");
        assert_eq!(after(&file, &[])[PAGE_SIZE..][..4], [0; 4]);
    }

    #[test]
    fn cut_bytes_read_as_zero_and_may_come_back() {
        let mut file = FileImage::durable(&[1; 600]);
        file.resize(100);
        file.resize(600);
        assert_eq!(file.bytes()[100..], [0; 500]);
        assert_eq!(after(&file, &[]), [1; 600]);
    }
}
