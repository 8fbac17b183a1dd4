//! YOLOX: one raw prediction for each cell of three grids.
//!
//! Ge et al., "YOLOX: Exceeding YOLO Series in 2021", <https://arxiv.org/abs/2107.08430>.

use super::grid::{self, Cell, STRIDES};
use super::{Head, Output, best_class};
use crate::model::file::ModelFile;
use crate::model::nms::Candidate;
use crate::model::{ModelError, ResolvedInput};

/// `[N, cells, 5 + classes]`: centre relative to the cell and logarithm of the size, both in strides, then
/// objectness and class scores, after the sigmoid.
pub(super) struct Yolox {
    cells: Vec<Cell>,
    classes: Option<usize>,
}

impl Yolox {
    pub fn open(file: &ModelFile, input: &ResolvedInput) -> Result<Self, ModelError> {
        grid::check_divisible(input)?;
        let cells: Vec<Cell> = STRIDES.iter().flat_map(|&stride| grid::cells(input, stride)).collect();
        let output = &file.outputs_exactly(1)?[0];
        let [_, rows, values] = output.ranked::<3>("3 dimensions, [batch, cells, 5 + classes]")?;
        output.expect_dim("number of cells (strides 8, 16, 32)", rows, cells.len())?;
        let classes = match values {
            Some(values @ ..6) => {
                return Err(ModelError::mismatch(
                    format!("last dimension of `{}`", output.name),
                    "6 or more: box, objectness, one for each class",
                    values.to_string(),
                ));
            }
            values => values.map(|values| values - 5),
        };
        Ok(Self { cells, classes })
    }
}

impl Head for Yolox {
    fn class_count(&self) -> Option<usize> {
        self.classes
    }

    fn accepts(&self, shapes: &[&[usize]], batch: usize) -> bool {
        matches!(shapes, [[n, cells, values]] if *n == batch && *cells == self.cells.len() && *values > 5)
    }

    fn candidates(&self, outputs: &[Output<'_>], min_score: f32) -> Vec<Candidate> {
        let &[Output { shape: &[_, width], values }] = outputs else { return Vec::new() };
        let rows = values.chunks_exact(width).zip(&self.cells);
        rows.filter_map(|(row, cell)| candidate(row, cell, min_score)).collect()
    }
}

fn candidate(row: &[f32], cell: &Cell, min_score: f32) -> Option<Candidate> {
    let (&[x, y, w, h, objectness], scores) = row.split_first_chunk::<5>()?;
    // Most cells see nothing, and a score is never above its objectness.
    if objectness < min_score {
        return None;
    }
    let (class, class_score) = best_class(scores.iter().copied());
    let score = objectness * class_score;
    let stride = cell.stride as f32;
    let (center_x, center_y) = ((x + cell.column as f32) * stride, (y + cell.row as f32) * stride);
    let (half_w, half_h) = (w.exp() * stride / 2.0, h.exp() * stride / 2.0);
    (score >= min_score).then_some(Candidate {
        corners: [center_x - half_w, center_y - half_h, center_x + half_w, center_y + half_h],
        score,
        class,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::heads::tests::{file, input};

    /// 64 + 16 + 4 cells of an input of 64 x 64 pixels, two classes; `set` fills some of them.
    fn run(set: &[(usize, [f32; 7])], min_score: f32) -> Vec<Candidate> {
        let head = Yolox::open(&file(&[&[1, 84, 7]]), &input(64, 64)).unwrap();
        assert_eq!(head.class_count(), Some(2));
        assert!(head.accepts(&[&[1, 84, 7]], 1) && !head.accepts(&[&[1, 83, 7]], 1));
        let mut values = vec![0.0; 84 * 7];
        for (cell, row) in set {
            values[cell * 7..(cell + 1) * 7].copy_from_slice(row);
        }
        head.candidates(&[Output { shape: &[84, 7], values: &values }], min_score)
    }

    #[test]
    fn decodes_by_cell_and_stride() {
        let size = 2.0f32.ln();
        // The second row's fourth cell of the finest grid, then the middle grid's third, then the coarsest's last.
        let candidates = run(
            &[
                (11, [0.5, 0.5, size, size, 0.8, 0.9, 0.1]),
                (66, [0.0, 0.0, size, 0.0, 0.9, 0.1, 0.6]),
                (83, [0.5, 0.5, 0.0, 0.0, 0.5, 0.0, 1.0]),
            ],
            0.4,
        );
        let corners: Vec<_> = candidates.iter().map(|c| c.corners.map(|v| v.round())).collect();
        assert_eq!(corners, [[20.0, 4.0, 36.0, 20.0], [16.0, -8.0, 48.0, 8.0], [32.0, 32.0, 64.0, 64.0]]);
        assert_eq!(candidates.iter().map(|c| c.class).collect::<Vec<_>>(), [0, 1, 1]);
        for (candidate, score) in candidates.iter().zip([0.72, 0.54, 0.5]) {
            assert!((candidate.score - score).abs() < 1e-6);
        }
    }

    #[test]
    fn the_score_is_objectness_times_class() {
        let row = [0.0, 0.0, 0.0, 0.0, 0.8, 0.5, 0.2];
        assert_eq!(run(&[(0, row)], 0.39).len(), 1);
        assert_eq!(run(&[(0, row)], 0.41).len(), 0);
    }

    #[test]
    fn refuses_a_file_of_another_grid() {
        let message = Yolox::open(&file(&[&[1, 3549, 85]]), &input(64, 64)).err().unwrap().to_string();
        assert!(message.contains("expected 84") && message.contains("found 3549"), "{message}");
        let message = Yolox::open(&file(&[&[1, 84, 5]]), &input(64, 64)).err().unwrap().to_string();
        assert!(message.contains("6 or more"), "{message}");
        let message = Yolox::open(&file(&[&[1, 84, 85]]), &input(60, 64)).err().unwrap().to_string();
        assert!(message.contains("multiples of 32"), "{message}");
    }
}
