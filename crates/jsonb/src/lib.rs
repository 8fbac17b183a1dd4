//! Reads jsonb as PostgreSQL stores it, where it lies: a [`Value`] looks into the bytes and copies nothing.
//!
//! The layout is that of `src/include/utils/jsonb.h` and `src/backend/utils/adt/numeric.c` in PostgreSQL's sources, the
//! same in versions 15 to 18. Bytes that are not laid out so are refused; none of them can make a reader panic.

mod container;
mod deserialize;
mod number;
mod text;
mod value;

pub use container::{Array, Object};
pub use deserialize::Deserializer;
pub use number::Number;
pub use value::Value;

/// Levels of nesting that are read, as many as `serde_json` reads.
pub const MAX_DEPTH: usize = 127;

/// Why a value is not read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The bytes are no jsonb.
    #[error("the bytes are no jsonb")]
    Malformed,
    /// A string that is not in UTF-8.
    #[error("the database is not in UTF-8")]
    Encoding,
    /// A number that a double cannot hold.
    #[error("number out of range")]
    Range,
    /// More than [`MAX_DEPTH`] levels.
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// The value is not of the type that is wanted.
    #[error("{0}")]
    Type(String),
}

/// The result of reading.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl serde::de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Type(message.to_string())
    }
}
