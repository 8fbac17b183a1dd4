//! What an ONNX file says about itself: names, element types and dimensions of its inputs and outputs.

use std::fmt;

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

use super::ModelError;

/// The inputs and outputs of an ONNX file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelFile {
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
}

/// One float32 tensor that a model takes or gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub name: String,
    /// `None` for a dimension known only at run time.
    pub dims: Vec<Option<usize>>,
}

impl ModelFile {
    /// # Errors
    /// A port that is no tensor of float32.
    pub fn of(session: &Session) -> Result<Self, ModelError> {
        let ports = |kind: &str, outlets: &[Outlet]| {
            outlets.iter().map(|outlet| Port::of(kind, outlet)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { inputs: ports("input", session.inputs())?, outputs: ports("output", session.outputs())? })
    }

    /// The outputs, if there are exactly `count`.
    ///
    /// # Errors
    /// Another number of outputs.
    pub fn outputs_exactly(&self, count: usize) -> Result<&[Port], ModelError> {
        if self.outputs.len() == count {
            return Ok(&self.outputs);
        }
        let found: Vec<String> = self.outputs.iter().map(ToString::to_string).collect();
        Err(ModelError::mismatch(
            "number of outputs",
            count.to_string(),
            format!("{}: {}", found.len(), found.join(", ")),
        ))
    }
}

impl Port {
    fn of(kind: &str, outlet: &Outlet) -> Result<Self, ModelError> {
        let name = outlet.name().to_owned();
        let element = |found: String| {
            ModelError::mismatch(format!("{kind} `{name}`, element type"), "a tensor of float32", found)
        };
        match outlet.dtype() {
            ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => {
                let dims = shape.iter().map(|&dim| usize::try_from(dim).ok()).collect();
                Ok(Self { name, dims })
            }
            ValueType::Tensor { ty, .. } => Err(element(format!("a tensor of {ty}"))),
            other => Err(element(other.to_string())),
        }
    }

    /// The dimensions as an array, if there are exactly `N`.
    ///
    /// # Errors
    /// Another rank; `meaning` tells the reader what the dimensions stand for.
    pub fn ranked<const N: usize>(&self, meaning: &str) -> Result<[Option<usize>; N], ModelError> {
        <[Option<usize>; N]>::try_from(self.dims.as_slice())
            .map_err(|_| ModelError::mismatch(format!("rank of `{}`", self.name), meaning, self.to_string()))
    }

    /// Checks one dimension, where the file fixes it.
    ///
    /// # Errors
    /// A fixed dimension other than `expected`.
    pub fn expect_dim(&self, what: &str, found: Option<usize>, expected: usize) -> Result<(), ModelError> {
        match found {
            Some(found) if found != expected => Err(ModelError::mismatch(
                format!("{what} of `{}`", self.name),
                expected.to_string(),
                format!("{found} in {self}"),
            )),
            _ => Ok(()),
        }
    }
}

/// `name [1, 3, ?, ?]`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> =
            self.dims.iter().map(|dim| dim.map_or_else(|| "?".to_owned(), |dim| dim.to_string())).collect();
        write!(f, "{} [{}]", self.name, dims.join(", "))
    }
}
