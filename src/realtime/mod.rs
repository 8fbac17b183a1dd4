//! What holds now: counters, values against those before, and results that are kept for a while.

pub mod aggregation;
mod buffer;
pub mod buffered;
mod bulk;
pub mod cache;
mod change;
pub mod counters;
mod early_release;
mod effects;
pub mod flush;
mod lock;
pub mod periods;
mod read;
mod record;
mod saved;
mod transaction;

/// Asks for shared memory. Called from `_PG_init` while the server preloads the library.
pub fn initialise() {
    buffer::initialise();
    cache::initialise();
    saved::install();
}
