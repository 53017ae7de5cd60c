//! A segment is not reused while a reader has it (P1, P2).

use std::sync::Arc;

use loom::sync::Mutex;
use loom_tests::{Model, Plan, Take, World, spawn};
use segwal::internals::twin::Twin;
use segwal::internals::{Pin, PinGuard, Seat};

/// A log and the registry of what readers may pin: segment 1, while it is in the log.
struct Registry {
    world: Arc<World>,
    pin: Mutex<Option<Pin>>,
}

impl Registry {
    fn hold(&self) -> Option<PinGuard> {
        self.pin.lock().unwrap().as_ref().map(Pin::hold)
    }

    /// Takes the segment out; returns whether it was reused.
    fn recycle(&self) -> bool {
        let pin = self.pin.lock().unwrap().take();
        let taken = pin.unwrap().try_take().is_ok();
        if taken {
            self.world.body(1).wipe();
        }
        taken
    }
}

const PINNED: Model = Model {
    name: "recycle under readers",
    states: &["reused", "kept", "too late to read"],
    body: |reached| {
        let world = World::new(Plan {
            grains: 1,
            take: Take::Addition,
            slots: 1,
            places: 2,
            ready: 0,
        });
        world.append(&mut Seat::borrowed_facing(None), 1).unwrap();
        let registry = Arc::new(Registry {
            world,
            pin: Mutex::new(Some(Pin::new())),
        });
        let reader = || {
            spawn(0, &registry, |registry: &Registry| {
                let guard = registry.hold();
                let second = guard.clone();
                drop(guard);
                if second.is_some() {
                    let world = &registry.world;
                    world.body(1).assert_filled(world.core.shape().end);
                }
                second.is_some()
            })
        };
        let readers = [reader(), reader()];
        let recycler = spawn(0, &registry, Registry::recycle);
        for reader in readers {
            if !reader.join().unwrap() {
                reached.mark("too late to read");
            }
        }
        let reused = recycler.join().unwrap();
        reached.mark(if reused { "reused" } else { "kept" });
    },
};

#[test]
fn what_a_reader_holds_is_kept() {
    PINNED.holds();
}

#[test]
fn reuse_under_a_reader_is_caught() {
    PINNED.must_fail(Twin::ReuseWhilePinned, "Causality violation");
}
