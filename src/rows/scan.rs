//! Rows found by an index, as of now.

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{FromDatum, IntoDatum};

use super::Relation;

/// What has been committed by now, whatever the transaction's own snapshot is.
pub struct Snapshot(pub(super) pg_sys::Snapshot);

impl Snapshot {
    /// As of now, the transaction's own work included.
    pub fn latest() -> Self {
        // SAFETY: within a transaction; registered, so that it stays valid.
        Self(unsafe { pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot()) })
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // SAFETY: registered by `latest` and dropped once.
        unsafe { pg_sys::UnregisterSnapshot(self.0) }
    }
}

/// A condition on a column of an index, which are given in their order.
pub enum Key<'a> {
    /// Equal to a text.
    Text(&'a str),
    /// Equal to an integer.
    Integer(i32),
    /// Equal to a bigint or timestamptz.
    Bigint(i64),
    /// A bigint from here on.
    From(i64),
}

impl Key<'_> {
    /// Strategy, function and argument.
    fn parts(&self) -> (u32, u32, Datum) {
        let datum = |value: Option<Datum>| value.unwrap_or_else(Datum::null);
        match self {
            Self::Text(value) => (pg_sys::BTEqualStrategyNumber, pg_sys::F_TEXTEQ, datum(value.into_datum())),
            Self::Integer(value) => {
                (pg_sys::BTEqualStrategyNumber, pg_sys::F_INT4EQ, datum(value.into_datum()))
            }
            Self::Bigint(value) => {
                (pg_sys::BTEqualStrategyNumber, pg_sys::F_INT8EQ, datum(value.into_datum()))
            }
            Self::From(value) => {
                (pg_sys::BTGreaterEqualStrategyNumber, pg_sys::F_INT8GE, datum(value.into_datum()))
            }
        }
    }
}

/// A scan of a table by one of its indexes, in the index's order.
pub struct Scan {
    scan: pg_sys::IndexScanDesc,
    slot: *mut pg_sys::TupleTableSlot,
}

impl Scan {
    /// Begins a scan. Both relations and the snapshot must outlive it.
    pub fn new(table: &Relation, index: &Relation, snapshot: &Snapshot, keys: &[Key<'_>]) -> Self {
        let mut entries = vec![pg_sys::ScanKeyData::default(); keys.len()];
        // SAFETY: the relations are open; the keys have the types of the index's first columns.
        unsafe {
            for (number, (entry, key)) in entries.iter_mut().zip(keys).enumerate() {
                let (strategy, function, argument) = key.parts();
                let collation = *(*index.0).rd_indcollation.add(number);
                pg_sys::ScanKeyEntryInitialize(
                    entry,
                    0,
                    number as i16 + 1,
                    strategy as u16,
                    pg_sys::InvalidOid,
                    collation,
                    Oid::from(function),
                    argument,
                );
            }
            let scan = begin(table, index, snapshot, keys.len() as i32);
            pg_sys::index_rescan(scan, entries.as_mut_ptr(), keys.len() as i32, std::ptr::null_mut(), 0);
            let slot =
                pg_sys::MakeSingleTupleTableSlot((*table.0).rd_att, pg_sys::table_slot_callbacks(table.0));
            Self { scan, slot }
        }
    }

    /// The next row; it is valid until the one after.
    pub fn next(&mut self) -> Option<Stored<'_>> {
        // SAFETY: the scan is open, and the slot is of its table.
        let found = unsafe {
            pg_sys::index_getnext_slot(self.scan, pg_sys::ScanDirection::ForwardScanDirection, self.slot)
        };
        found.then(|| Stored::new(self.slot))
    }
}

unsafe fn begin(table: &Relation, index: &Relation, snapshot: &Snapshot, keys: i32) -> pg_sys::IndexScanDesc {
    // SAFETY: the caller's relations are open.
    unsafe {
        #[cfg(feature = "pg18")]
        return pg_sys::index_beginscan(table.0, index.0, snapshot.0, std::ptr::null_mut(), keys, 0);
        #[cfg(not(feature = "pg18"))]
        return pg_sys::index_beginscan(table.0, index.0, snapshot.0, keys, 0);
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        // As for what a leaf reads: see `Fetch`.
        if std::thread::panicking() {
            return;
        }
        // SAFETY: begun by `new` and dropped once.
        unsafe {
            pg_sys::index_endscan(self.scan);
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
        }
    }
}

/// A row as it is stored.
pub struct Stored<'a> {
    pub(super) slot: &'a pg_sys::TupleTableSlot,
}

impl Stored<'_> {
    /// Of a slot that holds a row.
    pub(super) fn new(slot: *mut pg_sys::TupleTableSlot) -> Self {
        // SAFETY: the caller's slot is valid.
        Self { slot: unsafe { &*slot } }
    }

    /// Takes the row apart as far as this column.
    fn reach(&self, column: usize) {
        if usize::try_from(self.slot.tts_nvalid).is_ok_and(|valid| valid <= column) {
            let slot: *const pg_sys::TupleTableSlot = self.slot;
            // SAFETY: the slot holds a row, which has that column.
            unsafe { pg_sys::slot_getsomeattrs_int(slot.cast_mut(), column as i32 + 1) }
        }
    }

    /// A column's value, counted from 0; `None` where it is NULL.
    pub fn get<T: FromDatum>(&self, column: usize) -> Option<T> {
        self.reach(column);
        // SAFETY: the row has that column, and the caller asks for its type.
        unsafe {
            let is_null = *self.slot.tts_isnull.add(column);
            T::from_datum(*self.slot.tts_values.add(column), is_null)
        }
    }

    /// A column's value as it is, to be copied before the row goes.
    pub fn datum(&self, column: usize) -> Option<Datum> {
        self.reach(column);
        // SAFETY: the row has that column.
        unsafe { (!*self.slot.tts_isnull.add(column)).then(|| *self.slot.tts_values.add(column)) }
    }

    /// The (sub)transaction that wrote this version of the row.
    pub fn writer(&self) -> u32 {
        const XMIN: std::ffi::c_int = pg_sys::MinTransactionIdAttributeNumber;
        let slot: *const pg_sys::TupleTableSlot = self.slot;
        let mut is_null = false;
        // SAFETY: the slot holds a row of a heap table, whose versions have this.
        unsafe { pg_sys::slot_getsysattr(slot.cast_mut(), XMIN, &raw mut is_null).value() as u32 }
    }

    /// Where the row is.
    pub fn row_id(&self) -> super::RowId {
        self.place().into()
    }

    pub(super) fn place(&self) -> pg_sys::ItemPointerData {
        self.slot.tts_tid
    }
}
