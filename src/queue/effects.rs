//! What a transaction does to the shared figures and leases takes effect with its commit, or is undone with its abort;
//! that of a subtransaction likewise.

use std::cell::{Cell, RefCell};

use camcount_queue::lease::Key;
use pgrx::prelude::*;

use super::shared::{self, GAUGES, HELD, QueueKey};

/// One thing that was done.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// Items came into a queue, and count already.
    Entered { queue: QueueKey, items: i64 },
    /// An item was leased.
    Claimed { key: Key, claimed_at: i64 },
    /// Items have come in for which nobody was told.
    Arrived { queue: QueueKey },
    /// A leased item was finished, or put up for another attempt.
    Finished { key: Key },
    /// Items of a queue are finished.
    Left { queue: QueueKey, items: i64, end: End, busy: i64 },
    /// An item is to be tried again, not before.
    Retry { queue: QueueKey, at: i64 },
}

/// How items ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Completed,
    Failed,
    Dropped,
    /// Skipped as too late, or purged.
    Skipped,
}

thread_local! {
    static EFFECTS: RefCell<Vec<(pg_sys::SubTransactionId, Effect)>> = const { RefCell::new(Vec::new()) };
    static IS_REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Notes what the current (sub)transaction has done.
pub fn add(effect: Effect) {
    // SAFETY: within a transaction; the functions live as long as the process and are registered once.
    #[allow(unsafe_code)]
    let subtransaction = unsafe {
        if !IS_REGISTERED.replace(true) {
            pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(at_subtransaction_end), std::ptr::null_mut());
        }
        pg_sys::GetCurrentSubTransactionId()
    };
    EFFECTS.with_borrow_mut(|effects| {
        // Of many messages in one transaction.
        if let (Some((id, Effect::Entered { queue, items })), Effect::Entered { queue: other, items: more }) =
            (effects.last_mut(), effect)
            && (*id, *queue) == (subtransaction, other)
        {
            *items += more;
            return;
        }
        effects.push((subtransaction, effect));
    });
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _argument: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_PRE_PREPARE => refuse_to_prepare(),
        XACT_EVENT_COMMIT | XACT_EVENT_PREPARE => apply(EFFECTS.take()),
        XACT_EVENT_ABORT => undo(EFFECTS.take().into_iter().map(|(_, effect)| effect)),
        _ => {}
    }
}

/// A prepared transaction may be ended by any session, or after a restart: then nobody would know of these.
fn refuse_to_prepare() {
    let is_there = EFFECTS.with_borrow(|effects| !effects.is_empty());
    if is_there {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "cannot prepare a transaction that has put items into a queue or taken them from it"
        );
    }
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn at_subtransaction_end(
    event: pg_sys::SubXactEvent::Type,
    own: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    _argument: *mut std::ffi::c_void,
) {
    use pg_sys::SubXactEvent::*;
    match event {
        SUBXACT_EVENT_COMMIT_SUB => EFFECTS.with_borrow_mut(|effects| {
            effects.iter_mut().filter(|(id, _)| *id == own).for_each(|(id, _)| *id = parent);
        }),
        SUBXACT_EVENT_ABORT_SUB => {
            let all = EFFECTS.take();
            let (undone, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|(id, _)| *id == own);
            EFFECTS.set(kept);
            undo(undone.into_iter().map(|(_, effect)| effect));
        }
        _ => {}
    }
}

fn apply(effects: Vec<(pg_sys::SubTransactionId, Effect)>) {
    if effects.is_empty() {
        return;
    }
    let now = shared::now();
    let (mut gauges, mut held) = (GAUGES.exclusive(), HELD.exclusive());
    for (_, effect) in effects {
        match effect {
            Effect::Entered { .. } | Effect::Claimed { .. } => {}
            Effect::Finished { key } => drop(held.remove(key)),
            Effect::Arrived { queue } => {
                if let Some(gauge) = gauges.get(queue) {
                    gauge.owes_notification = true;
                }
            }
            Effect::Left { queue, items, end, busy } => {
                let Some(gauge) = gauges.get(queue) else { continue };
                gauge.size -= items;
                gauge.finished_at = now;
                gauge.busy += busy;
                match end {
                    End::Completed => gauge.completed += items,
                    End::Failed => gauge.failed += items,
                    End::Dropped => gauge.dropped += items,
                    End::Skipped => gauge.skipped += items,
                }
            }
            Effect::Retry { queue, at } => {
                if let Some(gauge) = gauges.get(queue) {
                    gauge.next_retry = gauge.next_retry.min(at);
                }
            }
        }
    }
}

fn undo(effects: impl Iterator<Item = Effect>) {
    let effects: Vec<_> = effects.collect();
    if effects.is_empty() {
        return;
    }
    let (mut gauges, mut held) = (GAUGES.exclusive(), HELD.exclusive());
    // Backwards: an item may have been claimed and finished.
    for effect in effects.into_iter().rev() {
        match effect {
            Effect::Entered { queue, items } => {
                if let Some(gauge) = gauges.get(queue) {
                    gauge.size -= items;
                }
            }
            Effect::Claimed { key, claimed_at } => {
                let Some(lease) = held.leases.get_mut(key) else { continue };
                if lease.claimed_at != claimed_at {
                    continue;
                }
                // Whoever comes next gets it at once, and the attempt does not count.
                lease.until = i64::MIN;
                lease.attempts = lease.attempts.saturating_sub(1);
                gauges.of_database(key.database).for_each(|gauge| gauge.next_expiry = 0);
            }
            Effect::Finished { key } => {
                if let Some(lease) = held.leases.get_mut(key) {
                    lease.is_finishing = false;
                    let until = lease.until;
                    gauges.of_database(key.database).for_each(|gauge| gauge.note_expiry(until));
                }
            }
            Effect::Left { .. } | Effect::Retry { .. } | Effect::Arrived { .. } => {}
        }
    }
}
