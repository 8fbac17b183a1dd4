//! A table without partitions, open with its indexes.

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, Datum, IndexUniqueCheck, Oid};

use super::stored::Fetch;
use super::{Known, Relation, Row, RowId};

/// Rows handed to the server at once: enough to fill several pages.
const CHUNK: usize = 64;
const INDEX_COLUMNS: usize = pg_sys::INDEX_MAX_KEYS as usize;

/// A heap table whose rows can be written directly.
pub struct Leaf {
    // Dropped in this order: slots and what is being read refer to the table.
    pub(super) fetch: Option<Fetch>,
    pub(super) slots: Vec<Slot>,
    pub(super) indexes: Vec<Index>,
    pub(super) table: Relation,
}

pub(super) struct Index {
    pub(super) relation: Relation,
    info: *mut pg_sys::IndexInfo,
    /// Of the table, counted from 0.
    columns: Vec<usize>,
}

/// What the server takes rows in.
pub(super) struct Slot(pub(super) *mut pg_sys::TupleTableSlot);

impl Leaf {
    /// Opens a table with its indexes. `None` where only the executor can write it: see [`Relation::is_plain`]; indexes
    /// on expressions or on some rows only are left to it too. Without `known` it is opened for reading alone.
    pub fn open(table: Relation, columns: usize, known: Option<&Known<'_>>, rights: u32) -> Option<Self> {
        let Some(known) = known else {
            return Some(Self { fetch: None, slots: Vec::new(), indexes: Vec::new(), table });
        };
        if !table.is_plain(columns, known, rights) {
            return None;
        }
        let indexes = index_oids(&table).into_iter().map(Index::open).collect::<Option<Vec<_>>>()?;
        Some(Self { fetch: None, slots: Vec::new(), indexes, table })
    }

    /// Writes rows and returns where they are.
    ///
    /// A row that a unique index has already raises the server's error.
    pub fn insert<const COLUMNS: usize>(&mut self, rows: &[Row<COLUMNS>]) -> Vec<RowId> {
        let mut ids = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(CHUNK) {
            self.fill_slots(chunk);
            let mut slots: Vec<_> = self.slots[..chunk.len()].iter().map(|slot| slot.0).collect();
            // SAFETY: as many filled slots of this table as are said.
            unsafe {
                pg_sys::heap_multi_insert(
                    self.table.0,
                    slots.as_mut_ptr(),
                    slots.len() as i32,
                    pg_sys::GetCurrentCommandId(true),
                    0,
                    std::ptr::null_mut(),
                );
            }
            for index in &self.indexes {
                for (&slot, row) in slots.iter().zip(chunk) {
                    // SAFETY: the server has set each slot's row id.
                    let id = unsafe { (*slot).tts_tid };
                    index.insert(
                        &self.table,
                        id,
                        |column| row.get(column),
                        IndexUniqueCheck::UNIQUE_CHECK_YES,
                    );
                }
            }
            // SAFETY: the server has set each slot's row id.
            ids.extend(slots.iter().map(|&slot| RowId::from(unsafe { (*slot).tts_tid })));
        }
        ids
    }

    /// Writes one row unless a unique index has it already, or may have: `None` then, with nothing written. Another
    /// transaction that is writing the same row is not waited for.
    pub fn insert_unless_there<const COLUMNS: usize>(&mut self, row: &Row<COLUMNS>) -> Option<RowId> {
        self.fill_slots(std::slice::from_ref(row));
        let slot = self.slots[0].0;
        // SAFETY: the steps of a speculative insertion, as the executor makes them, with a filled slot of this table.
        unsafe {
            let transaction = pg_sys::GetCurrentTransactionId();
            let token = pg_sys::SpeculativeInsertionLockAcquire(transaction);
            let access = &*(*self.table.0).rd_tableam;
            let (insert, complete) = (access.tuple_insert_speculative?, access.tuple_complete_speculative?);
            let command = pg_sys::GetCurrentCommandId(true);
            pg_guard_ffi_boundary(|| insert(self.table.0, slot, command, 0, std::ptr::null_mut(), token));
            let check = IndexUniqueCheck::UNIQUE_CHECK_PARTIAL;
            let is_new = self
                .indexes
                .iter()
                .all(|index| index.insert(&self.table, (*slot).tts_tid, |column| row.get(column), check));
            pg_guard_ffi_boundary(|| complete(self.table.0, slot, token, is_new));
            pg_sys::SpeculativeInsertionLockRelease(transaction);
            is_new.then(|| RowId::from((*slot).tts_tid))
        }
    }

    fn fill_slots<const COLUMNS: usize>(&mut self, rows: &[Row<COLUMNS>]) {
        while self.slots.len() < rows.len() {
            self.slots.push(Slot::new(&self.table));
        }
        for (slot, row) in self.slots.iter().zip(rows) {
            slot.fill(row);
        }
    }
}

impl Index {
    fn open(oid: Oid) -> Option<Self> {
        let relation = Relation::open(oid);
        // SAFETY: an open index is valid; its description lives as long as the current memory context.
        unsafe {
            let info = pg_sys::BuildIndexInfo(relation.0);
            let known = &*info;
            let is_plain = known.ii_Expressions.is_null()
                && known.ii_ExclusionOps.is_null()
                && !is_summarizing(info)
                && known.ii_Predicate.is_null()
                && known.ii_ReadyForInserts;
            if !is_plain {
                return None;
            }
            let numbers = known.ii_IndexAttrNumbers.iter().take(known.ii_NumIndexAttrs as usize);
            let columns = numbers.map(|&number| number as usize - 1).collect();
            Some(Self { relation, info, columns })
        }
    }

    /// Enters the row that is at a place, with what `value` gives of its columns; `None` is NULL. False where a unique
    /// index may have the row already and was asked for no more than that.
    pub(super) fn insert(
        &self,
        table: &Relation,
        mut id: pg_sys::ItemPointerData,
        value: impl Fn(usize) -> Option<Datum>,
        check: IndexUniqueCheck::Type,
    ) -> bool {
        let (mut values, mut nulls) = ([Datum::null(); INDEX_COLUMNS], [true; INDEX_COLUMNS]);
        for (place, &column) in self.columns.iter().enumerate() {
            if let Some(datum) = value(column) {
                (values[place], nulls[place]) = (datum, false);
            }
        }
        // SAFETY: one value for each of the index's columns, of the table's row.
        unsafe {
            let check = if (*self.info).ii_Unique { check } else { IndexUniqueCheck::UNIQUE_CHECK_NO };
            let fits = pg_sys::index_insert(
                self.relation.0,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
                &raw mut id,
                table.0,
                check,
                false,
                self.info,
            );
            fits || check != IndexUniqueCheck::UNIQUE_CHECK_PARTIAL
        }
    }
}

#[cfg(any(feature = "pg17", feature = "pg18"))]
impl Drop for Index {
    fn drop(&mut self) {
        // SAFETY: the index is open; some kinds keep something between insertions.
        unsafe { pg_sys::index_insert_cleanup(self.relation.0, self.info) }
    }
}

impl Slot {
    pub(super) fn new(table: &Relation) -> Self {
        // SAFETY: an open table is valid for as long as the slot: see the order of the leaf's fields.
        Self(unsafe {
            pg_sys::MakeSingleTupleTableSlot((*table.0).rd_att, pg_sys::table_slot_callbacks(table.0))
        })
    }

    fn fill<const COLUMNS: usize>(&self, row: &Row<COLUMNS>) {
        // SAFETY: the table has as many columns as the row, which opening it has made sure of.
        unsafe {
            if let Some(clear) = (*(*self.0).tts_ops).clear {
                pg_guard_ffi_boundary(|| clear(self.0));
            }
            std::ptr::copy_nonoverlapping(row.values.as_ptr(), (*self.0).tts_values, COLUMNS);
            std::ptr::copy_nonoverlapping(row.nulls.as_ptr(), (*self.0).tts_isnull, COLUMNS);
            pg_sys::ExecStoreVirtualTuple(self.0);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: made by `new` and dropped once.
        unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.0) }
    }
}

/// Whether an index, such as BRIN, also wants to know of changes that touch no other index.
#[cfg(not(feature = "pg15"))]
unsafe fn is_summarizing(info: *const pg_sys::IndexInfo) -> bool {
    // SAFETY: the caller's index is open.
    unsafe { (*info).ii_Summarizing }
}

/// PostgreSQL 15 gives them each change as any other index.
#[cfg(feature = "pg15")]
unsafe fn is_summarizing(_: *const pg_sys::IndexInfo) -> bool {
    false
}

fn index_oids(table: &Relation) -> Vec<Oid> {
    // SAFETY: an open table is valid; the list is one of OIDs, made for the caller.
    unsafe {
        let list = pgrx::PgList::<Oid>::from_pg(pg_sys::RelationGetIndexList(table.0));
        list.iter_oid().collect()
    }
}
