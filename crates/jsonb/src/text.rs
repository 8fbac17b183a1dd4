//! How long a value is as text.

use crate::container::{Container, Kind};
use crate::number::Number;
use crate::{Error, MAX_DEPTH, Result, Value};

pub fn length(value: Value<'_>) -> Result<usize> {
    match value {
        Value::Null => Ok(NULL),
        Value::Bool(true) => Ok(TRUE),
        Value::Bool(false) => Ok(FALSE),
        Value::Number(number) => number.text_length(),
        Value::String(text) => Ok(quoted(text.as_bytes())),
        Value::Array(array) => within(array.container(), MAX_DEPTH),
        Value::Object(object) => within(object.container(), MAX_DEPTH),
    }
}

const NULL: usize = "null".len();
const TRUE: usize = "true".len();
const FALSE: usize = "false".len();

/// Goes over the entries alone, keys and values alike: this is done for every message.
fn within(container: Container<'_>, levels: usize) -> Result<usize> {
    let levels = levels.checked_sub(1).ok_or(Error::Depth)?;
    let colons = container.entries() - container.count();
    let mut length = 2 + container.count().saturating_sub(1) + colons;
    let mut offset = 0;
    for index in 0..container.entries() {
        let span = container.span(index, offset)?;
        offset = span.end;
        length += match span.kind {
            Kind::String => quoted(container.octets(&span)?),
            Kind::Number => Number::read(container.aligned(&span)?)?.text_length()?,
            Kind::Container => within(Container::read(container.aligned(&span)?)?, levels)?,
            Kind::True => TRUE,
            Kind::False => FALSE,
            Kind::Null => NULL,
        };
    }
    Ok(length)
}

/// A string with its quotes.
fn quoted(text: &[u8]) -> usize {
    2 + text.iter().map(|&octet| usize::from(ESCAPED[usize::from(octet)])).sum::<usize>()
}

/// Octets that each octet becomes where a string is escaped as RFC 8259 asks for.
const ESCAPED: [u8; 256] = {
    let mut lengths = [1; 256];
    let mut octet = 0;
    while octet < 0x20 {
        lengths[octet] = 6;
        octet += 1;
    }
    let named = b"\"\\\x08\t\n\x0C\r";
    let mut index = 0;
    while index < named.len() {
        lengths[named[index] as usize] = 2;
        index += 1;
    }
    lengths
};
