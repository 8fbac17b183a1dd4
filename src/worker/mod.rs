//! Background workers: a launcher for the server; for each database a maintenance worker and its vision workers.

pub mod launcher;
mod maintenance;
pub mod process;
pub mod registry;
mod series;
mod stalls;
mod status;
mod upkeep;
mod utility_hook;
pub mod vision;
pub mod wake;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::database;
use crate::error::Result;
use crate::queue::shared;
use crate::realtime;
use wake::Sleeper;

/// Prepares the launcher and its shared memory while the server preloads the library.
pub fn preload() {
    registry::initialise();
    shared::initialise();
    realtime::initialise();
    utility_hook::install();
    launcher::register();
}

/// Starts this database's workers: through the launcher where the library is preloaded, else at once, until the
/// server stops. Workers that run already are left alone.
#[pg_extern]
fn start_workers() -> Result<(), ErrorReport> {
    if registry::preloaded() {
        wake::on_commit(Sleeper::Launcher);
    } else {
        launcher::start_maintenance(wake::my_database())?;
    }
    Ok(())
}

/// Stops this database's workers and returns how many there were. What they had claimed is taken up again when
/// workers start: by `start_workers`, or with the server.
#[pg_extern]
fn stop_workers() -> Result<i64, ErrorReport> {
    const STOP: &str = "SELECT count(pg_terminate_backend(pid)) FROM camcount.workers";
    Ok(database::value::<i64>(STOP, &[])?.unwrap_or(0))
}
