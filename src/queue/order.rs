//! The order of arrival: reading on in it, in this session's or in the shared position.

use camcount_queue::cursor::{Cursor, Horizon, Place, Stretch};
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::rows::{Key, Relation, RowId, Scan, Snapshot, Stored};

/// An item at its place in the order.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    pub id: i64,
    pub frame_timestamp: i64,
    /// Where its message was written.
    pub row_id: RowId,
}

/// Whether to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Continue,
    /// Stop before this item, which is read again next time.
    StopBefore,
}

/// The table of entries, open, as of a moment.
pub struct Order {
    index: Relation,
    table: Relation,
    snapshot: Snapshot,
    horizon: Horizon,
    /// The session's own transaction, if it has an id.
    own: Option<i64>,
}

impl Order {
    /// Opens it as of now.
    pub fn open() -> Result<Self> {
        let missing = |name: &str| Error::Missing { kind: "table", name: name.to_owned() };
        let table = Relation::named(c"waiting_entries").ok_or_else(|| missing("waiting_entries"))?;
        let index =
            Relation::named(c"waiting_entries_pkey").ok_or_else(|| missing("waiting_entries_pkey"))?;
        table.check_rights(&[pg_sys::ACL_SELECT])?;
        let (horizon, own) = horizon();
        // After the horizon: what had ended by then can be seen.
        let snapshot = Snapshot::latest();
        Ok(Self { index, table, snapshot, horizon, own })
    }

    /// The moment as of which it is read.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Reads on from a position: each item of the queue and priority, once, until `visit` stops. What the session's own
    /// transaction has written is read each time.
    pub fn read(
        &self,
        cursor: &mut Cursor,
        queue_id: &str,
        priority: i32,
        mut visit: impl FnMut(&Item) -> Result<Next>,
    ) -> Result<()> {
        for stretch in cursor.stretches(&self.horizon) {
            let stopped = self.read_stretch(queue_id, priority, stretch, &mut visit)?;
            cursor.advance(stretch, stopped, &self.horizon);
            if stopped.is_some() {
                return Ok(());
            }
        }
        if let Some(own) = self.own {
            self.read_stretch(queue_id, priority, Stretch::Transaction(Place::before(own)), &mut visit)?;
        }
        Ok(())
    }

    /// Returns the place where `visit` stopped.
    fn read_stretch(
        &self,
        queue_id: &str,
        priority: i32,
        stretch: Stretch,
        visit: &mut impl FnMut(&Item) -> Result<Next>,
    ) -> Result<Option<Place>> {
        let (Stretch::Transaction(from) | Stretch::Until { from, .. }) = stretch;
        // Straight to the entry: a transaction may have written many.
        let rest = [
            Key::Text(queue_id),
            Key::Integer(priority),
            Key::Bigint(from.transaction),
            Key::From(from.entry),
        ];
        let stopped = self.scan(&rest, from, i64::MAX, visit)?;
        match stretch {
            Stretch::Until { end, .. } if stopped.is_none() => {
                let later = [Key::Text(queue_id), Key::Integer(priority), Key::From(from.transaction + 1)];
                self.scan(&later, from, end, visit)
            }
            _ => Ok(stopped),
        }
    }

    fn scan(
        &self,
        keys: &[Key<'_>],
        from: Place,
        end: i64,
        visit: &mut impl FnMut(&Item) -> Result<Next>,
    ) -> Result<Option<Place>> {
        let mut scan = Scan::new(&self.table, &self.index, &self.snapshot, keys);
        while let Some(row) = scan.next() {
            let (transaction, entry) = (row.get(3).unwrap_or_default(), row.get(0).unwrap_or_default());
            if transaction >= end {
                break;
            }
            let is_begun = transaction == from.transaction && entry == from.entry;
            let begin = if is_begun { from.taken as usize } else { 0 };
            if let Some(index) = visit_items(&row, begin, visit)? {
                return Ok(Some(Place { transaction, entry, taken: index as u32 }));
            }
        }
        Ok(None)
    }
}

/// Visits an entry's items from the one at `begin` on; returns the one before which `visit` stopped. Columns are in the
/// order of the table's definition.
fn visit_items(
    row: &Stored<'_>,
    begin: usize,
    visit: &mut impl FnMut(&Item) -> Result<Next>,
) -> Result<Option<usize>> {
    // A timestamptz is a bigint of microseconds.
    let [ids, times, row_ids] = [5, 6, 7].map(|column| row.get::<Array<'_, i64>>(column));
    let (Some(ids), Some(times), Some(row_ids)) = (&ids, &times, &row_ids) else { return Ok(None) };
    let (Ok(ids), Ok(times), Ok(row_ids)) = (ids.as_slice(), times.as_slice(), row_ids.as_slice()) else {
        return Ok(None);
    };
    for (index, ((&id, &frame_timestamp), &row_id)) in
        ids.iter().zip(times).zip(row_ids).enumerate().skip(begin)
    {
        if visit(&Item { id, frame_timestamp, row_id: RowId::from(row_id) })? == Next::StopBefore {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Which transactions have ended, and the session's own.
fn horizon() -> (Horizon, Option<i64>) {
    // SAFETY: within a transaction; the snapshot is read before anything can replace it.
    #[allow(unsafe_code)]
    let (next, mut open, own) = unsafe {
        let snapshot = &*pg_sys::GetLatestSnapshot();
        let newest = pg_sys::ReadNextFullTransactionId().value;
        let full = |id: pg_sys::TransactionId| {
            (newest - u64::from((newest as u32).wrapping_sub(id.into_inner()))) as i64
        };
        let open: Vec<i64> =
            (0..snapshot.xcnt as usize).map(|index| full(*snapshot.xip.add(index))).collect();
        let own = pg_sys::GetTopFullTransactionIdIfAny().value as i64;
        (full(snapshot.xmax), open, (own != 0).then_some(own))
    };
    // It has not ended either.
    open.extend(own.filter(|own| *own < next));
    open.sort_unstable();
    open.dedup();
    (Horizon { next, open }, own)
}
