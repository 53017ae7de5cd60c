//! Faults: which operation of a simulated disk goes wrong, and how.

use std::ops::Range;

/// The kinds of operations: each call to the system that a log would make on a disk, and each store into a mapping. Reading
/// mapped bytes is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// The directory of the log is made, or found.
    MakeDir,
    /// The names in a directory are read.
    List,
    /// The names in a directory are made durable.
    DirSync,
    /// The lock of the log is taken.
    Lock,
    /// A new file is made.
    Create,
    /// A file is opened.
    Open,
    /// A file gets another name.
    Rename,
    /// A file, or an empty directory, is removed.
    Remove,
    /// The file system is asked for.
    FileSystem,
    /// The length or the number of a file is asked for.
    Stat,
    /// Blocks are allocated.
    Allocate,
    /// A file is cut.
    Truncate,
    /// Bytes are read by a call.
    Read,
    /// Bytes are written by a call.
    Write,
    /// Blocks that a copy shares are replaced by others.
    Unshare,
    /// All of a file is made durable.
    FileSync,
    /// The kernel is advised.
    Advise,
    /// A file is mapped.
    Map,
    /// Bytes are stored into a mapping. Appends are these, and cannot fail.
    Store,
    /// Pages of a mapping are made durable. Commits are these.
    MapSync,
    /// Pages of a mapping are brought in.
    Populate,
}

/// Bytes of a file that an operation stored, wrote or synced. See [`SimDisk::record_touches`](super::SimDisk::record_touches).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// [`Op::Store`], [`Op::Write`], [`Op::MapSync`] or [`Op::FileSync`].
    pub op: Op,
    /// Which file, whatever it is called: see [`SimDisk::file_number`](super::SimDisk::file_number).
    pub file: u64,
    /// Where, in bytes.
    pub range: Range<u64>,
}

/// Which operation is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The one with this index, counted over all operations from zero since the disk's last start.
    Index(u64),
    /// The one of this kind before which there are this many of the same kind, counted from now.
    Nth(Op, u64),
}

/// Whether a fault goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Only the operation meant goes wrong.
    Once,
    /// All from there on do; with [`When::Nth`], all of that kind.
    FromThenOn,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Fail(i32),
    Lie,
    Tear { words: usize },
    Short,
    PowerOff,
}

/// The operations so far, and the faults to come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    log: Vec<Op>,
    list: Vec<Fault>,
}

#[derive(Debug)]
struct Fault {
    when: When,
    repeat: Repeat,
    effect: Effect,
}

impl Faults {
    pub(super) fn inject(&mut self, when: When, repeat: Repeat, effect: Effect) {
        self.list.push(Fault {
            when,
            repeat,
            effect,
        });
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    pub(super) fn log(&self) -> &[Op] {
        &self.log
    }

    /// Counts an operation; returns the effect of the first fault that meets it.
    pub(super) fn meet(&mut self, op: Op) -> Option<Effect> {
        let index = self.log.len() as u64;
        self.log.push(op);
        let mut effect = None;
        for fault in &mut self.list {
            if fault.meets(index, op) && effect.is_none() {
                effect = Some(fault.effect);
            }
        }
        effect
    }
}

impl Fault {
    fn meets(&mut self, index: u64, op: Op) -> bool {
        match &mut self.when {
            When::Index(meant) => match self.repeat {
                Repeat::Once => index == *meant,
                Repeat::FromThenOn => index >= *meant,
            },
            When::Nth(kind, left) if *kind == op => match (*left, self.repeat) {
                (0, Repeat::FromThenOn) => true,
                (left_now, _) => {
                    // Below zero it wraps and is never met again.
                    *left = left.wrapping_sub(1);
                    left_now == 0
                }
            },
            When::Nth(..) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(when: When, repeat: Repeat) -> Vec<usize> {
        let mut faults = Faults::default();
        faults.inject(when, repeat, Effect::Lie);
        let ops = [
            Op::Store,
            Op::MapSync,
            Op::Store,
            Op::MapSync,
            Op::Store,
            Op::MapSync,
        ];
        (0..ops.len())
            .filter(|&index| faults.meet(ops[index]).is_some())
            .collect()
    }

    #[test]
    fn fault_meets_the_operation_meant_once_or_from_then_on() {
        assert_eq!(met(When::Index(2), Repeat::Once), [2]);
        assert_eq!(met(When::Index(4), Repeat::FromThenOn), [4, 5]);
        assert_eq!(met(When::Nth(Op::MapSync, 1), Repeat::Once), [3]);
        assert_eq!(met(When::Nth(Op::Store, 1), Repeat::FromThenOn), [2, 4]);
        assert!(met(When::Nth(Op::Rename, 0), Repeat::Once).is_empty());
    }
}
