//! SQL from Rust: statements planned once per process and run with typed arguments.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::PgOid;
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiTupleTable};

use crate::error::Result;

thread_local! {
    /// Plans by statement text; Postgres replans them by itself when a table changes.
    static PLANS: RefCell<HashMap<&'static str, Rc<OwnedPreparedStatement>>> = RefCell::default();
}

/// Runs a statement that may write, planned at its first use in this process.
pub fn execute<'conn>(
    client: &mut SpiClient<'conn>,
    sql: &'static str,
    arguments: &[DatumWithOid<'_>],
) -> Result<SpiTupleTable<'conn>> {
    let plan = plan(client, sql, arguments)?;
    Ok(client.update(&*plan, None, arguments)?)
}

fn plan(
    client: &SpiClient<'_>,
    sql: &'static str,
    arguments: &[DatumWithOid<'_>],
) -> Result<Rc<OwnedPreparedStatement>> {
    if let Some(plan) = PLANS.with_borrow(|plans| plans.get(sql).cloned()) {
        return Ok(plan);
    }
    let types: Vec<PgOid> = arguments.iter().map(|argument| PgOid::from(argument.oid())).collect();
    let plan = Rc::new(client.prepare_mut(sql, &types)?.keep());
    PLANS.with_borrow_mut(|plans| plans.insert(sql, Rc::clone(&plan)));
    Ok(plan)
}

/// Runs one statement and returns how many rows it touched.
pub fn run(sql: &'static str, arguments: &[DatumWithOid<'_>]) -> Result<usize> {
    Spi::connect_mut(|client| Ok(execute(client, sql, arguments)?.len()))
}

/// Runs one statement and returns the first column of its first row, `None` where there is no row or it is NULL.
pub fn value<T: FromDatum + IntoDatum>(
    sql: &'static str,
    arguments: &[DatumWithOid<'_>],
) -> Result<Option<T>> {
    Spi::connect_mut(|client| {
        let table = execute(client, sql, arguments)?;
        if table.is_empty() { Ok(None) } else { Ok(table.first().get::<T>(1)?) }
    })
}
