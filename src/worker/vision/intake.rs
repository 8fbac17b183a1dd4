//! Takes from the queues what the vision worker is to process: what a pipeline serves, and counts, which need none. From
//! then on the items belong to their streams.

use std::collections::HashMap;

use camcount_queue::cursor::Cursor;
use pgrx::prelude::*;

use crate::database;
use crate::error::Result;
use crate::queue::order::{Item, Next, Order};
use crate::queue::settings::{self, Queue};
use crate::queue::shared::{self, GAUGES, HELD};
use crate::queue::{self, Lock, PRIORITIES, Purpose, item_key};
use crate::worker::wake;

/// Items taken at once from one queue and priority.
const MOST_ITEMS: usize = 1024;

/// How far this worker has looked through the queues. What it has no use for it passes by.
#[derive(Default)]
pub struct Intake {
    reached: Reached,
    /// As it will be once the transaction has committed.
    next: Reached,
    pipelines: Vec<i64>,
    /// Something waits until a queue's rate allows it.
    pub is_held_back: bool,
}

/// By queue and priority.
type Reached = HashMap<(i64, i32), Place>;

/// How far one queue and priority was read.
#[derive(Clone, Default)]
struct Place {
    cursor: Cursor,
    /// What was leased to somebody when it was passed.
    leased: Vec<Item>,
}

impl Intake {
    /// Takes what came in since the last time; all of it is looked at again where the active pipelines have changed.
    /// One worker at a time. Needs a transaction of its own: see [`Intake::confirm`].
    pub fn take(&mut self, pipelines: Vec<i64>) -> Result<()> {
        const LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended('camcount intake', 0))";
        let queues = settings::queues()?;
        let mut queues: Vec<_> = queues.values().collect();
        // In one order for all sessions that lock several.
        queues.sort_by_key(|queue| queue.number);
        if shared::is_there() {
            // Before anything is finished: what this transaction does not know of would be counted twice.
            queues.iter().try_for_each(|queue| queue::ready(queue).map(drop))?;
        }
        if self.pipelines != pipelines {
            self.reached.clear();
            self.pipelines = pipelines;
        }
        self.next = self.reached.clone();
        if database::value::<bool>(LOCK, &[])? != Some(true) {
            return Ok(());
        }
        let mut found = Found::Nothing;
        self.is_held_back = false;
        for queue in queues.into_iter().filter(|queue| queue.is_served) {
            // Until the commit, outside workers would not see what is taken.
            Lock::take(queue.number, Purpose::Claim).keep();
            let order = Order::open()?;
            for priority in PRIORITIES {
                let place = self.next.entry((queue.number, priority)).or_default();
                let some = take_from(place, queue, priority, &order)?;
                self.is_held_back |= some == Found::HeldBack;
                found = found.max(some);
            }
        }
        if found == Found::Something {
            wake::on_commit(wake::Sleeper::Vision);
        }
        Ok(())
    }

    /// The transaction has committed. Without this, the next call begins where this one began.
    pub fn confirm(&mut self) {
        std::mem::swap(&mut self.reached, &mut self.next);
    }
}

/// What a look at a queue came to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Nothing,
    /// The queue's rate does not allow more for now.
    HeldBack,
    /// Something was taken, or is left to be looked at.
    Something,
}

fn take_from(place: &mut Place, queue: &Queue, priority: i32, order: &Order) -> Result<Found> {
    let most = take_tokens(queue)?;
    let (leased, free): (Vec<Item>, Vec<Item>) = place.leased.drain(..).partition(is_leased);
    place.leased = leased;
    let (mut items, mut is_rest) = (free, false);
    order.read(&mut place.cursor, &queue.queue_id, priority, |item| {
        if items.len() >= most {
            is_rest = true;
            return Ok(Next::StopBefore);
        }
        if is_leased(item) {
            place.leased.push(*item);
        } else {
            items.push(*item);
        }
        Ok(Next::Continue)
    })?;
    let taken = hand_over(&items)?;
    put_back_tokens(queue, most.saturating_sub(taken))?;
    Ok(match (taken, is_rest) {
        (0, false) => Found::Nothing,
        (0, true) if most == 0 => Found::HeldBack,
        _ => Found::Something,
    })
}

/// To an outside worker. One whose lease ran out has lost it.
fn is_leased(item: &Item) -> bool {
    shared::is_there() && {
        let now = shared::now();
        HELD.exclusive().leases.get_mut(item_key(item.id)).is_some_and(|lease| !lease.has_expired(now))
    }
}

fn take_tokens(queue: &Queue) -> Result<usize> {
    if !shared::is_there() {
        return Ok(MOST_ITEMS);
    }
    let (key, now) = (queue::ready(queue)?, shared::now());
    let rate = f64::from(queue.processing_rate);
    let tokens = GAUGES.exclusive().get(key).map(|gauge| gauge.bucket.take(MOST_ITEMS, rate, now));
    Ok(tokens.unwrap_or(0))
}

fn put_back_tokens(queue: &Queue, tokens: usize) -> Result<()> {
    if shared::is_there() {
        let key = queue::ready(queue)?;
        if let Some(gauge) = GAUGES.exclusive().get(key) {
            gauge.bucket.put_back(tokens);
        }
    }
    Ok(())
}

/// Makes stream items of those that are wanted; returns how many.
fn hand_over(items: &[Item]) -> Result<usize> {
    const HAND_OVER: &str = include_str!("hand_over.sql");
    if items.is_empty() {
        return Ok(0);
    }
    let ids: Vec<i64> = items.iter().map(|item| item.id).collect();
    let times: Vec<_> =
        items.iter().map(|item| TimestampWithTimeZone::try_from(item.frame_timestamp).ok()).collect();
    database::run(HAND_OVER, &[ids.into(), times.into()])
}
