//! A model, opened and ready to run.

use std::sync::Arc;

use ort::session::{Session, SessionOutputs};
use ort::value::TensorRef;

use super::file::ModelFile;
use super::heads::{self, Head, Output};
use super::nms::{self, Candidate};
use super::{
    Input, Layout, Letterbox, ModelConfig, ModelError, Preprocessor, ProviderChoice, ResolvedModel, Runtime,
    SessionOptions,
};
use crate::detection::Detection;
use crate::signals::without_signals;

/// The most inputs in one run of a model whose batch is dynamic: beyond it memory grows and speed does not.
const MAX_BATCH: usize = 32;

/// A model opened in ONNX Runtime. One thread at a time runs it; [`Preprocessor`]s may work beside it.
pub struct Detector {
    session: Session,
    head: Box<dyn Head>,
    model: Arc<ResolvedModel>,
    provider: ProviderChoice,
    min_score: f32,
    /// Inputs of one run end to end; kept for its allocation.
    batch: Vec<f32>,
}

impl Detector {
    /// Opens the bytes of an ONNX file and holds its inputs and outputs against the config.
    ///
    /// # Errors
    /// Bytes that are no ONNX model, a value of the config out of range, or a file that does not fit the config.
    pub fn open(
        runtime: &Runtime,
        onnx: &[u8],
        config: &ModelConfig,
        options: &SessionOptions,
    ) -> Result<Self, ModelError> {
        let (session, provider) = without_signals(|| runtime.open_session(onnx, options))?;
        let file = ModelFile::of(&session)?;
        let input = config.resolve_input(&file)?;
        let head = heads::open(config.head, &file, &input)?;
        let model = Arc::new(config.resolve(input, head.class_count())?);
        let min_score = model.score_threshold as f32;
        Ok(Self { session, head, model, provider, min_score, batch: Vec::new() })
    }

    /// The config with every default filled in.
    pub fn model(&self) -> &ResolvedModel {
        &self.model
    }

    /// What runs the model.
    pub fn provider(&self) -> &ProviderChoice {
        &self.provider
    }

    /// The most inputs that [`infer`](Self::infer) takes: 1 where the file fixes its batch, 32 otherwise.
    pub fn max_batch(&self) -> usize {
        if self.model.input.dynamic_batch { MAX_BATCH } else { 1 }
    }

    /// A preprocessor for this model, for any thread.
    pub fn preprocessor(&self) -> Preprocessor {
        Preprocessor::new(Arc::clone(&self.model))
    }

    /// Detections scoring less are dropped. It starts as the model's `score_threshold`; a tracker that also uses
    /// weak detections asks for less. Brought into 0..=1.
    pub fn set_min_score(&mut self, min_score: f64) {
        self.min_score = min_score.clamp(0.0, 1.0) as f32;
    }

    /// Runs the model once on 1 to [`max_batch`](Self::max_batch) inputs. For each input the detections, best first,
    /// normalised, clipped to the picture, duplicates of a class suppressed.
    ///
    /// # Errors
    /// Too few or too many inputs, one prepared for another model, outputs of another shape than the head reads, or a
    /// failure of ONNX Runtime.
    pub fn infer(&mut self, inputs: &[Input]) -> Result<Vec<Vec<Detection>>, ModelError> {
        self.check(inputs)?;
        let values = match inputs {
            [input] => &input.values,
            _ => {
                self.batch.clear();
                inputs.iter().for_each(|input| self.batch.extend_from_slice(&input.values));
                &self.batch
            }
        };
        let tensor = TensorRef::from_array_view((self.model.shape(inputs.len()), values.as_slice()))?;
        let run = self.session.run(ort::inputs![self.model.input.name.as_str() => tensor])?;
        let outputs = Batch::all(&run)?;
        let shapes: Vec<&[usize]> = outputs.iter().map(|output| output.shape.as_slice()).collect();
        if !self.head.accepts(&shapes, inputs.len()) {
            return Err(ModelError::mismatch(
                format!("outputs of a run with {} input(s)", inputs.len()),
                format!("those of a {:?} head", self.model.head),
                format!("{shapes:?}"),
            ));
        }
        let pictures = inputs.iter().enumerate().map(|(index, input)| {
            let outputs: Vec<Output> = outputs.iter().map(|output| output.picture(index)).collect();
            let kept =
                nms::suppress(self.head.candidates(&outputs, self.min_score), self.model.nms_iou as f32);
            kept.iter().filter_map(|candidate| self.model.detection(candidate, &input.letterbox)).collect()
        });
        Ok(pictures.collect())
    }

    fn check(&self, inputs: &[Input]) -> Result<(), ModelError> {
        if inputs.is_empty() || inputs.len() > self.max_batch() {
            return Err(ModelError::Batch { max: self.max_batch(), found: inputs.len() });
        }
        let expected = self.model.shape(1).iter().product();
        match inputs.iter().find(|input| input.values.len() != expected) {
            Some(foreign) => Err(ModelError::ForeignInput { expected, found: foreign.values.len() }),
            None => Ok(()),
        }
    }
}

impl ResolvedModel {
    fn shape(&self, batch: usize) -> [usize; 4] {
        let (width, height) = (self.input.width as usize, self.input.height as usize);
        match self.input.layout {
            Layout::Nchw => [batch, 3, height, width],
            Layout::Nhwc => [batch, height, width, 3],
        }
    }

    /// `None` for a class without a name, or a box outside the picture.
    fn detection(&self, candidate: &Candidate, letterbox: &Letterbox) -> Option<Detection> {
        Some(Detection {
            class: Arc::clone(self.classes.get(candidate.class)?),
            confidence: f64::from(candidate.score).clamp(0.0, 1.0),
            bbox: letterbox.to_picture(candidate.corners)?,
            track_id: None,
        })
    }
}

/// One output of a run: a whole batch.
struct Batch<'r> {
    shape: Vec<usize>,
    values: &'r [f32],
}

impl<'r> Batch<'r> {
    /// Every output, in the file's order.
    fn all(run: &'r SessionOutputs<'_>) -> Result<Vec<Self>, ModelError> {
        (0..run.len())
            .map(|index| {
                let (shape, values) = run[index].try_extract_tensor::<f32>()?;
                Ok(Self { shape: shape.iter().map(|&dim| dim.max(0) as usize).collect(), values })
            })
            .collect()
    }

    /// The part of one picture. The head has accepted the shape, so its first dimension is the batch.
    fn picture(&self, index: usize) -> Output<'_> {
        let shape = &self.shape[1..];
        let length: usize = shape.iter().product();
        Output { shape, values: &self.values[index * length..(index + 1) * length] }
    }
}
