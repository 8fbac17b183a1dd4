//! What all sessions know of the queues, in shared memory: sizes, rates, positions, leases. Nothing of it outlives the
//! server: after a start it is made anew from the tables.

use camcount_queue::cursor::Cursor;
use camcount_queue::lease::{Key, Lease, Leases};
use camcount_queue::names::Names;
use camcount_queue::rate::Bucket;
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init};

use crate::worker::registry;

/// Queues of all databases that can be in use at once.
const QUEUES: usize = 128;
/// Four priorities: see `Identity::priority`.
pub const LANES: usize = 4;

/// Identifies a queue among those of all databases, also after the extension was dropped and made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueKey {
    pub database: u32,
    pub table: u32,
    pub number: i64,
}

/// One queue's figures.
#[derive(Clone, Copy)]
pub struct Gauge {
    pub key: QueueKey,
    /// Whether its size has been counted since the server started.
    pub is_ready: bool,
    /// Items that are not finished, those of open transactions included.
    pub size: i64,
    pub bucket: Bucket,
    /// No lease ends before; a hint.
    pub next_expiry: i64,
    /// No retry is due before; a hint.
    pub next_retry: i64,
    pub completed: i64,
    pub failed: i64,
    pub dropped: i64,
    pub skipped: i64,
    /// From claim to completion, in all, in microseconds.
    pub busy: i64,
    pub finished_at: i64,
    pub notified_at: i64,
    /// Items came in after the last notification, and none was sent for them.
    pub owes_notification: bool,
    used_at: i64,
}

impl Gauge {
    /// A lease ends at that time.
    pub fn note_expiry(&mut self, until: i64) {
        self.next_expiry = self.next_expiry.min(until);
    }
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            key: QueueKey::default(),
            is_ready: false,
            size: 0,
            bucket: Bucket::default(),
            next_expiry: i64::MAX,
            next_retry: 0,
            completed: 0,
            failed: 0,
            dropped: 0,
            skipped: 0,
            busy: 0,
            finished_at: 0,
            notified_at: 0,
            owes_notification: false,
            used_at: 0,
        }
    }
}

/// All queues' figures; a place is free where `number` is 0.
#[derive(Clone, Copy)]
pub struct Gauges([Gauge; QUEUES]);

impl Default for Gauges {
    fn default() -> Self {
        Self([Gauge::default(); QUEUES])
    }
}

impl Gauges {
    /// A queue's figures.
    pub fn get(&mut self, key: QueueKey) -> Option<&mut Gauge> {
        self.0.iter_mut().find(|gauge| gauge.key == key)
    }

    /// All of one database.
    pub fn of_database(&mut self, database: u32) -> impl Iterator<Item = &mut Gauge> {
        self.0.iter_mut().filter(move |gauge| gauge.key.number != 0 && gauge.key.database == database)
    }

    /// A queue's figures, new where it has none: then in a free place, or that of the queue not used for the longest.
    fn enter(&mut self, key: QueueKey, now: i64) -> (usize, bool) {
        let known = self.0.iter().position(|gauge| gauge.key == key);
        let place = known.unwrap_or_else(|| {
            let oldest =
                (0..QUEUES).min_by_key(|&index| (self.0[index].key.number != 0, self.0[index].used_at));
            oldest.unwrap_or(0)
        });
        if known.is_none() {
            self.0[place] = Gauge { key, ..Gauge::default() };
        }
        self.0[place].used_at = now;
        (place, known.is_none())
    }
}

/// How far each queue has been given out to outside workers.
#[derive(Clone, Copy)]
struct Cursors([(QueueKey, [Cursor; LANES]); QUEUES]);

impl Default for Cursors {
    fn default() -> Self {
        Self([(QueueKey::default(), [Cursor::default(); LANES]); QUEUES])
    }
}

/// Who has what.
#[derive(Clone, Copy, Default)]
pub struct Held {
    pub leases: Leases<SLOTS>,
    pub workers: Names,
}

const SLOTS: usize = 16_384;
/// Items that can be leased at once, in all databases.
pub const MOST_LEASES: usize = Leases::<SLOTS>::CAPACITY;

impl Held {
    /// Adds a lease for a worker; false where there is no room.
    pub fn insert(&mut self, lease: Lease) -> bool {
        self.remove(lease.key);
        let fits = self.leases.insert(lease).is_ok();
        if fits {
            self.workers.hold(lease.worker);
        }
        fits
    }

    /// Those of one database and one making of the extension in it.
    pub fn of(&self, database: u32, queues: u32) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter(move |lease| (lease.key.database, lease.key.queues) == (database, queues))
    }

    /// Ends a lease.
    pub fn remove(&mut self, key: Key) -> Option<Lease> {
        let lease = self.leases.remove(key)?;
        self.workers.release(lease.worker);
        Some(lease)
    }
}

// SAFETY: plain data without pointers.
#[allow(unsafe_code)]
unsafe impl PGRXSharedMemory for Gauges {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl PGRXSharedMemory for Cursors {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl PGRXSharedMemory for Held {}

// SAFETY: the names are used nowhere else.
#[allow(unsafe_code)]
pub static GAUGES: PgLwLock<Gauges> = unsafe { PgLwLock::new(c"camcount_gauges") };
// SAFETY: as above.
#[allow(unsafe_code)]
static CURSORS: PgLwLock<Cursors> = unsafe { PgLwLock::new(c"camcount_cursors") };
// SAFETY: as above.
#[allow(unsafe_code)]
pub static HELD: PgLwLock<Held> = unsafe { PgLwLock::new(c"camcount_leases") };

/// Asks for the shared memory. Called from `_PG_init` while the server preloads the library.
pub fn initialise() {
    pg_shmem_init!(GAUGES);
    pg_shmem_init!(CURSORS);
    pg_shmem_init!(HELD);
}

/// Whether there is shared memory: the library was preloaded.
pub fn is_there() -> bool {
    registry::preloaded()
}

/// A queue's figures, where it has any.
pub fn figures(key: QueueKey) -> Option<Gauge> {
    GAUGES.exclusive().get(key).map(|gauge| *gauge)
}

/// Makes sure that the queue has figures; returns whether they have been counted.
pub fn enter(key: QueueKey, now: i64) -> bool {
    let (place, is_new, is_ready) = {
        let mut gauges = GAUGES.exclusive();
        let (place, is_new) = gauges.enter(key, now);
        (place, is_new, gauges.0[place].is_ready)
    };
    if is_new {
        CURSORS.exclusive().0[place] = (key, [Cursor::default(); LANES]);
    }
    is_ready
}

/// A queue's position at one priority.
pub fn cursor(key: QueueKey, lane: usize) -> Cursor {
    let cursors = CURSORS.share();
    let found = cursors.0.iter().find(|(known, _)| *known == key);
    found.map(|(_, lanes)| lanes[lane]).unwrap_or_default()
}

/// Sets it; whoever does holds the queue's lock.
pub fn set_cursor(key: QueueKey, lane: usize, cursor: Cursor) {
    if let Some((_, lanes)) = CURSORS.exclusive().0.iter_mut().find(|(known, _)| *known == key) {
        lanes[lane] = cursor;
    }
}

/// The server's clock, in microseconds.
pub fn now() -> i64 {
    // SAFETY: reads the clock.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::GetCurrentTimestamp()
    }
}
