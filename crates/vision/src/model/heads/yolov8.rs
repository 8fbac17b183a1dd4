//! YOLOv8, and the exports of later versions that kept its output: boxes decoded, scores after the sigmoid.
//!
//! <https://docs.ultralytics.com/modes/export/>

use super::{Head, Output, best_class};
use crate::model::ModelError;
use crate::model::file::ModelFile;
use crate::model::nms::Candidate;

/// `[N, 4 + classes, anchors]`, or with the last two dimensions exchanged: cx, cy, w, h in pixels of the input,
/// then one score for each class.
pub(super) struct Yolov8 {
    /// Whether an anchor's values lie together (`[N, anchors, 4 + classes]`).
    by_anchor: bool,
    classes: Option<usize>,
}

impl Yolov8 {
    pub fn open(file: &ModelFile) -> Result<Self, ModelError> {
        let output = &file.outputs_exactly(1)?[0];
        let [_, second, third] =
            output.ranked::<3>("3 dimensions, [batch, 4 + classes, anchors] or transposed")?;
        // There are always far more anchors than classes; where the file leaves them open, it fixes the other.
        let by_anchor = match (second, third) {
            (Some(second), Some(third)) => second > third,
            (None, Some(_)) => true,
            _ => false,
        };
        let values = if by_anchor { third } else { second };
        match values {
            Some(values @ ..5) => Err(ModelError::mismatch(
                format!("smaller dimension of `{}`", output.name),
                "5 or more: box, one for each class",
                values.to_string(),
            )),
            _ => Ok(Self { by_anchor, classes: values.map(|values| values - 4) }),
        }
    }
}

impl Head for Yolov8 {
    fn class_count(&self) -> Option<usize> {
        self.classes
    }

    fn accepts(&self, shapes: &[&[usize]], batch: usize) -> bool {
        let [[n, second, third]] = shapes else { return false };
        let values = if self.by_anchor { *third } else { *second };
        *n == batch && values > 4 && self.classes.is_none_or(|classes| values == classes + 4)
    }

    fn candidates(&self, outputs: &[Output<'_>], min_score: f32) -> Vec<Candidate> {
        let &[Output { shape: &[second, third], values }] = outputs else { return Vec::new() };
        if self.by_anchor {
            return values.chunks_exact(third).filter_map(|row| by_anchor(row, min_score)).collect();
        }
        let row = |index: usize| &values[index * third..(index + 1) * third];
        best_classes((4..second).map(row), third)
            .into_iter()
            .enumerate()
            .filter(|(_, (_, score))| *score >= min_score)
            .map(|(anchor, (class, score))| {
                candidate(std::array::from_fn(|index| row(index)[anchor]), class, score)
            })
            .collect()
    }
}

fn by_anchor(row: &[f32], min_score: f32) -> Option<Candidate> {
    let (&center_and_size, scores) = row.split_first_chunk::<4>()?;
    let (class, score) = best_class(scores.iter().copied());
    (score >= min_score).then(|| candidate(center_and_size, class, score))
}

/// The best class of every anchor, reading the scores in the order in which they lie in memory.
fn best_classes<'a>(rows: impl Iterator<Item = &'a [f32]>, anchors: usize) -> Vec<(usize, f32)> {
    let mut best = vec![(0, f32::NEG_INFINITY); anchors];
    for (class, row) in rows.enumerate() {
        for (best, &score) in best.iter_mut().zip(row) {
            if score > best.1 {
                *best = (class, score);
            }
        }
    }
    best
}

fn candidate([x, y, w, h]: [f32; 4], class: usize, score: f32) -> Candidate {
    Candidate { corners: [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0], score, class }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::heads::tests::file;

    /// Eight anchors of two classes, one row for each anchor.
    fn rows() -> Vec<[f32; 6]> {
        let mut rows = vec![[100.0, 100.0, 20.0, 20.0, 0.1, 0.05]; 8];
        rows[2] = [50.0, 60.0, 20.0, 40.0, 0.9, 0.2];
        rows[7] = [10.0, 10.0, 20.0, 20.0, 0.3, 0.6];
        rows
    }

    fn expected() -> [Candidate; 2] {
        [
            Candidate { corners: [40.0, 40.0, 60.0, 80.0], score: 0.9, class: 0 },
            Candidate { corners: [0.0, 0.0, 20.0, 20.0], score: 0.6, class: 1 },
        ]
    }

    #[test]
    fn both_orders_of_dimensions_are_read() {
        let by_anchor = rows().concat();
        let by_value: Vec<f32> =
            (0..6).flat_map(|value| rows().into_iter().map(move |row| row[value])).collect();
        let head = Yolov8::open(&file(&[&[1, 8, 6]])).unwrap();
        assert_eq!(head.candidates(&[Output { shape: &[8, 6], values: &by_anchor }], 0.5), expected());
        let head = Yolov8::open(&file(&[&[1, 6, 8]])).unwrap();
        assert_eq!(head.candidates(&[Output { shape: &[6, 8], values: &by_value }], 0.5), expected());
    }

    #[test]
    fn what_the_file_leaves_open_is_held_to_what_it_fixes() {
        let head = Yolov8::open(&file(&[&[0, 84, 0]])).unwrap();
        assert_eq!(head.class_count(), Some(80));
        assert!(head.accepts(&[&[3, 84, 2100]], 3) && !head.accepts(&[&[3, 85, 2100]], 3));
        let head = Yolov8::open(&file(&[&[0, 0, 5]])).unwrap();
        assert_eq!(head.class_count(), Some(1));
        assert_eq!(Yolov8::open(&file(&[&[0, 0, 0]])).unwrap().class_count(), None);
        let message = Yolov8::open(&file(&[&[1, 4, 8400]])).err().unwrap().to_string();
        assert!(message.contains("5 or more"), "{message}");
    }
}
