//! Whose keys are whose: those of a database and of one making of the extension in it. Numbers of databases come again;
//! what `cache_identity` holds does not.

use std::cell::Cell;

use camcount_cache::Space;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::worker::wake;

thread_local! {
    /// The table, and what it holds.
    static KNOWN: Cell<Option<(pg_sys::Oid, i64)>> = const { Cell::new(None) };
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// The space of this database.
pub fn current() -> Result<Space> {
    let identity = match KNOWN.get() {
        Some((_, identity)) => identity,
        None => look_up()?,
    };
    Ok(Space { database: wake::my_database().to_u32(), identity })
}

fn look_up() -> Result<i64> {
    const READ: &str = "SELECT tableoid, identity FROM camcount.cache_identity";
    watch();
    // A statement that may write would need a transaction id, and a standby has none.
    let found = Spi::connect(|client| {
        let table = client.select(READ, Some(1), &[])?;
        if table.is_empty() { Ok((None, None)) } else { Ok::<_, Error>(table.first().get_two()?) }
    })?;
    let (Some(table), Some(identity)) = found else {
        return Err(Error::Missing { kind: "row of", name: "camcount.cache_identity".into() });
    };
    KNOWN.set(Some((table, identity)));
    Ok(identity)
}

/// Has the server tell this process when the table goes, with the extension.
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
    if KNOWN.get().is_some_and(|(known, _)| table == pg_sys::InvalidOid || table == known) {
        KNOWN.set(None);
    }
}
