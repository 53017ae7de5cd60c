//! [`Image`]: the files of a log's directory as bytes.

use std::path::{Path, PathBuf};

use segwal::fault::SimDisk;

/// Where the log is.
pub(crate) const DIR: &str = "/log";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The files of a directory, by name; the lock is none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) files: Vec<File>,
}

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

pub(crate) fn segment_name(id: u32) -> String {
    format!("{id:020}.seg")
}

impl Image {
    pub(crate) fn of(disk: &SimDisk) -> Self {
        let names = disk.names(Path::new(DIR)).unwrap_or_default();
        let names = names.iter().filter_map(|name| name.to_str());
        let files = names
            .filter(|name| *name != "LOCK")
            .map(|name| File {
                name: name.to_owned(),
                bytes: disk.read_file(&path(name)).expect("it was listed"),
            })
            .collect();
        Self { files }
    }

    /// A disk with these files, and room for some more.
    pub(crate) fn disk(&self) -> SimDisk {
        let disk = SimDisk::new();
        for file in &self.files {
            disk.write_file(&path(&file.name), &file.bytes)
                .expect("a plain name");
        }
        disk.set_free_bytes(Some(1 << 20));
        disk
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        let file = self.files.iter().find(|file| file.name == name)?;
        Some(&file.bytes)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Vec<u8>> {
        let file = self.files.iter_mut().find(|file| file.name == name)?;
        Some(&mut file.bytes)
    }

    pub(crate) fn size(&self) -> usize {
        self.files.iter().map(|file| file.bytes.len()).sum()
    }

    /// The ids of the segments, ascending.
    pub(crate) fn segments(&self) -> Vec<u32> {
        let id = |file: &File| file.name.strip_suffix(".seg")?.parse().ok();
        self.files.iter().filter_map(id).collect()
    }

    /// The name of a segment's file, by its place among the files.
    pub(crate) fn is_segment(&self, file: usize) -> bool {
        self.files[file].name.strip_suffix(".seg").is_some()
    }

    /// Whether all bytes of the range stand in the file as they do in `other`.
    pub(crate) fn agrees(&self, other: &Self, name: &str, range: &std::ops::Range<usize>) -> bool {
        let bytes = |image: &Self| Some(image.get(name)?.get(range.clone())?.to_vec());
        bytes(self).is_some() && bytes(self) == bytes(other)
    }
}
