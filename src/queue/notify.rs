//! LISTEN camcount_queue: an outside worker that sleeps is told when items arrive. Not for each: a notification takes a
//! lock of the whole server when its transaction commits.

use pgrx::prelude::*;

use super::effects::{self, Effect};
use super::ready;
use super::settings::{self, Queue};
use super::shared::{self, GAUGES};
use crate::error::Result;
use crate::worker::wake;

/// Between two notifications for a queue, in microseconds.
const PAUSE: i64 = 1_000_000;

/// Items have come into a queue: tells the listeners when the transaction commits, or leaves it to the maintenance worker
/// where they were told a moment ago.
pub fn arrived(queue: &Queue) -> Result<()> {
    if !shared::is_there() {
        return Ok(());
    }
    let (key, now) = (ready(queue)?, shared::now());
    let (is_due, is_owed) = {
        let mut gauges = GAUGES.exclusive();
        let Some(gauge) = gauges.get(key) else { return Ok(()) };
        let is_due = now - gauge.notified_at >= PAUSE;
        if is_due {
            gauge.notified_at = now;
        }
        (is_due, gauge.owes_notification)
    };
    if is_due {
        send(&queue.queue_id);
    } else {
        effects::add(Effect::Arrived { queue: key });
        // Once: it looks again each second while items come.
        if !is_owed {
            wake::on_commit(wake::Sleeper::Maintenance);
        }
    }
    Ok(())
}

/// Sends what is owed; called by the maintenance worker.
pub fn send_owed() -> Result<()> {
    if !shared::is_there() {
        return Ok(());
    }
    for queue in settings::queues()?.values() {
        let (key, now) = (super::key(queue), shared::now());
        let is_owed = GAUGES.exclusive().get(key).is_some_and(|gauge| {
            let is_owed = gauge.owes_notification && now - gauge.notified_at >= PAUSE;
            if is_owed {
                gauge.notified_at = now;
                gauge.owes_notification = false;
            }
            is_owed
        });
        if is_owed {
            send(&queue.queue_id);
        }
    }
    Ok(())
}

fn send(queue_id: &str) {
    let arguments = ["camcount_queue".into_datum(), queue_id.into_datum()];
    // SAFETY: the function of that name in SQL, with its two texts.
    #[allow(unsafe_code)]
    unsafe {
        pgrx::direct_function_call_as_datum(pg_sys::pg_notify, &arguments);
    }
}
