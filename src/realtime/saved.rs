//! What is pending when the server stops: written into a file of the data directory, and read back at the next start.
//! The workers flush when they are told to end, so that it holds what was committed after that, or could not be flushed.
//!
//! The file is removed, durably, before anything of it can be flushed: what it holds cannot be counted twice.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use camcount_counter::pending::Addition;
use camcount_counter::table::Key;
use pgrx::prelude::*;

use super::buffer::{BUFFER, Buffer, NAME};

/// Relative to the data directory, which is the server's working directory.
const FILE: &str = "pg_stat/camcount_counters";
const TEMPORARY: &str = "pg_stat/camcount_counters.tmp";
/// Before the entries; another format gets another one.
const MAGIC: &[u8; 8] = b"camcnt01";
/// A standby gets increments by the WAL, from whoever made them.
const STANDBY: [&str; 2] = ["standby.signal", "recovery.signal"];

#[allow(unsafe_code)]
static mut PREVIOUS: pg_sys::shmem_startup_hook_type = None;

/// Installs the hook. Called once, during preload, after the shared memory was asked for.
#[allow(unsafe_code)]
pub fn install() {
    // SAFETY: the postmaster is single-threaded and nothing else writes these.
    unsafe {
        PREVIOUS = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(at_startup);
    }
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn at_startup() {
    // SAFETY: as above; the function lives as long as the process.
    unsafe {
        if let Some(previous) = PREVIOUS {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous());
        }
        if pg_sys::IsUnderPostmaster {
            return;
        }
        pg_sys::on_shmem_exit(Some(at_exit), pg_sys::Datum::null());
    }
    if let Err(error) = load() {
        log!("camcount: increments of buffered counters could not be read from {FILE}: {error}");
    }
}

/// In the postmaster, when all others have ended.
#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn at_exit(code: i32, _argument: pg_sys::Datum) {
    // A process that was killed may have left the memory in any state.
    if code != 0 || !is_unlocked() {
        return;
    }
    if let Err(error) = save() {
        log!("camcount: increments of buffered counters could not be written into {FILE}: {error}");
    }
}

/// Whether nobody died while changing the shared memory.
fn is_unlocked() -> bool {
    // SAFETY: the lock was made with the shared memory, which is still there.
    #[allow(unsafe_code)]
    unsafe {
        let lock = &raw mut (*pg_sys::GetNamedLWLockTranche(NAME.as_ptr())).lock;
        let is_free = pg_sys::LWLockConditionalAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
        if is_free {
            pg_sys::LWLockRelease(lock);
        }
        is_free
    }
}

fn save() -> io::Result<()> {
    let pending = pending(&BUFFER.share());
    if pending.is_empty() {
        return Ok(());
    }
    let mut file = File::create(TEMPORARY)?;
    file.write_all(MAGIC)?;
    for (key, addition) in pending {
        file.write_all(&encode(key, addition))?;
    }
    file.sync_all()?;
    fs::rename(TEMPORARY, FILE)?;
    sync_folder()
}

/// But for what may be in a row already: a writer that was killed before it could say.
fn pending(buffer: &Buffer) -> Vec<(Key, Addition)> {
    let places = buffer.counters.iter();
    places.flat_map(|place| place.pending.lacking(true).map(|addition| (place.key(), addition))).collect()
}

fn load() -> io::Result<()> {
    let bytes = match fs::read(FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    fs::remove_file(FILE)?;
    sync_folder()?;
    if STANDBY.iter().any(|signal| Path::new(signal).exists()) {
        return Ok(());
    }
    let Some(entries) = bytes.strip_prefix(MAGIC) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is of another version"));
    };
    let mut buffer = BUFFER.exclusive();
    for (key, addition) in entries.chunks_exact(ENTRY).filter_map(decode) {
        if let Some(place) = buffer.counters.enter(key, 0).and_then(|index| buffer.counters.place(index, key))
        {
            place.pending.add(addition);
        }
    }
    Ok(())
}

fn sync_folder() -> io::Result<()> {
    File::open("pg_stat")?.sync_all()
}

/// Octets of an entry: database, table, counter, hour, time, value.
const ENTRY: usize = 40;

fn encode(key: Key, addition: Addition) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let identity = u64::from(key.database) << 32 | u64::from(key.table);
    let words =
        [identity, key.counter as u64, addition.hour as u64, addition.at as u64, addition.value as u64];
    for (place, word) in entry.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    entry
}

fn decode(entry: &[u8]) -> Option<(Key, Addition)> {
    let mut words = entry.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_le_bytes));
    let identity = words.next()?;
    let mut number = || words.next().map(|word| word as i64);
    let key = Key { database: (identity >> 32) as u32, table: identity as u32, counter: number()? };
    Some((key, Addition { hour: number()?, at: number()?, value: number()? }))
}
