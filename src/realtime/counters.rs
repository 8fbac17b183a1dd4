//! Counters that applications and the vision worker increment.

use std::ffi::CStr;

use camcount_counter::config::Config;
use camcount_counter::counts::TooLarge;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::change::{self, Outcome, change};
use super::record::{Record, Records, Which};
use super::{buffered, early_release, periods};
use crate::arguments::{name, required};
use crate::database;
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;
use crate::queue::shared::now;
use crate::rows::Wait;

/// Adds to a counter of a camera, which begins with its first increment, and returns its current count. The hourly,
/// daily, weekly (ISO) and monthly counts start anew with their period in the camera's time zone. A negative value
/// lowers the current count, not below 0, and leaves the totals as they are.
#[pg_extern]
fn increment_realtime_counter(
    p_camera_id: Option<&str>,
    p_counter_name: Option<&str>,
    p_increment_value: default!(Option<i32>, "1"),
) -> Result<i32, ErrorReport> {
    let camera = name(p_camera_id, "p_camera_id")?;
    let counter = name(p_counter_name, "p_counter_name")?;
    let incremented = increment(camera, counter, required(p_increment_value, "p_increment_value")?)?;
    if incremented.is_durable {
        early_release::want();
    }
    Ok(integer(camera, counter, incremented.count)?)
}

/// The documented functions return an INTEGER.
fn integer(camera: &str, counter: &str, value: i64) -> Result<i32> {
    i32::try_from(value).map_err(|_| Error::CounterRange {
        camera: camera.to_owned(),
        counter: counter.to_owned(),
        value,
    })
}

/// What an increment made of a counter.
#[derive(Clone, Copy, Debug)]
pub struct Incremented {
    /// The current count.
    pub count: i64,
    /// It is in the counter's row.
    pub is_durable: bool,
}

/// As [`increment_realtime_counter`], with the count as it is stored.
pub fn increment(camera_id: &str, counter_name: &str, value: i32) -> Result<Incremented> {
    increment_each(camera_id, counter_name, &[value]).map_err(|failure| failure.error)
}

/// The first of several increments that failed.
#[derive(Debug)]
pub struct Failure {
    pub index: usize,
    pub error: Error,
}

/// Makes several increments of one counter, one after the other, with one change to its row.
pub fn increment_each(camera_id: &str, counter_name: &str, values: &[i32]) -> Result<Incremented, Failure> {
    let mut index = 0;
    try_increment(camera_id, counter_name, values, &mut index).map_err(|error| Failure { index, error })
}

/// Notes the `index` of what is being done.
fn try_increment(
    camera_id: &str,
    counter_name: &str,
    values: &[i32],
    index: &mut usize,
) -> Result<Incremented> {
    if let Some(count) = buffered::increment(camera_id, counter_name, values)? {
        return Ok(Incremented { count, is_durable: false });
    }
    let Some(records) = Records::open() else { return execute_each(camera_id, counter_name, values, index) };
    refuse_if_read_only(c"increment_realtime_counter()");
    // Noted before the row is read.
    let changes = buffered::changes();
    let which = Which::Named { camera_id, counter_name };
    // The first that this session hears of a counter may be that it is buffered.
    let mut is_new = buffered::can_be_buffered(values);
    loop {
        let outcome = change(
            &records,
            which,
            Wait::ForHolder,
            |record| Ok(std::mem::take(&mut is_new) && buffered::remember(&records, record, changes)?),
            |record| add(record, values, index),
        )?;
        match outcome {
            Outcome::Made { current } => return Ok(Incremented { count: current, is_durable: true }),
            Outcome::Declined => {
                if let Some(count) = buffered::increment(camera_id, counter_name, values)? {
                    return Ok(Incremented { count, is_durable: false });
                }
            }
            Outcome::Missing | Outcome::Busy => {
                return execute_each(camera_id, counter_name, values, index);
            }
        }
    }
}

/// At the time at which the row is had.
fn add(record: &mut Record, values: &[i32], index: &mut usize) -> Result<()> {
    let at = now();
    let starts = periods::starts(&record.camera_id, at)?;
    for (number, &value) in values.iter().enumerate() {
        *index = number;
        record.counts.add(value.into(), at, &starts).map_err(|TooLarge| change::too_large(record))?;
    }
    Ok(())
}

/// As where the executor would refuse it.
fn refuse_if_read_only(function: &CStr) {
    // SAFETY: within a transaction; the name is a C string.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::PreventCommandIfReadOnly(function.as_ptr());
    }
}

/// Has the executor make increments.
fn execute_each(
    camera_id: &str,
    counter_name: &str,
    values: &[i32],
    index: &mut usize,
) -> Result<Incremented> {
    let mut count = 0;
    for (number, &value) in values.iter().enumerate() {
        *index = number;
        pgrx::check_for_interrupts!();
        count = execute(camera_id, counter_name, value.into(), None)?;
    }
    Ok(Incremented { count, is_durable: true })
}

/// Has the executor do it: for the first increment, and where only it can write the table. `at` is when the increment was
/// made, in microseconds of Postgres's clock; `None` is now.
pub fn execute(camera_id: &str, counter_name: &str, value: i64, at: Option<i64>) -> Result<i64> {
    const INCREMENT: &str = include_str!("increment.sql");
    let at = at.and_then(|at| TimestampWithTimeZone::try_from(at).ok());
    let arguments = [camera_id.into(), counter_name.into(), value.into(), at.into()];
    let count = database::value::<i64>(INCREMENT, &arguments)?;
    count.ok_or_else(|| Error::Runtime("the counter was not stored".into()))
}

/// Sets a counter's current count to 0 and returns what it was. The totals and the counts of its periods stay.
#[pg_extern]
fn reset_realtime_counter(
    p_camera_id: Option<&str>,
    p_counter_name: Option<&str>,
) -> Result<i64, ErrorReport> {
    let camera_id = name(p_camera_id, "p_camera_id")?;
    let counter_name = name(p_counter_name, "p_counter_name")?;
    let missing = || Error::NoCounter { camera: camera_id.to_owned(), counter: counter_name.to_owned() };
    let Some(records) = Records::open() else {
        return Ok(execute_reset(camera_id, counter_name)?.ok_or_else(missing)?);
    };
    refuse_if_read_only(c"reset_realtime_counter()");
    let mut before = 0;
    let reset = |record: &mut Record| {
        before = std::mem::take(&mut record.counts.current);
        record.reset_count += 1;
        record.last_reset_at = Some(now());
        Ok(())
    };
    let which = Which::Named { camera_id, counter_name };
    match change(&records, which, Wait::ForHolder, |_| Ok(false), reset)? {
        Outcome::Made { .. } => Ok(before),
        _ => Err(missing().into()),
    }
}

/// Has the executor do it, where only it can write the table.
fn execute_reset(camera_id: &str, counter_name: &str) -> Result<Option<i64>> {
    const RESET: &str = "WITH before AS (
            SELECT id, current_count FROM camcount.realtime_counters
            WHERE (camera_id, counter_name) = ($1, $2) FOR UPDATE)
        UPDATE camcount.realtime_counters AS counter
        SET current_count = 0, reset_count = counter.reset_count + 1, last_reset_at = clock_timestamp(),
            updated_at = clock_timestamp()
        FROM before WHERE counter.id = before.id AND counter.camera_id = $1
        RETURNING before.current_count";
    database::value::<i64>(RESET, &[camera_id.into(), counter_name.into()])
}

/// Says how a counter of a camera counts, which begins with it if there is none. `p_config` is an object that may have
/// `mode`: `durable`, the default, or `buffered`.
#[pg_extern]
fn configure_realtime_counter(
    p_camera_id: Option<&str>,
    p_counter_name: Option<&str>,
    p_config: Option<Jsonb>,
) -> Result<(), ErrorReport> {
    const CONFIGURE: &str = "INSERT INTO camcount.realtime_counters AS counter
            (camera_id, counter_name, counter_config) VALUES ($1, $2, $3)
        ON CONFLICT (camera_id, counter_name) DO UPDATE
        SET counter_config = excluded.counter_config, updated_at = clock_timestamp()";
    let camera_id = name(p_camera_id, "p_camera_id")?;
    let counter_name = name(p_counter_name, "p_counter_name")?;
    let config = required(p_config, "p_config")?;
    check_config(config, "p_config")?;
    database::run(CONFIGURE, &[camera_id.into(), counter_name.into(), config.into()])?;
    Ok(())
}

/// Checks a counter's configuration: an unknown key or value is an error that names it. The table's trigger calls it;
/// returns true.
#[pg_extern]
pub fn check_counter_config(p_counter_config: Option<Jsonb>) -> Result<bool, ErrorReport> {
    check_config(required(p_counter_config, "p_counter_config")?, "p_counter_config")?;
    Ok(true)
}

fn check_config(config: Jsonb, parameter: &'static str) -> Result<Config> {
    Config::from_json(&config.read(parameter)?).map_err(|problem| Error::CounterConfig { parameter, problem })
}
