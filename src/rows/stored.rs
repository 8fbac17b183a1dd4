//! Reading rows by where they are, and changing them.

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, IndexUniqueCheck};

use super::leaf::{Leaf, Slot};
use super::scan::{Snapshot, Stored};
use super::{Relation, Row, RowId};

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was made.
    Made,
    /// The row has been changed or deleted since it was read.
    Overtaken,
    /// Another transaction holds the row.
    Busy,
}

/// What to do about another transaction that holds a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Wait until it ends.
    ForHolder,
    /// Come back with [`Change::Busy`].
    No,
}

/// Rows being read by where they are. It holds the page of the last one: the next is often on the same.
pub struct Fetch(*mut pg_sys::IndexFetchTableData);

impl Fetch {
    fn begin(table: &Relation) -> Option<Self> {
        // SAFETY: an open table is valid for as long as what is begun here: see the order of the leaf's fields.
        unsafe {
            let begin = (*(*table.0).rd_tableam).index_fetch_begin?;
            Some(Self(pg_guard_ffi_boundary(|| begin(table.0))))
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        // In the middle of an error it may be between two pages; the end of the transaction lets go of what it holds.
        if std::thread::panicking() {
            return;
        }
        // SAFETY: begun once and ended once, while its table is open.
        unsafe {
            if let Some(end) = (*(*(*self.0).rel).rd_tableam).index_fetch_end {
                pg_guard_ffi_boundary(|| end(self.0));
            }
        }
    }
}

impl Leaf {
    /// How many blocks the table has: a row id beyond them is none.
    pub fn blocks(&self) -> u32 {
        // SAFETY: an open table is valid.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.table.0, pg_sys::ForkNumber::MAIN_FORKNUM) }
    }

    /// The version of a row that the snapshot sees, found by where the row was first written, or where that version is;
    /// either must be within [`Leaf::blocks`]. The place may have been used again: the caller looks whether it is the row.
    pub fn at(&mut self, id: RowId, snapshot: &Snapshot) -> Option<Stored<'_>> {
        let slot = self.reading_slot();
        let mut pointer = pg_sys::ItemPointerData::from(id);
        let (mut again, mut all_dead) = (false, false);
        let fetch = self.fetch()?.0;
        // SAFETY: the steps of an index scan once it has a row id, with a slot of this table.
        let found = unsafe {
            let access = &*(*self.table.0).rd_tableam;
            let (fetch_tuple, fetch_version) = (access.index_fetch_tuple?, access.tuple_fetch_row_version?);
            pg_guard_ffi_boundary(|| {
                fetch_tuple(fetch, &raw mut pointer, snapshot.0, slot, &raw mut again, &raw mut all_dead)
                    // A version that was written beside the first is not found from itself.
                    || fetch_version(self.table.0, &raw mut pointer, snapshot.0, slot)
            })
        };
        found.then(|| Stored::new(slot))
    }

    /// The row that [`Leaf::at`] found last.
    pub fn last(&mut self) -> Option<Stored<'_>> {
        self.slots.first().map(|slot| Stored::new(slot.0))
    }

    /// The table.
    pub fn table(&self) -> &Relation {
        &self.table
    }

    /// Sets columns of the row that [`Leaf::at`] found last.
    pub fn change<const COLUMNS: usize>(
        &mut self,
        row: RowId,
        changes: &Row<COLUMNS>,
        columns: &[usize],
    ) -> Change {
        let slot = self.reading_slot();
        self.change_in(slot, row, changes, columns, Wait::ForHolder)
    }

    /// Sets columns of a row that a scan of this table has found.
    pub fn change_found<const COLUMNS: usize>(
        &self,
        found: &Stored<'_>,
        changes: &Row<COLUMNS>,
        columns: &[usize],
        wait: Wait,
    ) -> Change {
        let slot: *const pg_sys::TupleTableSlot = found.slot;
        self.change_in(slot.cast_mut(), found.row_id(), changes, columns, wait)
    }

    fn change_in<const COLUMNS: usize>(
        &self,
        slot: *mut pg_sys::TupleTableSlot,
        row: RowId,
        changes: &Row<COLUMNS>,
        columns: &[usize],
        wait: Wait,
    ) -> Change {
        let mut replace = [false; COLUMNS];
        columns.iter().for_each(|&column| replace[column] = true);
        // SAFETY: the slot holds the row, of as many columns; the new version is the server's copy of it with changes.
        unsafe {
            let mut must_free = false;
            let old = pg_sys::ExecFetchSlotHeapTuple(slot, false, &raw mut must_free);
            let new = pg_sys::heap_modify_tuple(
                old,
                (*self.table.0).rd_att,
                changes.values.as_ptr().cast_mut(),
                changes.nulls.as_ptr().cast_mut(),
                replace.as_mut_ptr(),
            );
            let change = update(self.table.0, row, new, wait);
            if change == Change::Made && !is_heap_only(new) {
                self.insert_into_indexes(new);
            }
            pg_sys::heap_freetuple(new);
            change
        }
    }

    /// The first slot: rows are written through the slots when none is read.
    fn reading_slot(&mut self) -> *mut pg_sys::TupleTableSlot {
        if self.slots.is_empty() {
            self.slots.push(Slot::new(&self.table));
        }
        self.slots[0].0
    }

    fn fetch(&mut self) -> Option<&Fetch> {
        if self.fetch.is_none() {
            self.fetch = Some(Fetch::begin(&self.table)?);
        }
        self.fetch.as_ref()
    }

    /// A version that found no room beside the old one.
    unsafe fn insert_into_indexes(&self, tuple: pg_sys::HeapTuple) {
        let slot = Slot::new(&self.table);
        // SAFETY: the caller's tuple is of this table and has its place.
        unsafe {
            pg_sys::ExecForceStoreHeapTuple(tuple, slot.0, false);
            (*slot.0).tts_tid = (*tuple).t_self;
        }
        let row = Stored::new(slot.0);
        for index in &self.indexes {
            index.insert(
                &self.table,
                row.place(),
                |column| row.datum(column),
                IndexUniqueCheck::UNIQUE_CHECK_YES,
            );
        }
    }
}

unsafe fn is_heap_only(tuple: pg_sys::HeapTuple) -> bool {
    // SAFETY: the caller's tuple is valid.
    unsafe { u32::from((*(*tuple).t_data).t_infomask2) & pg_sys::HEAP_ONLY_TUPLE != 0 }
}

/// Writes a new version of a row.
unsafe fn update(table: pg_sys::Relation, row: RowId, new: pg_sys::HeapTuple, wait: Wait) -> Change {
    let mut old = pg_sys::ItemPointerData::from(row);
    let mut failure = pg_sys::TM_FailureData::default();
    let mut lock = pg_sys::LockTupleMode::LockTupleExclusive;
    // SAFETY: the caller's table is open and the tuple of it.
    unsafe {
        let command = pg_sys::GetCurrentCommandId(true);
        #[cfg(any(feature = "pg16", feature = "pg17", feature = "pg18"))]
        let result = {
            let mut indexes = pg_sys::TU_UpdateIndexes::TU_None;
            pg_sys::heap_update(
                table,
                &raw mut old,
                new,
                command,
                std::ptr::null_mut(),
                wait == Wait::ForHolder,
                &raw mut failure,
                &raw mut lock,
                &raw mut indexes,
            )
        };
        #[cfg(feature = "pg15")]
        let result = pg_sys::heap_update(
            table,
            &raw mut old,
            new,
            command,
            std::ptr::null_mut(),
            wait == Wait::ForHolder,
            &raw mut failure,
            &raw mut lock,
        );
        match result {
            pg_sys::TM_Result::TM_Ok => Change::Made,
            pg_sys::TM_Result::TM_BeingModified => Change::Busy,
            _ => Change::Overtaken,
        }
    }
}
