//! What every worker process shares: signals, sleep, and a transaction that aborts when its body fails.

use std::cell::Cell;
use std::ffi::CStr;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use pgrx::PgTryBuilder;
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use super::registry;
use crate::error::{Error, Result, sqlstate_text};

thread_local! {
    static STOPPING: Cell<bool> = const { Cell::new(false) };
}

/// How a worker names itself and where it belongs.
pub fn start(database: pg_sys::Oid, application_name: &CStr) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    let database = (database != pg_sys::InvalidOid).then_some(database);
    match database {
        Some(_) => BackgroundWorker::connect_worker_to_spi_by_oid(database, None),
        None => BackgroundWorker::connect_worker_to_spi(None, None),
    }
    set_option(c"application_name", application_name);
    // A worker that waits for a lock cannot see SIGTERM.
    set_option(c"lock_timeout", c"2s");
    set_option(c"search_path", c"pg_catalog, pg_temp");
}

fn set_option(name: &CStr, value: &CStr) {
    // SAFETY: both strings outlive the call; the names are the server's own settings.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
}

/// Whether the worker was told to end. Stays true.
pub fn stopping() -> bool {
    if BackgroundWorker::sigterm_received() {
        STOPPING.set(true);
    }
    STOPPING.get()
}

/// Sleeps until woken, told to end, or `longest` has passed; then rereads the configuration if asked to.
pub fn sleep(longest: Duration) {
    if stopping() {
        return;
    }
    if !BackgroundWorker::wait_latch(Some(longest)) {
        STOPPING.set(true);
    }
    reload_if_asked();
}

/// Rereads the configuration files after SIGHUP.
pub fn reload_if_asked() {
    if BackgroundWorker::sighup_received() {
        // SAFETY: on the main thread, outside a transaction.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}

/// Runs `body` in a transaction that commits where it returns `Ok` and aborts where it returns `Err`, raises a
/// Postgres error or panics.
pub fn transaction<R>(body: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: a background worker between transactions, on the main thread.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, std::ptr::null());
    }
    let outcome = guarded(|| {
        hold_extension();
        let value = body()?;
        commit();
        Ok(value)
    });
    // SAFETY: as above; aborting is legal in any state of a transaction.
    #[allow(unsafe_code)]
    unsafe {
        if outcome.is_err() {
            pg_sys::AbortCurrentTransaction();
        }
        pg_sys::pgstat_report_stat(true);
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
    }
    outcome
}

fn commit() {
    // SAFETY: called by `transaction` with the snapshot it pushed still active.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::CommitTransactionCommand();
    }
}

/// Turns a Postgres error or a panic into an `Err`. The caller aborts the transaction.
fn guarded<R>(body: impl FnOnce() -> Result<R>) -> Result<R> {
    PgTryBuilder::new(AssertUnwindSafe(body)).catch_others(|caught| Err(from_caught(&caught))).execute()
}

fn from_caught(caught: &CaughtError) -> Error {
    let (CaughtError::PostgresError(report)
    | CaughtError::ErrorReport(report)
    | CaughtError::RustPanic { ereport: report, .. }) = caught;
    Error::Database { code: sqlstate_text(report.sql_error_code()), message: report.message().to_owned() }
}

/// Keeps the extension until the transaction ends. DROP EXTENSION locks it before its tables, and takes those in another
/// order than a worker's statements do: whoever comes second must wait before it has any.
fn hold_extension() {
    let extension = extension();
    if extension != pg_sys::InvalidOid {
        // SAFETY: inside a transaction; the lock ends with it.
        #[allow(unsafe_code)]
        unsafe {
            let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            pg_sys::LockDatabaseObject(pg_sys::ExtensionRelationId, extension, 0, mode);
        }
    }
}

/// Whether this database has the extension. Needs a transaction.
pub fn extension_exists() -> bool {
    extension() != pg_sys::InvalidOid
}

/// `InvalidOid` where there is none, as for the launcher, which is in no database.
fn extension() -> pg_sys::Oid {
    // SAFETY: a catalog look-up inside a transaction.
    #[allow(unsafe_code)]
    unsafe {
        if pg_sys::MyDatabaseId == pg_sys::InvalidOid {
            return pg_sys::InvalidOid;
        }
        pg_sys::get_extension_oid(c"camcount".as_ptr(), true)
    }
}

/// Ends the process: 0 unregisters the worker for good.
#[allow(unreachable_code, reason = "the headers of some servers say that proc_exit never returns")]
pub fn exit(code: i32) -> ! {
    if code == 0 {
        registry::leave(my_pid());
    }
    // SAFETY: the documented way for a worker to end.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::proc_exit(code);
    }
    std::process::exit(code)
}

/// This process's id.
pub fn my_pid() -> i32 {
    // SAFETY: set before main.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::MyProcPid
    }
}
