//! Counters that applications and the vision worker increment.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::arguments::{name, required};
use crate::database;
use crate::error::{Error, Result};

/// Adds to a counter of a camera and returns its current count. The hourly, daily, weekly (ISO) and monthly counts
/// start anew with their period in the camera's time zone. A negative value lowers the current count, not below 0,
/// and leaves the totals as they are.
#[pg_extern]
fn increment_realtime_counter(
    p_camera_id: Option<&str>,
    p_counter_name: Option<&str>,
    p_increment_value: default!(Option<i32>, "1"),
) -> Result<i32, ErrorReport> {
    let camera = name(p_camera_id, "p_camera_id")?;
    let counter = name(p_counter_name, "p_counter_name")?;
    let value = increment(camera, counter, required(p_increment_value, "p_increment_value")?)?;
    i32::try_from(value).map_err(|_| {
        Error::CounterRange { camera: camera.to_owned(), counter: counter.to_owned(), value }.into()
    })
}

/// As [`increment_realtime_counter`], with the count as it is stored.
pub fn increment(camera_id: &str, counter_name: &str, value: i32) -> Result<i64> {
    const INCREMENT: &str = include_str!("increment.sql");
    let count = database::value::<i64>(INCREMENT, &[camera_id.into(), counter_name.into(), value.into()])?;
    count.ok_or_else(|| Error::Runtime("the counter was not stored".into()))
}
