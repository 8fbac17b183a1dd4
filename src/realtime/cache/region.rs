//! The cache's shared memory and its lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed};

use camcount_cache::Cache;
use pgrx::prelude::*;
use pgrx::{PgSharedMemoryInitialization, pg_shmem_init};

use super::file;
use crate::settings;

const NAME: &std::ffi::CStr = c"camcount_cache";
/// Of the server's own lock for the setting up of shared memory, among its locks.
const ADDIN_SHMEM_INIT_LOCK: usize = 21;

static WORDS: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);
static LOCK: AtomicPtr<pg_sys::LWLock> = AtomicPtr::new(std::ptr::null_mut());

struct Region;

static REGION: Region = Region;

/// Asks for the shared memory. Called from `_PG_init` while the server preloads the library.
pub fn initialise() {
    pg_shmem_init!(REGION = true);
}

impl PgSharedMemoryInitialization for Region {
    type Value = bool;

    #[allow(unsafe_code)]
    unsafe fn on_shmem_request(&'static self) {
        // SAFETY: called when the server asks for requests.
        unsafe {
            pg_sys::RequestAddinShmemSpace(settings::cache_octets());
            pg_sys::RequestNamedLWLockTranche(NAME.as_ptr(), 1);
        }
    }

    /// In the postmaster, before there are other processes; again after one of them has crashed.
    #[allow(unsafe_code)]
    unsafe fn on_shmem_startup(&'static self, _value: bool) {
        let octets = settings::cache_octets();
        let mut is_found = false;
        // SAFETY: of the size that was asked for, aligned for anything; whoever finds it, finds it formatted.
        unsafe {
            let lock = &raw mut (*pg_sys::MainLWLockArray.add(ADDIN_SHMEM_INIT_LOCK)).lock;
            pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
            let memory = pg_sys::ShmemInitStruct(NAME.as_ptr(), octets, &raw mut is_found);
            WORDS.store(memory.cast(), Relaxed);
            COUNT.store(octets / size_of::<AtomicU64>(), Relaxed);
            LOCK.store(&raw mut (*pg_sys::GetNamedLWLockTranche(NAME.as_ptr())).lock, Relaxed);
            pg_sys::LWLockRelease(lock);
            if !is_found && let Some(mut cache) = format() {
                file::load(&mut cache);
            }
            if !pg_sys::IsUnderPostmaster {
                pg_sys::on_shmem_exit(Some(save_at_exit), pg_sys::Datum::null());
            }
        }
    }
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn save_at_exit(code: std::ffi::c_int, _argument: pg_sys::Datum) {
    // Everybody else has gone: nobody holds the lock.
    if code == 0
        && let Some(cache) = Cache::attach(words())
    {
        file::save(&cache);
    }
}

/// Whether the library was preloaded.
pub fn is_there() -> bool {
    !WORDS.load(Relaxed).is_null()
}

/// Runs `body`, which may not raise errors, beside other readers; `None` where there is no cache.
pub fn read<R>(body: impl FnOnce(&Cache<'_>) -> R) -> Option<R> {
    locked(pg_sys::LWLockMode::LW_SHARED, || Cache::attach(words()).map(|cache| body(&cache)))
}

/// Runs `body`, which may not raise errors, alone; `None` where there is no cache.
pub fn write<R>(body: impl FnOnce(&mut Cache<'_>) -> R) -> Option<R> {
    // What a process has left half changed is of no use.
    locked(pg_sys::LWLockMode::LW_EXCLUSIVE, || {
        Cache::attach(words()).or_else(format).map(|mut cache| body(&mut cache))
    })
}

/// Blocks of the cache.
pub fn extent() -> usize {
    read(|cache| cache.extent()).unwrap_or(0)
}

/// An empty cache.
fn format() -> Option<Cache<'static>> {
    Cache::format(words(), RandomState::new().hash_one(0))
}

#[allow(unsafe_code)]
fn locked<R>(mode: pg_sys::LWLockMode::Type, body: impl FnOnce() -> Option<R>) -> Option<R> {
    if !is_there() {
        return None;
    }
    let lock = LOCK.load(Relaxed);
    // SAFETY: the lock is there where the memory is. Should `body` panic, the end of the transaction releases it.
    unsafe {
        pg_sys::LWLockAcquire(lock, mode);
        let result = body();
        pg_sys::LWLockRelease(lock);
        result
    }
}

/// The region; empty where there is none.
#[allow(unsafe_code)]
fn words() -> &'static [AtomicU64] {
    let words = WORDS.load(Relaxed);
    if words.is_null() {
        return &[];
    }
    // SAFETY: shared memory of that many words, there as long as the process, and changed as atomic words only.
    unsafe { std::slice::from_raw_parts(words, COUNT.load(Relaxed)) }
}
