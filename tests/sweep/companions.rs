//! Scenarios in which somebody stands beside the writer: a reader, a hold, a callback.

use crate::keep::Keeping;
use crate::play::Act;
use crate::scenario::{FILL, SYNC, Scenario, append, discard, has};
use crate::workload::Step;

/// All of them.
pub(crate) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a reader beside",
            setup: vec![Act::Open, append(100), SYNC],
            acts: vec![
                Act::ReadBeside,
                append(100),
                Act::ReadBeside,
                FILL,
                append(90),
                SYNC,
                Act::ReadBeside,
                Act::Verify,
                discard(Some(0)),
                Act::ReadBeside,
            ],
            is_there: |play| has(play, |wal| wal.head().segment() == 2),
        },
        Scenario {
            name: "a named hold",
            setup: vec![Act::Open, append(100), FILL, append(90), SYNC],
            acts: vec![
                Act::Keep(Keeping::Begin),
                FILL,
                append(80),
                SYNC,
                Act::Keep(Keeping::Discard),
                Act::Keep(Keeping::Advance),
                Act::Keep(Keeping::Discard),
                append(70),
                Act::Do(Step::Drop),
                append(60),
                SYNC,
                Act::Keep(Keeping::Discard),
                Act::Read,
                Act::Keep(Keeping::End),
                Act::Keep(Keeping::Discard),
            ],
            is_there: |play| {
                has(play, |wal| {
                    wal.holds().is_empty() && wal.head() == wal.end()
                })
            },
        },
        Scenario {
            name: "callbacks",
            setup: vec![Act::Open, append(100)],
            acts: vec![
                Act::Callback,
                append(100),
                Act::Callback,
                FILL,
                append(90),
                Act::Callback,
            ],
            is_there: |play| has(play, |wal| wal.durable() == wal.end()),
        },
    ]
}
