//! `time_weighted_average(value, time)`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use super::{finished, state};
use crate::error::{Error, Result};

extension_sql!(
    r"
    CREATE AGGREGATE time_weighted_average(value double precision, at timestamptz) (
        SFUNC = time_weighted_average_step, STYPE = internal, FINALFUNC = time_weighted_average_value,
        PARALLEL = SAFE);
    COMMENT ON AGGREGATE time_weighted_average(double precision, timestamptz) IS
        'The mean over time of values that each hold until the next; the rows have to come in the order of time.';
    ",
    name = "time_weighted_average",
    requires = [time_weighted_average_step, time_weighted_average_value]
);

/// The values so far, each weighted with how long it held.
#[derive(Default)]
struct Area {
    last: Option<(i64, f64)>,
    /// Value times microseconds.
    area: f64,
    duration: i64,
}

impl Area {
    fn add(&mut self, at: i64, value: f64) -> Result<()> {
        if let Some((since, held)) = self.last {
            let lasted = at.checked_sub(since).filter(|&lasted| lasted >= 0).ok_or_else(|| {
                Error::invalid("at", "goes back: write time_weighted_average(value, at ORDER BY at)")
            })?;
            self.area += held * lasted as f64;
            self.duration = self.duration.saturating_add(lasted);
        }
        self.last = Some((at, value));
        Ok(())
    }

    /// The last value has held for no time yet: it counts only where there is nothing else.
    fn mean(&self) -> Option<f64> {
        let (_, last) = self.last?;
        Some(if self.duration > 0 { self.area / self.duration as f64 } else { last })
    }
}

/// A row of `time_weighted_average`.
#[pg_extern(immutable, parallel_safe)]
fn time_weighted_average_step(
    mut area: Internal,
    value: Option<f64>,
    at: Option<TimestampWithTimeZone>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    if let (Some(value), Some(at)) = (value, at) {
        if !value.is_finite() {
            return Err(Error::invalid("value", "must be a finite number").into());
        }
        state::<Area>(&mut area, call).add(pg_sys::TimestampTz::from(at), value)?;
    }
    Ok(area)
}

/// The result of `time_weighted_average`.
#[pg_extern(immutable, parallel_safe)]
fn time_weighted_average_value(mut area: Internal, call: pg_sys::FunctionCallInfo) -> Option<f64> {
    finished::<Area>(&mut area, call)?.mean()
}
