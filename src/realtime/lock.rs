//! A counter's lock: whoever waits for the counter's row waits here, in order of arrival.

use pgrx::prelude::*;

use crate::worker::wake;

/// A lock on a counter, for as long as this lives: an advisory lock that no SQL function can take.
pub struct Lock(pg_sys::LOCKTAG);

impl Lock {
    /// Waits for whoever has it.
    pub fn take(counter: i64) -> Self {
        let lock = Self::of(counter);
        lock.acquire(false);
        lock
    }

    /// `None` where somebody has it.
    pub fn try_take(counter: i64) -> Option<Self> {
        let lock = Self::of(counter);
        if lock.acquire(true) {
            return Some(lock);
        }
        std::mem::forget(lock);
        None
    }

    /// Keeps it until the (sub)transaction ends: until after its effects in shared memory have been applied.
    pub fn keep(self) {
        std::mem::forget(self);
    }

    fn of(counter: i64) -> Self {
        /// SQL's advisory locks use 1 and 2, the queues' 77.
        const OWN: u16 = 78;
        Self(pg_sys::LOCKTAG {
            locktag_field1: wake::my_database().to_u32(),
            locktag_field2: counter as u32,
            locktag_field3: (counter >> 32) as u32,
            locktag_field4: OWN,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        })
    }

    /// Whether it was to be had.
    fn acquire(&self, at_once: bool) -> bool {
        // SAFETY: within a transaction, with a tag that lives as long as the call.
        #[allow(unsafe_code)]
        let result = unsafe {
            pg_sys::LockAcquire(&raw const self.0, pg_sys::ExclusiveLock as pg_sys::LOCKMODE, false, at_once)
        };
        result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // SAFETY: taken before and dropped once.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::LockRelease(&raw const self.0, pg_sys::ExclusiveLock as pg_sys::LOCKMODE, false);
        }
    }
}
