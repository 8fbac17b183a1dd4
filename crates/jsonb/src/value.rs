//! What a jsonb is.

use serde::de::DeserializeOwned;

use crate::{Array, Deserializer, Number, Object, Result, container, text};

/// A value, which looks into the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number<'a>),
    /// A text.
    String(&'a str),
    /// A list.
    Array(Array<'a>),
    /// Values by key.
    Object(Object<'a>),
}

impl<'a> Value<'a> {
    /// The value of a jsonb, which is given without its length word.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed), [`Error::Encoding`](crate::Error::Encoding).
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        container::read(bytes)
    }

    /// To be read into a type of one's own, which may borrow strings.
    pub fn deserializer(self) -> Deserializer<'a> {
        Deserializer::new(self)
    }

    /// The value as a type of one's own.
    ///
    /// # Errors
    /// As the type has them, and those of reading.
    pub fn to<T: DeserializeOwned>(self) -> Result<T> {
        T::deserialize(self.deserializer())
    }

    /// Octets of the value as JSON without spaces, its numbers with the digits that they have.
    ///
    /// # Errors
    /// What `serde_json` would not read from such a text: a number that a double cannot hold, too many levels.
    pub fn text_length(self) -> Result<usize> {
        text::length(self)
    }
}
