//! Who may put how much into a queue.

use super::claim::{self, Request};
use super::effects::{self, Effect, End};
use super::finish::{self, Outcome};
use super::settings::{self, Queue};
use super::shared::{self, GAUGES, QueueKey};
use super::{FRAMES, ready};
use crate::database;
use crate::error::{Error, Result};

/// SQLSTATE configuration_limit_exceeded.
const FULL: &str = "53400";

/// Takes places for so many items if there are as many. Without shared memory there is no limit.
pub fn has_room(queue: &Queue, items: usize) -> Result<bool> {
    if items == 0 || !shared::is_there() {
        return Ok(true);
    }
    let key = ready(queue)?;
    let taken = take_places(queue, key, items);
    if taken < items {
        unused(queue, taken)?;
    }
    Ok(taken == items)
}

/// Takes places for so many items, at least `least` of them, and returns how many.
///
/// # Errors
/// A full queue, where it cannot make room by dropping its oldest frames.
pub fn admit(queue: &Queue, items: usize, least: usize) -> Result<usize> {
    if items == 0 || !shared::is_there() {
        return Ok(items);
    }
    let key = ready(queue)?;
    let mut admitted = take_places(queue, key, items);
    if admitted < items && queue.drops_oldest {
        // Their places are ours: they are free for others only once this transaction has committed.
        let dropped = drop_oldest(queue, key, items - admitted)?;
        reserve(key, dropped as i64);
        admitted += dropped;
    }
    if admitted < least {
        unused(queue, admitted)?;
        let size = GAUGES.exclusive().get(key).map_or(0, |gauge| gauge.size);
        return Err(Error::QueueFull { queue: queue.queue_id.clone(), size, max_size: queue.max_size });
    }
    Ok(admitted)
}

/// As many as there is room for.
fn take_places(queue: &Queue, key: QueueKey, items: usize) -> usize {
    let mut gauges = GAUGES.exclusive();
    let Some(gauge) = gauges.get(key) else { return 0 };
    let room = usize::try_from(queue.max_size - gauge.size).unwrap_or(0);
    let taken = items.min(room);
    gauge.size += taken as i64;
    drop(gauges);
    effects::add(Effect::Entered { queue: key, items: taken as i64 });
    taken
}

fn reserve(key: QueueKey, items: i64) {
    if let Some(gauge) = GAUGES.exclusive().get(key) {
        gauge.size += items;
    }
    effects::add(Effect::Entered { queue: key, items });
}

/// Gives up so many of the queue's oldest frames, if there are: those that the vision worker has taken over, and then
/// those that wait.
fn drop_oldest(queue: &Queue, key: QueueKey, items: usize) -> Result<usize> {
    const DROP: &str = include_str!("drop_oldest.sql");
    const MESSAGE: &str = "the queue was full and newer frames came";
    let arguments = [queue.queue_id.as_str().into(), (items as i64).into(), FULL.into(), MESSAGE.into()];
    let taken_over = database::run(DROP, &arguments)?;
    effects::add(Effect::Left { queue: key, items: taken_over as i64, end: End::Dropped, busy: 0 });
    let mut waiting = Vec::new();
    if taken_over < items {
        let request = Request {
            queue,
            worker: "overflow",
            most: items - taken_over,
            lease: 1_000_000,
            lanes: FRAMES..FRAMES + 1,
            arrivals_only: true,
        };
        claim::take(&request, key, request.most, |_, lease| waiting.push(lease.key.item))?;
    }
    let leases = finish::mark(waiting.into_iter(), None);
    let dropped = finish::finish(key, &leases, &Outcome::Dropped { code: FULL, message: MESSAGE })?;
    Ok(taken_over + dropped.len())
}

/// To be called before a change that is to be noted afterwards: what is counted then would be counted twice.
pub fn count_first(queue: &Queue) -> Result<()> {
    if shared::is_there() { ready(queue).map(drop) } else { Ok(()) }
}

/// Items came in past the limit: dead letters that are put up again.
pub fn entered(queue: &Queue, items: i64) -> Result<()> {
    if items > 0 && shared::is_there() {
        reserve(ready(queue)?, items);
    }
    Ok(())
}

/// Gives places back that were not used.
pub fn unused(queue: &Queue, items: usize) -> Result<()> {
    if items > 0 && shared::is_there() {
        reserve(ready(queue)?, -(items as i64));
    }
    Ok(())
}

/// Items of a queue have ended otherwise than by an outside worker; `busy` is in microseconds.
pub fn left(queue_id: &str, items: i64, end: End, busy: i64) -> Result<()> {
    if items > 0 && shared::is_there() {
        // The queue may have been deleted.
        if let Some(queue) = settings::queues()?.get(queue_id) {
            effects::add(Effect::Left { queue: ready(queue)?, items, end, busy });
        }
    }
    Ok(())
}
