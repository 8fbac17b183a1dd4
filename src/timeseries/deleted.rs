//! The rows that a DELETE … RETURNING has just returned, read without being copied.

use camcount_jsonb::Number;
use camcount_series::block::Error as BlockError;
use pgrx::pg_sys::{self, Datum};

use crate::error::{Error, Result};

const COLUMNS: usize = 7;

/// The rows of the last statement in the connected session of SPI.
pub struct Deleted {
    rows: *mut pg_sys::HeapTuple,
    columns: pg_sys::TupleDesc,
    count: usize,
}

impl Deleted {
    /// Of `take_rows.sql`, which must have been the last statement. Valid as long as SPI stays connected.
    pub fn of_last_statement() -> Self {
        // SAFETY: the statement returned rows of so many columns, and the server keeps them until SPI is left.
        #[allow(unsafe_code)]
        unsafe {
            let table = pg_sys::SPI_tuptable;
            if table.is_null() || (*(*table).tupdesc).natts as usize != COLUMNS {
                return Self { rows: std::ptr::null_mut(), columns: std::ptr::null_mut(), count: 0 };
            }
            Self { rows: (*table).vals, columns: (*table).tupdesc, count: (*table).numvals as usize }
        }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.count).map(|index| {
            let mut row = Row { values: [Datum::null(); COLUMNS], nulls: [true; COLUMNS], rows: self };
            // SAFETY: one of the rows, with room for its columns.
            #[allow(unsafe_code)]
            unsafe {
                let tuple = *self.rows.add(index);
                pg_sys::heap_deform_tuple(
                    tuple,
                    self.columns,
                    row.values.as_mut_ptr(),
                    row.nulls.as_mut_ptr(),
                );
            }
            row
        })
    }
}

/// One row; texts in it live as long as the rows do.
pub struct Row<'a> {
    values: [Datum; COLUMNS],
    nulls: [bool; COLUMNS],
    #[allow(dead_code, reason = "what the values point into")]
    rows: &'a Deleted,
}

impl<'a> Row<'a> {
    fn get(&self, column: usize) -> Option<Datum> {
        (!self.nulls[column]).then_some(self.values[column])
    }

    pub fn id(&self) -> i64 {
        self.values[0].value() as i64
    }

    /// Microseconds of Postgres's clock.
    pub fn at(&self) -> i64 {
        self.values[1].value() as i64
    }

    pub fn number(&self) -> Result<Option<Number<'a>>> {
        self.varlena(2).map(Number::read).transpose().map_err(|_| BlockError::Malformed.into())
    }

    pub fn double(&self, column: usize) -> Option<f64> {
        self.get(column).map(|datum| f64::from_bits(datum.value() as u64))
    }

    /// # Errors
    /// A text that is not in UTF-8, in a database of another encoding.
    pub fn text(&self, column: usize) -> Result<Option<&'a str>> {
        let Some(datum) = self.get(column) else { return Ok(None) };
        // SAFETY: a text.
        #[allow(unsafe_code)]
        let octets = unsafe {
            let whole = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            pgrx::varlena::varlena_to_byte_slice(whole)
        };
        std::str::from_utf8(octets).map(Some).map_err(|_| Error::NotUtf8)
    }

    /// The value with its length in front.
    fn varlena(&self, column: usize) -> Option<&'a [u8]> {
        // SAFETY: a value of variable length, fetched where it is out of line.
        #[allow(unsafe_code)]
        unsafe {
            let whole = pg_sys::pg_detoast_datum_packed(self.get(column)?.cast_mut_ptr());
            Some(std::slice::from_raw_parts(whole.cast::<u8>(), pgrx::varlena::varsize_any(whole)))
        }
    }
}
