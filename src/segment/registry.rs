//! [`Registry`]: the segments that hold records, from the head to the active one.
//!
//! Segments that open found below the known durable position stay *cold*: no mapping, no table of salts, until somebody
//! reads there. Readers get a [`Held`] segment, under the lock; a discard takes segments out under the same lock, and a log
//! that ends closes the registry under it (P1).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{PreviousEnd, decode_activation, decode_prepared};
use crate::sync::Mutex;
use crate::sys::{Access, FileId};

use super::bytes::{Exclusive, Held};
use super::readers::Readers;
use super::salts::Salts;
use super::source::FileSource;
use super::{Directory, Segment, name};

/// The segments that hold records.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<u32, Entry>,
    is_closed: bool,
}

#[derive(Debug)]
struct Entry {
    readers: Readers,
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
    pub(super) id: u32,
    pub(super) readers: Readers,
    /// If it is mapped.
    pub(super) segment: Option<Arc<Segment>>,
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
    /// Adds an activated segment, of a file that was made ready in this life of the log.
    pub(crate) fn insert(&self, segment: &Arc<Segment>) {
        self.add(
            segment.id(),
            Readers::none(),
            State::Warm(Arc::clone(segment)),
        );
    }

    /// Adds a segment that an earlier life of the log activated.
    pub(crate) fn insert_found(&self, segment: &Arc<Segment>) {
        let readers = Readers::of_found(segment.file());
        self.add(segment.id(), readers, State::Warm(Arc::clone(segment)));
    }

    /// As [`insert_found`](Self::insert_found): one that ended at `end` and is not needed yet.
    pub(crate) fn insert_cold(&self, id: u32, file: FileId, end: PreviousEnd) {
        self.add(id, Readers::of_found(file), State::Cold(end));
    }

    fn add(&self, id: u32, readers: Readers, state: State) {
        let entry = Entry { readers, state };
        self.inner.lock().entries.insert(id, entry);
    }

    /// The lowest segment that holds records.
    pub(crate) fn lowest(&self) -> Option<u32> {
        self.inner.lock().entries.keys().next().copied()
    }

    pub(crate) fn count(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// The segment `id`, kept from being reused; `None` if it was discarded or never was.
    ///
    /// A cold one is mapped outside the lock, which rotations take: its guard keeps the file as it is meanwhile.
    ///
    /// # Errors
    /// `Closed` once the registry is.
    pub(crate) fn hold(&self, id: u32, directory: &Directory, size: u64) -> Result<Option<Held>> {
        let (guard, end) = {
            let inner = self.inner.lock();
            inner.check()?;
            let Some(Entry { readers, state }) = inner.entries.get(&id) else {
                return Ok(None);
            };
            match state {
                State::Warm(segment) => {
                    return Ok(Some(Held::new(Arc::clone(segment), readers.hold())));
                }
                State::Cold(end) => (readers.hold(), *end),
            }
        };
        let segment = self.settle(id, warm_up(id, directory, size, &end))?;
        Ok(segment.map(|segment| Held::new(segment, guard)))
    }

    /// Keeps the mapping that came first; two readers may have made one at the same time. What was discarded meanwhile is not
    /// held, and what was closed may belong to another log by now: then `mapped` says nothing.
    fn settle(&self, id: u32, mapped: Result<Arc<Segment>>) -> Result<Option<Arc<Segment>>> {
        let mut inner = self.inner.lock();
        inner.check()?;
        let Some(entry) = inner.entries.get_mut(&id) else {
            return Ok(None);
        };
        if let State::Warm(first) = &entry.state {
            return Ok(Some(Arc::clone(first)));
        }
        let segment = mapped?;
        entry.state = State::Warm(Arc::clone(&segment));
        Ok(Some(segment))
    }

    /// Where segment `id` ended, if it was left and holds records.
    pub(crate) fn seal_of(&self, id: u32) -> Option<u64> {
        match &self.inner.lock().entries.get(&id)?.state {
            State::Warm(segment) => segment.sealed_at(),
            State::Cold(end) => Some(end.seal),
        }
    }

    /// The segment `id` if it is mapped, without a hold.
    pub(crate) fn warm(&self, id: u32) -> Option<Arc<Segment>> {
        match &self.inner.lock().entries.get(&id)?.state {
            State::Warm(segment) => Some(Arc::clone(segment)),
            State::Cold(_) => None,
        }
    }

    /// Takes out every segment below `id`.
    pub(crate) fn take_below(&self, id: u32) -> Vec<Retired> {
        let mut inner = self.inner.lock();
        if inner.is_closed {
            return Vec::new();
        }
        let kept = inner.entries.split_off(&id);
        let taken = std::mem::replace(&mut inner.entries, kept);
        taken.into_iter().map(Retired::of).collect()
    }

    /// The log has ended: nobody comes in any more, and whoever reads keeps the file from being reused by a later life.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.is_closed = true;
        for Entry { readers, state } in inner.entries.values_mut() {
            // A cold one is held by those alone who are about to hear that the registry is closed.
            if let State::Warm(segment) = state {
                std::mem::replace(readers, Readers::none()).leave(segment.file());
            }
        }
    }
}

impl Inner {
    fn check(&self) -> Result<()> {
        if self.is_closed {
            return Err(Error::new(ErrorKind::Closed, "the log is closed"));
        }
        Ok(())
    }
}

impl Retired {
    fn of((id, Entry { readers, state }): (u32, Entry)) -> Self {
        let segment = match state {
            State::Warm(segment) => Some(segment),
            State::Cold(_) => None,
        };
        Self {
            id,
            readers,
            segment,
        }
    }

    /// The file, if the last reader is gone.
    pub(crate) fn try_reuse(self) -> Result<Reusable, Self> {
        let Self {
            id,
            readers,
            segment,
        } = self;
        if let Err(readers) = readers.try_take() {
            return Err(Self {
                id,
                readers,
                segment,
            });
        }
        let mapped = segment.map(|segment| {
            let bytes = Exclusive::of_retired(segment.frames());
            (bytes, segment.salts().clone())
        });
        Ok(Reusable { id, mapped })
    }

    /// The log has ended, see [`Registry::close`].
    pub(super) fn leave(self) {
        if let Some(segment) = &self.segment {
            self.readers.leave(segment.file());
        }
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
