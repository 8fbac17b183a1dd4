//! Increments of buffered counters that are not in their rows yet, in shared memory.

use camcount_counter::pending::{Addition, Cut};
use camcount_counter::table::{Key, Place, Table};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init};

use crate::worker::registry::{self, Kind};
use crate::worker::wake;

/// Counters of all databases that can be buffered at once.
pub const COUNTERS: usize = 4096;
/// Databases whose counters can be buffered at once.
const DATABASES: usize = 64;
/// How long after its last flush a database's worker is taken to be at work, in microseconds.
const PATIENCE: i64 = 2_000_000;
/// After which another database may have its place.
const FORGOTTEN: i64 = 60_000_000;

/// A maintenance worker, which flushes a database's counters. Free where `database` is 0.
#[derive(Clone, Copy, Default)]
struct Flusher {
    database: u32,
    /// When it flushed last, or was woken.
    seen_at: i64,
    /// Nothing was pending then: it is to be woken when something is.
    is_asleep: bool,
}

/// Everything that is shared.
#[derive(Clone, Copy)]
pub struct Buffer {
    pub counters: Table<COUNTERS>,
    flushers: [Flusher; DATABASES],
}

impl Default for Buffer {
    fn default() -> Self {
        Self { counters: Table::default(), flushers: [Flusher::default(); DATABASES] }
    }
}

// SAFETY: plain data without pointers.
#[allow(unsafe_code)]
unsafe impl PGRXSharedMemory for Buffer {}

pub const NAME: &std::ffi::CStr = c"camcount_counters";
// SAFETY: the name is used nowhere else.
#[allow(unsafe_code)]
pub static BUFFER: PgLwLock<Buffer> = unsafe { PgLwLock::new(NAME) };

/// Asks for the shared memory. Called from `_PG_init` while the server preloads the library.
pub fn initialise() {
    pg_shmem_init!(BUFFER);
}

/// Whether there is shared memory: the library was preloaded.
pub fn is_there() -> bool {
    registry::preloaded()
}

/// Identifies a counter of this database.
pub fn key(table: u32, counter: i64) -> Key {
    Key { database: database(), table, counter }
}

fn database() -> u32 {
    wake::my_database().to_u32()
}

impl Buffer {
    fn flusher(&mut self, database: u32) -> Option<&mut Flusher> {
        self.flushers.iter_mut().find(|flusher| flusher.database == database)
    }

    /// Whether somebody will flush what is committed now.
    pub fn is_served(&mut self, now: i64) -> bool {
        self.flusher(database()).is_some_and(|flusher| flusher.is_asleep || now - flusher.seen_at < PATIENCE)
    }

    /// Whether the worker has to be woken, for something is pending.
    pub fn must_wake(&mut self, now: i64) -> bool {
        let Some(flusher) = self.flusher(database()).filter(|flusher| flusher.is_asleep) else {
            return false;
        };
        *flusher = Flusher { is_asleep: false, seen_at: now, ..*flusher };
        true
    }
}

/// Wakes this database's worker.
pub fn wake_flusher() {
    registry::wake(wake::my_database(), Kind::Maintenance);
}

/// This database's worker has flushed what was pending at `now`, or is going to for the first time. Returns whether
/// nothing has come in meanwhile: it is woken when something does.
pub fn announce(now: i64) -> bool {
    if !is_there() {
        return true;
    }
    let database = database();
    let mut buffer = BUFFER.exclusive();
    let is_asleep =
        !buffer.counters.iter().any(|place| place.key().database == database && !place.pending.is_idle());
    let flushers = &mut buffer.flushers;
    let known = flushers.iter().position(|flusher| flusher.database == database);
    let free = || {
        let is_free = |flusher: &Flusher| {
            flusher.database == 0 || (!flusher.is_asleep && now - flusher.seen_at > FORGOTTEN)
        };
        flushers.iter().position(is_free)
    };
    if let Some(place) = known.or_else(free) {
        flushers[place] = Flusher { database, seen_at: now, is_asleep };
    }
    is_asleep
}

/// This database's worker ends: from now on increments are durable.
pub fn leave() {
    if is_there()
        && let Some(flusher) = BUFFER.exclusive().flusher(database())
    {
        *flusher = Flusher::default();
    }
}

/// Counters of this database that have increments to be flushed.
pub fn dirty() -> Vec<Key> {
    if !is_there() {
        return Vec::new();
    }
    let database = database();
    let buffer = BUFFER.share();
    let dirty =
        buffer.counters.iter().filter(|place| place.key().database == database && place.pending.sum() > 0);
    dirty.map(Place::key).collect()
}

/// What a counter's row lacks, to whoever has locked the counter: its last committed version, or the one that this
/// transaction has written.
pub fn lacking(key: Key) -> (Vec<Addition>, Cut) {
    let mut buffer = BUFFER.exclusive();
    let Some(Place { pending, .. }) = buffer.counters.get(key) else { return Default::default() };
    (pending.lacking(pending.writer() != 0).collect(), pending.cut())
}

/// Whether something is pending for a counter, or being written.
pub fn is_pending(key: Key) -> bool {
    let buffer = BUFFER.share();
    buffer.counters.look(key).is_some_and(|place| !place.pending.is_idle())
}

/// Gives up a counter that is gone, with what is pending for it.
pub fn remove(key: Key) {
    BUFFER.exclusive().counters.remove(|other| other == key);
}

/// A place for a counter. Where all are taken, those of databases that were dropped are given up.
pub fn enter(key: Key, now: i64) -> Option<usize> {
    let entered = BUFFER.exclusive().counters.enter(key, now);
    if entered.is_some() {
        return entered;
    }
    let mut databases: Vec<u32> = BUFFER.share().counters.iter().map(|place| place.key().database).collect();
    databases.sort_unstable();
    databases.dedup();
    // SAFETY: a catalog look-up in a transaction.
    #[allow(unsafe_code)]
    databases.retain(|&database| unsafe { pg_sys::get_database_name(pg_sys::Oid::from(database)).is_null() });
    let mut buffer = BUFFER.exclusive();
    buffer.counters.remove(|key| databases.contains(&key.database));
    buffer.counters.enter(key, now)
}
