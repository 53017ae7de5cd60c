//! [`bar`]: one segment as a row of cells, by where the positions of the log fall in it.

use segwal::{Lsn, SegmentInfo, SegmentState};

use crate::output::{Colour, Paint};

/// Cells of a bar.
const CELLS: u64 = 24;

/// What the cells mean, for below the table.
pub(super) const LEGEND: [(Cell, &str); 6] = [
    (Cell::Discarded, "discarded"),
    (Cell::Durable, "durable"),
    (Cell::Published, "not known durable"),
    (Cell::Damaged, "damaged"),
    (Cell::Lost, "behind damage"),
    (Cell::Free, "free"),
];

/// What a stretch of a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Discarded,
    Durable,
    Published,
    /// Where the valid frames stop although there should be more.
    Damaged,
    /// Bytes behind that place, up to the seal.
    Lost,
    Free,
}

impl Cell {
    const fn sign(self) -> &'static str {
        match self {
            Self::Discarded => "░",
            Self::Durable => "█",
            Self::Published => "▓",
            Self::Damaged => "X",
            Self::Lost => "?",
            Self::Free => "·",
        }
    }

    const fn colour(self) -> Colour {
        match self {
            Self::Durable => Colour::Good,
            Self::Published => Colour::Notice,
            Self::Damaged | Self::Lost => Colour::Bad,
            Self::Discarded | Self::Free => Colour::Faint,
        }
    }

    pub(super) fn shown(self, paint: Paint) -> String {
        paint.text(self.colour(), self.sign())
    }
}

/// The positions that divide the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    pub(super) head: Option<Lsn>,
    pub(super) durable: Option<Lsn>,
}

/// The segment as a row of cells.
pub(super) fn bar(segment: &SegmentInfo, size: u64, marks: Marks, paint: Paint) -> String {
    cells(segment, size, marks)
        .into_iter()
        .map(|cell| cell.shown(paint))
        .collect()
}

fn cells(segment: &SegmentInfo, size: u64, marks: Marks) -> Vec<Cell> {
    let all = |cell| vec![cell; usize::try_from(CELLS).unwrap_or(0)];
    match (segment.state(), segment.contents()) {
        (SegmentState::Dead, _) => all(Cell::Discarded),
        (SegmentState::Ready, _) => all(Cell::Free),
        (_, None) => all(Cell::Damaged),
        (_, Some(contents)) => {
            let within = |lsn: Option<Lsn>, otherwise| match lsn {
                // Everything begins behind the header block.
                Some(lsn) if lsn == contents.first() => 0,
                Some(lsn) if lsn.segment() == segment.id() => lsn.offset(),
                Some(lsn) if lsn.segment() > segment.id() => size,
                Some(_) => 0,
                None => otherwise,
            };
            let stretch = Stretch {
                head: within(marks.head, 0),
                durable: within(marks.durable, 0),
                valid_end: contents.end().offset(),
                seal: segment.seal(),
                is_damaged: segment.problem().is_some(),
            };
            (0..CELLS)
                .map(|index| stretch.cell(index * size / CELLS, (index + 1) * size / CELLS))
                .collect()
        }
    }
}

/// Where one segment changes from one meaning to the next, in bytes.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    head: u64,
    durable: u64,
    valid_end: u64,
    seal: Option<u64>,
    is_damaged: bool,
}

impl Stretch {
    /// The most important of what lies in these bytes: a short stretch must not vanish.
    fn cell(&self, from: u64, to: u64) -> Cell {
        if self.is_damaged && from <= self.valid_end && self.valid_end < to {
            return Cell::Damaged;
        }
        if from >= self.valid_end {
            return match self.seal {
                Some(seal) if from < seal && self.is_damaged => Cell::Lost,
                _ => Cell::Free,
            };
        }
        if self.durable < to.min(self.valid_end) {
            return Cell::Published;
        }
        if to <= self.head {
            return Cell::Discarded;
        }
        Cell::Durable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stretch: Stretch) -> String {
        (0..10)
            .map(|index| stretch.cell(index * 100, (index + 1) * 100).sign())
            .collect()
    }

    const WHOLE: Stretch = Stretch {
        head: 0,
        durable: 1000,
        valid_end: 1000,
        seal: Some(1000),
        is_damaged: false,
    };

    #[test]
    fn each_stretch_has_its_sign() {
        assert_eq!(row(WHOLE), "██████████");
        let active = Stretch {
            head: 200,
            durable: 500,
            valid_end: 650,
            seal: None,
            is_damaged: false,
        };
        assert_eq!(row(active), "░░███▓▓···");
        let damaged = Stretch {
            valid_end: 320,
            seal: Some(800),
            is_damaged: true,
            ..WHOLE
        };
        assert_eq!(row(damaged), "███X????··");
    }

    #[test]
    fn a_byte_that_is_not_durable_shows() {
        let nearly = Stretch {
            durable: 992,
            ..WHOLE
        };
        assert_eq!(row(nearly), "█████████▓");
    }
}
