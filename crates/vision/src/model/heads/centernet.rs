//! CenterNet as the set-up of this project converts it: boxes already picked from the heat map's peaks.
//!
//! Zhou, Wang, Krähenbühl, "Objects as Points", 2019, <https://arxiv.org/abs/1904.07850>.

use super::{Head, Output};
use crate::model::ModelError;
use crate::model::file::ModelFile;
use crate::model::nms::Candidate;

/// `[N, K, 6]`: x1, y1, x2, y2 in pixels of the input, score, class.
pub(super) struct CenterNet;

impl CenterNet {
    pub fn open(file: &ModelFile) -> Result<Self, ModelError> {
        let output = &file.outputs_exactly(1)?[0];
        let [_, _, values] = output.ranked::<3>("3 dimensions, [batch, boxes, 6]")?;
        output.expect_dim("last dimension (x1, y1, x2, y2, score, class)", values, 6)?;
        Ok(Self)
    }
}

impl Head for CenterNet {
    fn class_count(&self) -> Option<usize> {
        None
    }

    fn accepts(&self, shapes: &[&[usize]], batch: usize) -> bool {
        matches!(shapes, [[n, _, 6]] if *n == batch)
    }

    fn candidates(&self, outputs: &[Output<'_>], min_score: f32) -> Vec<Candidate> {
        let boxes = outputs.iter().flat_map(|output| output.values.as_chunks::<6>().0);
        boxes
            .filter(|[.., score, class]| *score >= min_score && *class >= 0.0)
            .map(|&[left, top, right, bottom, score, class]| Candidate {
                corners: [left, top, right, bottom],
                score,
                class: class as usize,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::heads::tests::file;

    #[test]
    fn reads_corners_score_and_class() {
        let values = [
            [10.0, 20.0, 30.0, 60.0, 0.9, 0.0],
            [1.0, 2.0, 3.0, 4.0, 0.05, 0.0],
            [5.0, 5.0, 9.0, 9.0, 0.6, 2.0],
        ]
        .concat();
        let candidates = CenterNet.candidates(&[Output { shape: &[3, 6], values: &values }], 0.4);
        assert_eq!(
            candidates,
            [
                Candidate { corners: [10.0, 20.0, 30.0, 60.0], score: 0.9, class: 0 },
                Candidate { corners: [5.0, 5.0, 9.0, 9.0], score: 0.6, class: 2 },
            ]
        );
    }

    #[test]
    fn wants_six_values_for_a_box() {
        assert!(CenterNet::open(&file(&[&[0, 100, 6]])).is_ok());
        let message = CenterNet::open(&file(&[&[0, 100, 7]])).err().unwrap().to_string();
        assert!(message.contains("expected 6") && message.contains("output_0 [?, 100, 7]"), "{message}");
        let message = CenterNet::open(&file(&[&[100, 6]])).err().unwrap().to_string();
        assert!(message.contains("3 dimensions") && message.contains("output_0 [100, 6]"), "{message}");
        assert!(CenterNet.accepts(&[&[4, 100, 6]], 4) && !CenterNet.accepts(&[&[4, 100, 6]], 3));
    }
}
