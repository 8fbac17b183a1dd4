//! When the hours, days, weeks and months of a camera begin: in its time zone, or in UTC where the camera is not known.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use camcount_counter::counts::Starts;
use pgrx::direct_function_call;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::database;
use crate::error::{Error, Result};
use crate::queue::has_own_snapshot;

/// Cameras that a session remembers at most.
const MOST_KNOWN: usize = 10_000;
/// Microseconds.
const HOUR: i64 = 3_600_000_000;

/// A camera's zone, and the periods of the hour that was asked for last.
struct Known {
    zone: String,
    /// From the start of the hour until it has ended for certain.
    holds: std::ops::Range<i64>,
    starts: Starts,
}

thread_local! {
    static CAMERAS: RefCell<HashMap<String, Known>> = RefCell::default();
    static TABLE: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// When the hour, day, week and month of a time began for a camera, in microseconds of Postgres's clock, as the time is.
pub fn starts(camera_id: &str, at: i64) -> Result<Starts> {
    let changes = CHANGES.get();
    let known = CAMERAS.with_borrow(|cameras| {
        let camera = cameras.get(camera_id)?;
        if camera.holds.contains(&at) { Some(Ok(camera.starts)) } else { Some(Err(camera.zone.clone())) }
    });
    let zone = match known {
        Some(Ok(starts)) => return Ok(starts),
        Some(Err(zone)) => zone,
        None => zone_of(camera_id)?,
    };
    let starts = starts_in(&zone, at)?;
    let end = starts[0] + HOUR;
    // Where the clock is put forward or back within the hour, it ends at another time.
    let holds = if starts_in(&zone, end - 1)? == starts { starts[0]..end } else { at..at + 1 };
    // A transaction that keeps its snapshot may have read what is no longer so.
    if CHANGES.get() == changes && !has_own_snapshot() {
        CAMERAS.with_borrow_mut(|cameras| {
            if cameras.len() >= MOST_KNOWN {
                cameras.clear();
            }
            cameras.insert(camera_id.to_owned(), Known { zone, holds, starts });
        });
    }
    Ok(starts)
}

/// As [`starts`], in a time zone.
pub fn starts_in(zone: &str, at: i64) -> Result<Starts> {
    let mut starts = [0; 4];
    for (start, unit) in starts.iter_mut().zip(["hour", "day", "week", "month"]) {
        let arguments = [unit.into_datum(), Some(at.into()), zone.into_datum()];
        // SAFETY: the function takes a text, a timestamptz and a text.
        #[allow(unsafe_code)]
        let found = unsafe { direct_function_call::<i64>(pg_sys::timestamptz_trunc_zone, &arguments) };
        *start = found.ok_or_else(|| Error::Runtime("a time has no start of its period".into()))?;
    }
    Ok(starts)
}

fn zone_of(camera_id: &str) -> Result<String> {
    const ZONE: &str = "SELECT time_zone FROM camcount.cameras WHERE camera_id = $1";
    watch()?;
    Ok(database::value::<String>(ZONE, &[camera_id.into()])?.unwrap_or_else(|| "UTC".to_owned()))
}

/// Has the server tell this process of cameras whose zone changes: the table's trigger sends it with the transaction that
/// changes them.
fn watch() -> Result<()> {
    if !IS_WATCHING.replace(true) {
        // SAFETY: a function that lives as long as the process, registered once.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::null());
        }
    }
    if TABLE.get() == pg_sys::InvalidOid {
        TABLE.set(table()?.unwrap_or(pg_sys::InvalidOid));
    }
    Ok(())
}

fn table() -> Result<Option<pg_sys::Oid>> {
    database::value::<pg_sys::Oid>("SELECT 'camcount.cameras'::regclass::oid", &[])
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, table: pg_sys::Oid) {
    if table == pg_sys::InvalidOid || table == TABLE.get() || TABLE.get() == pg_sys::InvalidOid {
        TABLE.set(pg_sys::InvalidOid);
        CHANGES.set(CHANGES.get().wrapping_add(1));
        CAMERAS.with_borrow_mut(HashMap::clear);
    }
}

/// Tells all sessions that a camera's time zone has changed, once the transaction commits. Called by a trigger.
#[pg_extern]
pub fn forget_time_zones() -> Result<(), ErrorReport> {
    if let Some(table) = table()? {
        // SAFETY: the relation exists.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::CacheInvalidateRelcacheByRelid(table);
        }
    }
    Ok(())
}
