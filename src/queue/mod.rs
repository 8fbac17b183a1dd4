//! The queues: who may put in what, and who gets what of it.

pub mod admission;
mod claim;
pub mod effects;
mod finish;
pub mod functions;
mod messages;
pub mod notify;
pub mod order;
pub mod settings;
pub mod shared;

pub use claim::has_own_snapshot;

use camcount_queue::lease::Key;
use pgrx::prelude::*;

use crate::database;
use crate::error::{Error, Result};
use settings::Queue;
use shared::QueueKey;

/// The priorities that messages have, highest first: see `Identity::priority`.
pub const PRIORITIES: [i32; shared::LANES] = [10, 9, 8, 5];
/// The place of frames among them.
pub const FRAMES: usize = 3;

/// Identifies an item of this database.
pub fn item_key(item: i64) -> Key {
    Key { database: my_database(), queues: settings::table().to_u32(), item }
}

fn my_database() -> u32 {
    crate::worker::wake::my_database().to_u32()
}

/// The queue's key in shared memory; its figures are there and right afterwards.
///
/// # Errors
/// Where there is no shared memory.
pub fn ready(queue: &Queue) -> Result<QueueKey> {
    if !shared::is_there() {
        return Err(Error::NotPreloaded { what: "a queue" });
    }
    // SAFETY: asks whether the server is a standby.
    #[allow(unsafe_code)]
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Err(Error::Standby);
    }
    let key = key(queue);
    if !shared::enter(key, shared::now()) {
        count(queue, key)?;
    }
    Ok(key)
}

/// The queue's key in shared memory.
pub fn key(queue: &Queue) -> QueueKey {
    QueueKey { database: my_database(), table: settings::table().to_u32(), number: queue.number }
}

/// The first to need the figures after a start counts what waits; others wait for it.
fn count(queue: &Queue, key: QueueKey) -> Result<()> {
    const COUNT: &str = "SELECT camcount.count_unfinished_items($1)";
    let _lock = Lock::take(queue.number, Purpose::Count);
    if shared::enter(key, shared::now()) {
        return Ok(());
    }
    let size = database::value::<i64>(COUNT, &[queue.queue_id.as_str().into()])?.unwrap_or(0);
    if let Some(gauge) = shared::GAUGES.exclusive().get(key) {
        gauge.size += size;
        gauge.is_ready = true;
    }
    Ok(())
}

/// What a queue is locked for.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// Counting its items.
    Count,
    /// Giving out items.
    Claim,
}

/// A lock on a queue, for as long as this lives: an advisory lock that no SQL function can take.
pub struct Lock(pg_sys::LOCKTAG);

impl Lock {
    /// Waits for whoever has it. Ended by the end of the transaction at the latest.
    pub fn take(queue: i64, purpose: Purpose) -> Self {
        /// SQL's advisory locks use 1 and 2.
        const OWN: u16 = 77;
        let tag = pg_sys::LOCKTAG {
            locktag_field1: my_database(),
            locktag_field2: queue as u32,
            locktag_field3: purpose as u32,
            locktag_field4: OWN,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        };
        // SAFETY: within a transaction, with a tag that lives as long as the call.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::LockAcquire(&raw const tag, pg_sys::ExclusiveLock as pg_sys::LOCKMODE, false, false);
        }
        Self(tag)
    }

    /// Keeps it until the transaction ends.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // SAFETY: taken by `take` and dropped once.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::LockRelease(&raw const self.0, pg_sys::ExclusiveLock as pg_sys::LOCKMODE, false);
        }
    }
}
