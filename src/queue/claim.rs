//! Giving out items: leases that ran out first, then retries that are due, then what has arrived.

use camcount_queue::lease::Lease;
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
    let now = shared::now();
    let _lock = Lock::take(request.queue.number, Purpose::Claim);
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
    giving.expired()?;
    if room == 0 && giving.given == 0 {
        return Err(Error::TooManyLeases(shared::MOST_LEASES));
    }
    if room > 0 {
        giving.retries()?;
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
            let item = finish::item_of(&lease);
            if !self.is_done() && !self.offer(&item, Some(&lease))? {
                // It is finished, or gone.
                HELD.exclusive().remove(lease.key);
            }
        }
        let reason = Outcome::Failed {
            code: LEASE_EXPIRED,
            message: "its lease ran out, and it had no attempts left",
        };
        finish::mark(dead.iter().map(|lease| lease.key.item), None);
        finish::finish(self.key, &dead, &reason).map(drop)
    }

    /// Those of this queue, as many as there is use for; notes when the next one is due.
    fn take_expired(&self) -> Vec<Lease> {
        let (queue, now) = (self.request.queue.number, self.now);
        let held = HELD.share();
        let own = || {
            held.leases.iter().filter(|lease| {
                lease.queue == queue && lease.key.database == self.key.database && !lease.is_finishing
            })
        };
        let mut expired: Vec<Lease> = own().filter(|lease| lease.has_expired(now)).copied().collect();
        let next = own().filter(|lease| !lease.has_expired(now)).map(|lease| lease.until).min();
        drop(held);
        expired.sort_by_key(|lease| (-lease.priority, lease.key.item));
        let is_rest = expired.len() > self.most;
        expired.truncate(self.most);
        gauge(self.key, |gauge| gauge.next_expiry = if is_rest { 0 } else { next.unwrap_or(i64::MAX) });
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
        gauge(self.key, |gauge| gauge.next_retry = next.max(self.now));
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
        let attempts = before.map_or(0, |before| before.attempts).max(retries.clamp(0, 10_000) as u16) + 1;
        let row_id = row.row_id();
        let mut lease = Lease {
            key: item_key(item.id),
            frame_timestamp: item.frame_timestamp,
            claimed_at: self.now,
            until: self.now.saturating_add(self.request.lease),
            queue: self.request.queue.number,
            priority: row.get::<i32>(column::PROCESSING_PRIORITY).unwrap_or(0) as i16,
            attempts,
            is_retry,
            ..Lease::default()
        };
        (self.give)(&row, &lease);
        lease.row = self.messages.place(item, row_id);
        self.enter(lease)?;
        Ok(true)
    }

    /// From here on it counts, unless the transaction aborts.
    fn enter(&mut self, lease: Lease) -> Result<()> {
        let full = || Error::TooManyLeases(shared::MOST_LEASES);
        let mut held = HELD.exclusive();
        let worker = held.workers.number(self.request.worker).ok_or_else(full)?;
        if !held.insert(Lease { worker, ..lease }) {
            return Err(full());
        }
        drop(held);
        effects::add(Effect::Claimed { key: lease.key });
        self.given += 1;
        Ok(())
    }

    fn settle(self) -> usize {
        if self.given > 0 {
            let until = self.now.saturating_add(self.request.lease);
            gauge(self.key, |gauge| gauge.next_expiry = gauge.next_expiry.min(until));
        }
        self.given
    }
}
