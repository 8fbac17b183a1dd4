//! Checks of the functions that read events, which are written in SQL.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::arguments::{name, not_negative, required};
use crate::error::{Error, Result};

/// Events of one answer at most.
const MOST: i32 = 100_000;

/// Checks the arguments of `read_stream`.
#[pg_extern(immutable, parallel_safe)]
pub fn check_read_stream(
    p_aggregate_type: Option<&str>,
    p_aggregate_id: Option<&str>,
    p_from_version: Option<i32>,
    p_max: Option<i32>,
) -> Result<bool, ErrorReport> {
    name(p_aggregate_type, "p_aggregate_type")?;
    name(p_aggregate_id, "p_aggregate_id")?;
    not_negative(p_from_version.map(i64::from), "p_from_version")?;
    most(p_max)?;
    Ok(true)
}

/// Checks the arguments of `read_events`.
#[pg_extern(immutable, parallel_safe)]
pub fn check_read_events(
    p_after_position: Option<i64>,
    p_max: Option<i32>,
    p_event_types: Option<Vec<Option<String>>>,
) -> Result<bool, ErrorReport> {
    not_negative(p_after_position, "p_after_position")?;
    most(p_max)?;
    for event_type in p_event_types.iter().flatten() {
        name(event_type.as_deref(), "p_event_types")?;
    }
    if p_event_types.is_some_and(|types| types.is_empty()) {
        return Err(Error::invalid("p_event_types", "must not be empty; NULL stands for all types").into());
    }
    Ok(true)
}

fn most(value: Option<i32>) -> Result<()> {
    let value = required(value, "p_max")?;
    if (1..=MOST).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid("p_max", format!("must be 1 to {MOST}, got {value}")))
}

/// The next transaction's id: whoever has an id has a smaller one.
#[pg_extern(sql = r#"
CREATE FUNCTION camcount.next_transaction_id() RETURNS xid8
LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
pub fn next_transaction_id() -> i64 {
    // SAFETY: reads shared memory under its lock.
    #[allow(unsafe_code)]
    let next = unsafe { pg_sys::ReadNextFullTransactionId() };
    next.value as i64
}
