//! Blocks of points as the database reads them.

use std::ffi::CString;

use camcount_series::block::{Block, Error as BlockError, Number, Point};
use pgrx::direct_function_call_as_datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;

use crate::arguments::required;
use crate::error::{Error, Result};
use crate::rows::{Returned, Row};

/// The points of a block in [p_from, p_to).
#[pg_extern(sql = r#"
CREATE FUNCTION camcount.block_points(p_points bytea, p_from timestamptz, p_to timestamptz)
RETURNS TABLE (metric_timestamp timestamptz, metric_value numeric, metric_unit text, metric_tags jsonb,
               confidence_score double precision, data_quality_score double precision)
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
fn block_points(
    p_points: Option<&[u8]>,
    p_from: Option<TimestampWithTimeZone>,
    p_to: Option<TimestampWithTimeZone>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<i32>, ErrorReport> {
    let block = Block::read(required(p_points, "p_points")?).map_err(Error::from)?;
    let from = pg_sys::TimestampTz::from(required(p_from, "p_from")?);
    let to = pg_sys::TimestampTz::from(required(p_to, "p_to")?);
    let within = block.times().partition_point(|&at| at < from)..block.times().partition_point(|&at| at < to);
    let mut returned = Returned::begin(call);
    let mut tags = Tags::default();
    for point in within.filter_map(|index| block.get(index)) {
        returned.put(&row(&point, &mut tags)?);
    }
    Ok(None)
}

fn row<'a>(point: &Point<'a>, tags: &mut Tags<'a>) -> Result<Row<6>> {
    let mut row = Row::new();
    row.set(0, TimestampWithTimeZone::try_from(point.at).ok());
    if let Some(value) = point.value {
        row.set_datum(1, numeric(value)?);
    }
    row.set(2, point.unit);
    if let Some(text) = point.tags {
        row.set_datum(3, tags.datum(text)?);
    }
    row.set(4, point.confidence).set(5, point.quality);
    Ok(row)
}

fn numeric(number: Number<'_>) -> Result<Datum> {
    match number {
        // SAFETY: takes any number; a scale of 16 bits is within numeric's.
        #[allow(unsafe_code)]
        Number::Decimal { mantissa, scale } => {
            Ok(Datum::from(unsafe { pg_sys::int64_div_fast_to_numeric(mantissa, i32::from(scale)) }))
        }
        Number::Text(text) => input(pg_sys::numeric_in, text, true),
    }
}

/// Tags as jsonb; the points of a series mostly have the same.
#[derive(Default)]
struct Tags<'a>(Option<(&'a str, Datum)>);

impl<'a> Tags<'a> {
    fn datum(&mut self, text: &'a str) -> Result<Datum> {
        if let Some((last, datum)) = self.0
            && last == text
        {
            return Ok(datum);
        }
        let datum = input(pg_sys::jsonb_in, text, false)?;
        self.0 = Some((text, datum));
        Ok(datum)
    }
}

type Input = unsafe fn(pg_sys::FunctionCallInfo) -> Datum;

/// What a type's input function makes of a text.
fn input(function: Input, text: &str, has_modifier: bool) -> Result<Datum> {
    let text = CString::new(text).map_err(|_| BlockError::Malformed)?;
    let mut arguments = vec![Some(Datum::from(text.as_ptr()))];
    if has_modifier {
        arguments.extend([Some(Datum::from(pg_sys::InvalidOid)), Some(Datum::from(-1i32))]);
    }
    // SAFETY: an input function with its arguments; its result is in the server's memory.
    #[allow(unsafe_code)]
    let datum = unsafe { direct_function_call_as_datum(function, &arguments) };
    datum.ok_or_else(|| BlockError::Malformed.into())
}
