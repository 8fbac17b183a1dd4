//! What can be wrong with a model.

/// Why a model cannot be opened or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The config is not what a model's config looks like: an unknown key, a wrong type, a value out of range.
    #[error("model config, key `{key}`: {reason}")]
    Config {
        /// The key, with a path where it is nested; `.` for the whole config.
        key: String,
        /// What was wrong, and what would be right.
        reason: String,
    },
    /// ONNX Runtime cannot read the bytes as a model.
    #[error("the bytes are no ONNX model that ONNX Runtime can load: {0}")]
    NotOnnx(String),
    /// The file's inputs or outputs do not fit the config.
    #[error("the ONNX file does not fit its config: {what}: expected {expected}, found {found}")]
    Mismatch {
        /// Which input, output or dimension.
        what: String,
        /// What the config and the head's convention ask for.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// More or fewer inputs than one run can take.
    #[error("a run of this model takes 1 to {max} inputs, found {found}")]
    Batch {
        /// [`Detector::max_batch`](super::Detector::max_batch).
        max: usize,
        /// How many were given.
        found: usize,
    },
    /// An input that was prepared for another model.
    #[error("an input of {found} values was prepared for another model: this one takes {expected}")]
    ForeignInput {
        /// Values in one input of this model.
        expected: usize,
        /// Values in the input given.
        found: usize,
    },
    /// A picture that cannot be resized.
    #[error("a picture of {width}x{height} pixels with {bytes} bytes of RGB cannot be prepared")]
    Picture {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Length of its `rgb`.
        bytes: usize,
    },
    /// ONNX Runtime failed.
    #[error("ONNX Runtime: {0}")]
    Runtime(#[from] ort::Error),
}

impl ModelError {
    pub(super) fn config(key: &str, reason: impl Into<String>) -> Self {
        Self::Config { key: key.to_owned(), reason: reason.into() }
    }

    pub(super) fn mismatch(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Mismatch { what: what.into(), expected: expected.into(), found: found.into() }
    }
}
