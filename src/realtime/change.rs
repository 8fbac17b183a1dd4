//! Changes to a counter's row, each with everything that is pending for the counter.

use camcount_counter::config::Mode;
use camcount_counter::counts::TooLarge;
use camcount_counter::pending::{Addition, Cut};
use camcount_counter::table::Key;

use super::lock::Lock;
use super::record::{At, Record, Records, Which};
use super::{buffer, effects, periods};
use crate::error::{Error, Result};
use crate::queue::shared::now;
use crate::rows::{Change, Wait};

/// What became of a change.
#[derive(Debug)]
pub enum Outcome {
    /// It was made.
    Made {
        /// The current count.
        current: i64,
    },
    /// There is no such counter.
    Missing,
    /// It was not wanted after all.
    Declined,
    /// Somebody holds the row or the counter, and was not to be waited for.
    Busy,
}

/// Changes a counter's row as `edit` says, unless `declines` says of the row that it is not to be. What `edit` gets has
/// everything that was pending.
///
/// # Errors
/// Those of `edit`, and counts that no longer fit.
pub fn change(
    records: &Records,
    which: Which<'_>,
    wait: Wait,
    mut declines: impl FnMut(&Record) -> Result<bool>,
    mut edit: impl FnMut(&mut Record) -> Result<()>,
) -> Result<Outcome> {
    let mut attempt = Attempt { table: records.oid(), wait, queued: None, held: None };
    loop {
        let step = records.find(which, |found| match found {
            Some(at) if declines(&at.record)? => Ok(Step::Done(Outcome::Declined)),
            Some(at) => attempt.make(at, &mut edit),
            None => Ok(Step::Done(Outcome::Missing)),
        })?;
        match step {
            Step::Done(outcome) => return Ok(outcome),
            Step::Again => {}
            Step::Lock(key) => match wait {
                Wait::No => match Lock::try_take(key.counter) {
                    Some(lock) => attempt.hold(key, lock),
                    None => return Ok(Outcome::Busy),
                },
                Wait::ForHolder => attempt.hold(key, Lock::take(key.counter)),
            },
            // Only the first in the queue waits for the row.
            Step::Queue(counter) => attempt.queued = Some(Lock::take(counter)),
        }
    }
}

enum Step {
    Done(Outcome),
    /// The row was changed meanwhile.
    Again,
    /// The counter's lock is needed until the end of the transaction.
    Lock(Key),
    /// The row is held by somebody.
    Queue(i64),
}

struct Attempt {
    table: u32,
    wait: Wait,
    /// Held for as long as this is.
    queued: Option<Lock>,
    /// What is locked until the end of the transaction.
    held: Option<Key>,
}

impl Attempt {
    fn hold(&mut self, key: Key, lock: Lock) {
        lock.keep();
        self.held = Some(key);
    }

    fn make(&self, mut at: At<'_>, edit: &mut impl FnMut(&mut Record) -> Result<()>) -> Result<Step> {
        let key = buffer::key(self.table, at.record.id);
        let is_buffered = is_buffered(key, at.record.mode);
        if is_buffered && self.held != Some(key) {
            return Ok(Step::Lock(key));
        }
        let folded = if is_buffered { Some(fold(key, &mut at.record)?) } else { None };
        edit(&mut at.record)?;
        let wait = if self.queued.is_some() || self.held.is_some() { self.wait } else { Wait::No };
        Ok(match at.write(wait) {
            Change::Made => {
                if let Some((cut, own)) = folded {
                    effects::written(key, cut, &own, at.record.counts.current);
                }
                Step::Done(Outcome::Made { current: at.record.counts.current })
            }
            Change::Overtaken => Step::Again,
            Change::Busy if self.wait == Wait::No => Step::Done(Outcome::Busy),
            Change::Busy => Step::Queue(at.record.id),
        })
    }
}

/// Whether something may be pending for the counter, now or until this transaction ends: it is buffered, or was just now.
fn is_buffered(key: Key, mode: Mode) -> bool {
    buffer::is_there() && (mode == Mode::Buffered || buffer::is_pending(key) || !effects::own(key).is_empty())
}

/// Adds what is pending to a record as it was read under the counter's lock. Returns what has been added: all up to the
/// cut, and increments of this transaction.
fn fold(key: Key, record: &mut Record) -> Result<(Cut, Vec<Addition>)> {
    // So that nobody enters it with what the row was before.
    buffer::enter(key, now());
    let ((shared, cut), own) = (buffer::lacking(key), effects::own(key));
    add(record, shared.iter().chain(&own))?;
    Ok((cut, own))
}

/// Adds increments to a record, each in its hour.
pub fn add<'a>(record: &mut Record, additions: impl Iterator<Item = &'a Addition>) -> Result<()> {
    for addition in additions {
        let starts = periods::starts(&record.camera_id, addition.hour)?;
        record.counts.add(addition.value, addition.at, &starts).map_err(|TooLarge| too_large(record))?;
    }
    Ok(())
}

/// A count of this counter would no longer fit.
pub fn too_large(record: &Record) -> Error {
    Error::CounterFull { camera: record.camera_id.clone(), counter: record.counter_name.clone() }
}
