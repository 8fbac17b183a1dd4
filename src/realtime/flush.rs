//! What is pending for buffered counters goes into their rows: by the maintenance worker, twice a second.

use std::time::{Duration, Instant};

use camcount_counter::table::Key;

use super::change::{Outcome, change};
use super::lock::Lock;
use super::record::{self, Records, Which};
use super::{buffer, counters, effects};
use crate::database;
use crate::error::Result;
use crate::queue::shared::now;
use crate::rows::Wait;
use crate::worker::process;

/// Half of what is promised, for the worker has more to do.
const INTERVAL: Duration = Duration::from_millis(500);
/// Counters in one transaction.
const BATCH: usize = 128;

/// When this database's counters are to be flushed.
pub struct Flusher {
    next: Option<Instant>,
}

impl Flusher {
    /// Increments may be buffered from now on.
    pub fn new() -> Self {
        buffer::announce(now());
        Self { next: Some(Instant::now()) }
    }

    /// Flushes what is pending, if it is time to.
    pub fn keep(&mut self) -> Result<()> {
        // What woke the worker may be an increment.
        if self.next.is_some_and(|next| next > Instant::now()) {
            return Ok(());
        }
        let began = now();
        self.next = Some(Instant::now() + INTERVAL);
        let outcome = flush();
        // A counter that cannot be flushed keeps no others from being buffered.
        if buffer::announce(began) && outcome.is_ok() {
            self.next = None;
        }
        outcome
    }

    /// When it will be time again; `None` where nothing is pending.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Flushes for the last time.
    pub fn stop(&mut self) -> Result<()> {
        buffer::leave();
        flush()
    }
}

/// Flushes all that is pending for this database but for counters that somebody holds.
///
/// # Errors
/// The last, once everything has been tried.
fn flush() -> Result<()> {
    let mut outcome = Ok(());
    for batch in buffer::dirty().chunks(BATCH) {
        let together = process::transaction(|| batch.iter().try_for_each(|&key| flush_one(key)));
        if together.is_err() {
            for &key in batch {
                outcome = process::transaction(|| flush_one(key)).and(outcome);
            }
        }
    }
    outcome
}

fn flush_one(key: Key) -> Result<()> {
    // Of a table that was dropped.
    if record::table() != Some(key.table) {
        buffer::remove(key);
        return Ok(());
    }
    let Some(records) = Records::open() else { return execute(key) };
    let outcome = change(&records, Which::Id(key.counter), Wait::No, |_| Ok(false), |_| Ok(()))?;
    if matches!(outcome, Outcome::Missing) {
        buffer::remove(key);
    }
    Ok(())
}

/// Has the executor do it, where only it can write the table.
fn execute(key: Key) -> Result<()> {
    const NAMES: &str = "SELECT ARRAY[camera_id, counter_name] FROM camcount.realtime_counters WHERE id = $1";
    let Some(lock) = Lock::try_take(key.counter) else { return Ok(()) };
    lock.keep();
    let names = database::value::<Vec<String>>(NAMES, &[key.counter.into()])?;
    let Some([camera_id, counter_name]) = names.as_deref() else {
        buffer::remove(key);
        return Ok(());
    };
    let (lacking, cut) = buffer::lacking(key);
    let mut count = None;
    for addition in lacking {
        count = Some(counters::execute(camera_id, counter_name, addition.value, Some(addition.at))?);
    }
    if let Some(count) = count {
        effects::written(key, cut, &[], count);
    }
    Ok(())
}
