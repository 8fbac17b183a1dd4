//! The time series' writing end: one value, or many.

use pgrx::AnyNumeric;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::units;
use crate::arguments::{finite, moment, name, required, text};
use crate::database;
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;

/// Longest metric unit, as documented.
pub const UNIT_LENGTH: usize = 20;

/// Writes one value of a camera's metric, below 10^100 either way. A series has one unit: another one is refused.
#[pg_extern]
fn record_metric(
    p_camera_id: Option<&str>,
    p_metric_name: Option<&str>,
    p_metric_timestamp: Option<TimestampWithTimeZone>,
    p_metric_value: Option<AnyNumeric>,
    p_metric_unit: default!(Option<&str>, "NULL"),
    p_metric_tags: default!(Option<Jsonb>, "NULL"),
    p_confidence_score: default!(Option<f64>, "NULL"),
) -> Result<(), ErrorReport> {
    const RECORD: &str = "INSERT INTO camcount.timeseries_data
        (camera_id, metric_name, metric_timestamp, metric_value, metric_unit, metric_tags, confidence_score)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let camera = name(p_camera_id, "p_camera_id")?;
    let metric = name(p_metric_name, "p_metric_name")?;
    moment(p_metric_timestamp, "p_metric_timestamp")?;
    let value = finite(required(p_metric_value, "p_metric_value")?, "p_metric_value")?;
    let unit = p_metric_unit.map(|unit| text(Some(unit), "p_metric_unit", UNIT_LENGTH)).transpose()?;
    score(p_confidence_score, "p_confidence_score")?;
    tags_size(p_metric_tags.map_or(0, Jsonb::size))?;
    if let Some(unit) = unit {
        units::settle(camera, metric, unit)?;
    }
    let arguments = [
        camera.into(),
        metric.into(),
        p_metric_timestamp.into(),
        value.into(),
        unit.into(),
        p_metric_tags.into(),
        p_confidence_score.into(),
    ];
    database::run(RECORD, &arguments)?;
    Ok(())
}

/// Refuses tags that would take more than the values; a little less than the table takes.
pub fn tags_size(octets: usize) -> Result<()> {
    const MOST: usize = 8_000;
    if octets > MOST {
        return Err(Error::invalid("p_metric_tags", format!("takes {octets} bytes; {MOST} is the most")));
    }
    Ok(())
}

/// Refuses what is no share.
pub fn score(value: Option<f64>, parameter: &'static str) -> Result<()> {
    if value.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
        return Err(Error::invalid(parameter, "must be from 0 to 1"));
    }
    Ok(())
}
