//! Values into types of one's own, by serde.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use crate::container::Children;
use crate::{Error, MAX_DEPTH, Number, Result, Value};

/// Hands a value to serde. What the type ignores is not looked at.
#[derive(Clone, Copy, Debug)]
pub struct Deserializer<'de> {
    value: Value<'de>,
    levels: usize,
}

impl<'de> Deserializer<'de> {
    pub(crate) fn new(value: Value<'de>) -> Self {
        Self { value, levels: MAX_DEPTH }
    }

    fn inside(self) -> Result<usize> {
        self.levels.checked_sub(1).ok_or(Error::Depth)
    }
}

impl<'de> serde::Deserializer<'de> for Deserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => visit_number(number, visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(array) => {
                let mut items = Items { items: array.children(), levels: self.inside()? };
                let value = visitor.visit_seq(&mut items)?;
                // A visitor of a fixed length stops where it has enough.
                match items.items.len() {
                    0 => Ok(value),
                    _ => Err(serde::de::Error::invalid_length(array.len(), &"fewer items")),
                }
            }
            Value::Object(object) => {
                let (keys, values) = (object.keys(), object.values()?);
                visitor.visit_map(Pairs { keys, values, levels: self.inside()? })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    /// A list of the values is not taken for the object.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.value {
            Value::Array(_) => Err(serde::de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier
    }
}

/// A number with a point is a double, as `serde_json` has it, and so is a whole one of more than 64 bits.
fn visit_number<'de, V: Visitor<'de>>(number: Number<'de>, visitor: V) -> Result<V::Value> {
    match number.as_integer() {
        Some(whole) if let Ok(whole) = u64::try_from(whole) => visitor.visit_u64(whole),
        Some(whole) if let Ok(whole) = i64::try_from(whole) => visitor.visit_i64(whole),
        _ => visitor.visit_f64(number.to_f64()?),
    }
}

struct Items<'de> {
    items: Children<'de>,
    levels: usize,
}

impl<'de> SeqAccess<'de> for &mut Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(value) = self.items.advance()? else { return Ok(None) };
        seed.deserialize(Deserializer { value, levels: self.levels }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Pairs<'de> {
    keys: Children<'de>,
    values: Children<'de>,
    levels: usize,
}

impl<'de> MapAccess<'de> for Pairs<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        match self.keys.advance()? {
            None => Ok(None),
            Some(Value::String(key)) => seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some),
            Some(_) => Err(Error::Malformed),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        let value = self.values.advance()?.ok_or(Error::Malformed)?;
        seed.deserialize(Deserializer { value, levels: self.levels })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}
