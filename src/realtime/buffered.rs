//! Increments of buffered counters: they change shared memory alone, when their transaction commits.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use camcount_counter::config::Mode;
use camcount_counter::pending::Addition;
use camcount_counter::table::Key;
use pgrx::prelude::*;

use super::buffer::{self, BUFFER, COUNTERS};
use super::record::{self, Record, Records, Which};
use super::{effects, periods};
use crate::error::Result;
use crate::queue::shared::now;

/// Where a counter is.
#[derive(Clone, Copy, Debug)]
struct Place {
    key: Key,
    index: usize,
}

/// Places by camera and counter.
type Known = HashMap<String, HashMap<String, Place>>;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static TABLE: Cell<u32> = const { Cell::new(0) };
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Increments a counter that is known to be buffered and returns its count. `None`, with nothing done, where it is not,
/// or where increments have to be durable: they are not positive, nobody would flush them, or the transaction has changed
/// the counter's row.
pub fn increment(camera_id: &str, counter_name: &str, values: &[i32]) -> Result<Option<i64>> {
    let known = KNOWN.with_borrow(|known| known.get(camera_id)?.get(counter_name).copied());
    let Some(place) = known.filter(|_| can_be_buffered(values) && may_increment()) else { return Ok(None) };
    let at = now();
    let [hour, ..] = periods::starts(camera_id, at)?;
    let addition = Addition { hour, at, value: values.iter().copied().map(i64::from).sum() };
    if let Some(count) = effects::add(place.key, place.index, addition, at) {
        return Ok(Some(count));
    }
    if effects::has_changed(place.key) || !is_usable(place, hour, at) || !refresh(place.key)? {
        return Ok(None);
    }
    Ok(effects::add(place.key, place.index, addition, at))
}

/// Whether they can be summed, and flushed in any order with others.
pub fn can_be_buffered(values: &[i32]) -> bool {
    values.iter().all(|&value| value > 0)
}

/// As where the row itself is changed.
fn may_increment() -> bool {
    // SAFETY: within a transaction; the name is a C string.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::PreventCommandIfReadOnly(c"increment_realtime_counter()".as_ptr());
        let (table, user) = (pg_sys::Oid::from(TABLE.get()), pg_sys::GetUserId());
        [pg_sys::ACL_SELECT, pg_sys::ACL_UPDATE].iter().all(|&right| {
            pg_sys::pg_class_aclcheck(table, user, right.into()) == pg_sys::AclResult::ACLCHECK_OK
        })
    }
}

/// Whether there is nothing in the way but that the stored count is not known.
fn is_usable(place: Place, hour: i64, now: i64) -> bool {
    let mut buffer = BUFFER.exclusive();
    if !buffer.is_served(now) {
        return false;
    }
    match buffer.counters.place(place.index, place.key) {
        Some(shared) => shared.count().is_none() && shared.pending.has_room(hour),
        None => {
            drop(buffer);
            forget_all();
            false
        }
    }
}

/// Reads the stored count. False where there is none.
fn refresh(key: Key) -> Result<bool> {
    let Some(records) = Records::open() else { return Ok(false) };
    Ok(read(&records, Which::Id(key.counter))?.is_some())
}

/// A counter as it is now, and what its row lacks of it.
pub fn read(records: &Records, which: Which<'_>) -> Result<Option<(Record, Vec<Addition>)>> {
    match records.find(which, |found| found.map(|at| at.record)) {
        Some(record) => complete(records, record),
        None => Ok(None),
    }
}

/// As [`read`], of a row that was read just now.
pub fn complete(records: &Records, mut record: Record) -> Result<Option<(Record, Vec<Addition>)>> {
    if !buffer::is_there() {
        return Ok(Some((record, Vec::new())));
    }
    let key = buffer::key(records.oid(), record.id);
    loop {
        let Some(before) = BUFFER.exclusive().counters.get(key).map(|place| *place) else {
            return Ok(Some((record, Vec::new())));
        };
        let Some(found) = records.find(Which::Id(key.counter), |found| found.map(|at| at.record)) else {
            return Ok(None);
        };
        record = found;
        let writer = before.pending.writer();
        let is_own = writer != 0 && is_current(writer);
        // A writer that is neither at work nor known to have ended is about to say how it did.
        let is_certain = writer == 0 || is_own || (record.writer != writer && is_in_progress(writer));
        let mut buffer = BUFFER.exclusive();
        let unchanged = buffer.counters.get(key).filter(|place| place.version() == before.version());
        if let Some(place) = unchanged.filter(|place| is_certain && place.pending.writer() == writer) {
            if !is_own && !effects::has_changed(key) {
                place.refresh(before.version(), record.counts.current);
            }
            let mut lacking: Vec<Addition> = place.pending.lacking(is_own).collect();
            drop(buffer);
            lacking.extend(effects::own(key));
            return Ok(Some((record, lacking)));
        }
        drop(buffer);
        pgrx::check_for_interrupts!();
        std::thread::yield_now();
    }
}

fn is_current(transaction: u32) -> bool {
    // SAFETY: looks at this process's own transactions.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::TransactionIdIsCurrentTransactionId(pg_sys::TransactionId::from(transaction))
    }
}

fn is_in_progress(transaction: u32) -> bool {
    // SAFETY: looks the transaction up among those that run.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::TransactionIdIsInProgress(pg_sys::TransactionId::from(transaction))
    }
}

/// Notes that a counter is buffered; false where it cannot be. `changes` is what [`changes`] was before its row was
/// read.
pub fn remember(records: &Records, record: &Record, changes: u64) -> Result<bool> {
    if record.mode != Mode::Buffered || !buffer::is_there() || CHANGES.get() != changes {
        return Ok(false);
    }
    let key = buffer::key(records.oid(), record.id);
    let Some(index) = buffer::enter(key, now()) else { return Ok(false) };
    TABLE.set(records.oid());
    if COUNT.get() >= 2 * COUNTERS {
        forget_all();
    }
    COUNT.set(COUNT.get() + 1);
    KNOWN.with_borrow_mut(|known| {
        let counters = known.entry(record.camera_id.clone()).or_default();
        counters.insert(record.counter_name.clone(), Place { key, index });
    });
    Ok(true)
}

/// A number that changes with the configuration of any counter.
pub fn changes() -> u64 {
    // Has the server tell this process of changes: the table's triggers send them with the transaction that makes them.
    if !IS_WATCHING.replace(true) {
        // SAFETY: a function that lives as long as the process, registered once.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::null());
        }
    }
    CHANGES.get()
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, table: pg_sys::Oid) {
    if table == pg_sys::InvalidOid || table.to_u32() == TABLE.get() || TABLE.get() == 0 {
        CHANGES.set(CHANGES.get().wrapping_add(1));
        forget_all();
    }
}

fn forget_all() {
    KNOWN.with_borrow_mut(HashMap::clear);
    COUNT.set(0);
}

/// Notes that a counter's row was changed or deleted otherwise than by an increment or a reset. Called by a trigger.
#[pg_extern]
pub fn forget_counter(p_id: Option<i64>) {
    if let Some((id, table)) = p_id.zip(record::table()).filter(|_| buffer::is_there()) {
        effects::spoil(buffer::key(table, id));
    }
}

/// Tells all sessions that a counter's name or configuration has changed, or that it is gone, once the transaction
/// commits; that they are all gone where `p_all`. Called by a trigger.
///
/// # Errors
/// Increments that are pending go with `p_all`: that takes the right to empty the table.
#[pg_extern]
pub fn forget_counters(p_all: Option<bool>) {
    let Some(table) = record::table().filter(|_| buffer::is_there()) else { return };
    if p_all == Some(true) {
        // SAFETY: the relation exists.
        #[allow(unsafe_code)]
        let right = unsafe {
            let right = pg_sys::ACL_TRUNCATE.into();
            pg_sys::pg_class_aclcheck(pg_sys::Oid::from(table), pg_sys::GetUserId(), right)
        };
        if right != pg_sys::AclResult::ACLCHECK_OK {
            let code = PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE;
            ereport!(ERROR, code, "permission denied for table realtime_counters");
        }
        effects::truncated(table);
    }
    // SAFETY: the relation exists.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::CacheInvalidateRelcacheByRelid(pg_sys::Oid::from(table));
    }
}
