//! Checks of the functions that are written in SQL.

use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::arguments::{moment, name, required, shown};
use crate::error::{Error, Result};

/// Buckets of one answer at most.
const MOST_BUCKETS: i64 = 100_000;
const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// A hundred years.
const MOST_MONTHS: i32 = 1_200;
const MOST_DAYS: i32 = 36_500;

/// Refuses a series that cannot be, and a range of time that ends before it starts. Both ends of it may be infinite
/// where `p_is_finite` is not asked for.
#[pg_extern(immutable, parallel_safe)]
fn check_series(
    p_camera_id: Option<&str>,
    p_metric_name: Option<&str>,
    p_from: Option<TimestampWithTimeZone>,
    p_to: Option<TimestampWithTimeZone>,
    p_is_finite: bool,
) -> Result<bool, ErrorReport> {
    series(p_camera_id, p_metric_name)?;
    range((p_from, "p_from"), (p_to, "p_to"), p_is_finite)?;
    Ok(true)
}

/// Checks the arguments of `aggregate_timeseries_data`.
#[pg_extern(immutable, parallel_safe)]
fn check_aggregation(
    p_camera_id: Option<&str>,
    p_metric_name: Option<&str>,
    p_aggregation_type: Option<&str>,
    p_start_timestamp: Option<TimestampWithTimeZone>,
    p_end_timestamp: Option<TimestampWithTimeZone>,
) -> Result<bool, ErrorReport> {
    const TYPES: [&str; 5] = ["minute", "hour", "day", "week", "month"];
    series(p_camera_id, p_metric_name)?;
    one_of(p_aggregation_type, "p_aggregation_type", &TYPES)?;
    range((p_start_timestamp, "p_start_timestamp"), (p_end_timestamp, "p_end_timestamp"), true)?;
    Ok(true)
}

/// Checks the arguments of `timeseries_buckets` and returns the rollups that its buckets can be made of: `hour`,
/// `minute`, or `microsecond` for none.
#[pg_extern(immutable, parallel_safe)]
fn check_buckets(
    p_camera_id: Option<&str>,
    p_metric_name: Option<&str>,
    p_bucket: Option<Interval>,
    p_from: Option<TimestampWithTimeZone>,
    p_to: Option<TimestampWithTimeZone>,
    p_fill: Option<&str>,
) -> Result<&'static str, ErrorReport> {
    const FILLS: [&str; 4] = ["none", "null", "previous", "linear"];
    series(p_camera_id, p_metric_name)?;
    let level = level(&required(p_bucket, "p_bucket")?)?;
    range((p_from, "p_from"), (p_to, "p_to"), true)?;
    one_of(p_fill, "p_fill", &FILLS)?;
    Ok(level)
}

/// Refuses an answer of more buckets than anybody reads.
#[pg_extern(immutable, parallel_safe)]
fn check_bucket_count(p_count: i64) -> Result<bool, ErrorReport> {
    if p_count > MOST_BUCKETS { Err(Error::TooManyBuckets(MOST_BUCKETS).into()) } else { Ok(true) }
}

/// Refuses a series whose values have more than one unit.
#[pg_extern(immutable, parallel_safe)]
fn check_units(p_units: Option<Vec<Option<String>>>) -> Result<bool, ErrorReport> {
    let units: Vec<String> = p_units.into_iter().flatten().flatten().collect();
    if units.len() > 1 {
        let reason = format!("has values in several units: {}", shown(&units.join(", ")));
        return Err(Error::invalid("p_metric_name", reason).into());
    }
    Ok(true)
}

fn series(camera_id: Option<&str>, metric_name: Option<&str>) -> Result<()> {
    name(camera_id, "p_camera_id")?;
    name(metric_name, "p_metric_name")?;
    Ok(())
}

fn one_of(value: Option<&str>, parameter: &'static str, known: &[&str]) -> Result<()> {
    let value = required(value, parameter)?;
    if known.contains(&value) {
        return Ok(());
    }
    let reason = format!("must be one of {}, got {:?}", known.join(", "), shown(value));
    Err(Error::invalid(parameter, reason))
}

type Moment = (Option<TimestampWithTimeZone>, &'static str);

fn range((from, from_name): Moment, (to, to_name): Moment, is_finite: bool) -> Result<()> {
    if is_finite {
        moment(from, from_name)?;
        moment(to, to_name)?;
    }
    if required(from, from_name)? > required(to, to_name)? {
        return Err(Error::invalid(from_name, format!("must not be after {to_name}")));
    }
    Ok(())
}

/// Buckets are whole months, whole days, or less than a day.
fn level(bucket: &Interval) -> Result<&'static str> {
    let invalid = |reason| Err(Error::invalid("p_bucket", reason));
    let (months, days, micros) = (bucket.months(), bucket.days(), bucket.micros());
    match (months, days, micros) {
        (1..=MOST_MONTHS, 0, 0) | (0, 1..=MOST_DAYS, 0) => Ok("hour"),
        (1.., 0, 0) | (0, 1.., 0) => invalid("must be a hundred years or less"),
        (0, 0, 1..DAY) if micros % HOUR == 0 => Ok("hour"),
        (0, 0, 1..DAY) if micros % MINUTE == 0 => Ok("minute"),
        (0, 0, 1..DAY) => Ok("microsecond"),
        (0, 0, _) => {
            invalid("must be more than 0 and, in hours and less, less than a day: write days as days")
        }
        _ => invalid("must be positive, and in months alone, in days alone or in hours and less alone"),
    }
}
