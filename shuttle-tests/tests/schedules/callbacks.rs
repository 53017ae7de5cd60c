//! Callbacks beside syncs and the end of the log: each is called once, and one that says durable is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use segwal::ErrorKind;
use segwal::internals::Bug;
use segwal::internals::twin::Twin;
use shuttle_tests::{Crash, Mistake, Reached, Scenario, Stage, join, small};

static CALLBACKS: Scenario = Scenario {
    name: "callbacks",
    states: &["told that it is durable", "told that the log has ended"],
    body: callbacks,
};

fn callbacks(reached: &Reached, number: u64) {
    let stage = Stage::new(&small(), number);
    let (asked, called) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut actors = Vec::new();
    for writer in 0..2 {
        let (marks, asked, called) = (reached.clone(), Arc::clone(&asked), Arc::clone(&called));
        actors.push(stage.actor(move |stage| {
            for _ in 0..3 {
                let Some(record) = stage.append(writer, 700) else {
                    return;
                };
                ask(stage, record, &marks, [&asked, &called]);
            }
        }));
    }
    actors.push(stage.actor(|stage| {
        if let Some(record) = stage.append(2, 50) {
            stage.sync_to(record);
        }
        let closed = stage.wal.close().map_err(|error| error.kind());
        assert!(
            matches!(closed, Ok(()) | Err(ErrorKind::Closed)),
            "{closed:?}"
        );
    }));
    actors.push(stage.crash_at_some_time(Crash::Power));
    join(actors);
    stage.finish();
    // Relaxed, here and below: one thread of the system.
    let counts = || {
        (
            asked.load(Ordering::Relaxed),
            called.load(Ordering::Relaxed),
        )
    };
    // Those that were asked for as the log ended are called by a thread that nobody waits for.
    for _ in 0..1000 {
        let (asked, called) = counts();
        if asked == called {
            return;
        }
        shuttle::thread::yield_now();
    }
    panic!("callbacks asked for and called: {:?}", counts());
}

fn ask(
    stage: &Stage,
    (lsn, name): (segwal::Lsn, shuttle_tests::Name),
    marks: &Reached,
    [asked, called]: [&Arc<AtomicU64>; 2],
) {
    let (ledger, wal, marks, called) = (
        Arc::clone(&stage.ledger),
        stage.wal.clone(),
        marks.clone(),
        Arc::clone(called),
    );
    let callback = move |result: segwal::Result<()>| {
        // Relaxed: one thread of the system.
        called.fetch_add(1, Ordering::Relaxed);
        match result {
            Ok(()) => {
                ledger.acknowledged(lsn, name);
                assert!(lsn < wal.durable(), "a callback said durable of {lsn}");
                marks.mark("told that it is durable");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                marks.mark("told that the log has ended");
            }
        }
    };
    match stage.wal.on_durable(lsn, callback) {
        // Relaxed: as above.
        Ok(()) => _ = asked.fetch_add(1, Ordering::Relaxed),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{error}"),
    }
}

#[test]
fn each_callback_is_called_once_and_is_right() {
    CALLBACKS.holds();
}

#[test]
fn a_callback_before_the_sync_is_found() {
    CALLBACKS.must_fail(
        Mistake::Bug(Bug::AckBeforeSync),
        &["is lost", "below the known durable"],
    );
}

#[test]
fn a_wish_that_is_forgotten_at_the_end_is_found() {
    CALLBACKS.must_fail(Mistake::Twin(Twin::WishAtTheEnd), &["callbacks asked for"]);
}
