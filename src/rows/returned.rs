//! Rows that a function returns, written into the server's store one by one.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

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

impl<const COLUMNS: usize> Row<COLUMNS> {
    /// The row as the result of a function that is declared to return a type of these columns.
    pub fn composite(&self, call: FunctionCallInfo) -> Datum {
        let mut columns = std::ptr::null_mut();
        // SAFETY: the call is that of such a function, so that there are columns, as many as there are values.
        unsafe {
            pg_sys::get_call_result_type(call, std::ptr::null_mut(), &raw mut columns);
            let (values, nulls) = (self.values.as_ptr().cast_mut(), self.nulls.as_ptr().cast_mut());
            let tuple = pg_sys::heap_form_tuple(columns, values, nulls);
            pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)
        }
    }
}
