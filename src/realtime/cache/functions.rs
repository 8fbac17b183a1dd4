//! The cache's SQL functions.

use camcount_cache::{Entry, Key};
use pgrx::iter::TableIterator;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::{KEY_LENGTH, STRETCH, ensure_there, now, region, remove_expired, space, too_large};
use crate::arguments::{required, text};
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;
use crate::rows::{Returned, Row};

/// The value of a key, or NULL where there is none or it has expired. Nothing is written to any table.
#[pg_extern]
fn cache_get(p_cache_key: Option<&str>) -> Result<Option<Jsonb>, ErrorReport> {
    let name = key_name(p_cache_key)?;
    ensure_there()?;
    let key = Key { space: space::current()?, name };
    let value = region::read(|cache| cache.get(key, now())).flatten();
    Ok(value.map(|octets| Jsonb::part(&octets)))
}

/// Keeps a value under a key for `p_ttl_seconds`, in place of the one that it had. It holds at once, for all sessions of
/// this database, and a rollback does not undo it. What was not used for long makes room. A value may take a sixteenth of
/// `camcount.cache_size`, less a little.
#[pg_extern]
fn cache_set(
    p_cache_key: Option<&str>,
    p_cache_value: Option<Jsonb>,
    p_ttl_seconds: default!(Option<i32>, "300"),
) -> Result<(), ErrorReport> {
    let name = key_name(p_cache_key)?;
    let value = required(p_cache_value, "p_cache_value")?;
    let ttl = required(p_ttl_seconds, "p_ttl_seconds")?;
    let seconds = u32::try_from(ttl).ok().filter(|&seconds| seconds > 0);
    let seconds =
        seconds.ok_or_else(|| Error::invalid("p_ttl_seconds", format!("must be 1 or more, got {ttl}")))?;
    ensure_there()?;
    let key = Key { space: space::current()?, name };
    // Before it is fetched: it may be large.
    let octets = value.size() - pg_sys::VARHDRSZ;
    let limit = region::read(|cache| cache.largest_value()).unwrap_or(0);
    if octets > limit {
        return Err(Error::TooLarge { parameter: "p_cache_value", octets, limit }.into());
    }
    let value = value.bytes();
    if let Some(set) = region::write(|cache| cache.set(key, value, seconds, now())) {
        set.map_err(too_large(octets))?;
    }
    Ok(())
}

/// Deletes a key's value, at once and for all; whether it had one that had not expired.
#[pg_extern]
fn cache_delete(p_cache_key: Option<&str>) -> Result<bool, ErrorReport> {
    let name = key_name(p_cache_key)?;
    ensure_there()?;
    let key = Key { space: space::current()?, name };
    Ok(region::write(|cache| cache.delete(key, now())) == Some(true))
}

/// Removes what has expired of this database's values and returns how many; the maintenance worker does the same.
#[pg_extern]
fn cache_evict_expired() -> Result<i64, ErrorReport> {
    ensure_there()?;
    Ok(remove_expired(false)? as i64)
}

fn key_name(key: Option<&str>) -> Result<&[u8]> {
    Ok(text(key, "p_cache_key", KEY_LENGTH)?.as_bytes())
}

/// This database's values that have not expired, each as it is when it is come to; none without shared memory.
#[pg_extern(sql = r#"
CREATE FUNCTION camcount.cache_entries() RETURNS TABLE (
    id bigint, cache_key text, cache_value jsonb, cache_timestamp timestamptz, ttl_seconds integer,
    cache_size_bytes integer, hit_count bigint, miss_count bigint, last_accessed timestamptz, created_at timestamptz,
    expires_at timestamptz
) STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
pub fn cache_entries(call: pg_sys::FunctionCallInfo) -> Result<Option<i32>, ErrorReport> {
    let mut returned = Returned::begin(call);
    if !region::is_there() {
        return Ok(None);
    }
    let space = Some(space::current()?);
    let mut memory = PgMemoryContexts::new("camcount cache");
    for start in (0..region::extent()).step_by(STRETCH) {
        let entries =
            region::read(|cache| cache.entries(space, start..start + STRETCH, now()).collect::<Vec<_>>());
        for entry in entries.into_iter().flatten() {
            // SAFETY: the rows are copied before the memory is reset.
            #[allow(unsafe_code)]
            unsafe {
                memory.switch_to(|_| returned.put(&shown(&entry)));
                memory.reset();
            }
        }
        check_for_interrupts!();
    }
    Ok(None)
}

fn shown(entry: &Entry) -> Row<11> {
    let figures = &entry.figures;
    let time = |time: i64| TimestampWithTimeZone::try_from(time).ok();
    let mut row = Row::new();
    row.set(0, figures.id as i64)
        .set(1, String::from_utf8_lossy(&entry.name).as_ref())
        .set(2, Jsonb::part(&entry.value))
        .set(3, time(figures.written_at))
        .set(4, figures.ttl_seconds as i32)
        .set(5, entry.value.len() as i32)
        .set(6, figures.hits as i64)
        .set(7, figures.misses as i64)
        .set(8, time(figures.accessed_at))
        .set(9, time(figures.created_at))
        .set(10, time(figures.expires_at));
    row
}

/// What the cache holds, for all databases, and has done since the server started; no row without shared memory.
#[pg_extern]
#[allow(clippy::type_complexity)]
pub fn cache_figures() -> TableIterator<
    'static,
    (
        name!(entries, i64),
        name!(used_bytes, i64),
        name!(free_bytes, i64),
        name!(largest_value_bytes, i64),
        name!(hits, i64),
        name!(misses, i64),
        name!(evictions, i64),
        name!(expirations, i64),
    ),
> {
    let figures = region::read(|cache| (cache.statistics(), cache.largest_value()));
    TableIterator::new(figures.into_iter().map(|(figures, largest)| {
        (
            figures.entries as i64,
            figures.used as i64,
            figures.free as i64,
            largest as i64,
            figures.hits as i64,
            figures.misses as i64,
            figures.evictions as i64,
            figures.expirations as i64,
        )
    }))
}
