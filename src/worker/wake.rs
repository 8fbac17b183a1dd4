//! Waking workers when the transaction that made work for them commits.

use std::cell::Cell;

use pgrx::callbacks::{PgXactCallbackEvent, register_xact_callback};
use pgrx::pg_sys;

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
}

/// Wakes once the current transaction has committed, however often it is called in it.
pub fn on_commit(sleeper: Sleeper) {
    let mut pending = PENDING.get();
    if pending == [false; 3] {
        register_xact_callback(PgXactCallbackEvent::Commit, wake_pending);
        register_xact_callback(PgXactCallbackEvent::Abort, || PENDING.set([false; 3]));
    }
    pending[sleeper as usize] = true;
    PENDING.set(pending);
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
