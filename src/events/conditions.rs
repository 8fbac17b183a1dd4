//! What an event's metadata asks of its publication.

use std::borrow::Cow;

use camcount_jsonb::Value;

use crate::arguments::{NAME_LENGTH, text as short_text};
use crate::error::{Error, Result};
use crate::fields::{id, refused, text};
use crate::jsonb::unreadable;

/// Keys of an event's metadata that have a meaning; all others are kept as they are.
#[derive(Default)]
pub struct Conditions<'a> {
    /// `idempotency_key`: an event of the aggregate that was published with it before is not published again.
    pub key: Option<Cow<'a, str>>,
    /// `expected_version`: the version that the aggregate's latest event must have; 0 for one without events.
    pub expected: Option<i32>,
}

impl<'a> Conditions<'a> {
    /// # Errors
    /// Metadata that is no object, and keys whose values cannot be what they stand for. `correlation_id` and
    /// `causation_id` are kept, and have to be texts or whole numbers.
    pub fn read(metadata: Value<'a>, parameter: &'static str) -> Result<Self> {
        let Value::Object(object) = metadata else {
            return Err(refused(parameter, "must be a JSON object", metadata));
        };
        if object.is_empty() {
            return Ok(Self::default());
        }
        let field =
            |key| object.get(key).map_err(unreadable(parameter)).map(|value| value.unwrap_or(Value::Null));
        let named = |key: &'static str, error: Error| match error {
            Error::Invalid { reason, .. } => {
                Error::invalid(parameter, format!("has a key {key} that {reason}"))
            }
            Error::Length { max, length, .. } => Error::invalid(
                parameter,
                format!("has a key {key} of {length} characters; it must have 1 to {max}"),
            ),
            other => other,
        };
        for key in ["correlation_id", "causation_id"] {
            let value = id(field(key)?, parameter).map_err(|error| named(key, error))?;
            short(value.as_deref(), parameter).map_err(|error| named(key, error))?;
        }
        let key =
            text(field("idempotency_key")?, parameter).map_err(|error| named("idempotency_key", error))?;
        short(key.as_deref(), parameter).map_err(|error| named("idempotency_key", error))?;
        let expected = version(field("expected_version")?, parameter);
        Ok(Self { key, expected: expected.map_err(|error| named("expected_version", error))? })
    }
}

impl Conditions<'_> {
    /// # Errors
    /// The aggregate is at another version than was expected.
    pub fn hold(&self, aggregate_type: &str, aggregate_id: &str, version: i32) -> Result<()> {
        match self.expected {
            Some(expected) if expected != version => Err(Error::Version {
                aggregate_type: aggregate_type.into(),
                aggregate_id: aggregate_id.into(),
                expected,
                found: version,
            }),
            _ => Ok(()),
        }
    }
}

fn short(value: Option<&str>, parameter: &'static str) -> Result<()> {
    value.map_or(Ok(()), |value| short_text(Some(value), parameter, NAME_LENGTH).map(drop))
}

fn version(value: Value<'_>, parameter: &'static str) -> Result<Option<i32>> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_integer().and_then(|number| i32::try_from(number).ok()),
        _ => None,
    };
    match number {
        Some(version @ 0..) => Ok(Some(version)),
        _ => Err(refused(parameter, "must be a whole number of 0 or more", value)),
    }
}
