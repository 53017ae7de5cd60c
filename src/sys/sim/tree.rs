//! [`Tree`]: all directories and files of a simulated disk.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};

use super::chooser::Chooser;
use super::directory::{Directory, Node};
use super::file::FileImage;

const ROOT: Node = 0;

/// A node keeps its number for ever, as an inode that is never used again.
#[derive(Debug)]
pub(super) struct Tree(Vec<Option<Entry>>);

#[derive(Debug)]
enum Entry {
    Dir(Directory),
    File(FileImage),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Dir(Node),
    File(Node),
}

impl Tree {
    pub(super) fn new() -> Self {
        Self(vec![Some(Entry::Dir(Directory::default()))])
    }

    /// The directory that `path` means. Relative paths begin at the root.
    pub(super) fn dir(&self, path: &Path) -> io::Result<Node> {
        let mut dir = ROOT;
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => dir = self.subdir(dir, name)?,
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(ErrorKind::InvalidInput.into());
                }
            }
        }
        Ok(dir)
    }

    fn subdir(&self, dir: Node, name: &OsStr) -> io::Result<Node> {
        match self.find(dir, name) {
            Found::Dir(dir) => Ok(dir),
            Found::File(_) => Err(ErrorKind::NotADirectory.into()),
            Found::Nothing => Err(ErrorKind::NotFound.into()),
        }
    }

    /// The directory that holds the last name of `path`, and that name.
    pub(super) fn place<'a>(&self, path: &'a Path) -> io::Result<(Node, &'a OsStr)> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        Ok((self.dir(path.parent().unwrap_or(Path::new("")))?, name))
    }

    pub(super) fn find(&self, dir: Node, name: &OsStr) -> Found {
        match self.names(dir).find(name) {
            None => Found::Nothing,
            Some(node) => match self.0[node] {
                Some(Entry::Dir(_)) => Found::Dir(node),
                _ => Found::File(node),
            },
        }
    }

    /// The file that `path` means.
    pub(super) fn find_file(&self, path: &Path) -> io::Result<Node> {
        let (dir, name) = self.place(path)?;
        match self.find(dir, name) {
            Found::File(node) => Ok(node),
            Found::Nothing => Err(ErrorKind::NotFound.into()),
            Found::Dir(_) => Err(io::Error::new(
                ErrorKind::InvalidInput,
                "it is not a regular file",
            )),
        }
    }

    pub(super) fn names(&self, dir: Node) -> &Directory {
        match &self.0[dir] {
            Some(Entry::Dir(dir)) => dir,
            _ => unreachable!("node {dir} is no directory"),
        }
    }

    /// The names in a directory, as processes see them.
    pub(super) fn list(&self, dir: Node) -> Vec<OsString> {
        let names = self.names(dir).names();
        names.map(|(name, _)| name.to_owned()).collect()
    }

    pub(super) fn names_mut(&mut self, dir: Node) -> &mut Directory {
        match &mut self.0[dir] {
            Some(Entry::Dir(dir)) => dir,
            _ => unreachable!("node {dir} is no directory"),
        }
    }

    pub(super) fn file(&self, node: Node) -> &FileImage {
        match &self.0[node] {
            Some(Entry::File(file)) => file,
            _ => unreachable!("node {node} is no file"),
        }
    }

    pub(super) fn file_mut(&mut self, node: Node) -> &mut FileImage {
        match &mut self.0[node] {
            Some(Entry::File(file)) => file,
            _ => unreachable!("node {node} is no file"),
        }
    }

    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut FileImage> {
        self.0.iter_mut().filter_map(|entry| match entry {
            Some(Entry::File(file)) => Some(file),
            _ => None,
        })
    }

    pub(super) fn add_dir(&mut self) -> Node {
        self.add(Entry::Dir(Directory::default()))
    }

    pub(super) fn add_file(&mut self, file: FileImage) -> Node {
        self.add(Entry::File(file))
    }

    fn add(&mut self, entry: Entry) -> Node {
        self.0.push(Some(entry));
        self.0.len() - 1
    }

    /// The bytes of all files that have a name, without those whose blocks a copy has as well.
    pub(super) fn used(&self) -> usize {
        let dirs = self.0.iter().filter_map(|entry| match entry {
            Some(Entry::Dir(dir)) => Some(dir),
            _ => None,
        });
        let named = dirs.flat_map(|dir| dir.names().map(|(_, node)| node));
        named
            .map(|node| {
                if let Some(Entry::File(file)) = &self.0[node] {
                    file.len().saturating_sub(file.blocks.shared_bytes())
                } else {
                    0
                }
            })
            .sum()
    }

    /// How many choices between old and new [`Tree::after_power_cut`] makes.
    pub(super) fn choices(&self) -> usize {
        let kept = self
            .0
            .iter()
            .zip(self.reachable())
            .filter(|(_, is_kept)| *is_kept);
        kept.map(|(entry, _)| match entry {
            Some(Entry::Dir(dir)) => dir.choices(),
            Some(Entry::File(file)) => file.choices(),
            None => 0,
        })
        .sum()
    }

    pub(super) fn after_power_cut(&self, chooser: &mut Chooser<'_>) -> Self {
        let mut left = self.map(
            |dir, chooser| dir.after_power_cut(chooser),
            |file, chooser| file.after_power_cut(chooser),
            chooser,
        );
        left.forget_unreachable();
        left
    }

    pub(super) fn copy(&self) -> Self {
        self.map(|dir, ()| dir.clone(), |file, ()| file.copy(), &mut ())
    }

    /// Another tree, of all that is or may become reachable.
    fn map<S>(
        &self,
        dir: impl Fn(&Directory, &mut S) -> Directory,
        file: impl Fn(&FileImage, &mut S) -> FileImage,
        state: &mut S,
    ) -> Self {
        let entries = self
            .0
            .iter()
            .zip(self.reachable())
            .map(|(entry, is_kept)| match entry {
                Some(Entry::Dir(old)) if is_kept => Some(Entry::Dir(dir(old, state))),
                Some(Entry::File(old)) if is_kept => Some(Entry::File(file(old, state))),
                _ => None,
            });
        Self(entries.collect())
    }

    /// Frees what has no name, live or durable, and can get none.
    pub(super) fn forget_unreachable(&mut self) {
        let reachable = self.reachable();
        for (entry, is_kept) in self.0.iter_mut().zip(reachable) {
            if !is_kept {
                *entry = None;
            }
        }
    }

    fn reachable(&self) -> Vec<bool> {
        let mut reachable = vec![false; self.0.len()];
        let mut next = vec![ROOT];
        while let Some(node) = next.pop() {
            if !std::mem::replace(&mut reachable[node], true)
                && let Some(Entry::Dir(dir)) = &self.0[node]
            {
                next.extend(dir.nodes());
            }
        }
        reachable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_through_directories_only() {
        let mut tree = Tree::new();
        let (dir, file) = (tree.add_dir(), tree.add_file(FileImage::empty()));
        tree.names_mut(ROOT).link(OsStr::new("dir"), dir);
        tree.names_mut(dir).link(OsStr::new("file"), file);
        assert_eq!(tree.find_file(Path::new("/dir/file")).unwrap(), file);
        assert_eq!(tree.find_file(Path::new("dir/./file")).unwrap(), file);
        let kind = |path: &str| tree.find_file(Path::new(path)).unwrap_err().kind();
        assert_eq!(kind("/dir"), ErrorKind::InvalidInput);
        assert_eq!(kind("/dir/other"), ErrorKind::NotFound);
        assert_eq!(kind("/other/file"), ErrorKind::NotFound);
        assert_eq!(kind("/dir/file/more"), ErrorKind::NotADirectory);
        assert_eq!(kind("/dir/../dir/file"), ErrorKind::InvalidInput);
    }

    #[test]
    fn directory_that_is_not_durable_takes_its_files_along() {
        let mut tree = Tree::new();
        let dir = tree.add_dir();
        let file = tree.add_file(FileImage::durable(b"synced"));
        tree.names_mut(ROOT).link(OsStr::new("dir"), dir);
        tree.names_mut(dir).link(OsStr::new("file"), file);
        tree.names_mut(dir).sync();
        assert_eq!(tree.choices(), 1);
        let left = tree.after_power_cut(&mut Chooser::given(&[false]));
        assert_eq!(left.0.iter().flatten().count(), 1);
        let left = tree.after_power_cut(&mut Chooser::given(&[true]));
        assert_eq!(left.file(file).bytes(), b"synced");
    }
}
