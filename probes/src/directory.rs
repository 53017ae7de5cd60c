//! [`Directory`]: the files of a log, and the language in which an input says them.
//!
//! An input is a row of chunks: a byte that names the file and says what is done with it, two of the offset ÷ 8, two of the
//! length, and the bytes. A file that a chunk names for the first time has the size that it has in a log, filled with zeros.
//! Chunks are done in order, so a chunk behind the one that seals a file damages it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use segwal::fault::SimDisk;

use crate::frames::{Links, seal_frames, seal_part, u32_at, u64_at};
use crate::parts::Input;

/// Where the log is.
pub(crate) const DIR: &str = "/log";
/// The size of the segments of such logs.
pub(crate) const SEGMENT_SIZE: usize = 8192;
/// No file is longer; what a chunk says beyond is left out.
const MAX_FILE_LEN: usize = 24 << 10;
/// More of them would only take longer.
const MAX_CHUNKS: usize = 256;

/// The files that an input can name.
const NAMES: [&str; 16] = [
    "MANIFEST",
    "COOKIE",
    "00000000000000000001.seg",
    "00000000000000000002.seg",
    "00000000000000000003.seg",
    "00000000000000000004.seg",
    "00000000000000000005.seg",
    "00000000000000000006.seg",
    "00000000000000000007.seg",
    "00000000000000000008.seg",
    "00000000004294967295.seg",
    "archive.hold",
    "replica.hold",
    "MANIFEST.new",
    "00000000000000000009.seg.new",
    "9.seg",
];
const NAME: u8 = 0x0F;
/// The links of frames are made right, too.
const TIED: u8 = 0x20;
/// The checksums in the file are made right.
const SEALED: u8 = 0x40;
/// The file ends where the chunk does.
const CUT: u8 = 0x80;

/// Files by name; the lock is none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Directory {
    /// What an input says.
    pub(crate) fn said(input: &[u8]) -> Self {
        let mut input = Input(input);
        let mut directory = Self::default();
        for _ in 0..MAX_CHUNKS {
            if input.0.is_empty() {
                break;
            }
            let [how] = input.take();
            let at = usize::from(u16::from_le_bytes(input.take())) * 8;
            let len = usize::from(u16::from_le_bytes(input.take()));
            directory.write(how, at, input.bytes(len));
        }
        directory
    }

    fn write(&mut self, how: u8, at: usize, bytes: &[u8]) {
        let name = NAMES[usize::from(how & NAME)];
        let file = self.files.entry(name.to_owned());
        let file = file.or_insert_with(|| vec![0; natural_len(name)]);
        let end = (at + bytes.len()).min(MAX_FILE_LEN);
        if at < end {
            file.resize(file.len().max(end), 0);
            file[at..end].copy_from_slice(&bytes[..end - at]);
        }
        if how & SEALED != 0 {
            let links = if how & TIED == 0 {
                Links::AsTheyAre
            } else {
                Links::Made
            };
            seal(name, file, links);
        }
        if how & CUT != 0 {
            file.truncate(end);
        }
    }

    /// An input that says this; none if a file has another name than those that can be said.
    pub(crate) fn to_input(&self) -> Option<Vec<u8>> {
        let mut input = Vec::new();
        for (name, bytes) in &self.files {
            let how = NAMES.iter().position(|known| known == name)?;
            let how = u8::try_from(how).unwrap();
            let mut chunk = |how: u8, at: usize, bytes: &[u8]| {
                input.push(how);
                input.extend(u16::try_from(at / 8).unwrap().to_le_bytes());
                input.extend(u16::try_from(bytes.len()).unwrap().to_le_bytes());
                input.extend(bytes);
            };
            for (at, run) in runs(bytes) {
                chunk(how, at, run);
            }
            let mut sealed = bytes.clone();
            seal(name, &mut sealed, Links::AsTheyAre);
            // Damage stays damage.
            if sealed == *bytes {
                chunk(how | SEALED, 0, &[]);
            }
            if bytes.len() < natural_len(name) {
                chunk(how | CUT, bytes.len(), &[]);
            }
        }
        Some(input)
    }

    /// What stands on a disk.
    pub(crate) fn of(disk: &SimDisk) -> Self {
        let names = disk.names(Path::new(DIR)).unwrap_or_default();
        let names = names.into_iter().filter_map(|name| name.into_string().ok());
        let files = names.filter(|name| name != "LOCK").map(|name| {
            let bytes = disk.read_file(&path(&name)).unwrap();
            (name, bytes)
        });
        Self {
            files: files.collect(),
        }
    }

    /// A disk with these files, and room for some more.
    pub(crate) fn disk(&self) -> SimDisk {
        let disk = SimDisk::new();
        for (name, bytes) in &self.files {
            disk.write_file(&path(name), bytes).unwrap();
        }
        disk.set_free_bytes(Some(1 << 20));
        disk
    }

    /// The file of a segment.
    pub(crate) fn segment(&self, id: u32) -> Option<&[u8]> {
        Some(self.files.get(&segment_name(id))?)
    }

    /// Whether `MANIFEST` says that segments have another size than those of these directories.
    pub(crate) fn has_forged_size(&self) -> bool {
        let manifest = self.files.get("MANIFEST");
        let size = manifest.filter(|bytes| bytes.len() >= 64);
        size.is_some_and(|bytes| u64_at(bytes, 40) != SEGMENT_SIZE as u64)
    }
}

pub(crate) fn segment_name(id: u32) -> String {
    format!("{id:020}.seg")
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn natural_len(name: &str) -> usize {
    match name.rsplit_once('.') {
        Some((_, "seg" | "hold")) => SEGMENT_SIZE,
        _ if name == "COOKIE" => 5 * 4096,
        _ => 0,
    }
}

/// The stretches of a file that are not zeros, from multiples of eight on.
fn runs(bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (grain, chunk) in bytes.chunks(8).enumerate() {
        if chunk.iter().all(|byte| *byte == 0) {
            continue;
        }
        let (start, end) = (grain * 8, grain * 8 + chunk.len());
        match runs.last_mut() {
            Some((_, last)) if *last + 8 >= start => *last = end,
            _ => runs.push((start, end)),
        }
    }
    let run = |(start, end): (usize, usize)| (start, &bytes[start..end]);
    runs.into_iter().map(run).collect()
}

/// Makes the checksums in the file of this name right.
fn seal(name: &str, file: &mut [u8], links: Links) {
    if name == "COOKIE" || name.strip_suffix(".hold").is_some() {
        let before = name.strip_suffix(".hold").unwrap_or_default();
        let before = crc32c::crc32c(before.as_bytes());
        for at in (0..file.len()).step_by(4096) {
            let is_written = file[at..].iter().take(64).any(|byte| *byte != 0);
            if is_written {
                seal_part(file, at, before);
            }
        }
    } else if name.starts_with("MANIFEST") && file.len() >= 64 {
        let sum = crc32c::crc32c_append(crc32c::crc32c(&file[..60]), &file[64..]);
        file[60..64].copy_from_slice(&sum.to_le_bytes());
    } else if file.len() >= 4096 {
        seal_part(file, 0, 0);
        if u64_at(file, 512) != 0 {
            let before = crc32c::crc32c(&file[..60]);
            seal_part(file, 512, before);
            let (id, salt) = (u32_at(file, 32), u64_at(file, 520));
            seal_frames(file, id, salt, links);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds::logs;

    #[test]
    fn a_directory_is_said_and_read_again() {
        for (name, directory) in logs() {
            let input = directory.to_input().unwrap();
            assert!(Directory::said(&input) == directory, "{name}");
            assert!(input.len() <= 8192, "{name}: {} bytes", input.len());
        }
    }

    #[test]
    fn a_chunk_behind_the_seal_damages_the_file() {
        let (_, directory) = logs().swap_remove(0);
        let mut input = directory.to_input().unwrap();
        input.extend([2, 0, 2, 1, 0, 0xFF]);
        let damaged = Directory::said(&input);
        assert_eq!(damaged.segment(1).unwrap()[4096], 0xFF);
        input.extend([2 | SEALED, 0, 0, 0, 0]);
        assert!(Directory::said(&input) == directory);
        input.extend([2 | CUT, 1, 0, 0, 0]);
        assert_eq!(Directory::said(&input).segment(1).unwrap().len(), 8);
    }
}
