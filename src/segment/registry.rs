//! [`Registry`]: the segments that hold records, from the head to the active one.
//!
//! Segments that open found below the known durable position stay *cold*: no mapping, no table of salts, until somebody
//! reads there. Readers get a [`Held`] segment, under the lock; a discard takes segments out under the same lock (P1).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{PreviousEnd, decode_activation, decode_prepared};
use crate::log::Pin;
use crate::sync::Mutex;
use crate::sys::Access;

use super::bytes::{Exclusive, Held};
use super::salts::Salts;
use super::source::FileSource;
use super::{Directory, Segment, name};

/// The segments that hold records.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    entries: Mutex<BTreeMap<u32, Entry>>,
}

#[derive(Debug)]
struct Entry {
    pin: Pin,
    state: State,
}

#[derive(Debug)]
enum State {
    Warm(Arc<Segment>),
    /// Where it ended, as the next segment's activation states it.
    Cold(PreviousEnd),
}

/// A segment whose records are discarded.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) id: u32,
    pin: Pin,
    state: State,
}

/// A retired segment that nobody reads: its file may be reused.
#[derive(Debug)]
pub(crate) struct Reusable {
    /// The id under which the file is still named.
    pub(crate) id: u32,
    /// Its mapping, if it had one, with the salts of its last life.
    pub(crate) mapped: Option<(Exclusive, Salts)>,
}

impl Registry {
    /// Adds an activated segment.
    pub(crate) fn insert(&self, segment: &Arc<Segment>) {
        let entry = Entry {
            pin: Pin::new(),
            state: State::Warm(Arc::clone(segment)),
        };
        self.entries.lock().insert(segment.id(), entry);
    }

    /// Adds a segment that ended at `end` and is not needed yet.
    pub(crate) fn insert_cold(&self, id: u32, end: PreviousEnd) {
        self.entries.lock().insert(
            id,
            Entry {
                pin: Pin::new(),
                state: State::Cold(end),
            },
        );
    }

    /// The lowest segment that holds records.
    pub(crate) fn lowest(&self) -> Option<u32> {
        self.entries.lock().keys().next().copied()
    }

    pub(crate) fn count(&self) -> usize {
        self.entries.lock().len()
    }

    /// The segment `id`, kept from being reused; `None` if it was discarded or never was.
    ///
    /// A cold one is mapped outside the lock, which rotations take: its guard keeps the file as it is meanwhile.
    pub(crate) fn hold(&self, id: u32, directory: &Directory, size: u64) -> Result<Option<Held>> {
        let (guard, end) = {
            let entries = self.entries.lock();
            let Some(entry) = entries.get(&id) else {
                return Ok(None);
            };
            match &entry.state {
                State::Warm(segment) => {
                    return Ok(Some(Held::new(Arc::clone(segment), entry.pin.hold())));
                }
                State::Cold(end) => (entry.pin.hold(), *end),
            }
        };
        let segment = warm_up(id, directory, size, &end)?;
        Ok(Some(Held::new(self.settle(id, segment), guard)))
    }

    /// Keeps the mapping that came first; two readers may have made one at the same time.
    fn settle(&self, id: u32, segment: Arc<Segment>) -> Arc<Segment> {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(&id) else {
            return segment;
        };
        if let State::Warm(first) = &entry.state {
            return Arc::clone(first);
        }
        entry.state = State::Warm(Arc::clone(&segment));
        segment
    }

    /// Where segment `id` ended, if it was left and holds records.
    pub(crate) fn seal_of(&self, id: u32) -> Option<u64> {
        match &self.entries.lock().get(&id)?.state {
            State::Warm(segment) => segment.sealed_at(),
            State::Cold(end) => Some(end.seal),
        }
    }

    /// The segment `id` if it is mapped, without a hold.
    pub(crate) fn warm(&self, id: u32) -> Option<Arc<Segment>> {
        match &self.entries.lock().get(&id)?.state {
            State::Warm(segment) => Some(Arc::clone(segment)),
            State::Cold(_) => None,
        }
    }

    /// Takes out every segment below `id`.
    pub(crate) fn take_below(&self, id: u32) -> Vec<Retired> {
        let mut entries = self.entries.lock();
        let kept = entries.split_off(&id);
        let taken = std::mem::replace(&mut *entries, kept);
        taken
            .into_iter()
            .map(|(id, Entry { pin, state })| Retired { id, pin, state })
            .collect()
    }
}

impl Retired {
    /// The file, if the last reader is gone.
    pub(crate) fn try_reuse(self) -> Result<Reusable, Self> {
        let Self { id, pin, state } = self;
        if let Err(pin) = pin.try_take() {
            return Err(Self { id, pin, state });
        }
        let mapped = match state {
            State::Warm(segment) => Some((
                Exclusive::of_retired(segment.frames()),
                segment.salts().clone(),
            )),
            State::Cold(_) => None,
        };
        Ok(Reusable { id, mapped })
    }
}

/// Maps a cold segment and reads its table of salts.
fn warm_up(id: u32, directory: &Directory, size: u64, end: &PreviousEnd) -> Result<Arc<Segment>> {
    let path = directory.segment(id);
    let io = |what| {
        let path = path.clone();
        move |error| Error::io(what, &path, error).at_segment(id)
    };
    let file = directory.open(&name::segment(id), Access::Write)?;
    let mut block = vec![0; 4096];
    file.read_at(0, &mut block)
        .map_err(io("cannot read the header of a segment"))?;
    let prepared = decode_prepared(&block)
        .ok()
        .filter(|prepared| prepared.segment == id && prepared.size == size);
    let activation = prepared.and_then(|prepared| decode_activation(&block, &prepared).ok());
    let activation = activation.ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "the header of a segment is damaged")
            .at_path(&path)
            .at_segment(id)
    })?;
    let mut source =
        FileSource::new(Arc::clone(&file), size).map_err(io("cannot read a segment"))?;
    let salts =
        Salts::read_back(&mut source, &activation, end).map_err(|error| error.at_path(&path))?;
    let bytes = Exclusive::map(&*file, size).map_err(io("cannot map a segment"))?;
    let segment = Segment::new(id, size, bytes.share(), salts);
    segment.seal(end.seal);
    Ok(segment)
}
