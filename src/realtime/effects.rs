//! What a transaction does to buffered counters takes effect with its commit, or is undone with its abort; that of a
//! subtransaction likewise.

use std::cell::{Cell, RefCell};

use camcount_counter::pending::{Addition, Cut};
use camcount_counter::table::Key;
use pgrx::prelude::*;

use super::buffer::BUFFER;
use super::transaction::{Id, Own, Spoiled, Transaction, Write};

thread_local! {
    static TRANSACTION: RefCell<Transaction> = RefCell::default();
    static IS_REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// The current (sub)transaction, whose end will be heard of.
fn current() -> Id {
    // SAFETY: within a transaction; the functions live as long as the process and are registered once.
    #[allow(unsafe_code)]
    unsafe {
        if !IS_REGISTERED.replace(true) {
            pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(at_subtransaction_end), std::ptr::null_mut());
        }
        pg_sys::GetCurrentSubTransactionId()
    }
}

/// Adds an increment to a counter once the transaction commits, and returns the count with it. `None`, with nothing
/// done, where that is not possible, or not known, at the moment.
pub fn add(key: Key, place: usize, addition: Addition, now: i64) -> Option<i64> {
    let id = current();
    TRANSACTION.with_borrow_mut(|transaction| {
        if transaction.has_changed(key) {
            return None;
        }
        let own = transaction.own.get_mut(&key);
        let count = {
            let mut buffer = BUFFER.exclusive();
            if !buffer.is_served(now) {
                return None;
            }
            let shared =
                buffer.counters.place(place, key).filter(|place| place.pending.has_room(addition.hour))?;
            let count = shared.count()?;
            if own.is_none() {
                shared.pin();
            }
            count
        };
        let own = match own {
            Some(own) => own,
            None => transaction.own.entry(key).or_insert(Own { place, additions: Vec::new() }),
        };
        own.add(id, addition);
        Some(count.saturating_add(own.sum()))
    })
}

/// Increments that the transaction itself has still to add to a counter.
pub fn own(key: Key) -> Vec<Addition> {
    TRANSACTION.with_borrow(|transaction| transaction.own.get(&key).map(Own::summed).unwrap_or_default())
}

/// The current (sub)transaction has written a counter's row with everything that was pending at the cut, and with its
/// `own` increments. Whoever does holds the counter's lock from before the cut until the end.
pub fn written(key: Key, cut: Cut, own: &[Addition], stored: i64) {
    let by = current();
    // SAFETY: within a transaction that has written.
    #[allow(unsafe_code)]
    let writer = u32::from(unsafe { pg_sys::GetCurrentTransactionId() });
    TRANSACTION.with_borrow_mut(|transaction| {
        if let Some(counter) = transaction.own.get_mut(&key) {
            for addition in own {
                counter.add(by, Addition { value: -addition.value, ..*addition });
            }
        }
        let mut buffer = BUFFER.exclusive();
        let Some(place) = buffer.counters.get(key) else {
            transaction.spoil(by, Spoiled::One(key));
            return;
        };
        let before = place.pending.begin(writer, cut);
        transaction.note(Write { by, key, before, stored });
    });
}

/// Somebody has changed or deleted a row without regard to what is pending.
pub fn spoil(key: Key) {
    add_spoiled(Spoiled::One(key));
}

/// Somebody has emptied the table.
pub fn truncated(table: u32) {
    add_spoiled(Spoiled::Truncated(table));
}

fn add_spoiled(spoiled: Spoiled) {
    let by = current();
    TRANSACTION.with_borrow_mut(|transaction| transaction.spoil(by, spoiled));
}

/// Whether the transaction has changed the counter's row itself, so that what others see is not what it sees.
pub fn has_changed(key: Key) -> bool {
    TRANSACTION.with_borrow(|transaction| transaction.has_changed(key))
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _argument: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_PRE_PREPARE => refuse_to_prepare(),
        XACT_EVENT_COMMIT | XACT_EVENT_PREPARE => TRANSACTION.take().apply(),
        XACT_EVENT_ABORT => TRANSACTION.take().undo(),
        _ => {}
    }
}

/// A prepared transaction may be ended by any session, or after a restart: then nobody would know of these.
fn refuse_to_prepare() {
    let is_there = TRANSACTION.with_borrow(|transaction| !transaction.is_empty());
    if is_there {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "cannot prepare a transaction that has changed counters which may be buffered"
        );
    }
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn at_subtransaction_end(
    event: pg_sys::SubXactEvent::Type,
    own: Id,
    parent: Id,
    _argument: *mut std::ffi::c_void,
) {
    use pg_sys::SubXactEvent::*;
    match event {
        SUBXACT_EVENT_COMMIT_SUB => {
            TRANSACTION.with_borrow_mut(|transaction| transaction.hand_over(own, parent))
        }
        SUBXACT_EVENT_ABORT_SUB => TRANSACTION.with_borrow_mut(|transaction| transaction.undo_part(own)),
        _ => {}
    }
}
