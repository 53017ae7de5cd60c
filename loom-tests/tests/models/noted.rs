//! What the reserver of a frame notes before it publishes, the activation of every later segment knows (R4).

use std::sync::Arc;

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom_tests::{Cells, FOREVER, Model, Plan, Reached, Take, World, spawn};
use segwal::internals::twin::Twin;
use segwal::internals::{Patience, Purpose, Seat, Shortage, Supply, Terms};
use segwal::{Lsn, Result};

/// A log whose activations say what was noted last.
struct Noting {
    world: Arc<World>,
    /// The last frame that was noted, as the engine's last rewind; zero for none.
    last: AtomicU64,
    /// Where each segment ended, and what the next one's activation said.
    said: Mutex<Vec<(Lsn, u64)>>,
}

impl Supply<Cells> for Noting {
    fn is_ready(&self, purpose: Purpose) -> bool {
        self.world.shelf.is_ready(purpose)
    }

    fn is_reserve_whole(&self) -> bool {
        self.world.shelf.is_reserve_whole()
    }

    fn activate(&self, sealed: Lsn) -> Result<Option<loom::sync::Arc<Cells>>> {
        // Relaxed: under the rotation's lock, as the engine's.
        let last = self.last.load(Ordering::Relaxed);
        self.said.lock().unwrap().push((sealed, last));
        self.world.shelf.activate(sealed)
    }

    fn may_activate(&self, id: u32) -> bool {
        self.world.shelf.may_activate(id)
    }

    fn short_of(&self, shortage: Shortage) {
        self.world.shelf.short_of(shortage);
    }

    fn waited(&self, shortage: Shortage, for_ns: u64) {
        self.world.shelf.waited(shortage, for_ns);
    }

    fn moved_on(&self, sealed: Lsn) {
        self.world.shelf.moved_on(sealed);
    }
}

impl Noting {
    fn terms(&self) -> Terms<'_, Cells> {
        Terms {
            supply: self,
            ..self.world.terms(Patience::ForNs(FOREVER))
        }
    }

    fn append(&self, seat: &mut Seat<Cells>) {
        let World { room, core, .. } = &*self.world;
        let mut claim = room.reserve(core, seat, 1, &self.terms()).unwrap();
        claim.fill(Cells::write);
        claim.publish();
    }

    fn append_noted(&self, seat: &mut Seat<Cells>) -> Lsn {
        let World { room, core, .. } = &*self.world;
        let noted = room.reserve_before_rotation(core, seat, 1, &self.terms(), |mut claim| {
            claim.fill(Cells::write);
            // Relaxed: as in `activate`.
            self.last.store(claim.lsn().to_word(), Ordering::Relaxed);
            claim.publish()
        });
        noted.unwrap()
    }
}

const NOTED: Model = Model {
    name: "noted before a rotation",
    states: &["before the rotation", "behind it"],
    body: |reached| race(reached),
};

/// Three frames in segments of two grains: one of them is noted, first, second or behind the rotation.
fn race(reached: &Reached) {
    let log = Arc::new(Noting {
        world: World::new(Plan {
            grains: 2,
            take: Take::Addition,
            slots: 2,
            places: 4,
            ready: 2,
        }),
        last: AtomicU64::new(0),
        said: Mutex::new(Vec::new()),
    });
    let writer = spawn(0, &log, |log: &Noting| {
        let mut seat = Seat::borrowed_facing(None);
        (0..2).for_each(|_| log.append(&mut seat));
    });
    let noted = spawn(1, &log, |log: &Noting| {
        log.append_noted(&mut Seat::borrowed_facing(None))
    });
    writer.join().unwrap();
    let noted = noted.join().unwrap();
    let said = log.said.lock().unwrap();
    assert_eq!(said.len(), 1, "three frames of two take one rotation");
    for &(sealed, last) in &*said {
        let (state, expected) = if noted < sealed {
            ("before the rotation", noted.to_word())
        } else {
            ("behind it", 0)
        };
        assert_eq!(last, expected, "an activation does not know what was noted");
        reached.mark(state);
    }
}

#[test]
fn an_activation_knows_what_was_noted_before_it() {
    NOTED.holds();
}

#[test]
fn a_note_after_the_lock_was_given_up_is_caught() {
    NOTED.must_fail(Twin::NoteAfterRotation, "does not know");
}
