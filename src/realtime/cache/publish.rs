//! What the extension itself puts into the cache: what a transaction has found, once it has committed, the latest value
//! of each key.

use std::cell::{Cell, RefCell};

use camcount_cache::{Key, Space};
use pgrx::prelude::*;
use serde_json::Value;

use super::{KEY_LENGTH, now, region, space};
use crate::error::Result;
use crate::jsonb::Jsonb;

/// How long it is valid: the documented default.
const TTL_SECONDS: u32 = 300;

thread_local! {
    static PENDING: RefCell<Vec<(Space, String, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
    static IS_REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Publishes a value when the current transaction commits. Nothing without shared memory, or under a key that is too long.
pub fn on_commit(name: String, value: &Value) -> Result<()> {
    if !region::is_there() || name.chars().count() > KEY_LENGTH {
        return Ok(());
    }
    if !IS_REGISTERED.replace(true) {
        // SAFETY: the function lives as long as the process.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
        }
    }
    let value = Jsonb::of(value).bytes().to_vec();
    let space = space::current()?;
    PENDING.with_borrow_mut(|pending| {
        pending.retain(|(_, known, _)| *known != name);
        pending.push((space, name, value));
    });
    Ok(())
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _argument: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_COMMIT => publish(PENDING.take()),
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => PENDING.set(Vec::new()),
        _ => {}
    }
}

fn publish(values: Vec<(Space, String, Vec<u8>)>) {
    if values.is_empty() {
        return;
    }
    region::write(|cache| {
        for (space, name, value) in &values {
            // One that is too large is not published.
            let _ = cache.set(Key { space: *space, name: name.as_bytes() }, value, TTL_SECONDS, now());
        }
    });
}
