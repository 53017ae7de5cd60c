//! Whether the pages of a mapping are still those that were brought in through it.
//!
//! A page that the kernel evicts leaves the page tables, and what reads it again through the file alone does not put it
//! back. So an entry that is still there is a witness: its page was never evicted, and lies in the small folio in which
//! the mapping's own fault put it. `mincore` cannot tell that: it calls a page resident which another program evicted and
//! read again in a large folio.
//!
//! Limits: a fault puts back the entries of neighbours too, if these are in the cache. So a segment that was evicted, read
//! by another program, and then read from end to end through its mapping, seems kept.

#![expect(unsafe_code, reason = "mincore has no wrapper")]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Kept;

const PAGE: usize = 4096;
/// An entry of the page tables is there.
const PRESENT: u64 = 1 << 63;
const ENTRY_LEN: usize = 8;

/// Looks at the `size` bytes that are mapped at `start`.
///
/// Where `/proc` does not tell, what is not in the cache is lost; where nothing does, everything is.
pub(super) fn kept(start: *const u8, size: usize) -> Kept {
    let pages = present(start, size).or_else(|_| resident(start, size));
    if pages.is_ok_and(|pages| pages.iter().all(|kept| *kept)) {
        Kept::Whole
    } else {
        Kept::Lost
    }
}

/// For each page whether its entry is there.
#[expect(clippy::host_endian_bytes, reason = "the kernel writes its own words")]
fn present(start: *const u8, size: usize) -> io::Result<Vec<bool>> {
    let tables = File::open("/proc/self/pagemap")?;
    let mut entries = vec![0; size.div_ceil(PAGE) * ENTRY_LEN];
    tables.read_exact_at(&mut entries, (start.addr() / PAGE * ENTRY_LEN) as u64)?;
    let (words, _) = entries.as_chunks::<ENTRY_LEN>();
    let is_present = |word: &[u8; ENTRY_LEN]| u64::from_ne_bytes(*word) & PRESENT != 0;
    Ok(words.iter().map(is_present).collect())
}

/// For each page whether it is in the cache.
fn resident(start: *const u8, size: usize) -> io::Result<Vec<bool>> {
    let mut pages = vec![0; size.div_ceil(PAGE)];
    // SAFETY: the call looks at no byte of the mapping, and writes one byte for each of its pages.
    if unsafe { libc::mincore(start.cast_mut().cast(), size, pages.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(pages.iter().map(|page: &u8| page & 1 == 1).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::real::ScratchDir;
    use super::super::{Disk, DiskFile, Mapping, Populated, RealDisk};
    use super::*;

    const SIZE: usize = 3 * PAGE;

    /// A mapped file whose pages are in the cache, each in a folio of its own.
    fn mapped(scratch: &ScratchDir) -> (Arc<dyn DiskFile>, Mapping) {
        let file = RealDisk.create(&scratch.path("file")).unwrap();
        for page in (0..SIZE).step_by(PAGE) {
            file.write_at(page as u64, &[1; PAGE]).unwrap();
        }
        let mapping = file.map(SIZE).unwrap();
        (file, mapping)
    }

    #[test]
    fn pages_are_kept_from_being_brought_in_until_they_are_let_go() {
        let scratch = ScratchDir::new();
        let (file, mapping) = mapped(&scratch);
        if mapping.populate_write(0..PAGE).unwrap() == Populated::Unsupported {
            return;
        }
        assert_eq!(mapping.kept(), Kept::Lost, "one page was brought in");
        mapping.populate_write(0..SIZE).unwrap();
        assert_eq!(mapping.kept(), Kept::Whole);
        // A read through the file brings nothing back into the mapping.
        mapping.release().unwrap();
        let mut bytes = [0; SIZE];
        file.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, [1; SIZE]);
        assert_eq!(mapping.kept(), Kept::Lost);
    }

    #[test]
    fn without_the_tables_the_cache_is_asked() {
        let scratch = ScratchDir::new();
        let (_file, mapping) = mapped(&scratch);
        // SAFETY: nothing is stored while the slice lives.
        let start = unsafe { mapping.bytes(0..SIZE) }.as_ptr();
        assert_eq!(resident(start, SIZE).unwrap(), [true; 3]);
        assert_eq!(present(start, SIZE).unwrap().len(), 3);
    }
}
