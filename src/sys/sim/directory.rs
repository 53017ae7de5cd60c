//! [`Directory`]: the names that processes see, those that are durable, and the changes between the two.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;

use super::chooser::Chooser;

type Name = Arc<OsStr>;

/// Where a file or directory is in the [`Tree`](super::tree::Tree).
pub(super) type Node = usize;

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    live: BTreeMap<Name, Node>,
    durable: BTreeMap<Name, Node>,
    /// Changes since the last sync, in order.
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Link(Name, Node),
    Unlink(Name, Node),
    Rename { from: Name, to: Name, node: Node },
}

impl Directory {
    pub(super) fn find(&self, name: &OsStr) -> Option<Node> {
        self.live.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (&OsStr, Node)> {
        self.live.iter().map(|(name, &node)| (&**name, node))
    }

    pub(super) fn link(&mut self, name: &OsStr, node: Node) {
        let name = Name::from(name);
        self.live.insert(Arc::clone(&name), node);
        self.pending.push(Change::Link(name, node));
    }

    /// As [`Directory::link`], durable at once.
    pub(super) fn link_durably(&mut self, name: &OsStr, node: Node) {
        self.unlink_durably(name);
        let name = Name::from(name);
        self.live.insert(Arc::clone(&name), node);
        self.durable.insert(name, node);
    }

    /// Removes what has the name, durably and together with all that is pending on it.
    pub(super) fn unlink_durably(&mut self, name: &OsStr) {
        let durable = self.durable.remove(name);
        for gone in self.live.remove(name).into_iter().chain(durable) {
            self.durable.retain(|_, node| *node != gone);
            self.pending.retain(|change| change.node() != gone);
        }
    }

    pub(super) fn unlink(&mut self, name: &OsStr) {
        if let Some((name, node)) = self.live.remove_entry(name) {
            self.pending.push(Change::Unlink(name, node));
        }
    }

    pub(super) fn rename(&mut self, from: &OsStr, to: &OsStr) {
        if from != to
            && let Some((from, node)) = self.live.remove_entry(from)
        {
            let to = Name::from(to);
            self.live.insert(Arc::clone(&to), node);
            self.pending.push(Change::Rename { from, to, node });
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.live);
        self.pending.clear();
    }

    pub(super) fn choices(&self) -> usize {
        self.pending.len()
    }

    /// All that has, had or may have a name here.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node> {
        let pending = self.pending.iter().map(Change::node);
        self.live
            .values()
            .chain(self.durable.values())
            .copied()
            .chain(pending)
    }

    /// What is left, all of it durable: each change happened or did not, in order, where it still could.
    pub(super) fn after_power_cut(&self, chooser: &mut Chooser<'_>) -> Self {
        let mut names = self.durable.clone();
        for change in &self.pending {
            if chooser.is_new() {
                change.apply(&mut names);
            }
        }
        Self {
            live: names.clone(),
            durable: names,
            pending: Vec::new(),
        }
    }
}

impl Change {
    const fn node(&self) -> Node {
        match self {
            Self::Link(_, node) | Self::Unlink(_, node) | Self::Rename { node, .. } => *node,
        }
    }

    fn apply(&self, names: &mut BTreeMap<Name, Node>) {
        match self {
            Self::Link(name, node) => {
                names.entry(Arc::clone(name)).or_insert(*node);
            }
            Self::Unlink(name, node) if names.get(name) == Some(node) => {
                names.remove(name);
            }
            Self::Rename { from, to, node } if names.get(from) == Some(node) => {
                names.remove(from);
                names.insert(Arc::clone(to), *node);
            }
            Self::Unlink(..) | Self::Rename { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Directory) -> String {
        let names: Vec<_> = dir
            .names()
            .map(|(name, node)| format!("{}={node}", name.display()))
            .collect();
        names.join(" ")
    }

    fn after(dir: &Directory, new: &[bool]) -> String {
        names(&dir.after_power_cut(&mut Chooser::given(new)))
    }

    #[test]
    fn names_are_durable_only_after_a_sync() {
        let mut dir = Directory::default();
        dir.link(OsStr::new("a"), 1);
        dir.link(OsStr::new("b"), 2);
        assert_eq!(after(&dir, &[]), "");
        assert_eq!(after(&dir, &[false, true]), "b=2");
        dir.sync();
        assert_eq!(after(&dir, &[]), "a=1 b=2");
    }

    #[test]
    fn rename_is_old_or_new_and_nothing_between() {
        let mut dir = Directory::default();
        dir.link_durably(OsStr::new("10"), 1);
        dir.link_durably(OsStr::new("45"), 2);
        dir.rename(OsStr::new("10"), OsStr::new("45"));
        assert_eq!(names(&dir), "45=1");
        assert_eq!(after(&dir, &[false]), "10=1 45=2");
        assert_eq!(after(&dir, &[true]), "45=1");
    }

    #[test]
    fn change_whose_condition_did_not_survive_is_left_out() {
        let mut dir = Directory::default();
        dir.link(OsStr::new("tmp"), 1);
        dir.rename(OsStr::new("tmp"), OsStr::new("name"));
        dir.unlink(OsStr::new("name"));
        assert_eq!(after(&dir, &[false, true, true]), "");
        assert_eq!(after(&dir, &[false, true, false]), "");
        assert_eq!(after(&dir, &[true, false, true]), "tmp=1");
        assert_eq!(after(&dir, &[true, true, false]), "name=1");
    }
}
