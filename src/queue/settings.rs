//! The queues' settings, read once and again when somebody changes them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::claim;
use crate::database;
use crate::error::{Error, Result};

/// A row of `ingestion_queue`.
#[derive(Debug)]
pub struct Queue {
    pub queue_id: String,
    /// Identifies it in this database.
    pub number: i64,
    pub max_size: i64,
    pub processing_rate: i32,
    pub is_served: bool,
    pub drops_oldest: bool,
    pub max_attempts: i32,
}

type Queues = HashMap<String, Rc<Queue>>;

thread_local! {
    static QUEUES: RefCell<Option<Rc<Queues>>> = RefCell::default();
    static TABLE: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// A queue by its name.
pub fn queue(queue_id: &str) -> Result<Rc<Queue>> {
    let found = queues()?.get(queue_id).cloned();
    found.ok_or_else(|| Error::Missing { kind: "queue", name: queue_id.to_owned() })
}

/// The table of the queues, once one has been looked up.
pub fn table() -> pg_sys::Oid {
    TABLE.get()
}

/// All queues.
pub fn queues() -> Result<Rc<Queues>> {
    if let Some(queues) = QUEUES.with_borrow(Clone::clone) {
        return Ok(queues);
    }
    watch();
    let changes = CHANGES.get();
    let queues = Rc::new(read()?);
    // A transaction that keeps its snapshot may have read what is no longer so.
    if CHANGES.get() == changes && !claim::has_own_snapshot() {
        QUEUES.set(Some(Rc::clone(&queues)));
    }
    Ok(queues)
}

fn read() -> Result<Queues> {
    const READ: &str = "SELECT queue_id, id, max_size, processing_rate, is_active AND NOT is_paused,
               overflow_policy = 'drop_oldest', max_attempts, tableoid
        FROM camcount.ingestion_queue";
    Spi::connect_mut(|client| {
        let mut queues = Queues::new();
        for row in database::execute(client, READ, &[])? {
            let queue_id: String = row.get(1)?.unwrap_or_default();
            TABLE.set(row.get(8)?.unwrap_or(pg_sys::InvalidOid));
            let queue = Queue {
                queue_id: queue_id.clone(),
                number: row.get(2)?.unwrap_or_default(),
                max_size: row.get(3)?.unwrap_or_default(),
                processing_rate: row.get(4)?.unwrap_or_default(),
                is_served: row.get(5)?.unwrap_or_default(),
                drops_oldest: row.get(6)?.unwrap_or_default(),
                max_attempts: row.get(7)?.unwrap_or_default(),
            };
            queues.insert(queue_id, Rc::new(queue));
        }
        Ok(queues)
    })
}

/// Has the server tell this process of changes: the table's trigger sends them with the transaction that makes them.
fn watch() {
    if !IS_WATCHING.replace(true) {
        // SAFETY: a function that lives as long as the process, registered once.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::null());
        }
    }
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, table: pg_sys::Oid) {
    if table == pg_sys::InvalidOid || table == TABLE.get() || TABLE.get() == pg_sys::InvalidOid {
        CHANGES.set(CHANGES.get().wrapping_add(1));
        QUEUES.set(None);
    }
}

/// Tells all sessions that the queues' settings have changed, once the transaction commits. Called by a trigger.
#[pg_extern]
pub fn forget_queue_settings() -> Result<(), ErrorReport> {
    const TABLE: &str = "SELECT 'camcount.ingestion_queue'::regclass::oid";
    if let Some(table) = database::value::<pg_sys::Oid>(TABLE, &[])? {
        // SAFETY: the relation exists.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::CacheInvalidateRelcacheByRelid(table);
        }
    }
    Ok(())
}
