//! `first(value, time)` and `last(value, time)`.

use std::cmp::Ordering;

use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;
use pgrx::{AnyElement, Internal, PgMemoryContexts};

use super::{finished, memory, state};

extension_sql!(
    r"
    CREATE AGGREGATE first(value anyelement, at timestamptz) (
        SFUNC = first_step, STYPE = internal, SSPACE = 64, FINALFUNC = kept_value, FINALFUNC_EXTRA, PARALLEL = SAFE);
    COMMENT ON AGGREGATE first(anyelement, timestamptz) IS
        'The value with the earliest time; of several at that time, the smallest. NULLs are passed over.';
    CREATE AGGREGATE last(value anyelement, at timestamptz) (
        SFUNC = last_step, STYPE = internal, SSPACE = 64, FINALFUNC = kept_value, FINALFUNC_EXTRA, PARALLEL = SAFE);
    COMMENT ON AGGREGATE last(anyelement, timestamptz) IS
        'The value with the latest time; of several at that time, the largest. NULLs are passed over.';
    ",
    name = "ends",
    requires = [first_step, last_step, kept_value]
);

/// The value that would be the result if there were no more rows.
#[derive(Default)]
struct Kept(Option<(i64, Datum)>);

/// A row of `first`.
#[pg_extern(immutable, parallel_safe)]
fn first_step(
    kept: Internal,
    value: Option<AnyElement>,
    at: Option<TimestampWithTimeZone>,
    call: pg_sys::FunctionCallInfo,
) -> Internal {
    step(kept, value, at, call, Ordering::Less)
}

/// A row of `last`.
#[pg_extern(immutable, parallel_safe)]
fn last_step(
    kept: Internal,
    value: Option<AnyElement>,
    at: Option<TimestampWithTimeZone>,
    call: pg_sys::FunctionCallInfo,
) -> Internal {
    step(kept, value, at, call, Ordering::Greater)
}

/// The result of `first` and `last`; the second argument only says its type.
#[pg_extern(immutable, parallel_safe)]
fn kept_value(
    mut kept: Internal,
    _value: Option<AnyElement>,
    _at: Option<TimestampWithTimeZone>,
    call: pg_sys::FunctionCallInfo,
) -> Option<AnyElement> {
    let (_, value) = finished::<Kept>(&mut kept, call)?.0?;
    // SAFETY: the server has worked out of what type the arguments are.
    #[allow(unsafe_code)]
    unsafe {
        AnyElement::from_polymorphic_datum(value, false, pg_sys::get_fn_expr_argtype((*call).flinfo, 1))
    }
}

fn step(
    mut internal: Internal,
    value: Option<AnyElement>,
    at: Option<TimestampWithTimeZone>,
    call: pg_sys::FunctionCallInfo,
    wanted: Ordering,
) -> Internal {
    let (Some(value), Some(at)) = (value, at) else { return internal };
    let at = pg_sys::TimestampTz::from(at);
    let kept = state::<Kept>(&mut internal, call);
    let is_better =
        kept.0.is_none_or(|(time, old)| at.cmp(&time).then_with(|| compare(&value, old, call)) == wanted);
    if is_better {
        let datum = Type::of(&value).copy(&value, memory(call));
        if let Some((_, old)) = kept.0.replace((at, datum)) {
            Type::of(&value).free(old);
        }
    }
    internal
}

/// How values of a type are passed.
struct Type {
    length: i16,
    is_by_value: bool,
}

impl Type {
    fn of(value: &AnyElement) -> Self {
        let (mut length, mut is_by_value) = (0, false);
        // SAFETY: the type of an argument exists.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::get_typlenbyval(value.oid(), &raw mut length, &raw mut is_by_value);
        }
        Self { length, is_by_value }
    }

    #[allow(unsafe_code)]
    fn copy(&self, value: &AnyElement, memory: pg_sys::MemoryContext) -> Datum {
        let datum = value.datum();
        // SAFETY: the datum is of this type. What is out of line is fetched.
        unsafe {
            PgMemoryContexts::For(memory).switch_to(|_| match self.length {
                _ if self.is_by_value => datum,
                -1 => Datum::from(pg_sys::pg_detoast_datum_copy(datum.cast_mut_ptr())),
                -2 => Datum::from(pg_sys::pstrdup(datum.cast_mut_ptr())),
                length => {
                    let size = length.unsigned_abs().into();
                    let copy = pg_sys::palloc(size).cast::<u8>();
                    std::ptr::copy_nonoverlapping(datum.cast_mut_ptr::<u8>(), copy, size);
                    Datum::from(copy)
                }
            })
        }
    }

    fn free(&self, copy: Datum) {
        if !self.is_by_value {
            // SAFETY: made by `copy`, and given up with this.
            #[allow(unsafe_code)]
            unsafe {
                pg_sys::pfree(copy.cast_mut_ptr());
            }
        }
    }
}

/// Values of the same time, by the type's own order; where it has none, the one that came first stays.
fn compare(value: &AnyElement, kept: Datum, call: pg_sys::FunctionCallInfo) -> Ordering {
    // SAFETY: the type's comparison function with two of its values.
    #[allow(unsafe_code)]
    unsafe {
        let entry = pg_sys::lookup_type_cache(value.oid(), pg_sys::TYPECACHE_CMP_PROC_FINFO as i32);
        if (*entry).cmp_proc == pg_sys::InvalidOid {
            return Ordering::Equal;
        }
        let found = pg_sys::FunctionCall2Coll(
            &raw mut (*entry).cmp_proc_finfo,
            (*call).fncollation,
            value.datum(),
            kept,
        );
        i32::from_datum(found, false).unwrap_or(0).cmp(&0)
    }
}
