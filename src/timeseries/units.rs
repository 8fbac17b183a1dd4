//! One unit for each series.

use crate::database;
use crate::error::{Error, Result};

/// Refuses a unit that is not the one of the series; the first that comes is.
pub fn settle(camera: &str, metric: &str, unit: &str) -> Result<()> {
    const LOCK: &str = "SELECT pg_catalog.pg_advisory_xact_lock(
        pg_catalog.hashtextextended('camcount units', pg_catalog.hashtextextended($1 || chr(1) || $2, 0)))";
    const INSERT: &str = "INSERT INTO camcount.timeseries_units (camera_id, metric_name, metric_unit)
        VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    if is_known(camera, metric, unit)? {
        return Ok(());
    }
    // Of two that are first at the same time, the second finds what the first has written.
    database::run(LOCK, &[camera.into(), metric.into()])?;
    if !is_known(camera, metric, unit)? {
        database::run(INSERT, &[camera.into(), metric.into(), unit.into()])?;
    }
    Ok(())
}

fn is_known(camera: &str, metric: &str, unit: &str) -> Result<bool> {
    // No row where the series has no unit yet; an empty text where it has this one.
    const OTHER: &str = "SELECT coalesce(min(metric_unit) FILTER (WHERE metric_unit <> $3), '')
        FROM camcount.timeseries_units WHERE camera_id = $1 AND metric_name = $2 HAVING count(*) > 0";
    match database::value::<String>(OTHER, &[camera.into(), metric.into(), unit.into()])? {
        Some(other) if !other.is_empty() => Err(Error::invalid(
            "p_metric_unit",
            format!("is {unit:?}, and the series has values in {other:?}"),
        )),
        known => Ok(known.is_some()),
    }
}
