//! The SQL functions for outside workers.

use camcount_queue::lease::Lease;
use camcount_queue::names::LENGTH as NAME_LENGTH;
use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::claim::{self, Request};
use super::effects::{self, Effect, End};
use super::finish::{self, Outcome};
use super::messages::{Messages, column};
use super::settings::{self, Queue};
use super::shared::{self, HELD, LANES};
use super::{Lock, Purpose, item_key, notify, ready};
use crate::arguments::{name, required, text};
use crate::database;
use crate::error::{Error, Result};
use crate::rows::{Returned, Row, Stored};
use crate::settings::retry_backoff_ms;
use crate::worker::wake;

/// Items of one claim at most.
const MOST_ITEMS: i32 = 10_000;
/// The longest wait for another attempt, in microseconds: a year.
const LONGEST_PAUSE: i64 = 366 * 86_400_000_000;
/// Leases of a day and more are a mistake.
const LONGEST_LEASE: i64 = 86_400_000_000;

/// Gives a worker up to `p_max_items` items of a queue for `p_lease`: higher priorities first, then in order of arrival.
/// No other worker gets them until the lease ends, and none again once they are completed. Nothing is given of a queue
/// that is paused or not active, and no more than its `processing_rate`.
#[pg_extern(sql = r#"
CREATE FUNCTION camcount.claim_queue_items(
    p_queue_id text, p_worker text, p_max_items integer DEFAULT 100, p_lease interval DEFAULT '30 seconds'
) RETURNS TABLE (
    id bigint, ingestion_id text, camera_id text, stream_id text, frame_timestamp timestamptz, frame_number bigint,
    data_type text, data_payload jsonb, attempts integer, queued_at timestamptz, lease_until timestamptz
) LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
fn claim_queue_items(
    p_queue_id: Option<&str>,
    p_worker: Option<&str>,
    p_max_items: Option<i32>,
    p_lease: Option<Interval>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<i32>, ErrorReport> {
    let queue = settings::queue(name(p_queue_id, "p_queue_id")?)?;
    let worker = text(p_worker, "p_worker", NAME_LENGTH)?;
    if worker.len() > NAME_LENGTH {
        return Err(Error::invalid("p_worker", format!("must be at most {NAME_LENGTH} bytes long")).into());
    }
    let most = required(p_max_items, "p_max_items")?;
    if !(1..=MOST_ITEMS).contains(&most) {
        return Err(Error::invalid("p_max_items", format!("must be 1 to {MOST_ITEMS}, got {most}")).into());
    }
    let lease = duration(p_lease, "p_lease")?;
    let mut returned = Returned::begin(call);
    if queue.is_served {
        let request = Request {
            queue: &queue,
            worker,
            most: most as usize,
            lease,
            lanes: 0..LANES,
            arrivals_only: false,
        };
        claim::claim(&request, |row, lease| returned.put(&claimed(row, lease)))?;
    }
    Ok(None)
}

/// The columns of the table that `claim_queue_items` returns.
fn claimed(row: &Stored<'_>, lease: &Lease) -> Row<11> {
    const SAME: [(usize, usize); 8] = [
        (1, column::INGESTION_ID),
        (2, column::CAMERA_ID),
        (3, column::STREAM_ID),
        (4, column::FRAME_TIMESTAMP),
        (5, column::FRAME_NUMBER),
        (6, column::DATA_TYPE),
        (7, column::DATA_PAYLOAD),
        (9, column::INGESTION_TIMESTAMP),
    ];
    let mut claimed = Row::new();
    for (to, from) in SAME {
        if let Some(datum) = row.datum(from) {
            claimed.set_datum(to, datum);
        }
    }
    claimed
        .set(0, lease.key.item)
        .set(8, i32::from(lease.attempts))
        .set(10, TimestampWithTimeZone::try_from(lease.until).ok());
    claimed
}

/// Completes items that are leased, to `p_worker` where it is given, and returns those it has completed. What is left
/// out had lost its lease: somebody else has it, or will.
#[pg_extern]
fn complete_queue_items(
    p_ids: Option<Vec<Option<i64>>>,
    p_worker: default!(Option<&str>, "NULL"),
) -> Result<Vec<i64>, ErrorReport> {
    let leases = marked(p_ids, p_worker)?;
    let mut completed = Vec::with_capacity(leases.len());
    for (queue, leases) in by_queue(leases)? {
        completed.extend(finish::finish(ready(&queue)?, &leases, &Outcome::Completed)?);
    }
    Ok(completed)
}

fn marked(ids: Option<Vec<Option<i64>>>, worker: Option<&str>) -> Result<Vec<Lease>> {
    let ids = required(ids, "p_ids")?;
    prepare()?;
    Ok(finish::mark(ids.into_iter().flatten(), worker))
}

/// Leases can be looked up, and the user may change what they are of.
fn prepare() -> Result<()> {
    if !shared::is_there() {
        return Err(Error::NotPreloaded { what: "a queue" });
    }
    settings::queues()?;
    Messages::open(0).map(drop)
}

/// Leases with their queues; those of a queue that is gone are as good as finished.
fn by_queue(mut leases: Vec<Lease>) -> Result<Vec<(std::rc::Rc<Queue>, Vec<Lease>)>> {
    let queues = settings::queues()?;
    leases.sort_by_key(|lease| lease.queue);
    Ok(leases
        .chunk_by(|a, b| a.queue == b.queue)
        .filter_map(|leases| {
            let queue = queues.values().find(|queue| queue.number == leases[0].queue)?;
            Some((std::rc::Rc::clone(queue), leases.to_vec()))
        })
        .collect())
}

/// Gives an item back that could not be processed: `queued` where it is to be tried again, after `p_retry_after` or else
/// after a pause that doubles with each attempt, or `failed` where it had its last attempt: then it is a dead letter.
#[pg_extern]
fn fail_queue_item(
    p_id: Option<i64>,
    p_error_code: Option<&str>,
    p_error_message: Option<&str>,
    p_retry_after: default!(Option<Interval>, "NULL"),
    p_worker: default!(Option<&str>, "NULL"),
) -> Result<String, ErrorReport> {
    let id = required(p_id, "p_id")?;
    let (code, message) =
        (required(p_error_code, "p_error_code")?, required(p_error_message, "p_error_message")?);
    let pause = p_retry_after.map(|pause| not_negative(&pause, "p_retry_after")).transpose()?;
    if pause.is_some_and(|pause| pause > LONGEST_PAUSE) {
        return Err(Error::invalid("p_retry_after", "must be a year at most").into());
    }
    prepare()?;
    let leases = finish::mark(std::iter::once(id), p_worker);
    let Some((queue, leases)) = by_queue(leases)?.pop() else {
        return Err(Error::NotLeased { item: id, worker: p_worker.map(str::to_owned) }.into());
    };
    let lease = leases[0];
    if i32::from(lease.attempts) >= queue.max_attempts {
        finish::finish(ready(&queue)?, &leases, &Outcome::Failed { code, message })?;
        return Ok("failed".to_owned());
    }
    retry(&queue, &lease, (code, message), pause.unwrap_or_else(|| back_off(lease.attempts)))?;
    Ok("queued".to_owned())
}

/// The pause before the next attempt, in microseconds: doubled with each, and up to half as long again, so that what
/// failed together does not come back together.
fn back_off(attempts: u16) -> i64 {
    let pause = i64::from(retry_backoff_ms()) * 1000 * (1 << (i64::from(attempts).clamp(1, 17) - 1));
    // SAFETY: a random number of the server's.
    #[allow(unsafe_code)]
    let jitter = unsafe { pgrx::direct_function_call::<f64>(pg_sys::drandom, &[]) }.unwrap_or(0.0);
    pause + (pause as f64 * jitter / 2.0) as i64
}

fn retry(queue: &Queue, lease: &Lease, reason: (&str, &str), pause: i64) -> Result<()> {
    const RETRY: &str = include_str!("retry.sql");
    let key = ready(queue)?;
    let at = shared::now().saturating_add(pause);
    let (item, time) = (lease.key.item, TimestampWithTimeZone::try_from(lease.frame_timestamp));
    let arguments = [
        item.into(),
        time.ok().into(),
        queue.queue_id.as_str().into(),
        i32::from(lease.attempts).into(),
        reason.0.into(),
        reason.1.into(),
        TimestampWithTimeZone::try_from(at).ok().into(),
    ];
    database::run(RETRY, &arguments)?;
    effects::add(Effect::Retry { queue: key, at });
    Ok(())
}

/// Makes leases last for `p_lease` from now, those to `p_worker` where it is given, and returns whose.
#[pg_extern]
fn extend_lease(
    p_ids: Option<Vec<Option<i64>>>,
    p_lease: Option<Interval>,
    p_worker: default!(Option<&str>, "NULL"),
) -> Result<Vec<i64>, ErrorReport> {
    let ids = required(p_ids, "p_ids")?;
    let until = shared::now().saturating_add(duration(p_lease, "p_lease")?);
    prepare()?;
    let mut expiries = Vec::new();
    let mut held = HELD.exclusive();
    let shared::Held { leases, workers } = &mut *held;
    let mut extended = Vec::new();
    for id in ids.into_iter().flatten() {
        let Some(lease) = leases.get_mut(item_key(id)) else { continue };
        if !lease.is_finishing && p_worker.is_none_or(|worker| workers.is(lease.worker, worker)) {
            lease.until = until;
            extended.push(id);
            expiries.push(lease.queue);
        }
    }
    drop(held);
    note_expiry(&expiries, until)?;
    Ok(extended)
}

/// Leases of these queues end at that time.
fn note_expiry(queues: &[i64], until: i64) -> Result<()> {
    for queue in settings::queues()?.values().filter(|queue| queues.contains(&queue.number)) {
        if let Some(gauge) = shared::GAUGES.exclusive().get(super::key(queue)) {
            gauge.note_expiry(until);
        }
    }
    Ok(())
}

/// Puts dead letters of a queue up again, as if they had just come in: those with `p_ids`, or all. Returns how many.
#[pg_extern]
fn requeue_failed(
    p_queue_id: Option<&str>,
    p_ids: default!(Option<Vec<Option<i64>>>, "NULL"),
) -> Result<i64, ErrorReport> {
    const REQUEUE: &str = include_str!("requeue.sql");
    let queue = settings::queue(name(p_queue_id, "p_queue_id")?)?;
    super::admission::count_first(&queue)?;
    let requeued = database::value::<i64>(REQUEUE, &[queue.queue_id.as_str().into(), p_ids.into()])?;
    let items = requeued.unwrap_or(0);
    super::admission::entered(&queue, items)?;
    if items > 0 {
        wake::on_commit(wake::Sleeper::Vision);
        notify::arrived(&queue)?;
    }
    Ok(items)
}

/// Gives up everything that waits in a queue and is not being processed: the messages are skipped. Returns how many.
#[pg_extern]
fn purge_queue(p_queue_id: Option<&str>) -> Result<i64, ErrorReport> {
    const PURGE: &str = include_str!("purge.sql");
    let queue = settings::queue(name(p_queue_id, "p_queue_id")?)?;
    super::admission::count_first(&queue)?;
    // Nobody claims what is being given up.
    Lock::take(queue.number, Purpose::Claim).keep();
    let leased: Vec<i64> = if shared::is_there() {
        let (now, own) = (shared::now(), item_key(0));
        let held = HELD.share();
        let valid = held.of(own.database, own.queues).filter(|lease| !lease.has_expired(now));
        valid.map(|lease| lease.key.item).collect()
    } else {
        Vec::new()
    };
    let items = database::value::<i64>(PURGE, &[queue.queue_id.as_str().into(), leased.into()])?.unwrap_or(0);
    super::admission::left(&queue.queue_id, items, End::Skipped, 0)?;
    Ok(items)
}

/// Everything that is leased in this database.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn queue_leases() -> TableIterator<
    'static,
    (
        name!(id, i64),
        name!(worker, String),
        name!(attempts, i32),
        name!(claimed_at, Option<TimestampWithTimeZone>),
        name!(lease_until, Option<TimestampWithTimeZone>),
    ),
> {
    let mut rows = Vec::new();
    if shared::is_there() && settings::queues().is_ok() {
        let (held, own, now) = (HELD.share(), item_key(0), shared::now());
        for lease in held.of(own.database, own.queues).filter(|lease| !lease.has_expired(now)) {
            rows.push((
                lease.key.item,
                held.workers.text(lease.worker).to_owned(),
                i32::from(lease.attempts),
                TimestampWithTimeZone::try_from(lease.claimed_at).ok(),
                TimestampWithTimeZone::try_from(lease.until).ok(),
            ));
        }
    }
    TableIterator::new(rows)
}

/// The queues' figures in shared memory: items that are not finished, and since the server started those that ended, and
/// how long they took from claim to completion, in milliseconds.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn queue_figures() -> Result<
    TableIterator<
        'static,
        (
            name!(queue_id, String),
            name!(size, i64),
            name!(completed, i64),
            name!(failed, i64),
            name!(dropped, i64),
            name!(skipped, i64),
            name!(busy_ms, i64),
            name!(last_processed_at, Option<TimestampWithTimeZone>),
        ),
    >,
    ErrorReport,
> {
    let mut rows = Vec::new();
    if shared::is_there() {
        for queue in settings::queues()?.values() {
            if let Some(gauge) = shared::figures(super::key(queue)) {
                let finished_at = (gauge.finished_at != 0).then_some(gauge.finished_at);
                rows.push((
                    queue.queue_id.clone(),
                    gauge.size,
                    gauge.completed,
                    gauge.failed,
                    gauge.dropped,
                    gauge.skipped,
                    gauge.busy / 1000,
                    finished_at.and_then(|at| TimestampWithTimeZone::try_from(at).ok()),
                ));
            }
        }
    }
    Ok(TableIterator::new(rows))
}

/// An interval above 0 and of a day at most, in microseconds.
fn duration(value: Option<Interval>, parameter: &'static str) -> Result<i64> {
    let microseconds = not_negative(&required(value, parameter)?, parameter)?;
    if !(1..=LONGEST_LEASE).contains(&microseconds) {
        return Err(Error::invalid(parameter, "must be longer than 0 and at most a day"));
    }
    Ok(microseconds)
}

/// In microseconds; a month counts as 30 days, as in Postgres's comparisons.
fn not_negative(value: &Interval, parameter: &'static str) -> Result<i64> {
    const DAY: i64 = 86_400_000_000;
    let days = i64::from(value.months()) * 30 + i64::from(value.days());
    let microseconds = days.saturating_mul(DAY).saturating_add(value.micros());
    if microseconds < 0 { Err(Error::invalid(parameter, "must not be negative")) } else { Ok(microseconds) }
}
