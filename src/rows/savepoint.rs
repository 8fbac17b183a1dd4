//! Work that may meet a row which is there already, and is then undone.

use std::panic::AssertUnwindSafe;

use pgrx::prelude::*;

/// Runs `body` in a subtransaction. `None`, with all of it undone, where that is what it returns, or where a unique index
/// refused a row.
pub fn unless_there<T>(body: impl FnOnce() -> Option<T>) -> Option<T> {
    // SAFETY: as PL/pgSQL runs a block with exceptions: the memory context and the resource owner stay the caller's.
    let (context, owner) = unsafe {
        let saved = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(saved.0);
        saved
    };
    let end = move |keep: bool| {
        // SAFETY: ends the subtransaction begun above, once.
        unsafe {
            if keep {
                pg_sys::ReleaseCurrentSubTransaction();
            } else {
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
            }
            pg_sys::MemoryContextSwitchTo(context);
            pg_sys::CurrentResourceOwner = owner;
        }
    };
    PgTryBuilder::new(AssertUnwindSafe(|| {
        let value = body();
        end(value.is_some());
        value
    }))
    .catch_when(PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION, |_| {
        end(false);
        None
    })
    .catch_others(|error| {
        end(false);
        error.rethrow()
    })
    .execute()
}
