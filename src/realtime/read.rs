//! Counters as they are now: what is buffered counts, and what was counted in periods that are over does not.

use camcount_counter::counts::Period;
use camcount_counter::pending::Addition;
use pgrx::PgMemoryContexts;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::record::{Record, Records, Which};
use super::{buffered, change, periods};
use crate::arguments::name;
use crate::error::{Error, Result};
use crate::queue::shared::now;
use crate::rows::{Returned, Row};

/// Columns of what is returned: see [`get_realtime_counter`].
type Counter = Row<16>;

/// A counter of a camera as it is now; no row where there is none. What is buffered counts already, and the counts are
/// those of the hour, day, week and month that it is now, which began at the `…_start` beside them.
#[pg_extern(sql = r#"
CREATE FUNCTION camcount.get_realtime_counter(p_camera_id text, p_counter_name text) RETURNS TABLE (
    camera_id text, counter_name text, current_count bigint, total_count bigint, reset_count bigint,
    hourly_count bigint, daily_count bigint, weekly_count bigint, monthly_count bigint,
    hour_start timestamptz, day_start timestamptz, week_start timestamptz, month_start timestamptz,
    last_increment_at timestamptz, last_reset_at timestamptz, is_buffered boolean
) LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
fn get_realtime_counter(
    p_camera_id: Option<&str>,
    p_counter_name: Option<&str>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<i32>, ErrorReport> {
    let camera_id = name(p_camera_id, "p_camera_id")?;
    let counter_name = name(p_counter_name, "p_counter_name")?;
    let mut returned = Returned::begin(call);
    let records = open()?;
    if let Some((record, lacking)) = buffered::read(&records, Which::Named { camera_id, counter_name })? {
        returned.put(&row(record, &lacking)?);
    }
    Ok(None)
}

/// All counters of a camera, or of all cameras, by name; otherwise as `get_realtime_counter`.
#[pg_extern(sql = r#"
CREATE FUNCTION camcount.get_realtime_counters(p_camera_id text DEFAULT NULL) RETURNS TABLE (
    camera_id text, counter_name text, current_count bigint, total_count bigint, reset_count bigint,
    hourly_count bigint, daily_count bigint, weekly_count bigint, monthly_count bigint,
    hour_start timestamptz, day_start timestamptz, week_start timestamptz, month_start timestamptz,
    last_increment_at timestamptz, last_reset_at timestamptz, is_buffered boolean
) LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
fn get_realtime_counters(
    p_camera_id: Option<&str>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<i32>, ErrorReport> {
    let camera_id = p_camera_id.map(|camera_id| name(Some(camera_id), "p_camera_id")).transpose()?;
    let mut returned = Returned::begin(call);
    let records = open()?;
    let mut put = |record| -> Result<()> {
        if let Some((record, lacking)) = buffered::complete(&records, record)? {
            returned.put(&row(record, &lacking)?);
        }
        Ok(())
    };
    records.each(camera_id, |record| {
        // SAFETY: nothing that is made of one counter outlives it, so that one at a time is in memory.
        #[allow(unsafe_code)]
        unsafe {
            PgMemoryContexts::new("counter").switch_to(|_| put(record))
        }
    })?;
    Ok(None)
}

fn open() -> Result<Records> {
    let records = Records::open_for_reading()?;
    records.ok_or_else(|| Error::Missing { kind: "table", name: "realtime_counters".to_owned() })
}

fn row(mut record: Record, lacking: &[Addition]) -> Result<Counter> {
    change::add(&mut record, lacking.iter())?;
    let starts = periods::starts(&record.camera_id, now())?;
    record.counts = record.counts.at(&starts);
    Ok(columns(&record))
}

fn columns(record: &Record) -> Counter {
    let time = |at: Option<i64>| at.and_then(|at| TimestampWithTimeZone::try_from(at).ok());
    let counts = &record.counts;
    let mut row = Counter::new();
    row.set(0, record.camera_id.as_str())
        .set(1, record.counter_name.as_str())
        .set(2, counts.current)
        .set(3, counts.total)
        .set(4, record.reset_count)
        .set(13, time(counts.last_at))
        .set(14, time(record.last_reset_at))
        .set(15, record.mode == camcount_counter::config::Mode::Buffered);
    for (index, Period { count, start }) in counts.periods.iter().enumerate() {
        row.set(5 + index, *count).set(9 + index, time(*start));
    }
    row
}
