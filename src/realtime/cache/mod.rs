//! The cache: results kept for a while in shared memory, by key, each database's apart.

mod file;
pub mod functions;
pub mod publish;
mod region;
mod space;

use camcount_cache::TooLarge;

pub use region::initialise;

use crate::error::{Error, Result};
use crate::queue::shared::now;

/// Longest `cache_key`, in characters.
pub const KEY_LENGTH: usize = 200;
/// Blocks that are gone through with the lock held.
const STRETCH: usize = 1024;

fn too_large(octets: usize) -> impl Fn(TooLarge) -> Error {
    move |TooLarge { limit }| Error::TooLarge { parameter: "p_cache_value", octets, limit }
}

/// The cache's shared memory is there: the library was preloaded.
fn ensure_there() -> Result<()> {
    if region::is_there() { Ok(()) } else { Err(Error::NotPreloaded { what: "the cache" }) }
}

/// Removes what has expired, of this database or of all, and returns how many entries.
pub fn remove_expired(of_all: bool) -> Result<u64> {
    if !region::is_there() {
        return Ok(0);
    }
    let space = if of_all { None } else { Some(space::current()?) };
    let mut removed = 0;
    for start in (0..region::extent()).step_by(STRETCH) {
        removed +=
            region::write(|cache| cache.remove_expired(space, start..start + STRETCH, now())).unwrap_or(0);
        pgrx::check_for_interrupts!();
    }
    Ok(removed)
}
