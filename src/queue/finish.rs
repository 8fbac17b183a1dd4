//! The end of items that were leased.

use camcount_queue::lease::{Key, Lease};
use camcount_queue::names::Names;
use pgrx::Spi;
use pgrx::prelude::*;

use super::effects::{self, Effect, End};
use super::item_key;
use super::messages::{Changes, Messages, column};
use super::order::Item;
use super::shared::{self, HELD, QueueKey};
use crate::database;
use crate::error::{Error, Result};
use crate::rows::{Change, RowId, Snapshot};

/// How often a row is looked for again that others change meanwhile.
const MOST_TRIES: usize = 100;

/// How items end.
pub enum Outcome<'a> {
    Completed,
    Failed { code: &'a str, message: &'a str },
    Dropped { code: &'a str, message: &'a str },
}

impl Outcome<'_> {
    fn status(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed { .. } => "failed",
            Self::Dropped { .. } => "skipped",
        }
    }

    fn end(&self) -> End {
        match self {
            Self::Completed => End::Completed,
            Self::Failed { .. } => End::Failed,
            Self::Dropped { .. } => End::Dropped,
        }
    }

    fn reason(&self) -> Option<(&str, &str)> {
        match self {
            Self::Completed => None,
            Self::Failed { code, message } | Self::Dropped { code, message } => Some((code, message)),
        }
    }
}

/// An item with its last known place.
pub fn item_of(lease: &Lease) -> Item {
    let row_id = RowId { block: lease.row.block, line: lease.row.line };
    Item { id: lease.key.item, frame_timestamp: lease.frame_timestamp, row_id }
}

/// Marks those of the items as being finished that are leased, to the worker where one is named, and returns their
/// leases, which end with this transaction.
pub fn mark(items: impl Iterator<Item = i64>, worker: Option<&str>) -> Vec<Lease> {
    mark_where(items.map(item_key), |_, lease, workers| {
        !lease.is_finishing && worker.is_none_or(|worker| workers.is(lease.worker, worker))
    })
}

/// As [`mark`], for leases that ran out, and that nobody has extended, taken or begun to finish meanwhile.
pub fn mark_expired(leases: &[Lease], now: i64) -> Vec<Lease> {
    mark_where(leases.iter().map(|lease| lease.key), |index, current, _| {
        current.claimed_at == leases[index].claimed_at && current.has_expired(now)
    })
}

fn mark_where(keys: impl Iterator<Item = Key>, may: impl Fn(usize, &Lease, &Names) -> bool) -> Vec<Lease> {
    let mut held = HELD.exclusive();
    let shared::Held { leases, workers } = &mut *held;
    let mut marked = Vec::new();
    for (index, key) in keys.enumerate() {
        let Some(lease) = leases.get_mut(key) else { continue };
        if may(index, lease, workers) {
            lease.is_finishing = true;
            marked.push(*lease);
            effects::add(Effect::Finished { key });
        }
    }
    marked
}

/// The name of the worker that a lease is of.
pub fn worker_of(lease: &Lease) -> String {
    HELD.share().workers.text(lease.worker).to_owned()
}

/// Writes what became of items of one queue whose leases are marked. Returns those that were not finished otherwise.
pub fn finish(queue: QueueKey, leases: &[Lease], outcome: &Outcome<'_>) -> Result<Vec<i64>> {
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    let now = shared::now();
    let messages = Messages::open(pg_sys::ACL_UPDATE)?
        .and_then(|mut messages| messages.reach_all(leases).then_some(messages));
    let finished = match messages {
        Some(messages) => change(messages, leases, outcome, now)?,
        None => execute(leases, outcome, now)?,
    };
    const NO_RETRY: &str = "DELETE FROM camcount.queue_retries WHERE id = ANY($1)";
    const BURY: &str = "INSERT INTO camcount.failed_items (id, camera_id, queue_id, frame_timestamp)
        SELECT message.id, message.camera_id, message.queue_id, message.frame_timestamp
        FROM unnest($1, $2) AS item (id, frame_timestamp)
        JOIN camcount.realtime_data_ingestion AS message USING (id, frame_timestamp)
        ON CONFLICT DO NOTHING";
    let retries: Vec<i64> =
        leases.iter().filter(|lease| lease.is_retry).map(|lease| lease.key.item).collect();
    if !retries.is_empty() {
        database::run(NO_RETRY, &[retries.into()])?;
    }
    if outcome.end() == End::Failed {
        let dead: Vec<Lease> =
            leases.iter().filter(|lease| finished.contains(&lease.key.item)).copied().collect();
        let (ids, times) = keys(&dead)?;
        database::run(BURY, &[ids.into(), times.into()])?;
    }
    let busy = leases.iter().map(|lease| now - lease.claimed_at).sum();
    effects::add(Effect::Left { queue, items: finished.len() as i64, end: outcome.end(), busy });
    Ok(finished)
}

fn keys(leases: &[Lease]) -> Result<(Vec<i64>, Vec<TimestampWithTimeZone>)> {
    let times = leases.iter().map(|lease| timestamp(lease.frame_timestamp)).collect::<Result<_>>()?;
    Ok((leases.iter().map(|lease| lease.key.item).collect(), times))
}

fn timestamp(microseconds: i64) -> Result<TimestampWithTimeZone> {
    let invalid = |_| Error::Runtime(format!("time {microseconds} is outside the range of timestamptz"));
    TimestampWithTimeZone::try_from(microseconds).map_err(invalid)
}

/// Writes the rows directly.
fn change(mut messages: Messages, leases: &[Lease], outcome: &Outcome<'_>, now: i64) -> Result<Vec<i64>> {
    use column::*;
    const COLUMNS: &[usize] = &[
        PROCESSING_STATUS,
        RETRY_COUNT,
        PROCESSING_LATENCY_MS,
        TOTAL_LATENCY_MS,
        ERROR_MESSAGE,
        ERROR_CODE,
        PROCESSING_STARTED_AT,
        COMPLETED_AT,
        CLAIMED_BY,
    ];
    let mut finished = Vec::with_capacity(leases.len());
    let mut changes = Changes::new();
    changes.set(PROCESSING_STATUS, outcome.status()).set(COMPLETED_AT, timestamp(now)?);
    if let Some((code, message)) = outcome.reason() {
        changes.set(ERROR_CODE, code).set(ERROR_MESSAGE, message);
    }
    let mut snapshot = Snapshot::latest();
    let mut named = None;
    for lease in leases {
        if named != Some(lease.worker) {
            changes.set(CLAIMED_BY, worker_of(lease));
            named = Some(lease.worker);
        }
        changes
            .set(RETRY_COUNT, retries(lease, outcome))
            .set(PROCESSING_LATENCY_MS, (now - lease.claimed_at) / 1000)
            .set(PROCESSING_STARTED_AT, timestamp(lease.claimed_at)?);
        let item = item_of(lease);
        for _ in 0..MOST_TRIES {
            let Some(row) = messages.find(&item, &snapshot) else { break };
            if row.get::<&str>(PROCESSING_STATUS) != Some("pending") {
                break;
            }
            let arrived = row.get::<TimestampWithTimeZone>(INGESTION_TIMESTAMP).map_or(now, i64::from);
            let row_id = row.row_id();
            changes.set(TOTAL_LATENCY_MS, (now - arrived) / 1000);
            if messages.change(&item, row_id, &changes, COLUMNS) == Change::Made {
                finished.push(item.id);
                break;
            }
            snapshot = Snapshot::latest();
        }
    }
    Ok(finished)
}

/// Attempts that failed.
fn retries(lease: &Lease, outcome: &Outcome<'_>) -> i32 {
    let attempts = i32::from(lease.attempts);
    if outcome.end() == End::Failed { attempts } else { attempts.saturating_sub(1) }
}

/// Has the executor write them.
fn execute(leases: &[Lease], outcome: &Outcome<'_>, now: i64) -> Result<Vec<i64>> {
    const FINISH: &str = include_str!("finish.sql");
    let (ids, times) = keys(leases)?;
    let counts: Vec<i32> = leases.iter().map(|lease| retries(lease, outcome)).collect();
    let claimed = leases.iter().map(|lease| timestamp(lease.claimed_at)).collect::<Result<Vec<_>>>()?;
    let workers: Vec<String> = leases.iter().map(worker_of).collect();
    let (code, message) = outcome.reason().unzip();
    Spi::connect_mut(|client| {
        let arguments = [
            ids.into(),
            times.into(),
            counts.into(),
            claimed.into(),
            outcome.status().into(),
            workers.into(),
            code.into(),
            message.into(),
            timestamp(now)?.into(),
        ];
        let mut finished = Vec::new();
        for row in database::execute(client, FINISH, &arguments)? {
            finished.extend(row.get::<i64>(1)?);
        }
        Ok(finished)
    })
}
