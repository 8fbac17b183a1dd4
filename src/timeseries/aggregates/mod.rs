//! SQL aggregates over values and their times, which any query can use.

pub mod ends;
pub mod percentile;
pub mod summary;
pub mod weighted;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::{Internal, PgMemoryContexts};

/// Memory that lives as long as the aggregate.
#[allow(unsafe_code)]
fn memory(call: pg_sys::FunctionCallInfo) -> pg_sys::MemoryContext {
    let mut context = std::ptr::null_mut();
    // SAFETY: the call that the server has made.
    if unsafe { pg_sys::AggCheckCallContext(call, &raw mut context) } == 0 {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "this is a part of an aggregate and cannot be called by itself"
        );
    }
    context
}

/// The state, which the first row brings about.
#[allow(unsafe_code)]
fn state<'a, T: Default + 'a>(internal: &mut Internal, call: pg_sys::FunctionCallInfo) -> &'a mut T {
    let memory = memory(call);
    // SAFETY: the state of an aggregate is only ever made here, of the one type that the aggregate has.
    unsafe {
        if let Some(state) = internal.get_mut::<T>() {
            return &mut *std::ptr::from_mut(state);
        }
        let state = PgMemoryContexts::For(memory).leak_and_drop_on_delete(T::default());
        *internal = Internal::from(Some(pg_sys::Datum::from(state)));
        &mut *state
    }
}

/// The state as the last row left it; `None` where there was no row.
#[allow(unsafe_code)]
fn finished<T>(internal: &mut Internal, call: pg_sys::FunctionCallInfo) -> Option<&mut T> {
    memory(call);
    // SAFETY: as in `state`.
    unsafe { internal.get_mut::<T>() }
}
