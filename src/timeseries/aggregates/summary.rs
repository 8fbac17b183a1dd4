//! `summarise(value, at, unit)`: all that rollups and aggregates need of values, in one pass and exactly.

use std::cmp::Ordering;

use camcount_jsonb::Number;
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;
use pgrx::{AnyNumeric, FromDatum, Internal};

use super::{finished, state};
use crate::rows::Row;

extension_sql!(
    r"
    CREATE TYPE value_summary AS (
        count_values bigint, sum_value numeric, sum_of_squares numeric, min_value numeric, max_value numeric,
        first_value numeric, first_timestamp timestamptz, last_value numeric, last_timestamp timestamptz,
        metric_unit text, other_unit text);
    COMMENT ON TYPE value_summary IS
        'What some values of a series amount to; other_unit is NULL unless they have more than one unit.';
    ",
    name = "value_summary"
);

extension_sql!(
    r"
    CREATE AGGREGATE summarise(value numeric, at timestamptz, unit text) (
        SFUNC = summarise_step, STYPE = internal, SSPACE = 512, FINALFUNC = summarise_value, PARALLEL = SAFE);
    COMMENT ON AGGREGATE summarise(numeric, timestamptz, text) IS
        'Count, sums, extremes, first, last and unit of values; those that are NULL do not count.';
    ",
    name = "summarise",
    requires = [summarise_step, summarise_value]
);

/// Sums are kept as whole numbers of one scale for as long as they fit; what does not fit goes to `wide`.
#[derive(Default)]
struct Summary {
    count: i64,
    scale: u16,
    sum: i128,
    squares: i128,
    wide: Option<(AnyNumeric, AnyNumeric)>,
    ends: Option<Ends>,
    unit: Option<String>,
    other_unit: Option<String>,
}

struct Ends {
    min: Value,
    max: Value,
    first: (i64, Value),
    last: (i64, Value),
}

#[derive(Clone)]
enum Value {
    Decimal(i64, u16),
    Wide(AnyNumeric),
}

impl Value {
    fn numeric(&self) -> AnyNumeric {
        match self {
            Self::Decimal(mantissa, scale) => decimal((*mantissa).into(), *scale),
            Self::Wide(numeric) => numeric.clone(),
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Decimal(a, a_scale), Self::Decimal(b, b_scale)) if a_scale == b_scale => a.cmp(b),
            _ => self.numeric().cmp(&other.numeric()),
        }
    }
}

/// The number that is `mantissa` · 10^-`scale`.
fn decimal(mantissa: i128, scale: u16) -> AnyNumeric {
    let size = mantissa.unsigned_abs().to_string();
    let size = format!("{size:0>width$}", width = usize::from(scale) + 1);
    let (whole, fraction) = size.split_at(size.len() - usize::from(scale));
    let sign = if mantissa < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    let text = format!("{sign}{whole}{point}{fraction}");
    // It is a number.
    AnyNumeric::try_from(text.as_str()).unwrap_or_else(|_| AnyNumeric::from(0))
}

impl Summary {
    fn add(&mut self, value: Value, at: i64) {
        self.count += 1;
        if !self.add_narrow(&value) {
            let value = value.numeric();
            let square = value.clone() * value.clone();
            self.add_wide(value, square);
        }
        match &mut self.ends {
            Some(ends) => ends.widen(value, at),
            None => {
                let (min, max) = (value.clone(), value.clone());
                self.ends = Some(Ends { min, max, first: (at, value.clone()), last: (at, value) });
            }
        }
    }

    fn add_narrow(&mut self, value: &Value) -> bool {
        // One number of many digits would leave no room for those of others.
        const MOST: u16 = 9;
        let Value::Decimal(mantissa, scale @ ..=MOST) = *value else { return false };
        if scale > self.scale {
            self.empty();
            self.scale = scale;
        }
        let factor = 10i64.checked_pow(u32::from(self.scale - scale));
        let Some(mantissa) = factor.and_then(|factor| mantissa.checked_mul(factor)) else { return false };
        let mantissa = i128::from(mantissa);
        if self.squares.checked_add(mantissa * mantissa).is_none() {
            self.empty();
        }
        self.sum += mantissa;
        self.squares += mantissa * mantissa;
        true
    }

    fn add_wide(&mut self, value: AnyNumeric, square: AnyNumeric) {
        self.wide = Some(match self.wide.take() {
            Some((sum, squares)) => (sum + value, squares + square),
            None => (value, square),
        });
    }

    /// Hands what has been added up over to `wide`.
    fn empty(&mut self) {
        if self.squares != 0 {
            self.add_wide(decimal(self.sum, self.scale), decimal(self.squares, 2 * self.scale));
            (self.sum, self.squares) = (0, 0);
        }
    }

    fn sums(&self) -> (AnyNumeric, AnyNumeric) {
        let narrow = (decimal(self.sum, self.scale), decimal(self.squares, 2 * self.scale));
        match &self.wide {
            Some((sum, squares)) => (sum.clone() + narrow.0, squares.clone() + narrow.1),
            None => narrow,
        }
    }

    fn note_unit(&mut self, unit: &[u8]) {
        let text = || Some(String::from_utf8_lossy(unit).into_owned());
        match &self.unit {
            Some(known) if known.as_bytes() == unit => {}
            Some(_) => self.other_unit = text(),
            None => self.unit = text(),
        }
    }
}

impl Ends {
    fn widen(&mut self, value: Value, at: i64) {
        if value.cmp(&self.min).is_lt() {
            self.min = value.clone();
        }
        if value.cmp(&self.max).is_gt() {
            self.max = value.clone();
        }
        let (first, last) = (&mut self.first, &mut self.last);
        if at.cmp(&first.0).then_with(|| value.cmp(&first.1)).is_lt() {
            *first = (at, value.clone());
        }
        if at.cmp(&last.0).then_with(|| value.cmp(&last.1)).is_gt() {
            *last = (at, value);
        }
    }
}

/// A row of `summarise`.
#[pg_extern(sql = r#"
CREATE FUNCTION camcount.summarise_step(summary internal, value numeric, at timestamptz, unit text) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
fn summarise_step(mut summary: Internal, call: pg_sys::FunctionCallInfo) -> Internal {
    let (Some(value), Some(at)) = (argument(call, 1), argument(call, 2)) else { return summary };
    let found: &mut Summary = state(&mut summary, call);
    found.add(number(value), at.value() as i64);
    if let Some(unit) = argument(call, 3) {
        // SAFETY: a text.
        #[allow(unsafe_code)]
        found.note_unit(unsafe {
            pgrx::varlena::varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(unit.cast_mut_ptr()))
        });
    }
    summary
}

/// The result of `summarise`.
#[pg_extern(sql = r#"
CREATE FUNCTION camcount.summarise_value(summary internal) RETURNS camcount.value_summary
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#, requires = ["value_summary"])]
fn summarise_value(mut summary: Internal, call: pg_sys::FunctionCallInfo) -> Internal {
    let mut row = Row::<11>::new();
    row.set(0, 0i64);
    if let Some(summary) = finished::<Summary>(&mut summary, call)
        && let Some(ends) = &summary.ends
    {
        row.set(0, summary.count);
        let (sum, squares) = summary.sums();
        row.set(1, sum).set(2, squares).set(3, ends.min.numeric()).set(4, ends.max.numeric());
        row.set(5, ends.first.1.numeric()).set_datum(6, Datum::from(ends.first.0));
        row.set(7, ends.last.1.numeric()).set_datum(8, Datum::from(ends.last.0));
        row.set(9, summary.unit.as_deref()).set(10, summary.other_unit.as_deref());
    }
    // The function's result in SQL is what the datum is.
    Internal::from(Some(row.composite(call)))
}

fn argument(call: pg_sys::FunctionCallInfo, index: usize) -> Option<Datum> {
    // SAFETY: the function is declared with four arguments.
    #[allow(unsafe_code)]
    unsafe {
        let argument = (*call).args.as_slice((*call).nargs as usize).get(index)?;
        (!argument.isnull).then_some(argument.value)
    }
}

fn number(value: Datum) -> Value {
    // SAFETY: a numeric.
    #[allow(unsafe_code)]
    let (octets, numeric) = unsafe {
        let whole = pg_sys::pg_detoast_datum_packed(value.cast_mut_ptr());
        let octets = std::slice::from_raw_parts(whole.cast::<u8>(), pgrx::varlena::varsize_any(whole));
        (octets, || AnyNumeric::from_datum(value, false))
    };
    match Number::read(octets).ok().and_then(|number| number.as_decimal()) {
        Some((mantissa, scale)) => Value::Decimal(mantissa, scale),
        None => Value::Wide(numeric().unwrap_or_else(|| AnyNumeric::from(0))),
    }
}
