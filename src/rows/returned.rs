//! Rows that a function returns, written into the server's store one by one.

use pgrx::pg_sys::{self, FunctionCallInfo};

use super::Row;

/// What a set-returning function returns.
pub struct Returned {
    store: *mut pg_sys::Tuplestorestate,
    columns: pg_sys::TupleDesc,
}

impl Returned {
    /// Of the call, whose function is declared to return a table.
    pub fn begin(call: FunctionCallInfo) -> Self {
        // SAFETY: the caller's function returns a set; the server raises an error where it was called otherwise.
        unsafe {
            pg_sys::InitMaterializedSRF(call, 0);
            let result = (*call).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            Self { store: (*result).setResult, columns: (*result).setDesc }
        }
    }

    /// Adds a row, whose columns are those of the table.
    pub fn put<const COLUMNS: usize>(&mut self, row: &Row<COLUMNS>) {
        let (values, nulls) = (row.values.as_ptr().cast_mut(), row.nulls.as_ptr().cast_mut());
        // SAFETY: the store copies the row and changes nothing.
        unsafe {
            pg_sys::tuplestore_putvalues(self.store, self.columns, values, nulls);
        }
    }
}
