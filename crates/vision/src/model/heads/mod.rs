//! From a model's outputs to candidate boxes, one module for each family of detectors.

mod centernet;
mod grid;
mod nanodet;
mod yolov8;
mod yolox;

use super::file::ModelFile;
use super::nms::Candidate;
use super::{HeadKind, ModelError, ResolvedInput};

/// How the outputs of one opened file are read.
pub(super) trait Head: Send {
    /// How many classes the file distinguishes; `None` where it does not say.
    fn class_count(&self) -> Option<usize>;

    /// Whether the shapes of a run's outputs, in the file's order, are those that [`Head::candidates`] reads for
    /// `batch` pictures. They may differ from the file's word where that leaves dimensions open.
    fn accepts(&self, shapes: &[&[usize]], batch: usize) -> bool;

    /// The candidates of one picture that score `min_score` or more. `outputs` holds the part of each output that
    /// belongs to the picture, in the file's order, with the shapes accepted.
    fn candidates(&self, outputs: &[Output<'_>], min_score: f32) -> Vec<Candidate>;
}

/// One picture's part of an output.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    /// Without the batch.
    pub shape: &'a [usize],
    /// As many values as `shape` says.
    pub values: &'a [f32],
}

/// Holds the file's outputs against the convention of a head.
///
/// # Errors
/// Another number of outputs, rank or dimension than the head has.
pub(super) fn open(
    kind: HeadKind,
    file: &ModelFile,
    input: &ResolvedInput,
) -> Result<Box<dyn Head>, ModelError> {
    Ok(match kind {
        HeadKind::CenterNet => Box::new(centernet::CenterNet::open(file)?),
        HeadKind::Yolox => Box::new(yolox::Yolox::open(file, input)?),
        HeadKind::NanoDet => Box::new(nanodet::NanoDet::open(file, input)?),
        HeadKind::Yolov8 => Box::new(yolov8::Yolov8::open(file)?),
    })
}

/// The best class and its score; the first of equals.
fn best_class(scores: impl Iterator<Item = f32>) -> (usize, f32) {
    scores.enumerate().fold(
        (0, f32::NEG_INFINITY),
        |best, (class, score)| {
            if score > best.1 { (class, score) } else { best }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Layout;
    use crate::model::file::Port;

    /// A file with outputs of these dimensions; 0 stands for one left open.
    pub fn file(outputs: &[&[usize]]) -> ModelFile {
        let port = |(index, dims): (usize, &&[usize])| Port {
            name: format!("output_{index}"),
            dims: dims.iter().map(|&dim| (dim > 0).then_some(dim)).collect(),
        };
        ModelFile { inputs: vec![], outputs: outputs.iter().enumerate().map(port).collect() }
    }

    pub fn input(width: u32, height: u32) -> ResolvedInput {
        ResolvedInput { name: "images".to_owned(), width, height, layout: Layout::Nchw, dynamic_batch: false }
    }

    #[test]
    fn the_first_of_equal_classes_wins() {
        assert_eq!(best_class([0.1, 0.7, 0.7].into_iter()), (1, 0.7));
        assert_eq!(best_class([f32::NAN, 0.2].into_iter()), (1, 0.2));
    }
}
