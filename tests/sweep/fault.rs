//! [`Fault`]: how one operation goes wrong, and what must become of the log then.

use segwal::fault::{Op, Repeat, SimDisk, When};

use crate::play::Act;
use crate::workload::Step;

const EINTR: i32 = 4;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The device.
    Io,
    /// The disk is full.
    NoSpace,
    /// The quota is used up.
    Quota,
    /// A signal came. The real disk repeats what can be repeated; what reaches the log is an error like others.
    Interrupted,
    /// Half of it was done.
    Short,
}

pub(crate) const FAULTS: [Fault; 5] = [
    Fault::Io,
    Fault::NoSpace,
    Fault::Quota,
    Fault::Interrupted,
    Fault::Short,
];

/// What a fault must do to an open log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing is reported durable any more.
    Poison,
    /// The log goes on.
    Life,
    /// Either, by what the operation was for.
    Either,
}

impl Fault {
    /// Has the operation of this index go wrong.
    pub(crate) fn inject(self, disk: &SimDisk, index: u64, repeat: Repeat) {
        let when = When::Index(index);
        match self {
            Self::Io => disk.fail_at(when, EIO, repeat),
            Self::NoSpace => disk.fail_at(when, ENOSPC, repeat),
            Self::Quota => disk.fail_at(when, EDQUOT, repeat),
            Self::Interrupted => disk.fail_at(when, EINTR, repeat),
            Self::Short => disk.short_at(when, repeat),
        }
    }

    /// Whether such an operation can go wrong so at all. A store cannot fail, and only what has a length can be short.
    pub(crate) fn meets(self, op: Op) -> bool {
        match self {
            Self::Short => matches!(op, Op::Read | Op::Write | Op::Allocate),
            _ => op != Op::Store,
        }
    }

    fn is_want_of_space(self) -> bool {
        matches!(self, Self::NoSpace | Self::Quota | Self::Short)
    }

    /// What must become of an open log when `op` goes wrong so, once, during `act`.
    ///
    /// A failed sync over published bytes, `COOKIE` or a directory poisons. A segment that is prepared for want of which no
    /// record suffers may lack space; anything else that happens to it poisons.
    pub(crate) fn due(self, op: Op, act: &Act) -> Due {
        let is_sync = matches!(act, Act::Do(Step::Sync | Step::SyncTo(_)));
        match op {
            Op::DirSync => Due::Poison,
            Op::MapSync if is_sync || !self.is_want_of_space() => Due::Poison,
            Op::Create | Op::Allocate | Op::Write | Op::Rename | Op::FileSync => {
                if self.is_want_of_space() {
                    Due::Life
                } else {
                    Due::Poison
                }
            }
            _ => Due::Either,
        }
    }
}
