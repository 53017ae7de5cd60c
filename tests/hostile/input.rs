//! [`Inputs`]: every damage of a log, one number each.

use std::fmt;

use crate::history::Log;
use crate::image::{File, Image};

const SECTOR: usize = 512;

/// One damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A bit is turned over.
    Bit { file: usize, bit: usize },
    /// A file is cut.
    Cut { file: usize, len: usize },
    /// A sector is zero.
    Zero { file: usize, sector: usize },
    /// A sector is as it was in a file of an earlier image.
    Earlier {
        file: usize,
        sector: usize,
        image: usize,
        from: usize,
    },
    /// A file is as it was in an earlier image.
    Old {
        file: usize,
        image: usize,
        from: usize,
    },
    /// Two files have each other's name.
    Swap { one: usize, other: usize },
    /// These files, as bits, are missing.
    Missing { mask: usize },
    /// These blocks of `COOKIE`, as bits, are zero, and something else is damaged.
    Unsaid { blocks: usize, then: Box<Self> },
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Every damage of one kind, in order.
pub(crate) fn bits(log: &Log) -> impl Iterator<Item = Input> + '_ {
    files(log)
        .flat_map(|(file, bytes)| (0..8 * bytes.len()).map(move |bit| Input::Bit { file, bit }))
}

/// Every length that a file can be cut to.
pub(crate) fn cuts(log: &Log) -> impl Iterator<Item = Input> + '_ {
    files(log).flat_map(|(file, bytes)| (0..bytes.len()).map(move |len| Input::Cut { file, len }))
}

/// Sectors that are zero or from an earlier life, old files, swaps and missing files.
pub(crate) fn rest(log: &Log) -> Vec<Input> {
    let mut inputs = Vec::new();
    let count = log.image.files.len();
    for (file, bytes) in files(log) {
        let sectors = bytes.len().div_ceil(SECTOR);
        inputs.extend((0..sectors).map(|sector| Input::Zero { file, sector }));
        for (image, earlier) in log.earlier.iter().enumerate() {
            for from in (0..earlier.files.len()).filter(|&from| is_like(log, file, earlier, from)) {
                inputs.push(Input::Old { file, image, from });
                inputs.extend((0..sectors).map(|sector| Input::Earlier {
                    file,
                    sector,
                    image,
                    from,
                }));
            }
        }
    }
    for one in 0..count {
        inputs.extend((0..one).map(|other| Input::Swap { one, other }));
    }
    inputs.extend((1..1 << count).map(|mask| Input::Missing { mask }));
    inputs
}

/// What the frames say is all that is left: `COOKIE` lost its newest word, or all, and a byte or a sector is damaged.
pub(crate) fn unsaid(log: &Log) -> impl Iterator<Item = Input> + '_ {
    let then = bits(log)
        .step_by(8)
        .chain(files(log).flat_map(|(file, bytes)| {
            let sectors = 0..bytes.len().div_ceil(SECTOR);
            sectors.map(move |sector| Input::Zero { file, sector })
        }));
    then.flat_map(|then| {
        [1, 2, 3, 4, 8, 5, 10].map(|blocks| Input::Unsaid {
            blocks,
            then: Box::new(then.clone()),
        })
    })
}

fn files(log: &Log) -> impl Iterator<Item = (usize, &Vec<u8>)> {
    let files = log.image.files.iter().enumerate();
    files.map(|(index, file)| (index, &file.bytes))
}

/// Whether bytes of that file can have stood where those of this one stand: files of segments change their names.
fn is_like(log: &Log, file: usize, earlier: &Image, from: usize) -> bool {
    let (here, there) = (&log.image.files[file], &earlier.files[from]);
    let are_segments = log.image.is_segment(file) && earlier.is_segment(from);
    (here.name == there.name || are_segments) && here.bytes != there.bytes
}

impl Input {
    /// The files after the damage.
    pub(crate) fn apply(&self, log: &Log) -> Image {
        let mut image = log.image.clone();
        match *self {
            Self::Bit { file, bit } => image.files[file].bytes[bit / 8] ^= 1 << (bit % 8),
            Self::Cut { file, len } => image.files[file].bytes.truncate(len),
            Self::Zero { file, sector } => part(&mut image.files[file], sector).fill(0),
            Self::Earlier {
                file,
                sector,
                image: at,
                from,
            } => {
                let mut old = log.earlier[at].files[from].clone();
                let new = part(&mut image.files[file], sector);
                let old = part(&mut old, sector);
                if new.len() == old.len() {
                    new.copy_from_slice(old);
                }
            }
            Self::Old {
                file,
                image: at,
                from,
            } => {
                let old = &log.earlier[at].files[from];
                image.files[file].bytes.clone_from(&old.bytes);
            }
            Self::Swap { one, other } => {
                let bytes = std::mem::take(&mut image.files[one].bytes);
                image.files[one].bytes = std::mem::replace(&mut image.files[other].bytes, bytes);
            }
            Self::Unsaid { blocks, ref then } => {
                image = then.apply(log);
                if let Some(cookie) = image.get_mut("COOKIE") {
                    let gone = cookie.chunks_mut(4096).enumerate();
                    let gone = gone.filter(|(block, _)| blocks >> block & 1 == 1);
                    gone.for_each(|(_, block)| block.fill(0));
                }
            }
            Self::Missing { mask } => {
                let mut index = 0;
                image.files.retain(|_| {
                    index += 1;
                    mask >> (index - 1) & 1 == 0
                });
            }
        }
        image
    }
}

fn part(file: &mut File, sector: usize) -> &mut [u8] {
    let start = (SECTOR * sector).min(file.bytes.len());
    let end = (start + SECTOR).min(file.bytes.len());
    &mut file.bytes[start..end]
}
