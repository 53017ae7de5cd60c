//! [`apply`]: the change itself, once everything that it changes is kept beside.
//!
//! # Protocol
//! 1. `COOKIE` is replaced by one that states the head, and everything that is known to have been durable. The log is refused
//!    from here on, whatever of the evidence is gone: nothing that follows can make it open with records missing.
//! 2. Every segment behind that of the new end is removed, the last one first, and the directory synced.
//! 3. What stands behind the new end in its segment is overwritten with zeros and synced.
//! 4. `COOKIE` is replaced by one whose durable position is the new end.
//! 5. `MANIFEST` is replaced if it is missing or damaged; without it the log was refused all the time.
//!
//! # Invariants
//! * Y1. A crash before the last replacement leaves a log that is refused, one after it the repaired log. Each of them is
//!   a rename of a whole, synced file.
//! * Y2. Run again after a crash, a repair finds the same head and the same end: neither lies in what was removed.
//! * Y3. The last `COOKIE` says no more than the truth: the new end lies below what was known to have been durable, or is
//!   not stated at all.

use std::io;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{Cookie, Slot};
use crate::lsn::Lsn;
use crate::segment::{COOKIE, Directory, MANIFEST, is_read, segment_name};
use crate::sys::Access;

use super::diagnose::{Diagnosis, Part};
use super::keep;

/// How much is overwritten at a time.
const STEP: u64 = 1 << 20;

/// Does what `diagnosis` asks for.
pub(super) fn apply(directory: &Directory, diagnosis: &Diagnosis) -> Result<()> {
    let mut generation = newest(&diagnosis.cookie);
    if let Some(cut) = &diagnosis.cut {
        if needs_pin(diagnosis) {
            generation += 1;
            let pin = cookie(diagnosis, generation, diagnosis.head, diagnosis.known);
            directory.publish(COOKIE, &pin.encode())?;
        }
        for id in cut.removed.iter().rev() {
            directory.remove(&segment_name(*id))?;
        }
        directory.sync()?;
        overwrite(directory, diagnosis)?;
    }
    if changes_cookie(diagnosis) {
        let head = diagnosis.head.min(diagnosis.end);
        let durable = diagnosis.known.min(diagnosis.end).max(head);
        let repaired = cookie(diagnosis, generation + 1, head, durable);
        directory.publish(COOKIE, &repaired.encode())?;
    }
    if diagnosis.manifest_is != Part::Valid {
        let bytes = diagnosis.manifest.encode().ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "a manifest without a user header is too long",
            )
        })?;
        directory.publish(MANIFEST, &bytes)?;
    }
    Ok(())
}

/// A log that opens although something is damaged has to be refused from the first change on; and where it begins has to be
/// known before a segment is removed, for of those that are left another one could seem to be the first.
fn needs_pin(diagnosis: &Diagnosis) -> bool {
    let stated = diagnosis.cookie.durable.map(|slot| slot.lsn);
    diagnosis.cookie_is != Part::Valid || stated < Some(diagnosis.known)
}

fn changes_cookie(diagnosis: &Diagnosis) -> bool {
    diagnosis.cut.is_some() || diagnosis.cookie_is != Part::Valid
}

/// The first generation would say that the creation of the log was never finished.
fn newest(cookie: &Cookie) -> u64 {
    let slots = [cookie.durable, cookie.head];
    let generations = slots.into_iter().flatten().map(|slot| slot.generation);
    generations.max().unwrap_or(1).max(1)
}

fn cookie(diagnosis: &Diagnosis, generation: u64, head: Lsn, durable: Lsn) -> Cookie {
    let slot = |lsn| Slot {
        generation,
        lsn,
        uuid: diagnosis.manifest.uuid,
        boot: [0; 16],
    };
    Cookie {
        durable: Some(slot(durable)),
        head: Some(slot(head)),
        ..Cookie::default()
    }
}

/// Refuses to overwrite what somebody in this process reads. Segments that are removed lose their names alone.
pub(super) fn refuse_while_read(directory: &Directory, diagnosis: &Diagnosis) -> Result<()> {
    if diagnosis.cut.is_none() {
        return Ok(());
    }
    let id = diagnosis.end.segment();
    let path = directory.segment(id);
    let file = directory.open(&segment_name(id), Access::Read)?;
    let file = file
        .id()
        .map_err(|error| Error::io("cannot tell which file a segment is", &path, error))?;
    if is_read(file) {
        let what = "this process holds records of the segment that is to be cut";
        return Err(Error::new(ErrorKind::InvalidState, what)
            .at_path(&path)
            .at_segment(id)
            .advise("drop them first, or repair the log from another process"));
    }
    Ok(())
}

/// Zeros from the new end to the end of its segment.
fn overwrite(directory: &Directory, diagnosis: &Diagnosis) -> Result<()> {
    let end = diagnosis.end;
    let path = directory.segment(end.segment());
    let fail = |error: io::Error| {
        Error::io("cannot cut a segment", &path, error).at_segment(end.segment())
    };
    let file = directory.open(&segment_name(end.segment()), Access::Write)?;
    let size = diagnosis.manifest.segment_size;
    let mut at = end.offset();
    while at < size {
        let len = STEP.min(size - at);
        let zeros = vec![0; usize::try_from(len).unwrap_or(0)];
        file.write_at(at, &zeros).map_err(fail)?;
        at += len;
    }
    file.sync().map_err(fail)?;
    // Large writes leave large folios behind, which later syncs would write in whole. Advice only.
    drop(file.drop_cache());
    Ok(())
}

/// What [`apply`] would do, in words.
pub(super) fn steps(directory: &Directory, diagnosis: &Diagnosis) -> Vec<String> {
    if diagnosis.faults.is_empty() {
        return Vec::new();
    }
    let mut kept = keep::small_files(diagnosis);
    kept.extend(diagnosis.cut.iter().map(|cut| segments(&cut.kept)));
    kept.push("a report".to_owned());
    let mut steps = vec![format!(
        "keep beside the log, in {}.cut-N: {}",
        directory.path().display(),
        kept.join(", ")
    )];
    if let Some(cut) = &diagnosis.cut {
        if !cut.removed.is_empty() {
            steps.push(format!("remove {}", segments(&cut.removed)));
        }
        steps.push(format!(
            "cut segment {} at {}",
            diagnosis.end.segment(),
            diagnosis.end
        ));
    }
    if changes_cookie(diagnosis) {
        steps.push(format!(
            "write COOKIE: the log begins at {}, and is durable up to {}",
            diagnosis.head.min(diagnosis.end),
            diagnosis
                .known
                .min(diagnosis.end)
                .max(diagnosis.head.min(diagnosis.end))
        ));
    }
    if diagnosis.manifest_is != Part::Valid {
        steps.push("write MANIFEST, without a user header".to_owned());
    }
    steps
}

/// Ids in words, runs of them as ranges.
fn segments(ids: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*id) => *last = *id,
            _ => runs.push((*id, *id)),
        }
    }
    let words = runs.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first} to {last}")
        }
    });
    let plural = if ids.len() == 1 { "" } else { "s" };
    format!("segment{plural} {}", words.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_segments_are_told_as_ranges() {
        assert_eq!(segments(&[7]), "segment 7");
        assert_eq!(segments(&[4, 5, 6, 9]), "segments 4 to 6, 9");
    }
}
