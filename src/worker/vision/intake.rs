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
    cursors: HashMap<(i64, i32), Cursor>,
    pipelines: Vec<i64>,
}

impl Intake {
    /// Takes what came in since the last time; all of it is looked at again where the active pipelines have changed.
    /// One worker at a time. Needs a transaction.
    pub fn take(&mut self, pipelines: Vec<i64>) -> Result<()> {
        const LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended('camcount intake', 0))";
        let queues = settings::queues()?;
        if shared::is_there() {
            // Before anything is finished: what this transaction does not know of would be counted twice.
            queues.values().try_for_each(|queue| queue::ready(queue).map(drop))?;
        }
        if database::value::<bool>(LOCK, &[])? != Some(true) {
            return Ok(());
        }
        if self.pipelines != pipelines {
            self.cursors.clear();
            self.pipelines = pipelines;
        }
        let mut taken = 0;
        for queue in queues.values().filter(|queue| queue.is_served) {
            // Until the commit, outside workers would not see what is taken.
            Lock::take(queue.number, Purpose::Claim).keep();
            let order = Order::open()?;
            for priority in PRIORITIES {
                taken += self.take_from(queue, priority, &order)?;
            }
        }
        if taken > 0 {
            wake::on_commit(wake::Sleeper::Vision);
        }
        Ok(())
    }

    fn take_from(&mut self, queue: &Queue, priority: i32, order: &Order) -> Result<usize> {
        let cursor = self.cursors.entry((queue.number, priority)).or_default();
        let most = take_tokens(queue)?;
        let mut items = Vec::new();
        order.read(cursor, &queue.queue_id, priority, |item| {
            if items.len() >= most {
                return Ok(Next::StopBefore);
            }
            let is_leased = shared::is_there() && HELD.share().leases.contains(item_key(item.id));
            if !is_leased {
                items.push(*item);
            }
            Ok(Next::Continue)
        })?;
        let taken = hand_over(&items)?;
        put_back_tokens(queue, most - taken)?;
        Ok(taken)
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
