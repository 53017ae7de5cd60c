//! What the simulated disk promises, seen from outside.

#![expect(unsafe_code, reason = "stores into mappings")]

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::super::{Access, Disk, DiskFile, Kept, Made, Mapping, PAGE_SIZE, Populated};
use super::*;

const EIO: i32 = 5;

fn log() -> &'static Path {
    Path::new("/log")
}

fn seg() -> &'static Path {
    Path::new("/log/1.seg")
}

/// A disk with a durable file of two zero pages.
fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.write_file(seg(), &[0; 2 * PAGE_SIZE]).unwrap();
    disk
}

fn map(disk: &SimDisk) -> (Arc<dyn DiskFile>, Mapping) {
    let file = disk.open(seg(), Access::Write).unwrap();
    let mapping = file.map(2 * PAGE_SIZE).unwrap();
    (file, mapping)
}

fn store(mapping: &Mapping, offset: usize, bytes: &[u8]) {
    // SAFETY: no test holds a slice of a mapping across a store, and threads store to disjoint bytes (M1, M2).
    unsafe { mapping.store(offset, bytes) }
}

fn read(disk: &SimDisk) -> Vec<u8> {
    disk.read_file(seg()).unwrap()
}

fn is_off<T>(result: io::Result<T>) -> bool {
    result.err().is_some_and(|error| is_machine_off(&error))
}

#[test]
fn unsynced_name_is_lost_or_kept() {
    let disk = SimDisk::new();
    assert_eq!(disk.make_dir(log()).unwrap(), Made::Created);
    disk.sync_dir(Path::new("/")).unwrap();
    let file = disk.create(seg()).unwrap();
    file.write_at(0, b"synced").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.dirty(), 1);
    assert!(
        disk.crash_image_choice(&[false])
            .names(log())
            .unwrap()
            .is_empty()
    );
    assert_eq!(read(&disk.crash_image_choice(&[true])), b"synced");
    disk.sync_dir(log()).unwrap();
    assert_eq!(disk.dirty(), 0);
    assert_eq!(read(&disk.crash_image_choice(&[])), b"synced");
}

#[test]
fn durable_name_does_not_make_bytes_durable() {
    let disk = SimDisk::new();
    disk.make_dir(log()).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.create(seg()).unwrap().write_at(0, b"lost").unwrap();
    disk.sync_dir(log()).unwrap();
    assert_eq!(read(&disk.crash_image_choice(&[])), b"");
}

#[test]
fn rename_is_old_or_new_until_the_directory_is_synced() {
    let disk = disk();
    let new = Path::new("/log/45.seg");
    disk.rename(seg(), new).unwrap();
    assert_eq!(
        disk.crash_image_choice(&[false]).names(log()).unwrap(),
        ["1.seg"]
    );
    assert_eq!(
        disk.crash_image_choice(&[true]).names(log()).unwrap(),
        ["45.seg"]
    );
    disk.sync_dir(log()).unwrap();
    assert_eq!(disk.power_cut(0).names(log()).unwrap(), ["45.seg"]);
}

#[test]
fn store_is_old_between_or_new_until_it_is_synced() {
    let disk = disk();
    let (_file, mapping) = map(&disk);
    store(&mapping, 8, &[1; 8]);
    store(&mapping, 8, &[2; 8]);
    let mut seen = [false; 3];
    for seed in 0..100 {
        seen[usize::from(read(&disk.crash_image(seed))[8])] = true;
    }
    assert_eq!(seen, [true; 3]);
    mapping.sync(8..16).unwrap();
    assert!((0..100).all(|seed| read(&disk.crash_image(seed))[8] == 2));
}

#[test]
fn kill_keeps_the_page_cache_and_makes_nothing_durable() {
    let disk = disk();
    let (_file, mapping) = map(&disk);
    store(&mapping, 0, b"cached");
    disk.rename(seg(), Path::new("/log/2.seg")).unwrap();
    let next = disk.kill();
    assert_eq!(
        &next.read_file(Path::new("/log/2.seg")).unwrap()[..6],
        b"cached"
    );
    let after = next.power_cut_choice(&[]);
    assert_eq!(read(&after), [0; 2 * PAGE_SIZE]);
}

#[test]
fn handles_of_a_dead_process_do_nothing() {
    let disk = disk();
    let (file, mapping) = map(&disk);
    let next = disk.kill();
    assert!(disk.is_off() && !next.is_off());
    assert!(is_off(file.write_at(0, b"x")));
    assert!(is_off(mapping.sync(0..1)));
    assert!(is_off(disk.remove(seg())));
    store(&mapping, 0, b"private");
    // SAFETY: nothing is stored while the slice lives (M2).
    assert_eq!(unsafe { mapping.bytes(0..7) }, b"private");
    assert_eq!(read(&next)[0], 0);
    let (_file, mapping) = map(&next);
    store(&mapping, 0, b"shared");
    assert_eq!(&read(&next)[..6], b"shared");
}

#[test]
fn lock_is_exclusive_until_dropped_or_killed() {
    let disk = disk();
    let path = Path::new("/log/LOCK");
    let lock = disk.lock(path).unwrap();
    assert_eq!(disk.lock(path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(lock);
    let old = disk.lock(path).unwrap();
    let next = disk.kill();
    let held = next.lock(path).unwrap();
    drop(old);
    assert_eq!(next.lock(path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(held);
    drop(next.lock(path).unwrap());
}

#[test]
fn fault_comes_once_or_stays() {
    let disk = disk();
    let (file, _mapping) = map(&disk);
    disk.fail_at(When::Nth(Op::FileSync, 1), EIO, Repeat::Once);
    let synced = |_| file.sync().is_ok();
    assert_eq!([0, 1, 2].map(synced), [true, false, true]);
    disk.fail_at(When::Nth(Op::FileSync, 1), EIO, Repeat::FromThenOn);
    assert_eq!([0, 1, 2].map(synced), [true, false, false]);
    assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(EIO));
    disk.clear_faults();
    file.sync().unwrap();
    disk.fail_at(When::Index(disk.operation_count()), EIO, Repeat::Once);
    assert!(disk.create(Path::new("/log/2.seg")).is_err());
    assert_eq!(disk.names(log()).unwrap(), ["1.seg"]);
}

#[test]
fn lying_sync_makes_nothing_durable() {
    let disk = disk();
    let (_file, mapping) = map(&disk);
    disk.lie_at(When::Nth(Op::MapSync, 0), Repeat::Once);
    store(&mapping, 0, b"x");
    mapping.sync(0..1).unwrap();
    assert_eq!(read(&disk.crash_image_choice(&[]))[0], 0);
    mapping.sync(0..1).unwrap();
    assert_eq!(read(&disk.crash_image_choice(&[]))[0], b'x');
}

#[test]
fn retried_sync_does_not_save_what_the_failed_one_lost() {
    let disk = disk();
    let (_file, mapping) = map(&disk);
    disk.fail_at(When::Nth(Op::MapSync, 0), EIO, Repeat::Once);
    store(&mapping, 0, b"x");
    assert!(mapping.sync(0..1).is_err());
    mapping.sync(0..1).unwrap();
    assert_eq!(read(&disk.crash_image_choice(&[]))[0], 0);
}

#[test]
fn failed_directory_sync_leaves_names_as_they_were() {
    let disk = disk();
    disk.rename(seg(), Path::new("/log/2.seg")).unwrap();
    disk.fail_at(When::Nth(Op::DirSync, 0), EIO, Repeat::Once);
    assert!(disk.sync_dir(log()).is_err());
    assert_eq!(
        disk.crash_image_choice(&[]).names(log()).unwrap(),
        ["1.seg"]
    );
}

#[test]
fn nothing_happens_after_power_off() {
    let disk = disk();
    let (file, mapping) = map(&disk);
    store(&mapping, 0, b"before");
    disk.power_off_at(When::Nth(Op::Store, 0));
    store(&mapping, 0, b"behind");
    assert!(disk.is_off());
    assert!(is_off(file.sync()));
    assert!(is_off(disk.list(log())));
    assert_eq!(&read(&disk.kill())[..6], b"before");
}

#[test]
fn torn_store_leaves_its_first_words() {
    let disk = disk();
    let (_file, mapping) = map(&disk);
    disk.tear_at(When::Nth(Op::Store, 1), 2);
    store(&mapping, 0, &[1; 32]);
    store(&mapping, 8, &[2; 24]);
    assert!(disk.is_off());
    assert_eq!(
        read(&disk.kill())[..32],
        [[1; 8], [2; 8], [2; 8], [1; 8]].concat()
    );
}

#[test]
fn full_disk_refuses_and_space_returns() {
    let disk = disk();
    disk.set_free_bytes(Some(3 * PAGE_SIZE as u64));
    let file = disk.create(Path::new("/log/2.seg")).unwrap();
    file.allocate(2 * PAGE_SIZE as u64).unwrap();
    assert_eq!(
        file.allocate(4 * PAGE_SIZE as u64).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    assert_eq!(file.len().unwrap(), 3 * PAGE_SIZE as u64);
    disk.remove(seg()).unwrap();
    file.allocate(4 * PAGE_SIZE as u64).unwrap();
}

#[test]
fn shared_blocks_become_own_ones_while_there_is_space() {
    let disk = disk();
    let (file, mapping) = map(&disk);
    disk.share(seg()).unwrap();
    disk.set_free_bytes(Some(PAGE_SIZE as u64));
    let pages = |count| 0..(count * PAGE_SIZE) as u64;
    assert_eq!(
        file.unshare(pages(2)).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    let fault = mapping.populate_write(0..2 * PAGE_SIZE).unwrap_err();
    assert_eq!(fault.raw_os_error(), Some(libc::EFAULT));
    store(&mapping, 0, b"copied on write");
    assert_eq!(
        file.write_at(PAGE_SIZE as u64, b"x").unwrap_err().kind(),
        ErrorKind::StorageFull,
        "the copy on write took the last block"
    );
    let disk = disk.power_cut(1);
    disk.set_free_bytes(Some(PAGE_SIZE as u64));
    let file = disk.open(seg(), Access::Write).unwrap();
    assert_eq!(file.unshare(pages(2)).unwrap(), PAGE_SIZE as u64);
    assert_eq!(file.unshare(pages(2)).unwrap(), 0);
    disk.set_free_bytes(Some(0));
    file.write_at(PAGE_SIZE as u64, b"x").unwrap();
}

#[test]
#[should_panic(expected = "SIGBUS")]
fn store_into_shared_blocks_on_a_full_disk_is_caught() {
    let disk = disk();
    let (_file, mapping) = map(&disk);
    disk.share(seg()).unwrap();
    disk.set_free_bytes(Some(0));
    store(&mapping, 0, b"x");
}

#[test]
fn pages_are_lost_by_eviction_and_kept_once_brought_in() {
    let disk = disk();
    let (_file, mapping) = map(&disk);
    assert_eq!(mapping.kept(), Kept::Lost);
    mapping.populate_write(0..mapping.size()).unwrap();
    assert_eq!(mapping.kept(), Kept::Whole);
    disk.evict(seg()).unwrap();
    assert_eq!(mapping.kept(), Kept::Lost);
    store(&mapping, 0, b"x");
    assert_eq!(mapping.kept(), Kept::Lost, "one page is back");
    mapping.populate_write(0..mapping.size()).unwrap();
    assert_eq!(mapping.kept(), Kept::Whole);
    mapping.release().unwrap();
    assert_eq!(mapping.kept(), Kept::Lost);
}

#[test]
fn mapped_file_keeps_its_size_and_its_address() {
    let disk = disk();
    let (file, mapping) = map(&disk);
    assert_eq!(
        file.allocate(3 * PAGE_SIZE as u64).unwrap_err().kind(),
        ErrorKind::ResourceBusy
    );
    file.allocate(PAGE_SIZE as u64).unwrap();
    assert_eq!(
        mapping.populate_write(0..mapping.size()).unwrap(),
        Populated::Done
    );
    drop(mapping);
    file.allocate(3 * PAGE_SIZE as u64).unwrap();
}

#[test]
#[should_panic(expected = "SIGBUS")]
fn store_beyond_a_cut_end_is_caught() {
    let disk = disk();
    let (file, mapping) = map(&disk);
    file.truncate(PAGE_SIZE as u64).unwrap();
    store(&mapping, PAGE_SIZE, b"x");
}

#[test]
fn snapshot_is_apart_and_keeps_what_is_not_durable() {
    let disk = disk();
    let (_file, mapping) = map(&disk);
    store(&mapping, 0, b"x");
    let other = disk.snapshot();
    mapping.sync(0..1).unwrap();
    store(&mapping, 0, b"y");
    assert_eq!(read(&other)[0], b'x');
    assert_eq!((disk.dirty(), other.dirty()), (1, 1));
    assert_eq!(read(&other.power_cut_choice(&[]))[0], 0);
}

#[test]
fn tests_can_change_files_behind_the_back_of_processes() {
    let disk = disk();
    disk.flip_bit(seg(), 8 * 5 + 3).unwrap();
    assert_eq!(read(&disk)[5], 1 << 3);
    assert_eq!(
        disk.flip_bit(seg(), u64::MAX).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    disk.create(Path::new("/log/2.seg")).unwrap();
    disk.remove_file(seg()).unwrap();
    assert_eq!(disk.names(log()).unwrap(), ["2.seg"]);
    assert!(disk.power_cut_choice(&[]).names(log()).unwrap().is_empty());
}

#[test]
fn same_seed_gives_the_same_image() {
    let disk = disk();
    let (_file, mapping) = map(&disk);
    for sector in 0..16 {
        store(&mapping, sector * SECTOR, b"x");
    }
    assert_eq!(read(&disk.crash_image(7)), read(&disk.crash_image(7)));
    assert!((0..9).any(|seed| read(&disk.crash_image(seed)) != read(&disk)));
}

#[test]
fn images_can_be_taken_while_threads_store() {
    let disk = disk();
    let (_file, mapping) = map(&disk);
    thread::scope(|scope| {
        for start in [0, PAGE_SIZE] {
            let mapping = &mapping;
            scope.spawn(move || (0..500).for_each(|i| store(mapping, start + 8 * i, &[1; 8])));
        }
        for seed in 0..50 {
            let left = read(&disk.crash_image(seed));
            assert!(left.chunks(8).all(|word| word == [0; 8] || word == [1; 8]));
        }
    });
    assert_eq!(
        disk.operations()
            .iter()
            .filter(|op| **op == Op::Store)
            .count(),
        1000
    );
}

#[test]
fn short_operation_does_the_first_half() {
    let disk = SimDisk::new();
    disk.write_file(Path::new("/log/other"), &[]).unwrap();
    let file = disk.create(seg()).unwrap();
    disk.short_at(When::Nth(Op::Write, 0), Repeat::Once);
    let error = file.write_at(0, &[7; 10]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    disk.short_at(When::Nth(Op::Read, 0), Repeat::Once);
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(0, &mut buffer).unwrap(), 2);
    assert_eq!(file.read_at(0, &mut buffer).unwrap(), 5);
    assert_eq!(buffer, [7, 7, 7, 7, 7, 0, 0, 0]);
    disk.short_at(When::Nth(Op::Allocate, 0), Repeat::FromThenOn);
    let error = file.allocate(100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 50);
}
