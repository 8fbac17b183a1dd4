//! The grids of cells that anchor-free detectors predict on.

use crate::model::{ModelError, ResolvedInput};

/// Input pixels to a cell, from the finest grid to the coarsest.
pub(super) const STRIDES: [usize; 3] = [8, 16, 32];

/// One cell of one grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub column: usize,
    pub row: usize,
    pub stride: usize,
}

/// The cells of one grid, row by row.
pub(super) fn cells(input: &ResolvedInput, stride: usize) -> Vec<Cell> {
    let (columns, rows) = (input.width as usize / stride, input.height as usize / stride);
    (0..rows).flat_map(|row| (0..columns).map(move |column| Cell { column, row, stride })).collect()
}

/// # Errors
/// An input that the coarsest grid does not divide.
pub(super) fn check_divisible(input: &ResolvedInput) -> Result<(), ModelError> {
    if input.width.is_multiple_of(32) && input.height.is_multiple_of(32) {
        return Ok(());
    }
    Err(ModelError::mismatch(
        format!("size of `{}`", input.name),
        "multiples of 32 pixels, the head's coarsest stride",
        format!("{}x{}", input.width, input.height),
    ))
}
