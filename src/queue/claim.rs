//! Giving out items: leases that ran out first, then retries that are due, then what has arrived.

use camcount_queue::lease::{Lease, Row as Place};
use pgrx::Spi;

use super::effects::{self, Effect};
use super::finish::{self, Outcome};
use super::messages::{Messages, column};
use super::order::{Item, Next, Order};
use super::settings::Queue;
use super::shared::{self, GAUGES, HELD, QueueKey};
use super::{Lock, PRIORITIES, Purpose, item_key, ready};
use crate::database;
use crate::error::{Error, Result};
use crate::rows::Stored;

/// SQLSTATE query_canceled: of items whose worker did not come back.
const LEASE_EXPIRED: &str = "57014";

/// Who claims, and what.
pub struct Request<'a> {
    pub queue: &'a Queue,
    pub worker: &'a str,
    pub most: usize,
    /// Microseconds.
    pub lease: i64,
    /// Which of the priorities: see [`PRIORITIES`].
    pub lanes: std::ops::Range<usize>,
    /// Nothing that was claimed before.
    pub arrivals_only: bool,
}

/// Leases up to so many items and hands each to `give`. Returns how many.
pub fn claim(request: &Request<'_>, give: impl FnMut(&Stored<'_>, &Lease)) -> Result<usize> {
    let queue = request.queue;
    let key = ready(queue)?;
    let now = shared::now();
    let rate = f64::from(queue.processing_rate);
    let tokens = gauge(key, |gauge| gauge.bucket.take(request.most, rate, now)).unwrap_or(0);
    let given = if tokens == 0 { 0 } else { take(request, key, tokens, give)? };
    gauge(key, |gauge| gauge.bucket.put_back(tokens - given));
    Ok(given)
}

fn gauge<T>(key: QueueKey, work: impl FnOnce(&mut shared::Gauge) -> T) -> Option<T> {
    GAUGES.exclusive().get(key).map(work)
}

/// As [`claim`], whatever the queue's rate.
pub fn take(
    request: &Request<'_>,
    key: QueueKey,
    most: usize,
    give: impl FnMut(&Stored<'_>, &Lease),
) -> Result<usize> {
    let _lock = Lock::take(request.queue.number, Purpose::Claim);
    // The lock may have been waited for.
    let now = shared::now();
    // Before the order's snapshot: rows that were on their way into another partition until the lock was had are seen.
    let messages =
        Messages::open(0)?.ok_or_else(|| Error::Denied { table: "realtime_data_ingestion".into() })?;
    let order = Order::open()?;
    let room = HELD.share().leases.room();
    let mut giving = Giving {
        request,
        key,
        now,
        // What expired has its place already.
        most: most.min(room.max(1)),
        order: &order,
        messages,
        given: 0,
        give,
    };
    if !request.arrivals_only {
        giving.expired()?;
    }
    if room == 0 && giving.given == 0 {
        return Err(Error::TooManyLeases(shared::MOST_LEASES));
    }
    if room > 0 {
        if !request.arrivals_only {
            giving.retries()?;
        }
        giving.arrivals()?;
    }
    Ok(giving.settle())
}

struct Giving<'a, G> {
    request: &'a Request<'a>,
    key: QueueKey,
    now: i64,
    most: usize,
    order: &'a Order,
    messages: Messages,
    given: usize,
    give: G,
}

impl<G: FnMut(&Stored<'_>, &Lease)> Giving<'_, G> {
    fn is_done(&self) -> bool {
        self.given >= self.most
    }

    /// Items whose lease ran out: to this worker, or to rest as dead letters.
    fn expired(&mut self) -> Result<()> {
        if gauge(self.key, |gauge| gauge.next_expiry).is_none_or(|at| at > self.now) {
            return Ok(());
        }
        let expired = self.take_expired();
        let (dead, alive): (Vec<_>, Vec<_>) = expired
            .into_iter()
            .partition(|lease| i32::from(lease.attempts) >= self.request.queue.max_attempts);
        for lease in alive {
            if !self.is_done() && !self.offer(&finish::item_of(&lease), Some(&lease))? {
                end_expired(&lease);
            }
        }
        let reason = Outcome::Failed {
            code: LEASE_EXPIRED,
            message: "its lease ran out, and it had no attempts left",
        };
        let dead = finish::mark_expired(&dead, self.now);
        finish::finish(self.key, &dead, &reason).map(drop)
    }

    /// Those of this queue, as many as there is use for; notes when the next one is due.
    fn take_expired(&self) -> Vec<Lease> {
        const SOON: i64 = 1_000_000;
        let (queue, now) = (self.request.queue.number, self.now);
        // In this order everywhere; and together, so that nothing is noted in between.
        let (mut gauges, held) = (GAUGES.exclusive(), HELD.share());
        let own = || held.of(self.key.database, self.key.table).filter(|lease| lease.queue == queue);
        let mut expired: Vec<Lease> = own().filter(|lease| lease.has_expired(now)).copied().collect();
        expired.sort_by_key(|lease| (-lease.priority, lease.key.item));
        let is_rest = expired.len() > self.most;
        expired.truncate(self.most);
        // What is being finished may come back.
        let next =
            own().filter(|lease| !lease.has_expired(now)).map(|lease| lease.until.max(now + SOON)).min();
        if let Some(gauge) = gauges.get(self.key) {
            gauge.next_expiry = if is_rest { 0 } else { next.unwrap_or(i64::MAX) };
        }
        expired
    }

    /// Items that failed and whose pause is over.
    fn retries(&mut self) -> Result<()> {
        const DUE: &str = "SELECT id, frame_timestamp FROM camcount.queue_retries
            WHERE queue_id = $1 AND available_at <= clock_timestamp() ORDER BY available_at, id LIMIT $2";
        const NEXT: &str =
            "SELECT extract(epoch FROM min(available_at) - timestamptz '2000-01-01 00:00:00+00')
                * 1000000 FROM camcount.queue_retries WHERE queue_id = $1";
        if self.is_done() || gauge(self.key, |gauge| gauge.next_retry).is_none_or(|at| at > self.now) {
            return Ok(());
        }
        // What is put up meanwhile lowers it again. A transaction with a snapshot of its own does not see that.
        if !has_own_snapshot() {
            gauge(self.key, |gauge| gauge.next_retry = i64::MAX);
        }
        // Those that are leased are still there.
        let most = self.most + shared::MOST_LEASES - HELD.share().leases.room();
        let queue_id = self.request.queue.queue_id.as_str();
        let due = Spi::connect_mut(|client| {
            let mut due = Vec::new();
            for row in database::execute(client, DUE, &[queue_id.into(), (most as i64).into()])? {
                let time: Option<pgrx::prelude::TimestampWithTimeZone> = row.get(2)?;
                due.extend(row.get::<i64>(1)?.zip(time.map(i64::from)));
            }
            Ok::<_, Error>(due)
        })?;
        for (id, frame_timestamp) in due {
            if self.is_done() {
                return Ok(());
            }
            let row_id = crate::rows::RowId { block: u32::MAX, line: 0 };
            let retry = Lease { is_retry: true, ..Lease::default() };
            if !HELD.share().leases.contains(item_key(id)) {
                self.offer(&Item { id, frame_timestamp, row_id }, Some(&retry))?;
            }
        }
        let next = database::value::<pgrx::AnyNumeric>(NEXT, &[queue_id.into()])?;
        let next = next.and_then(|next| i64::try_from(next.floor()).ok()).unwrap_or(i64::MAX);
        gauge(self.key, |gauge| gauge.next_retry = gauge.next_retry.min(next.max(self.now)));
        Ok(())
    }

    /// What has arrived and was not given out yet.
    fn arrivals(&mut self) -> Result<()> {
        let order = self.order;
        for lane in self.request.lanes.clone() {
            if self.is_done() {
                return Ok(());
            }
            let mut cursor = shared::cursor(self.key, lane);
            order.read(&mut cursor, &self.request.queue.queue_id, PRIORITIES[lane], |item| {
                if self.is_done() {
                    return Ok(Next::StopBefore);
                }
                if !HELD.share().leases.contains(item_key(item.id)) {
                    self.offer(item, None)?;
                }
                Ok(Next::Continue)
            })?;
            shared::set_cursor(self.key, lane, cursor);
        }
        Ok(())
    }

    /// Leases an item and gives it, unless it is finished, gone, or the vision worker's. `before` is the lease that it
    /// had, or what is known of it otherwise.
    fn offer(&mut self, item: &Item, before: Option<&Lease>) -> Result<bool> {
        let Some(row) = self.messages.find(item, self.order.snapshot()) else { return Ok(false) };
        let is_pending = row.get::<&str>(column::PROCESSING_STATUS) == Some("pending");
        let is_handed_over = row.get::<bool>(column::IS_HANDED_OVER) == Some(true);
        let is_retry = before.is_some_and(|before| before.is_retry);
        if !is_pending || is_handed_over != is_retry {
            return Ok(false);
        }
        let retries = row.get::<i32>(column::RETRY_COUNT).unwrap_or(0);
        let attempts = before.map_or(0, |before| before.attempts).max(retries.clamp(0, 60_000) as u16);
        let row_id = row.row_id();
        let lease = Lease {
            key: item_key(item.id),
            frame_timestamp: item.frame_timestamp,
            claimed_at: self.now,
            until: self.now.saturating_add(self.request.lease),
            queue: self.request.queue.number,
            row: Place { block: row_id.block, line: row_id.line },
            priority: row.get::<i32>(column::PROCESSING_PRIORITY).unwrap_or(0) as i16,
            attempts: attempts.saturating_add(1),
            is_retry,
            ..Lease::default()
        };
        if !enter(self.request.worker, lease, before.filter(|before| before.key == lease.key))? {
            return Ok(true);
        }
        self.given += 1;
        (self.give)(&row, &lease);
        Ok(true)
    }

    fn settle(self) -> usize {
        if self.given > 0 {
            let until = self.now.saturating_add(self.request.lease);
            gauge(self.key, |gauge| gauge.note_expiry(until));
        }
        self.given
    }
}

/// Enters a lease; from here on it counts, unless the transaction aborts. False where the lease that the item had is no
/// longer as it was, or where it has one meanwhile.
fn enter(worker: &str, lease: Lease, before: Option<&Lease>) -> Result<bool> {
    let full = || Error::TooManyLeases(shared::MOST_LEASES);
    let mut held = HELD.exclusive();
    let current = held.leases.get_mut(lease.key).map(|lease| *lease);
    let is_as_before = match (current, before) {
        (None, None) => true,
        (Some(current), Some(before)) => is_same(&current, before) && current.has_expired(lease.claimed_at),
        _ => false,
    };
    if !is_as_before {
        return Ok(false);
    }
    let worker = held.workers.number(worker).ok_or_else(full)?;
    if !held.insert(Lease { worker, ..lease }) {
        return Err(full());
    }
    drop(held);
    effects::add(Effect::Claimed { key: lease.key, claimed_at: lease.claimed_at });
    Ok(true)
}

/// Of an item that is finished or gone.
fn end_expired(lease: &Lease) {
    let mut held = HELD.exclusive();
    if held.leases.get_mut(lease.key).is_some_and(|current| is_same(current, lease) && !current.is_finishing)
    {
        held.remove(lease.key);
    }
}

/// Whether it is the same lease, and not a later one of the same item.
fn is_same(a: &Lease, b: &Lease) -> bool {
    (a.key, a.claimed_at, a.until, a.worker) == (b.key, b.claimed_at, b.until, b.worker)
}

/// Whether the transaction works with the snapshot that it took first.
pub fn has_own_snapshot() -> bool {
    // SAFETY: the current transaction's isolation level, 0 to 3; from repeatable read on it keeps its snapshot.
    #[allow(unsafe_code)]
    unsafe {
        pgrx::pg_sys::XactIsoLevel >= pgrx::pg_sys::XACT_REPEATABLE_READ as i32
    }
}
