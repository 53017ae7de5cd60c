//! [`Workload`]: a random sequence of calls, replayable from its seed.

use segwal::SyncPadding;
use testkit::Rng;

/// What the options of a log follow from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) segment_size: u64,
    pub(crate) padding: SyncPadding,
}

impl Setup {
    /// The defaults.
    pub(crate) fn plain(segment_size: u64) -> Self {
        Self {
            segment_size,
            padding: SyncPadding::Off,
        }
    }

    /// Syncs are padded in one of four.
    pub(crate) fn random(segment_size: u64, rng: &mut Rng) -> Self {
        Self {
            segment_size,
            padding: if rng.chance(1, 4) {
                SyncPadding::Block
            } else {
                SyncPadding::Off
            },
        }
    }
}

/// One call, or an accident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Append {
        len: usize,
        tag: u8,
    },
    /// A record that must not wait for space.
    Critical {
        len: usize,
    },
    /// From now on no block is free, or many are.
    FillDisk,
    FreeDisk,
    /// The longest record that the log takes.
    AppendLongest,
    /// So long that this many bytes of the segment are left, if that is a record at all.
    AppendLeaving(u64),
    Batch(Vec<usize>),
    Publish {
        len: u32,
        tag: u8,
    },
    Abandon {
        len: u32,
    },
    Sync,
    /// Sync to the record so many places from the end.
    SyncTo(usize),
    /// Discard before the record so many places from the end, or everything.
    Discard(Option<usize>),
    /// The page cache loses every segment.
    Evict,
    /// Keep the record so many places from the end and none behind it.
    TruncateAfter(usize),
    /// Keep no record, and discard none.
    TruncateAll,
    Reset,
    Close,
    Drop,
    Kill,
    PowerCut(u64),
}

impl Step {
    /// Whether it may be refused on a full disk.
    pub(crate) fn appends(&self) -> bool {
        matches!(
            self,
            Self::Append { .. }
                | Self::Critical { .. }
                | Self::AppendLongest
                | Self::AppendLeaving(_)
                | Self::Batch(_)
                | Self::Publish { .. }
                | Self::Abandon { .. }
                | Self::TruncateAfter(_)
                | Self::TruncateAll
        )
    }
}

/// How long and how large workloads are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Few steps and short records: few dirty sectors, so that every combination can be tried.
    Small,
    /// Up to 25 steps, records of up to 3,000 bytes.
    Large,
}

/// A sequence of calls on a log with one setup.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) setup: Setup,
    pub(crate) seed: u64,
    pub(crate) steps: Vec<Step>,
}

impl Workload {
    /// The workload of a seed.
    pub(crate) fn of(seed: u64, scale: Scale) -> Self {
        let mut rng = Rng::new(seed);
        let segment_size = *rng.pick(&[8192, 12288, 16384]);
        let count = match scale {
            Scale::Small => rng.range(3..8),
            Scale::Large => rng.range(5..26),
        };
        let mut steps: Vec<_> = (0..count).map(|_| step(&mut rng, scale)).collect();
        if rng.chance(1, 4) {
            // The head moves several times between two syncs of `COOKIE`.
            steps.extend((0..4).rev().map(|back| Step::Discard(Some(back))));
        }
        Self {
            setup: Setup::random(segment_size, &mut rng),
            seed,
            steps,
        }
    }
}

/// A random step.
pub(crate) fn step(rng: &mut Rng, scale: Scale) -> Step {
    let tag = u8::try_from(rng.below(4)).expect("small");
    match rng.below(100) {
        0..22 => Step::Append {
            len: len(rng, scale),
            tag,
        },
        22..25 => Step::Critical {
            len: len(rng, scale),
        },
        25..27 => Step::FillDisk,
        27 => Step::FreeDisk,
        28..32 => Step::TruncateAfter(rng.index(6)),
        32 => Step::TruncateAll,
        33 => Step::Reset,
        34..37 => Step::AppendLongest,
        37..42 => Step::AppendLeaving(8 * rng.below(12)),
        42..49 => Step::Batch((0..rng.range(1..5)).map(|_| len(rng, scale) / 3).collect()),
        49..53 => Step::Publish {
            len: len_u32(rng, scale),
            tag,
        },
        53..57 => Step::Abandon {
            len: len_u32(rng, scale),
        },
        57..69 => Step::Sync,
        69..75 => Step::SyncTo(rng.index(4)),
        75..83 => Step::Discard(rng.chance(3, 4).then(|| rng.index(5))),
        83..85 => Step::Evict,
        85..88 => Step::Close,
        88..91 => Step::Drop,
        91..95 => Step::Kill,
        _ => Step::PowerCut(rng.next_u64()),
    }
}

fn len(rng: &mut Rng, scale: Scale) -> usize {
    let most = match (scale, rng.below(4)) {
        (_, 0) => 16,
        (Scale::Small, _) => 300,
        (Scale::Large, 1) => 3001,
        (Scale::Large, _) => 700,
    };
    rng.index(most)
}

fn len_u32(rng: &mut Rng, scale: Scale) -> u32 {
    u32::try_from(len(rng, scale)).expect("small")
}
