//! The launcher: one for each server, started with it where the library is preloaded. It starts a maintenance worker
//! in every database; that worker ends at once where the extension is absent, and otherwise runs the others.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use pgrx::bgworkers::{BackgroundWorkerBuilder, DynamicBackgroundWorker};
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::{process, registry};
use crate::error::{Error, Result};

/// How often new databases are looked for when nobody asks.
const SCAN_INTERVAL: Duration = Duration::from_secs(10);
/// Pauses before a maintenance worker that crashed is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Registers the launcher with the postmaster. Called from `_PG_init` during preload.
pub fn register() {
    BackgroundWorkerBuilder::new("camcount launcher")
        .set_library("camcount")
        .set_function("camcount_launcher_main")
        .set_restart_time(Some(Duration::from_secs(1)))
        .enable_spi_access()
        .load();
}

/// Entry point of the launcher process.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C-unwind" fn camcount_launcher_main(_argument: pg_sys::Datum) {
    process::start(pg_sys::InvalidOid, c"camcount launcher");
    registry::announce_launcher(process::my_pid());
    let mut launcher = Launcher::default();
    while !process::stopping() {
        if let Err(error) = launcher.round() {
            warning!("camcount launcher: {error}");
        }
        process::sleep(launcher.until_next_restart());
    }
    process::exit(0);
}

/// Databases whose maintenance worker crashed, with the time at which it is due again and the pause that led there.
#[derive(Default)]
struct Launcher {
    seen: HashSet<pg_sys::Oid>,
    crashed: HashMap<pg_sys::Oid, (Instant, Duration)>,
}

impl Launcher {
    fn round(&mut self) -> Result<()> {
        let databases = process::transaction(connectable_databases)?;
        self.seen.retain(|database| databases.contains(database));
        self.crashed.retain(|database, _| databases.contains(database));
        for database in registry::bury_dead() {
            let pause =
                self.crashed.get(&database).map_or(RESTART_PAUSE, |(_, pause)| LONGEST_PAUSE.min(*pause * 2));
            self.crashed.insert(database, (Instant::now() + pause, pause));
        }
        let mut due: HashSet<_> = registry::take_requests().into_iter().collect();
        due.extend(databases.iter().filter(|database| !self.seen.contains(database)));
        let now = Instant::now();
        due.extend(self.crashed.iter().filter(|(_, (at, _))| *at <= now).map(|(database, _)| *database));
        for database in due.intersection(&databases).copied() {
            self.start(database);
        }
        Ok(())
    }

    fn start(&mut self, database: pg_sys::Oid) {
        if registry::is_barred(database) {
            registry::request(database);
            return;
        }
        match start_maintenance(database) {
            Ok(_) => {
                self.seen.insert(database);
                self.crashed.entry(database).and_modify(|(at, _)| *at = Instant::now() + LONGEST_PAUSE);
            }
            Err(error) => {
                warning!("camcount launcher: {error}; raise max_worker_processes");
                registry::request(database);
            }
        }
    }

    fn until_next_restart(&self) -> Duration {
        let now = Instant::now();
        let waits = self.crashed.values().map(|(at, _)| at.saturating_duration_since(now));
        waits.min().map_or(SCAN_INTERVAL, |wait| wait.clamp(RESTART_PAUSE, SCAN_INTERVAL))
    }
}

/// Starts the worker that looks after one database.
pub fn start_maintenance(database: pg_sys::Oid) -> Result<DynamicBackgroundWorker> {
    BackgroundWorkerBuilder::new("camcount maintenance")
        .set_library("camcount")
        .set_function("camcount_maintenance_main")
        .set_argument(database.into_datum())
        .set_notify_pid(process::my_pid())
        .enable_spi_access()
        .load_dynamic()
        .map_err(|_| Error::NoWorkerSlot)
}

/// Reads `pg_database`, a shared catalog, which a worker without a database may do.
#[allow(unsafe_code)]
fn connectable_databases() -> Result<HashSet<pg_sys::Oid>> {
    let mut found = HashSet::new();
    // SAFETY: a catalog scan inside a transaction; each tuple is read before the scan moves on.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let scan = pg_sys::systable_beginscan(
            relation,
            pg_sys::InvalidOid,
            false,
            std::ptr::null_mut(),
            0,
            std::ptr::null_mut(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            if (*row).datallowconn && !(*row).datistemplate {
                found.insert((*row).oid);
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    Ok(found)
}
