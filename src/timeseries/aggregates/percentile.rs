//! Percentiles by sketches, which can be stored, and merged over cameras and time.

use camcount_series::sketch::Sketch;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use super::{finished, state};
use crate::arguments::required;
use crate::error::{Error, Result};

extension_sql!(
    r"
    CREATE AGGREGATE percentile_sketch(value double precision) (
        SFUNC = percentile_sketch_step, STYPE = internal, FINALFUNC = percentile_sketch_octets, PARALLEL = SAFE);
    COMMENT ON AGGREGATE percentile_sketch(double precision) IS
        'What sketch_percentile() needs of some values, in a few kilobytes however many they are.';
    CREATE AGGREGATE merge_percentile_sketches(sketch bytea) (
        SFUNC = merge_percentile_sketches_step, STYPE = internal, FINALFUNC = percentile_sketch_octets,
        PARALLEL = SAFE);
    COMMENT ON AGGREGATE merge_percentile_sketches(bytea) IS
        'One sketch of several, as if it had been made of all their values.';
    ",
    name = "percentile_sketch",
    requires = [percentile_sketch_step, merge_percentile_sketches_step, percentile_sketch_octets]
);

/// A row of `percentile_sketch`.
#[pg_extern(immutable, parallel_safe)]
fn percentile_sketch_step(
    mut sketch: Internal,
    value: Option<f64>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    if let Some(value) = value {
        if !value.is_finite() {
            return Err(Error::invalid("value", "must be a finite number").into());
        }
        state::<Sketch>(&mut sketch, call).add(value);
    }
    Ok(sketch)
}

/// A row of `merge_percentile_sketches`.
#[pg_extern(immutable, parallel_safe)]
fn merge_percentile_sketches_step(
    mut merged: Internal,
    sketch: Option<&[u8]>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    if let Some(octets) = sketch {
        state::<Sketch>(&mut merged, call).merge(&read(octets, "sketch")?);
    }
    Ok(merged)
}

/// The result of `percentile_sketch` and `merge_percentile_sketches`.
#[pg_extern(immutable, parallel_safe)]
fn percentile_sketch_octets(mut sketch: Internal, call: pg_sys::FunctionCallInfo) -> Option<Vec<u8>> {
    finished::<Sketch>(&mut sketch, call).map(|sketch| sketch.to_octets())
}

/// The value below which a fraction of the sketch's values lies, from 0 to 1, within 1 percent of it; NULL where it has
/// none.
#[pg_extern(immutable, parallel_safe)]
fn sketch_percentile(p_sketch: Option<&[u8]>, p_fraction: Option<f64>) -> Result<Option<f64>, ErrorReport> {
    let fraction = required(p_fraction, "p_fraction")?;
    if !(0.0..=1.0).contains(&fraction) {
        return Err(Error::invalid("p_fraction", format!("must be from 0 to 1, got {fraction}")).into());
    }
    let Some(octets) = p_sketch else { return Ok(None) };
    Ok(read(octets, "p_sketch")?.percentile(fraction))
}

fn read(octets: &[u8], parameter: &'static str) -> Result<Sketch> {
    Sketch::from_octets(octets).map_err(|error| Error::invalid(parameter, error.to_string()))
}
