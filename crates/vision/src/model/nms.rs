//! Greedy non-maximum suppression.

/// A box that a head proposes, in pixels of the model's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Left, top, right, bottom.
    pub corners: [f32; 4],
    /// 0..=1.
    pub score: f32,
    /// Index of the class.
    pub class: usize,
}

/// The most candidates that are considered: what a crowded frame has several times over, and a bound on the quadratic
/// comparison for a model that fires everywhere.
pub(super) const MAX_CANDIDATES: usize = 1000;

impl Candidate {
    /// Whether the numbers are usable: finite, with an extent.
    fn is_sound(&self) -> bool {
        let [left, top, right, bottom] = self.corners;
        self.score.is_finite()
            && self.corners.iter().all(|corner| corner.is_finite())
            && right > left
            && bottom > top
    }

    fn area(&self) -> f32 {
        let [left, top, right, bottom] = self.corners;
        (right - left) * (bottom - top)
    }

    fn iou(&self, other: &Self) -> f32 {
        let [left, top, right, bottom] = self.corners;
        let [other_left, other_top, other_right, other_bottom] = other.corners;
        let width = right.min(other_right) - left.max(other_left);
        let height = bottom.min(other_bottom) - top.max(other_top);
        if width <= 0.0 || height <= 0.0 {
            return 0.0;
        }
        let intersection = width * height;
        intersection / (self.area() + other.area() - intersection)
    }
}

/// Keeps the best of each group of boxes of one class that overlap by more than `max_iou`, best first. Boxes with
/// numbers that are not finite, or without extent, are dropped.
pub(super) fn suppress(mut candidates: Vec<Candidate>, max_iou: f32) -> Vec<Candidate> {
    candidates.retain(Candidate::is_sound);
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(MAX_CANDIDATES);
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if !kept.iter().any(|better| better.class == candidate.class && better.iou(&candidate) > max_iou) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(corners: [f32; 4], score: f32, class: usize) -> Candidate {
        Candidate { corners, score, class }
    }

    #[test]
    fn keeps_the_better_of_two_that_overlap_and_both_of_two_classes() {
        let better = candidate([0.0, 0.0, 10.0, 10.0], 0.9, 0);
        let worse = candidate([1.0, 0.0, 11.0, 10.0], 0.8, 0);
        let other_class = candidate([1.0, 0.0, 11.0, 10.0], 0.7, 1);
        let elsewhere = candidate([50.0, 0.0, 60.0, 10.0], 0.6, 0);
        assert_eq!(
            suppress(vec![elsewhere, worse, other_class, better], 0.45),
            vec![better, other_class, elsewhere]
        );
    }

    #[test]
    fn an_overlap_of_exactly_the_threshold_is_kept() {
        let one = candidate([0.0, 0.0, 10.0, 10.0], 0.9, 0);
        let half = candidate([0.0, 0.0, 10.0, 5.0], 0.8, 0);
        assert_eq!(suppress(vec![one, half], 0.5).len(), 2);
        assert_eq!(suppress(vec![one, half], 0.499).len(), 1);
    }

    #[test]
    fn drops_boxes_that_are_no_boxes() {
        let broken = [
            candidate([f32::NAN, 0.0, 1.0, 1.0], 0.9, 0),
            candidate([0.0, 0.0, f32::INFINITY, 1.0], 0.9, 0),
            candidate([2.0, 0.0, 1.0, 1.0], 0.9, 0),
            candidate([0.0, 0.0, 1.0, 1.0], f32::NAN, 0),
        ];
        assert_eq!(suppress(broken.to_vec(), 0.5), vec![]);
    }

    prop_compose! {
        fn any_candidate()(x in 0.0f32..400.0, y in 0.0f32..400.0, w in 1.0f32..200.0, h in 1.0f32..200.0,
                           score in 0.0f32..1.0, class in 0usize..3) -> Candidate {
            candidate([x, y, x + w, y + h], score, class)
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_apart_and_what_is_dropped_is_covered(
            candidates in prop::collection::vec(any_candidate(), 0..60), max_iou in 0.1f32..0.9,
        ) {
            let kept = suppress(candidates.clone(), max_iou);
            prop_assert!(kept.windows(2).all(|pair| pair[0].score >= pair[1].score));
            for (index, one) in kept.iter().enumerate() {
                for other in &kept[index + 1..] {
                    prop_assert!(one.class != other.class || one.iou(other) <= max_iou);
                }
            }
            for candidate in &candidates {
                prop_assert!(kept.iter().any(|better| better == candidate
                    || (better.class == candidate.class
                        && better.score >= candidate.score
                        && better.iou(candidate) > max_iou)));
            }
        }

        #[test]
        fn order_of_the_candidates_does_not_matter(
            mut candidates in prop::collection::vec(any_candidate(), 0..40),
        ) {
            candidates.sort_by(|a, b| a.score.total_cmp(&b.score));
            candidates.dedup_by(|a, b| a.score == b.score);
            let kept = suppress(candidates.clone(), 0.45);
            candidates.reverse();
            prop_assert_eq!(suppress(candidates, 0.45), kept);
        }
    }
}
