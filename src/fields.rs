//! Fields of JSON objects that stand for arguments; NULL where they are JSON's null.

use std::borrow::Cow;
use std::ffi::CString;
use std::ops::RangeInclusive;

use camcount_jsonb::Value;
use camcount_vision::geometry::Timestamp;
use chrono::DateTime;
use pgrx::direct_function_call;
use pgrx::prelude::*;

use crate::arguments::{from_timestamp, shown};
use crate::error::{Error, Result};
use crate::jsonb::unreadable;

/// A text.
pub fn text<'a>(value: Value<'a>, parameter: &'static str) -> Result<Option<Cow<'a, str>>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.into())),
        other => Err(refused(parameter, "must be text", other)),
    }
}

/// A text, or a whole number of 64 bits.
pub fn id<'a>(value: Value<'a>, parameter: &'static str) -> Result<Option<Cow<'a, str>>> {
    const NUMBERS: RangeInclusive<i128> = i64::MIN as i128..=u64::MAX as i128;
    match value {
        Value::Number(number) if number.as_integer().is_some_and(|number| NUMBERS.contains(&number)) => {
            Ok(Some(number.to_string().into()))
        }
        other => text(other, parameter),
    }
}

/// A value that is not what is expected, the beginning of which the message repeats.
pub fn refused(parameter: &'static str, expected: &str, found: Value<'_>) -> Error {
    match found.to::<serde_json::Value>() {
        Ok(found) => Error::invalid(parameter, format!("{expected}, got {}", shown(&found.to_string()))),
        Err(error) => unreadable(parameter)(error),
    }
}

/// Reads a time as Postgres does: with an offset, or else in the session's time zone.
pub fn timestamp(value: Value<'_>, parameter: &'static str) -> Result<Option<TimestampWithTimeZone>> {
    let refused = || refused(parameter, "must be a time such as 2026-01-05T08:00:00+01:00", value);
    match value {
        Value::Null => Ok(None),
        Value::String(text) => {
            plain_timestamp(text).or_else(|| any_timestamp(text)).map(Some).ok_or_else(refused)
        }
        _ => Err(refused()),
    }
}

/// A time with an offset and no more than microseconds: nearly all of them, and read in a tenth of the time.
fn plain_timestamp(text: &str) -> Option<TimestampWithTimeZone> {
    const OFFSETS: i32 = 16 * 3600;
    // chrono takes another minus sign too.
    if !text.is_ascii() {
        return None;
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    // A leap second has more than a second of nanoseconds.
    let nanoseconds = time.timestamp_subsec_nanos();
    let is_exact = nanoseconds < 1_000_000_000 && nanoseconds % 1000 == 0;
    if !is_exact || time.offset().local_minus_utc().abs() >= OFFSETS {
        return None;
    }
    from_timestamp(Timestamp(time.timestamp_micros())).ok()
}

/// `None` for what Postgres does not read.
fn any_timestamp(text: &str) -> Option<TimestampWithTimeZone> {
    let text = CString::new(text).ok()?;
    PgTryBuilder::new(|| {
        let arguments = [Some(text.as_ptr().into()), Some(pg_sys::InvalidOid.into()), Some((-1i32).into())];
        // SAFETY: the input function of timestamptz with its three arguments. It fails before it holds anything.
        #[allow(unsafe_code)]
        unsafe {
            direct_function_call::<TimestampWithTimeZone>(pg_sys::timestamptz_in, &arguments)
        }
    })
    .catch_others(|_| None)
    .execute()
}
