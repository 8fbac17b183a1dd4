//! NanoDet: for each cell of three grids the class scores, and for each side of the box a distribution of distances.
//!
//! <https://github.com/RangiLyu/nanodet>; the distributions are those of Li et al., "Generalized Focal Loss", 2020,
//! <https://arxiv.org/abs/2006.04388>.

use super::grid::{self, Cell, STRIDES};
use super::{Head, Output, best_class};
use crate::model::file::{ModelFile, Port};
use crate::model::nms::Candidate;
use crate::model::{ModelError, ResolvedInput};

/// Six outputs, `[N, cells, classes]` and `[N, cells, 4 * bins]` for each of the strides 8, 16 and 32.
pub(super) struct NanoDet {
    levels: Vec<Level>,
    classes: Option<usize>,
}

/// One grid, and which of the file's outputs belong to it.
struct Level {
    cells: Vec<Cell>,
    scores: usize,
    distances: usize,
}

impl NanoDet {
    pub fn open(file: &ModelFile, input: &ResolvedInput) -> Result<Self, ModelError> {
        grid::check_divisible(input)?;
        let outputs = file.outputs_exactly(6)?;
        let mut levels = Vec::with_capacity(STRIDES.len());
        let mut classes = None;
        for (index, &stride) in STRIDES.iter().enumerate() {
            let level = Level { cells: grid::cells(input, stride), scores: index, distances: index + 3 };
            let found = level.check(&outputs[level.scores], &outputs[level.distances])?;
            if let (Some(before), Some(_)) = (classes, found) {
                outputs[index].expect_dim("number of classes", found, before)?;
            }
            classes = classes.or(found);
            levels.push(level);
        }
        Ok(Self { levels, classes })
    }
}

impl Level {
    /// Checks both outputs and returns the number of classes, where the file says it.
    fn check(&self, scores: &Port, distances: &Port) -> Result<Option<usize>, ModelError> {
        let [_, score_cells, classes] = scores.ranked::<3>("3 dimensions, [batch, cells, classes]")?;
        let [_, distance_cells, bins] = distances.ranked::<3>("3 dimensions, [batch, cells, 4 * bins]")?;
        scores.expect_dim("number of cells", score_cells, self.cells.len())?;
        distances.expect_dim("number of cells", distance_cells, self.cells.len())?;
        match bins {
            Some(bins) if bins == 0 || !bins.is_multiple_of(4) => Err(ModelError::mismatch(
                format!("last dimension of `{}`", distances.name),
                "a multiple of 4: a distribution for each side",
                bins.to_string(),
            )),
            _ => Ok(classes),
        }
    }

    fn accepts(&self, shapes: &[&[usize]], batch: usize) -> bool {
        let fits = |index: usize, values_ok: fn(usize) -> bool| {
            matches!(shapes.get(index), Some([n, cells, values])
                if *n == batch && *cells == self.cells.len() && values_ok(*values))
        };
        fits(self.scores, |classes| classes > 0)
            && fits(self.distances, |bins| bins > 0 && bins.is_multiple_of(4))
    }

    fn candidates(&self, outputs: &[Output<'_>], min_score: f32) -> Vec<Candidate> {
        let (scores, distances) = (&outputs[self.scores], &outputs[self.distances]);
        // An export without the sigmoid gives logits, nearly all of them negative; a sigmoid never is.
        let activate: fn(f32) -> f32 = if scores.values.iter().any(|&score| score < 0.0) {
            |logit| 1.0 / (1.0 + (-logit).exp())
        } else {
            |score| score
        };
        let rows = scores.values.chunks_exact(scores.shape[1]);
        let sides = distances.values.chunks_exact(distances.shape[1]);
        rows.zip(sides)
            .zip(&self.cells)
            .filter_map(|((row, sides), cell)| {
                let (class, raw) = best_class(row.iter().copied());
                let score = activate(raw);
                (score >= min_score).then(|| Candidate { corners: corners(sides, cell), score, class })
            })
            .collect()
    }
}

/// Distances to left, top, right and bottom from the middle of the cell, each the mean of its distribution.
fn corners(sides: &[f32], cell: &Cell) -> [f32; 4] {
    let stride = cell.stride as f32;
    let middle = [(cell.column as f32 + 0.5) * stride, (cell.row as f32 + 0.5) * stride];
    let bins = sides.len() / 4;
    std::array::from_fn(|side| {
        let distance = mean(&sides[side * bins..(side + 1) * bins]) * stride;
        if side < 2 { middle[side] - distance } else { middle[side - 2] + distance }
    })
}

/// Mean bin of a distribution given by its logits.
fn mean(logits: &[f32]) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut total, mut weighted) = (0.0, 0.0);
    for (bin, logit) in logits.iter().enumerate() {
        let weight = (logit - largest).exp();
        total += weight;
        weighted += weight * bin as f32;
    }
    weighted / total
}

impl Head for NanoDet {
    fn class_count(&self) -> Option<usize> {
        self.classes
    }

    fn accepts(&self, shapes: &[&[usize]], batch: usize) -> bool {
        self.levels.iter().all(|level| level.accepts(shapes, batch))
    }

    fn candidates(&self, outputs: &[Output<'_>], min_score: f32) -> Vec<Candidate> {
        self.levels.iter().flat_map(|level| level.candidates(outputs, min_score)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::heads::tests::{file, input};

    /// The outputs of an input of 32 x 32 pixels: 16, 4 and 1 cells, two classes, two bins a side.
    const SHAPES: [[usize; 2]; 6] = [[16, 2], [4, 2], [1, 2], [16, 8], [4, 8], [1, 8]];

    fn open(shapes: &[[usize; 2]]) -> Result<NanoDet, ModelError> {
        let dims: Vec<Vec<usize>> = shapes.iter().map(|[cells, values]| vec![1, *cells, *values]).collect();
        NanoDet::open(&file(&dims.iter().map(Vec::as_slice).collect::<Vec<_>>()), &input(32, 32))
    }

    fn run(background: f32, set: impl Fn(&mut [Vec<f32>]), min_score: f32) -> Vec<Candidate> {
        let mut values: Vec<Vec<f32>> = SHAPES
            .iter()
            .enumerate()
            .map(|(index, [cells, width])| vec![if index < 3 { background } else { 0.0 }; cells * width])
            .collect();
        set(&mut values);
        let outputs: Vec<Output> =
            SHAPES.iter().zip(&values).map(|(shape, values)| Output { shape, values }).collect();
        open(&SHAPES).unwrap().candidates(&outputs, min_score)
    }

    #[test]
    fn distances_are_the_means_of_their_distributions() {
        // The middle grid's second cell, whose middle is at (24, 8): left all in bin 1, the others half and half.
        let candidates = run(
            0.01,
            |values| {
                values[1][2..4].copy_from_slice(&[0.2, 0.7]);
                values[4][8..10].copy_from_slice(&[-50.0, 50.0]);
            },
            0.5,
        );
        assert_eq!(candidates, [Candidate { corners: [8.0, 0.0, 32.0, 16.0], score: 0.7, class: 1 }]);
    }

    #[test]
    fn an_export_that_leaves_out_the_sigmoid_is_read_all_the_same() {
        let candidates = run(-6.0, |values| values[2][0] = 2.0, 0.5);
        assert_eq!(candidates.len(), 1);
        assert!((candidates[0].score - 0.880_797).abs() < 1e-5);
        assert_eq!(candidates[0].corners, [0.0, 0.0, 32.0, 32.0]);
    }

    #[test]
    fn wants_three_grids_of_scores_then_three_of_distances() {
        assert_eq!(open(&SHAPES).unwrap().class_count(), Some(2));
        let mut exchanged = SHAPES;
        exchanged.swap(0, 1);
        let message = open(&exchanged).err().unwrap().to_string();
        assert!(message.contains("number of cells") && message.contains("expected 16"), "{message}");
        let mut odd = SHAPES;
        odd[4][1] = 7;
        assert!(open(&odd).err().unwrap().to_string().contains("a multiple of 4"));
        let mut classes = SHAPES;
        classes[2][1] = 3;
        assert!(open(&classes).err().unwrap().to_string().contains("number of classes"));
    }
}
