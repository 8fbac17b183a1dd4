//! Who is running, in shared memory: the launcher, and each database's workers. Present only where the library is
//! preloaded; without it workers still run, but nothing can wake them early.

use std::sync::OnceLock;

use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init};

/// Workers that can be told apart at once, over all databases.
const CAPACITY: usize = 256;
/// Databases that can ask for workers between two rounds of the launcher.
const REQUESTS: usize = 64;
/// How long workers keep out of a database that is wanted without connections.
const BAR_MICROSECONDS: i64 = 10_000_000;

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Maintenance,
    Vision,
}

/// A running worker. Free where `pid` is 0.
#[derive(Clone, Copy)]
struct Entry {
    pid: i32,
    database: u32,
    kind: Kind,
}

/// The shared table. `requests` and `barred` hold database OIDs, 0 where free.
#[derive(Clone, Copy)]
struct Registry {
    launcher: i32,
    entries: [Entry; CAPACITY],
    requests: [u32; REQUESTS],
    barred: (u32, i64),
}

// SAFETY: plain data without pointers.
#[allow(unsafe_code)]
unsafe impl PGRXSharedMemory for Registry {}

impl Default for Registry {
    fn default() -> Self {
        let free = Entry { pid: 0, database: 0, kind: Kind::Vision };
        Self { launcher: 0, entries: [free; CAPACITY], requests: [0; REQUESTS], barred: (0, 0) }
    }
}

// SAFETY: the name is used nowhere else.
#[allow(unsafe_code)]
static REGISTRY: PgLwLock<Registry> = unsafe { PgLwLock::new(c"camcount_registry") };
static PRELOADED: OnceLock<()> = OnceLock::new();

/// Asks for the shared memory. Called from `_PG_init` while the server preloads the library.
pub fn initialise() {
    pg_shmem_init!(REGISTRY);
    let _ = PRELOADED.set(());
}

/// Whether the library was in `shared_preload_libraries` when the server started.
pub fn preloaded() -> bool {
    PRELOADED.get().is_some()
}

/// The launcher says that it is there.
pub fn announce_launcher(pid: i32) {
    REGISTRY.exclusive().launcher = pid;
}

/// A worker says that it is there. Entries of processes that died are used again.
pub fn enter(pid: i32, database: pg_sys::Oid, kind: Kind) {
    if !preloaded() {
        return;
    }
    let mut registry = REGISTRY.exclusive();
    if let Some(entry) = registry.entries.iter_mut().find(|entry| entry.pid == 0 || !is_alive(entry.pid)) {
        *entry = Entry { pid, database: database.to_u32(), kind };
    }
}

/// A worker says that it ends as it should.
pub fn leave(pid: i32) {
    if !preloaded() {
        return;
    }
    for entry in REGISTRY.exclusive().entries.iter_mut().filter(|entry| entry.pid == pid) {
        entry.pid = 0;
    }
}

/// Forgets workers that died without leaving, and returns the databases whose maintenance worker was among them.
pub fn bury_dead() -> Vec<pg_sys::Oid> {
    let mut orphaned = Vec::new();
    for entry in REGISTRY.exclusive().entries.iter_mut() {
        if entry.pid != 0 && !is_alive(entry.pid) {
            entry.pid = 0;
            if entry.kind == Kind::Maintenance {
                orphaned.push(pg_sys::Oid::from(entry.database));
            }
        }
    }
    orphaned
}

/// Sets the latch of every worker of this kind in this database.
pub fn wake(database: pg_sys::Oid, kind: Kind) {
    if !preloaded() {
        return;
    }
    let registry = REGISTRY.share();
    for entry in &registry.entries {
        if entry.pid != 0 && entry.database == database.to_u32() && entry.kind == kind {
            set_latch(entry.pid);
        }
    }
}

/// Asks the launcher to start workers in a database.
pub fn request(database: pg_sys::Oid) {
    if !preloaded() {
        return;
    }
    let mut registry = REGISTRY.exclusive();
    let wanted = database.to_u32();
    if !registry.requests.contains(&wanted)
        && let Some(free) = registry.requests.iter_mut().find(|request| **request == 0)
    {
        *free = wanted;
    }
    set_latch(registry.launcher);
}

/// Takes the requests, but for a database that is being dropped.
pub fn take_requests() -> Vec<pg_sys::Oid> {
    let mut registry = REGISTRY.exclusive();
    let barred = registry.barred_now();
    let mut taken = Vec::new();
    for request in registry.requests.iter_mut().filter(|request| **request != 0 && Some(**request) != barred)
    {
        taken.push(pg_sys::Oid::from(std::mem::take(request)));
    }
    taken
}

/// Keeps workers out of a database that is wanted without connections and returns those that are in it. If the
/// database is still there afterwards, the launcher finds the request left behind.
pub fn bar(database: pg_sys::Oid) -> Vec<i32> {
    if !preloaded() {
        return Vec::new();
    }
    let wanted = database.to_u32();
    let inside = {
        let mut registry = REGISTRY.exclusive();
        registry.barred = (wanted, now() + BAR_MICROSECONDS);
        let entries = registry.entries.iter().filter(|entry| entry.database == wanted && entry.pid != 0);
        entries.map(|entry| entry.pid).collect()
    };
    request(database);
    inside
}

/// Whether workers are to keep out of this database for now.
pub fn is_barred(database: pg_sys::Oid) -> bool {
    preloaded() && REGISTRY.share().barred_now() == Some(database.to_u32())
}

impl Registry {
    fn barred_now(&self) -> Option<u32> {
        let (database, until) = self.barred;
        (now() < until).then_some(database)
    }
}

fn now() -> i64 {
    // SAFETY: reads the clock.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::GetCurrentTimestamp()
    }
}

/// Whether a server process with this id is running.
pub fn is_alive(pid: i32) -> bool {
    // SAFETY: looks the pid up in the process array.
    #[allow(unsafe_code)]
    unsafe {
        !pg_sys::BackendPidGetProc(pid).is_null()
    }
}

fn set_latch(pid: i32) {
    // SAFETY: PGPROC entries are never freed; a latch set for a process that took the slot over wakes it for nothing.
    #[allow(unsafe_code)]
    unsafe {
        let process = pg_sys::BackendPidGetProc(pid);
        if !process.is_null() {
            pg_sys::SetLatch(&raw mut (*process).procLatch);
        }
    }
}
