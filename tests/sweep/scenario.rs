//! The scenarios: what is done with a log before operations go wrong, and while they do.

use segwal::EndKind;

use crate::companions;
use crate::play::{Act, Play};
use crate::workload::Step;

/// One scenario.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Done on a healthy disk.
    pub(crate) setup: Vec<Act>,
    /// Done while an operation goes wrong.
    pub(crate) acts: Vec<Act>,
    /// Whether the acts, on a healthy disk, came where the scenario wants to be.
    pub(crate) is_there: fn(&Play) -> bool,
}

pub(crate) fn append(len: usize) -> Act {
    Act::Do(Step::Append { len, tag: 1 })
}

pub(crate) const SYNC: Act = Act::Do(Step::Sync);
/// A record that leaves no room in its segment.
pub(crate) const FILL: Act = Act::Do(Step::AppendLeaving(0));

pub(crate) fn discard(back: Option<usize>) -> Act {
    Act::Do(Step::Discard(back))
}

pub(crate) fn has(play: &Play, what: impl Fn(&segwal::Wal) -> bool) -> bool {
    play.life.wal.as_ref().is_some_and(what)
}

fn ended(play: &Play, kind: EndKind) -> bool {
    has(play, |wal| wal.recovery().kind() == kind)
}

/// Every scenario.
pub(crate) fn all() -> Vec<Scenario> {
    [
        beginnings(),
        segments(),
        truncations(),
        reopenings(),
        crashes(),
        pressures(),
        companions::all(),
        long_ones(),
        large_ones(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn beginnings() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "create",
            setup: vec![],
            acts: vec![Act::Open, append(20), SYNC],
            is_there: |play| ended(play, EndKind::Created),
        },
        Scenario {
            name: "append and sync",
            setup: vec![Act::Open, append(10)],
            acts: vec![
                append(20),
                SYNC,
                append(700),
                append(0),
                Act::Do(Step::SyncTo(1)),
                append(9),
                Act::Do(Step::SyncTo(0)),
                Act::Read,
            ],
            is_there: |play| has(play, |wal| wal.durable() == wal.end()),
        },
        Scenario {
            name: "batches and reservations",
            setup: vec![Act::Open],
            acts: vec![
                Act::Do(Step::Batch(vec![3, 0, 500])),
                Act::Do(Step::Publish { len: 90, tag: 3 }),
                SYNC,
                Act::Do(Step::Abandon { len: 40 }),
                Act::Do(Step::Batch(vec![40])),
                FILL,
                Act::Do(Step::Publish { len: 700, tag: 2 }),
                SYNC,
                Act::Read,
            ],
            is_there: |play| has(play, |wal| wal.durable().segment() == 2),
        },
    ]
}

fn segments() -> Vec<Scenario> {
    let two_segments = vec![Act::Open, FILL, append(30), FILL, append(8), SYNC];
    vec![
        Scenario {
            name: "rotation",
            setup: vec![Act::Open, append(40), SYNC],
            acts: vec![
                FILL,
                append(20),
                SYNC,
                Act::Do(Step::AppendLeaving(40)),
                append(300),
                SYNC,
                Act::Read,
            ],
            is_there: |play| has(play, |wal| wal.stats().rotations == 2),
        },
        Scenario {
            name: "rotations without a sync",
            setup: vec![Act::Open],
            acts: vec![
                FILL,
                FILL,
                FILL,
                FILL,
                FILL,
                append(5),
                FILL,
                append(6),
                SYNC,
            ],
            is_there: |play| has(play, |wal| wal.stats().background_syncs > 0),
        },
        Scenario {
            name: "recycling",
            setup: two_segments.clone(),
            acts: vec![
                discard(None),
                append(12),
                FILL,
                append(13),
                FILL,
                append(14),
                SYNC,
                Act::Read,
            ],
            is_there: |play| has(play, |wal| wal.stats().reused_segments > 0),
        },
        Scenario {
            name: "discarding",
            setup: [two_segments, vec![FILL, append(4), FILL, append(3)]].concat(),
            acts: vec![
                discard(Some(5)),
                append(12),
                discard(Some(1)),
                SYNC,
                discard(Some(0)),
                discard(None),
                append(1),
                FILL,
                append(2),
                SYNC,
                Act::Read,
            ],
            is_there: |play| has(play, |wal| wal.stats().removed_segments > 0),
        },
    ]
}

fn truncations() -> Vec<Scenario> {
    vec![Scenario {
        name: "truncating",
        setup: vec![Act::Open, append(40), append(41), append(42), SYNC],
        acts: vec![
            append(50),
            Act::Do(Step::TruncateAfter(1)),
            append(51),
            SYNC,
            FILL,
            append(52),
            Act::Do(Step::TruncateAfter(2)),
            append(53),
            SYNC,
            Act::Read,
            Act::Do(Step::TruncateAll),
            append(54),
            Act::Do(Step::Reset),
            append(55),
            SYNC,
            Act::Read,
        ],
        is_there: |play| has(play, |wal| wal.head().segment() == 2),
    }]
}

fn reopenings() -> Vec<Scenario> {
    let some = [Act::Open, append(100), FILL, append(50), SYNC, append(60)];
    let with = |more: &[Act]| [&some[..], more].concat();
    let go_on = |mut first: Vec<Act>| {
        first.extend([append(33), SYNC, Act::Read]);
        first
    };
    vec![
        Scenario {
            name: "reopening after a close",
            setup: with(&[Act::Shut]),
            acts: go_on(vec![Act::Open]),
            is_there: |play| ended(play, EndKind::Closed),
        },
        Scenario {
            name: "reopening after a death",
            setup: with(&[Act::Die]),
            acts: go_on(vec![Act::Open]),
            is_there: |play| ended(play, EndKind::Clean),
        },
        Scenario {
            name: "reopening again and again",
            setup: with(&[Act::Die]),
            acts: go_on(vec![
                Act::Open,
                append(5),
                Act::Do(Step::Drop),
                Act::Do(Step::Close),
            ]),
            is_there: |play| ended(play, EndKind::Closed),
        },
        Scenario {
            name: "reopening with files to reclaim",
            setup: with(&[FILL, FILL, append(2), discard(None), FILL, Act::Die]),
            acts: go_on(vec![Act::Open, FILL]),
            is_there: |play| has(play, |wal| !wal.recovery().reclaimed().is_empty()),
        },
        Scenario {
            name: "closing",
            setup: with(&[]),
            acts: vec![append(7), Act::Shut, Act::Open, append(8), Act::Shut],
            is_there: |play| play.life.wal.is_none(),
        },
    ]
}

fn crashes() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "recovering a torn tail",
            setup: vec![
                Act::Open,
                append(300),
                SYNC,
                append(1500),
                Act::LosePower(TORN),
            ],
            acts: vec![Act::Open, append(1500), SYNC, Act::Read],
            is_there: |play| ended(play, EndKind::TornTail),
        },
        Scenario {
            name: "recovering with an abandoned future",
            setup: vec![
                Act::Open,
                append(300),
                SYNC,
                append(1500),
                append(1200),
                FILL,
                append(900),
                append(70),
                Act::LosePower(HOLE),
            ],
            acts: vec![Act::Open, append(1500), FILL, append(900), SYNC, Act::Read],
            is_there: |play| ended(play, EndKind::Hole),
        },
        Scenario {
            name: "recovering twice",
            setup: vec![
                Act::Open,
                FILL,
                append(1500),
                append(1200),
                Act::LosePower(HOLE),
                Act::Open,
                append(64),
                Act::Die,
            ],
            acts: vec![
                Act::Open,
                append(10),
                Act::Do(Step::Drop),
                append(10),
                SYNC,
                Act::Read,
            ],
            is_there: |play| ended(play, EndKind::Clean),
        },
    ]
}

/// Seeds of power cuts that leave what the scenarios are named after; a change of the simulated disk may need others.
const TORN: u64 = 1;
const HOLE: u64 = 2;

fn pressures() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a full disk",
            setup: vec![Act::Open, append(100), SYNC],
            acts: on_a_full_disk(&[
                SYNC,
                append(101),
                discard(None),
                append(102),
                SYNC,
                Act::Space(None),
                append(103),
                FILL,
                append(104),
                SYNC,
                Act::Read,
            ]),
            is_there: |play| has(play, |wal| wal.stats().failed_preparations > 0),
        },
        Scenario {
            name: "critical records on a full disk",
            setup: vec![Act::Open, append(100), SYNC],
            acts: on_a_full_disk(&[
                Act::Critical(80),
                SYNC,
                Act::Critical(81),
                append(101),
                discard(Some(0)),
                Act::Space(None),
                append(102),
                SYNC,
                Act::Read,
            ]),
            is_there: |play| has(play, |wal| wal.durable() == wal.end()),
        },
        Scenario {
            name: "opening on a full disk",
            setup: vec![
                Act::Open,
                FILL,
                append(100),
                FILL,
                Act::Die,
                Act::Space(Some(0)),
            ],
            acts: vec![Act::Open, append(9), SYNC, discard(None), append(8), SYNC],
            is_there: |play| has(play, |wal| wal.durable() == wal.end()),
        },
    ]
}

/// No space any more, and more appended than there is room for.
fn on_a_full_disk(then: &[Act]) -> Vec<Act> {
    [&[Act::Space(Some(0)), FILL, FILL, append(100)], then].concat()
}

/// Six segments with records, five of them synced.
fn six_segments() -> Vec<Act> {
    let mut acts = vec![Act::Open, append(10)];
    for len in 0..5 {
        acts.extend([FILL, append(20 + len), SYNC]);
    }
    acts
}

fn long_ones() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a long life",
            setup: vec![],
            acts: vec![
                Act::Open,
                append(2000),
                FILL,
                Act::Do(Step::Batch(vec![30, 40])),
                SYNC,
                FILL,
                append(10),
                discard(Some(0)),
                Act::Do(Step::Publish { len: 64, tag: 5 }),
                FILL,
                append(11),
                SYNC,
                Act::Do(Step::Drop),
                append(12),
                SYNC,
                discard(Some(1)),
                FILL,
                append(13),
                Act::Do(Step::Close),
                append(14),
                Act::Callback,
                Act::Read,
            ],
            is_there: |play| has(play, |wal| wal.durable() == wal.end()),
        },
        Scenario {
            name: "many lives in one segment",
            setup: vec![Act::Open, append(10)],
            acts: [append(1), SYNC, Act::Do(Step::Drop)]
                .into_iter()
                .cycle()
                .take(15)
                .chain([Act::Read, Act::Shut, Act::Open, append(3), SYNC])
                .collect(),
            is_there: |play| ended(play, EndKind::Closed),
        },
    ]
}

fn large_ones() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "reading many segments",
            setup: six_segments(),
            acts: vec![
                Act::Verify,
                Act::Read,
                Act::ReadBeside,
                Act::Shut,
                Act::Verify,
                Act::ReadBeside,
            ],
            is_there: |play| play.life.wal.is_none(),
        },
        Scenario {
            name: "reopening many segments",
            setup: [six_segments(), vec![append(5), Act::Die]].concat(),
            acts: vec![Act::Open, Act::Read, Act::Do(Step::Drop), append(6), SYNC],
            is_there: |play| ended(play, EndKind::Clean),
        },
        Scenario {
            name: "reopening a recycled log",
            setup: [
                six_segments(),
                vec![discard(Some(0)), FILL, append(7), FILL, SYNC, Act::Shut],
            ]
            .concat(),
            acts: vec![
                Act::Open,
                FILL,
                append(8),
                discard(Some(0)),
                FILL,
                append(9),
                SYNC,
                Act::Do(Step::Drop),
                Act::Read,
            ],
            is_there: |play| ended(play, EndKind::Clean),
        },
    ]
}
