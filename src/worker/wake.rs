//! Waking workers when the transaction that made work for them commits.

use std::cell::Cell;

use pgrx::prelude::*;

use super::registry::{self, Kind};

/// Who is to be woken.
#[derive(Clone, Copy)]
pub enum Sleeper {
    /// This database's vision workers.
    Vision,
    /// This database's maintenance worker.
    Maintenance,
    /// The launcher, because this database now has the extension.
    Launcher,
}

thread_local! {
    /// One flag for each sleeper; cleared when the transaction ends.
    static PENDING: Cell<[bool; 3]> = const { Cell::new([false; 3]) };
    static IS_REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Wakes once the current transaction has committed, however often it is called in it.
pub fn on_commit(sleeper: Sleeper) {
    // Once, and not by pgrx, which would keep two closures for each transaction.
    if !IS_REGISTERED.replace(true) {
        // SAFETY: the function lives as long as the process.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
        }
    }
    let mut pending = PENDING.get();
    pending[sleeper as usize] = true;
    PENDING.set(pending);
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _argument: *mut std::ffi::c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_COMMIT => wake_pending(),
        pg_sys::XactEvent::XACT_EVENT_ABORT => PENDING.set([false; 3]),
        _ => {}
    }
}

fn wake_pending() {
    let [vision, maintenance, launcher] = PENDING.replace([false; 3]);
    let database = my_database();
    if vision {
        registry::wake(database, Kind::Vision);
    }
    if maintenance {
        registry::wake(database, Kind::Maintenance);
    }
    if launcher {
        registry::request(database);
    }
}

/// The database that this process is connected to.
pub fn my_database() -> pg_sys::Oid {
    // SAFETY: set once when the process connects.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::MyDatabaseId
    }
}
