//! The cache between a clean stop of the server and its next start, as a file in the data directory, in which the
//! postmaster's working directory is. It is gone once it has been read, so that no start after a crash finds an old one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;

use camcount_cache::{Cache, LoadError};
use pgrx::prelude::*;

use crate::queue::shared::now;

const FILE: &str = "pg_stat/camcount_cache";
const UNFINISHED: &str = "pg_stat/camcount_cache.tmp";
/// Of the values' binary form, should it ever change.
const VERSION: u32 = pg_sys::PG_MAJORVERSION_NUM;

/// Takes up what the server that ran before has left.
pub fn load(cache: &mut Cache<'_>) {
    match take_up(cache) {
        Ok(()) => {}
        Err(LoadError::Io(error)) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => log!("camcount: the cache starts empty, {FILE:?} is ignored: {error}"),
    }
}

fn take_up(cache: &mut Cache<'_>) -> Result<(), LoadError> {
    let file = File::open(FILE)?;
    fs::remove_file(FILE)?;
    cache.load(VERSION, now(), BufReader::new(file)).map(drop)
}

/// Leaves what has not expired to the next server, where this one has ended as it should.
pub fn save(cache: &Cache<'_>) {
    if !has_shut_down() {
        return;
    }
    if let Err(error) = write(cache) {
        let _ = fs::remove_file(UNFINISHED);
        log!("camcount: the cache is lost, {FILE:?} cannot be written: {error}");
    }
}

fn write(cache: &Cache<'_>) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(UNFINISHED)?;
    let mut target = BufWriter::new(file);
    cache.save(VERSION, now(), &mut target)?;
    target.flush()?;
    target.get_ref().sync_all()?;
    fs::rename(UNFINISHED, FILE)
}

/// Whether the last checkpoint was that of a shutdown: after an immediate stop, which also ends with code 0, the tables
/// may have lost what the cache still has.
#[allow(unsafe_code)]
fn has_shut_down() -> bool {
    let mut is_whole = false;
    // SAFETY: the file is there as long as the server; the result is in the server's memory.
    let state = unsafe {
        let control = pg_sys::get_controlfile(pg_sys::DataDir, &raw mut is_whole);
        (*control).state
    };
    use pg_sys::DBState::{DB_SHUTDOWNED, DB_SHUTDOWNED_IN_RECOVERY};
    is_whole && (state == DB_SHUTDOWNED || state == DB_SHUTDOWNED_IN_RECOVERY)
}
