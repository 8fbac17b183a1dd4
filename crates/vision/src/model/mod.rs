//! An ONNX detector: pictures in, detections out.
//!
//! A model is two things, the bytes of an ONNX file and a small [`ModelConfig`] that says which head it has. All else
//! follows from the head's convention and the file's own inputs, or is overridden in the config. The path of a frame:
//!
//! 1. [`Preprocessor::prepare`] (any thread) resizes the picture to the model's input;
//! 2. [`Detector::infer`] runs a batch of inputs through ONNX Runtime, reads boxes from the head's outputs, suppresses
//!    duplicates and maps the boxes back to the picture.
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
mod preprocess;
mod runtime;

pub use config::{ColorOrder, HeadKind, Layout, ModelConfig, Resize, ResolvedInput, ResolvedModel};
pub use detector::Detector;
pub use error::ModelError;
pub use preprocess::{
    Input, Letterbox, PrepareError, Prepared, Preprocessor, SMALLEST_SIDE, prepare_together,
};
pub use runtime::{ExecutionProvider, ProviderChoice, Runtime, RuntimeError, SessionOptions};
