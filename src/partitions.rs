//! The partitions that a table has now, whatever the caller's snapshot shows of them.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::*;

use crate::arguments::required;

/// The partitions of a table that queries find from now on, to the end of the transaction: one that was attached after
/// the caller's snapshot was taken is among them, though the snapshot does not show it in `pg_inherits`. Empty for a
/// table that is not partitioned.
#[pg_extern(sql = r#"
CREATE FUNCTION camcount.current_partitions(p_table regclass) RETURNS oid[]
LANGUAGE c STABLE AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
#[allow(unsafe_code)]
fn current_partitions(p_table: Option<Oid>) -> Result<Vec<Oid>, ErrorReport> {
    let table = required(p_table, "p_table")?;
    // SAFETY: the table is locked as for reading, and stays so; its partitions are read while it is open.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let mut partitions = Vec::new();
        if (*(*relation).rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE {
            let description = pg_sys::RelationGetPartitionDesc(relation, true);
            let count = (*description).nparts as usize;
            partitions.extend((0..count).map(|index| *(*description).oids.add(index)));
        }
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        Ok(partitions)
    }
}
