//! Where people stand: heat on a grid, which cools with time, and person-seconds, which add up.

use serde::{Deserialize, Serialize};

use crate::geometry::{Point, Timestamp};
use crate::pipeline::DensityConfig;

/// Heat below this is none: a person-second after some ten half-lives.
const COLD: f64 = 1e-3;

/// Most that one sighting adds, in seconds: longer gaps say nothing of where the person was.
const MAX_GAP_SECONDS: f64 = 2.0;

/// A cell in which somebody stood in this frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DensityCell {
    /// From 0 at the left.
    pub column: u32,
    /// From 0 at the top.
    pub row: u32,
    /// Person-seconds that this frame adds; to be summed over time.
    pub person_seconds: f64,
    /// Person-seconds with exponential decay, this frame included.
    pub heat: f64,
}

/// The density grid of one stream; only warm cells are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DensityState {
    columns: u32,
    rows: u32,
    as_of: Timestamp,
    /// (cell number, heat as of `as_of`), by cell number.
    cells: Vec<(u32, f64)>,
}

impl DensityState {
    /// Cools the grid to `now`; a grid of another size starts empty.
    pub fn advance(&mut self, config: &DensityConfig, now: Timestamp) {
        if (self.columns, self.rows) != (config.columns, config.rows) {
            *self = Self { columns: config.columns, rows: config.rows, as_of: now, cells: Vec::new() };
        }
        let kept = (-now.seconds_since(self.as_of).max(0.0) / config.half_life_seconds).exp2();
        self.as_of = now;
        self.cells.retain_mut(|(_, heat)| {
            *heat *= kept;
            *heat >= COLD
        });
    }

    /// Adds somebody who was last seen `seconds` ago and stands at `foot` now; outside the picture nothing happens.
    pub fn stand(&mut self, foot: Point, seconds: f64, touched: &mut Vec<DensityCell>) {
        if !(0.0..1.0).contains(&foot.x) || !(0.0..1.0).contains(&foot.y) {
            return;
        }
        let seconds = seconds.clamp(0.0, MAX_GAP_SECONDS);
        let column = ((foot.x * f64::from(self.columns)) as u32).min(self.columns - 1);
        let row = ((foot.y * f64::from(self.rows)) as u32).min(self.rows - 1);
        let number = row * self.columns + column;
        let position = self.cells.partition_point(|c| c.0 < number);
        if self.cells.get(position).is_none_or(|c| c.0 != number) {
            self.cells.insert(position, (number, 0.0));
        }
        self.cells[position].1 += seconds;
        let heat = self.cells[position].1;
        match touched.iter_mut().find(|c| (c.column, c.row) == (column, row)) {
            Some(cell) => {
                cell.person_seconds += seconds;
                cell.heat = heat;
            }
            None => touched.push(DensityCell { column, row, person_seconds: seconds, heat }),
        }
    }

    pub fn is_within_bounds(&self) -> bool {
        let limit = self.columns.checked_mul(self.rows).unwrap_or(0);
        self.cells.iter().all(|c| c.0 < limit) && self.cells.is_sorted_by(|a, b| a.0 < b.0)
    }
}
