//! An ONNX detector: pictures in, detections out.
//!
//! A model is two things, the bytes of an ONNX file and a small [`ModelConfig`] that says which head it has. All else
//! follows from the head's convention and the file's own inputs, or is overridden in the config. The path of a frame:
//!
//! 1. [`Preprocessor::prepare`] (any thread) resizes the picture to the model's input;
//! 2. [`Detector::infer`] runs a batch of inputs through ONNX Runtime, reads boxes from the head's outputs, suppresses
//!    duplicates and maps the boxes back to the picture.
//!
//! A [`DetectorPool`] does both for many pictures at once, on as many copies of the model as there are cores.
//!
//! ONNX Runtime itself is loaded once a process by [`Runtime::load`].

mod classes;
mod config;
mod convention;
mod detector;
mod error;
mod file;
mod heads;
mod nms;
mod pool;
mod preprocess;
mod runtime;

pub use config::{ColorOrder, HeadKind, Layout, ModelConfig, Resize, ResolvedInput, ResolvedModel};
pub use detector::Detector;
pub use error::ModelError;
pub use pool::{DetectorPool, Outcome, Seen};
pub use preprocess::{Input, Letterbox, PrepareError, Prepared, Preprocessor, SMALLEST_SIDE};
pub use runtime::{ExecutionProvider, ProviderChoice, Runtime, RuntimeError, SessionOptions};
