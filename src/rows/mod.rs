//! Rows of the extension's own tables, written and read without the executor: for a single row it costs more than the
//! row itself. Whatever only the executor can do (triggers, row-level security, a user's own constraints) is left to it:
//! such a table does not open as a [`Leaf`], and the caller runs the statement instead.

#![allow(unsafe_code, reason = "the server's table access is a C interface")]

mod leaf;
mod relation;
mod returned;
mod savepoint;
mod scan;
mod stored;

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, Datum};

pub use leaf::Leaf;
pub use relation::{Known, Relation};
pub use returned::Returned;
pub use savepoint::unless_there;
pub use scan::{Key, Scan, Snapshot, Stored};
pub use stored::{Change, Wait};

/// A row to be written: one value for each column.
#[derive(Clone)]
pub struct Row<const COLUMNS: usize> {
    values: [Datum; COLUMNS],
    nulls: [bool; COLUMNS],
}

impl<const COLUMNS: usize> Row<COLUMNS> {
    /// How many columns it has.
    pub const COLUMNS: usize = COLUMNS;

    /// All NULL.
    pub fn new() -> Self {
        Self { values: [Datum::null(); COLUMNS], nulls: [true; COLUMNS] }
    }

    /// Sets a column, counted from 0, to what has its type in SQL; `None` is NULL.
    pub fn set(&mut self, column: usize, value: impl pgrx::IntoDatum) -> &mut Self {
        let datum = value.into_datum();
        self.nulls[column] = datum.is_none();
        self.values[column] = datum.unwrap_or_else(Datum::null);
        self
    }

    /// A column's value; `None` is NULL.
    fn get(&self, column: usize) -> Option<Datum> {
        (!self.nulls[column]).then_some(self.values[column])
    }

    /// Sets a column to an array of a type that is a bigint inside: bigint itself, or timestamptz.
    pub fn set_array(&mut self, column: usize, element: pg_sys::Oid, values: &[i64]) -> &mut Self {
        let mut values: Vec<Datum> = values.iter().map(|&value| Datum::from(value)).collect();
        // SAFETY: as many values as are said, each of eight octets, passed by value, aligned as doubles are.
        let array = unsafe {
            let count = values.len() as std::ffi::c_int;
            pg_sys::construct_array(
                values.as_mut_ptr(),
                count,
                element,
                8,
                true,
                pg_sys::TYPALIGN_DOUBLE as _,
            )
        };
        self.set_datum(column, Datum::from(array))
    }

    /// As [`Row::set`], with a value that is a datum already.
    pub fn set_datum(&mut self, column: usize, datum: Datum) -> &mut Self {
        self.nulls[column] = false;
        self.values[column] = datum;
        self
    }
}

/// Where a row is: block and line pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowId {
    pub block: u32,
    pub line: u16,
}

impl From<pg_sys::ItemPointerData> for RowId {
    fn from(pointer: pg_sys::ItemPointerData) -> Self {
        let block = u32::from(pointer.ip_blkid.bi_hi) << 16 | u32::from(pointer.ip_blkid.bi_lo);
        Self { block, line: pointer.ip_posid }
    }
}

impl From<RowId> for pg_sys::ItemPointerData {
    fn from(id: RowId) -> Self {
        let ip_blkid = pg_sys::BlockIdData { bi_hi: (id.block >> 16) as u16, bi_lo: id.block as u16 };
        Self { ip_blkid, ip_posid: id.line }
    }
}

/// As `waiting_entries` keeps it, in a bigint.
impl From<RowId> for i64 {
    fn from(id: RowId) -> Self {
        Self::from(id.block) << 16 | Self::from(id.line)
    }
}

impl From<i64> for RowId {
    fn from(id: i64) -> Self {
        Self { block: (id >> 16) as u32, line: id as u16 }
    }
}

unsafe extern "C-unwind" {
    fn nextval_internal(sequence: pg_sys::Oid, check_permissions: bool) -> i64;
}

/// The next value of the sequence of an identity column, which whoever may insert may use.
pub struct Sequence(pg_sys::Oid);

impl Sequence {
    /// A sequence of the extension; `None` where there is none of that name.
    pub fn named(name: &std::ffi::CStr) -> Option<Self> {
        relation::oid_of(name).map(Self)
    }

    /// Takes a value.
    pub fn next(&self) -> i64 {
        // SAFETY: the server raises an error where it is no sequence.
        unsafe { pg_guard_ffi_boundary(|| nextval_internal(self.0, false)) }
    }
}
