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

/// An entry of which `items` are to be read.
struct Entry {
    transaction: i64,
    id: i64,
    items: Vec<Item>,
}

impl Order {
    /// Opens it as of now.
    pub fn open() -> Result<Self> {
        let missing = |name: &str| Error::Missing { kind: "table", name: name.to_owned() };
        let table = Relation::named(c"queue_entries").ok_or_else(|| missing("queue_entries"))?;
        let index = Relation::named(c"queue_entries_pkey").ok_or_else(|| missing("queue_entries_pkey"))?;
        table.check_readable()?;
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
        let (from, transactions) = match stretch {
            Stretch::Transaction(from) => (from, Key::Bigint(from.transaction)),
            Stretch::Until { from, .. } => (from, Key::From(from.transaction)),
        };
        let keys = [Key::Text(queue_id), Key::Integer(priority), transactions];
        let mut scan = Scan::new(&self.table, &self.index, &self.snapshot, &keys);
        while let Some(row) = scan.next() {
            let entry = Entry::new(&row);
            if matches!(stretch, Stretch::Until { end, .. } if entry.transaction >= end) {
                break;
            }
            if entry.transaction == from.transaction && entry.id < from.entry {
                continue;
            }
            let is_begun = entry.transaction == from.transaction && entry.id == from.entry;
            let begin = if is_begun { from.taken as usize } else { 0 };
            for (index, item) in entry.items.iter().enumerate().skip(begin) {
                if visit(item)? == Next::StopBefore {
                    let place =
                        Place { transaction: entry.transaction, entry: entry.id, taken: index as u32 };
                    return Ok(Some(place));
                }
            }
        }
        Ok(None)
    }
}

impl Entry {
    /// Of a row of `queue_entries`, its columns in the order of the table's definition.
    fn new(row: &Stored<'_>) -> Self {
        let array = |column: usize| row.get::<Vec<i64>>(column).unwrap_or_default();
        // A timestamptz is a bigint of microseconds.
        let times: Vec<TimestampWithTimeZone> = row.get(6).unwrap_or_default();
        let items = array(5)
            .into_iter()
            .zip(times)
            .zip(array(7))
            .map(|((id, time), row_id)| Item { id, frame_timestamp: time.into(), row_id: row_id.into() })
            .collect();
        Self { transaction: row.get(3).unwrap_or_default(), id: row.get(0).unwrap_or_default(), items }
    }
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
