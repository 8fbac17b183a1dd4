//! Open tables, and which partition a time belongs to.

use std::ffi::CStr;

use pgrx::pg_sys::{self, Oid};

use crate::error::{Error, Result};

/// What the executor would see to and the caller answers for, by name.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    /// Constraints that the rows fulfil.
    pub checks: &'a [&'a CStr],
    /// Triggers whose work is done already.
    pub triggers: &'a [&'a CStr],
}

/// A table or index that is open and locked; the lock lasts until the transaction ends.
pub struct Relation(pub(super) pg_sys::Relation);

impl Relation {
    /// Opens a table of the extension for writing; `None` where there is none of that name.
    pub fn named(name: &CStr) -> Option<Self> {
        oid_of(name).map(Self::open)
    }

    /// Opens a table or index for writing.
    pub fn open(oid: Oid) -> Self {
        // SAFETY: the server raises an error where there is no such relation.
        Self(unsafe { pg_sys::relation_open(oid, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE) })
    }

    /// Whether rows can be written without the executor: a heap table, or a partitioned one, that has the columns
    /// expected, no triggers and constraints but those known, and no row-level security; and the user has the rights asked
    /// for.
    pub fn is_plain(&self, columns: usize, known: &Known<'_>, rights: u32) -> bool {
        // SAFETY: an open relation is valid, and so is what the relation cache hangs on it.
        unsafe {
            let relation = &*self.0;
            let class = &*relation.rd_rel;
            let tuple = &*relation.rd_att;
            let is_heap = class.relkind == pg_sys::RELKIND_RELATION as std::ffi::c_char
                && std::ptr::eq(relation.rd_tableam, pg_sys::GetHeapamTableAmRoutine());
            let is_partitioned = class.relkind == pg_sys::RELKIND_PARTITIONED_TABLE as std::ffi::c_char;
            (is_heap || is_partitioned)
                && has_only_triggers(relation.trigdesc, known.triggers)
                && !class.relrowsecurity
                && !class.relhasrules
                && usize::try_from(tuple.natts) == Ok(columns)
                && has_only_checks(tuple.constr, known.checks)
                && (rights == 0
                    || pg_sys::pg_class_aclcheck(relation.rd_id, pg_sys::GetUserId(), rights.into())
                        == pg_sys::AclResult::ACLCHECK_OK)
        }
    }

    /// Refuses a user who lacks one of these rights to the table, or who may see only some of its rows.
    ///
    /// # Errors
    /// As the executor's.
    pub fn check_rights(&self, rights: &[u32]) -> Result<()> {
        // SAFETY: an open relation is valid, and its name ends with NUL.
        unsafe {
            let class = &*(*self.0).rd_rel;
            let user = pg_sys::GetUserId();
            let has_all = rights.iter().all(|&right| {
                pg_sys::pg_class_aclcheck((*self.0).rd_id, user, right.into())
                    == pg_sys::AclResult::ACLCHECK_OK
            });
            if has_all && !class.relrowsecurity {
                return Ok(());
            }
            let table = CStr::from_ptr(class.relname.data.as_ptr()).to_string_lossy().into_owned();
            Err(Error::Denied { table })
        }
    }

    /// Identifies the relation.
    pub fn oid(&self) -> Oid {
        // SAFETY: an open relation is valid.
        unsafe { (*self.0).rd_id }
    }

    /// The index of its primary key.
    pub fn primary_key(&self) -> Option<Oid> {
        // SAFETY: an open relation is valid; the index list is made first, which finds the key.
        let key = unsafe {
            pg_sys::list_free(pg_sys::RelationGetIndexList(self.0));
            (*self.0).rd_pkindex
        };
        (key != pg_sys::InvalidOid).then_some(key)
    }

    /// Whether both have the same columns in the same places.
    pub fn has_columns_of(&self, other: &Self) -> bool {
        // SAFETY: open relations are valid; a tuple descriptor has `natts` attributes.
        unsafe {
            let (own, others) = ((*self.0).rd_att, (*other.0).rd_att);
            let count = (*own).natts;
            count == (*others).natts
                && (0..count as usize).all(|index| {
                    let (own, other) = (attribute(own, index), attribute(others, index));
                    own.attname.data == other.attname.data
                        && own.atttypid == other.atttypid
                        && !own.attisdropped
                        && !other.attisdropped
                })
        }
    }

    /// The partition for a value of a timestamptz that cuts the table, by range.
    pub fn partition_for(&self, timestamp: pg_sys::TimestampTz) -> Option<Oid> {
        // SAFETY: of a partitioned table; bounds by range have one datum for the one column, `ndatums` in ascending
        // order, and one more index than that.
        unsafe {
            let partitions = &*pg_sys::RelationGetPartitionDesc(self.0, false);
            let bounds = partitions.boundinfo.as_ref()?;
            let count = usize::try_from(bounds.ndatums).ok()?;
            let (mut low, mut high) = (0, count);
            while low < high {
                let middle = usize::midpoint(low, high);
                if is_at_most(bounds, middle, timestamp) { low = middle + 1 } else { high = middle }
            }
            let found = *bounds.indexes.add(low);
            let index = if found < 0 { bounds.default_index } else { found };
            let index = usize::try_from(index).ok()?;
            (*partitions.is_leaf.add(index)).then(|| *partitions.oids.add(index))
        }
    }
}

/// Identifies a relation of the extension; `None` where there is none of that name.
pub(super) fn oid_of(name: &CStr) -> Option<Oid> {
    // SAFETY: both names are C strings; the look-ups read the system caches.
    let oid = unsafe {
        let schema = pg_sys::get_namespace_oid(c"camcount".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

unsafe fn is_at_most(bounds: &pg_sys::PartitionBoundInfoData, index: usize, timestamp: i64) -> bool {
    use pg_sys::PartitionRangeDatumKind::{PARTITION_RANGE_DATUM_MINVALUE, PARTITION_RANGE_DATUM_VALUE};
    // SAFETY: the caller gives an index below `ndatums`.
    unsafe {
        match **bounds.kind.add(index) {
            PARTITION_RANGE_DATUM_VALUE => (**bounds.datums.add(index)).value() as i64 <= timestamp,
            kind => kind == PARTITION_RANGE_DATUM_MINVALUE,
        }
    }
}

unsafe fn attribute<'a>(tuple: pg_sys::TupleDesc, index: usize) -> &'a pg_sys::FormData_pg_attribute {
    // SAFETY: the caller gives an index below the descriptor's `natts`. From PostgreSQL 18 on the attributes follow their
    // compact forms.
    unsafe {
        #[cfg(feature = "pg18")]
        let first: *const pg_sys::FormData_pg_attribute =
            (*tuple).compact_attrs.as_ptr().add((*tuple).natts as usize).cast();
        #[cfg(not(feature = "pg18"))]
        let first = (*tuple).attrs.as_ptr();
        &*first.add(index)
    }
}

unsafe fn has_only_triggers(triggers: *const pg_sys::TriggerDesc, known: &[&CStr]) -> bool {
    // SAFETY: the relation cache's triggers, or NULL; `numtriggers` of them with names.
    unsafe {
        let Some(triggers) = triggers.as_ref() else { return true };
        (0..triggers.numtriggers as usize)
            .all(|index| known.contains(&CStr::from_ptr((*triggers.triggers.add(index)).tgname)))
    }
}

unsafe fn has_only_checks(constraints: *const pg_sys::TupleConstr, known: &[&CStr]) -> bool {
    // SAFETY: the relation cache's constraints, or NULL; `num_check` checks with names.
    unsafe {
        let Some(constraints) = constraints.as_ref() else { return true };
        !constraints.has_generated_stored
            && (0..usize::from(constraints.num_check))
                .all(|index| known.contains(&CStr::from_ptr((*constraints.check.add(index)).ccname)))
    }
}

impl Drop for Relation {
    fn drop(&mut self) {
        // SAFETY: opened by `open` and closed once.
        unsafe { pg_sys::relation_close(self.0, pg_sys::NoLock as pg_sys::LOCKMODE) }
    }
}
