//! Checks that every SQL function makes of its arguments.

use camcount_vision::geometry::Timestamp;
use pgrx::AnyNumeric;
use pgrx::prelude::*;

use crate::error::{Error, Result};

/// Longest camera, stream, pipeline, model, line, zone and counter name, in characters.
pub const NAME_LENGTH: usize = 100;

/// Microseconds from 1970-01-01 to Postgres's own epoch, 2000-01-01.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// The years 1 to 9999 in UTC, in microseconds from 1970-01-01.
const TIMES: std::ops::Range<i64> = -62_135_596_800_000_000..253_402_300_800_000_000;

/// The argument's value, or an error naming the parameter.
pub fn required<T>(value: Option<T>, parameter: &'static str) -> Result<T> {
    value.ok_or(Error::Null { parameter })
}

/// A name of 1 to 100 characters.
pub fn name<'a>(value: Option<&'a str>, parameter: &'static str) -> Result<&'a str> {
    text(value, parameter, NAME_LENGTH)
}

/// A text of 1 to `max` characters.
pub fn text<'a>(value: Option<&'a str>, parameter: &'static str, max: usize) -> Result<&'a str> {
    let value = required(value, parameter)?;
    let length = value.chars().count();
    if (1..=max).contains(&length) { Ok(value) } else { Err(Error::Length { parameter, max, length }) }
}

/// A moment that a partition can be made for: at the ends of timestamptz its bounds would not be times.
pub fn moment(value: Option<TimestampWithTimeZone>, parameter: &'static str) -> Result<Timestamp> {
    let time = to_timestamp(required(value, parameter)?);
    if !TIMES.contains(&time.0) {
        return Err(Error::invalid(parameter, "must be a finite time in the years 1 to 9999"));
    }
    Ok(time)
}

/// What a message repeats of a value: its beginning.
pub fn shown(value: &str) -> String {
    const MOST: usize = 100;
    let mut shown: String = value.chars().take(MOST).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    shown
}

/// A number from 0 up.
pub fn not_negative(value: Option<i64>, parameter: &'static str) -> Result<i64> {
    let value = required(value, parameter)?;
    if value < 0 {
        Err(Error::invalid(parameter, format!("must be 0 or more, got {value}")))
    } else {
        Ok(value)
    }
}

/// A number below 10^100 either way, so that what is calculated of it is a `numeric` too. NaN and the infinities are
/// beyond.
pub fn finite(value: AnyNumeric, parameter: &'static str) -> Result<AnyNumeric> {
    const LIMIT: &str = "1e100";
    let limit = AnyNumeric::try_from(LIMIT).map_err(|error| Error::Runtime(error.to_string()))?;
    if value.is_nan() || value >= limit || value <= -limit {
        return Err(Error::invalid(parameter, format!("must be a finite number below {LIMIT}")));
    }
    Ok(value)
}

/// From Postgres's clock to the crates'.
pub fn to_timestamp(value: TimestampWithTimeZone) -> Timestamp {
    Timestamp(pg_sys::TimestampTz::from(value).saturating_add(POSTGRES_EPOCH))
}

/// From the crates' clock to Postgres's.
pub fn from_timestamp(value: Timestamp) -> Result<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(value.0.saturating_sub(POSTGRES_EPOCH))
        .map_err(|_| Error::Runtime(format!("time {} is outside the range of timestamptz", value.0)))
}
