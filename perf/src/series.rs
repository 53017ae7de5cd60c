//! [`Series`]: engines that take turns, lap by lap, and the medians of what came of it.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::slice::{self, Slice};
use crate::workload::{Extent, Workload};

/// All laps of one workload by one engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Which.
    pub engine: String,
    /// Of it.
    pub workload: Workload,
    /// In the order in which they were taken.
    pub slices: Vec<Slice>,
}

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Middle {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl Middle {
    /// Of at least one figure.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let half = figures.len() / 2;
        let median = if figures.len().is_multiple_of(2) {
            f64::midpoint(figures[half - 1], figures[half])
        } else {
            figures[half]
        };
        Some(Self {
            median,
            least,
            most,
        })
    }
}

impl Series {
    /// A figure of each slice.
    pub fn figures(&self, of: impl Fn(&Slice) -> f64) -> Option<Middle> {
        Middle::of(self.slices.iter().map(of))
    }

    /// A figure of each slice, as a multiple of that of the other series in the same lap.
    pub fn ratio(&self, other: &Self, of: impl Fn(&Slice) -> f64) -> Option<Middle> {
        let laps = self.slices.iter().zip(&other.slices);
        Middle::of(laps.map(|(own, other)| of(own) / of(other)))
    }
}

/// How a run is made.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Where logs are made, and removed.
    pub within: &'a Path,
    /// How often each engine has its turn.
    pub laps: usize,
    /// How long a turn is.
    pub extent: Extent,
}

/// Lets the engines take turns at a workload; `done` hears of each slice.
///
/// # Errors
/// Of the first engine that fails.
pub fn run(
    engines: &[Box<dyn Engine>],
    workload: &Workload,
    plan: &Plan<'_>,
    mut done: impl FnMut(&dyn Engine),
) -> Result<Vec<Series>> {
    let engines: Vec<&dyn Engine> = engines
        .iter()
        .map(|engine| &**engine)
        .filter(|engine| engine.refusal(workload).is_none())
        .collect();
    let mut series: Vec<_> = engines
        .iter()
        .map(|engine| Series {
            engine: engine.name().to_owned(),
            workload: *workload,
            slices: Vec::with_capacity(plan.laps),
        })
        .collect();
    for lap in 0..plan.laps {
        for turn in 0..engines.len() {
            // Each lap begins with another one, so that nobody always follows the same neighbour's leavings.
            let index = (lap + turn) % engines.len();
            let engine = engines[index];
            let slice = slice::run(engine, workload, &plan.extent, plan.within)
                .with_context(|| format!("{} at {workload}", engine.name()))?;
            series[index].slices.push(slice);
            done(engine);
        }
    }
    Ok(series)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engines;
    use crate::workload::{Condition, SyncPolicy};

    #[test]
    fn the_middle_is_the_median_with_its_spread() {
        let middle = |figures: &[f64]| Middle::of(figures.iter().copied());
        assert_eq!(middle(&[]), None);
        let odd = middle(&[3.0, 1.0, 9.0]).unwrap();
        assert_eq!((odd.median, odd.least, odd.most), (3.0, 1.0, 9.0));
        let even = middle(&[1.0, 2.0]).unwrap().median;
        assert!((even - 1.5).abs() < 1e-9, "{even}");
    }

    #[test]
    fn every_engine_has_its_turn_in_every_lap() {
        let dir = testkit::TempDir::in_memory();
        let workload = Workload {
            record_len: 64,
            thread_count: 1,
            sync: SyncPolicy::None,
            condition: Condition::Cold,
        };
        let plan = Plan {
            within: dir.path(),
            laps: 3,
            extent: Extent {
                time: Duration::from_secs(60),
                bytes: 6400,
            },
        };
        let mut turns = Vec::new();
        let series = run(&engines::all(), &workload, &plan, |engine| {
            turns.push(engine.name());
        })
        .unwrap();
        assert_eq!(
            turns,
            ["limit", "segwal", "segwal", "limit", "limit", "segwal"]
        );
        assert!(series.iter().all(|series| series.slices.len() == 3));
        let ratio = series[1]
            .ratio(&series[0], |slice| slice.records as f64)
            .unwrap();
        assert_eq!((ratio.least, ratio.most), (1.0, 1.0));
    }
}
