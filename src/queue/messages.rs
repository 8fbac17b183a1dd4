//! The messages behind the items: found by where they were written, and finished there.

use camcount_queue::lease::Lease;
use pgrx::prelude::*;

use super::order::Item;
use crate::error::{Error, Result};
use crate::ingest::{MESSAGE_COLUMNS, MESSAGES};
use crate::rows::{Change, Key, Leaf, Relation, Row, RowId, Scan, Snapshot, Stored};

/// Columns of `realtime_data_ingestion`, counted from 0.
pub mod column {
    pub const ID: usize = 0;
    pub const INGESTION_ID: usize = 1;
    pub const CAMERA_ID: usize = 2;
    pub const STREAM_ID: usize = 3;
    pub const INGESTION_TIMESTAMP: usize = 4;
    pub const FRAME_TIMESTAMP: usize = 5;
    pub const FRAME_NUMBER: usize = 6;
    pub const DATA_TYPE: usize = 7;
    pub const DATA_PAYLOAD: usize = 8;
    pub const PROCESSING_STATUS: usize = 10;
    pub const PROCESSING_PRIORITY: usize = 11;
    pub const RETRY_COUNT: usize = 12;
    pub const PROCESSING_LATENCY_MS: usize = 14;
    pub const TOTAL_LATENCY_MS: usize = 15;
    pub const ERROR_MESSAGE: usize = 17;
    pub const ERROR_CODE: usize = 18;
    pub const IS_HANDED_OVER: usize = 21;
    pub const PROCESSING_STARTED_AT: usize = 22;
    pub const COMPLETED_AT: usize = 23;
    pub const CLAIMED_BY: usize = 24;
}

/// A change of a message.
pub type Changes = Row<MESSAGE_COLUMNS>;

/// The partitions of the messages that are in use.
pub struct Messages {
    /// Few: one, nearly always.
    partitions: Vec<(pg_sys::Oid, Partition)>,
    table: Relation,
    rights: u32,
}

struct Partition {
    leaf: Leaf,
    key: Relation,
    blocks: u32,
}

impl Messages {
    /// Opens them for reading, or also for changes; `None` where only the executor can make these.
    pub fn open(rights: u32) -> Result<Option<Self>> {
        let table = Relation::named(c"realtime_data_ingestion");
        let table = table
            .ok_or_else(|| Error::Missing { kind: "table", name: "realtime_data_ingestion".to_owned() })?;
        table.check_rights(&[pg_sys::ACL_SELECT, pg_sys::ACL_UPDATE])?;
        if rights != 0 && !table.is_plain(MESSAGE_COLUMNS, &MESSAGES, rights) {
            return Ok(None);
        }
        Ok(Some(Self { partitions: Vec::new(), table, rights }))
    }

    /// An item's message as the snapshot sees it. `None` where it is gone.
    pub fn find(&mut self, item: &Item, snapshot: &Snapshot) -> Option<Stored<'_>> {
        let partition = self.partition(item.frame_timestamp)?;
        let is_it = |row: &Stored<'_>| row.get::<i64>(column::ID) == Some(item.id);
        let is_there = item.row_id.block < partition.blocks
            && partition.leaf.at(item.row_id, snapshot).is_some_and(|row| is_it(&row));
        if is_there { partition.leaf.last() } else { partition.search(item, snapshot) }
    }

    /// Changes the message that was found last.
    pub fn change(&mut self, item: &Item, row: RowId, changes: &Changes, columns: &[usize]) -> Change {
        match self.partition(item.frame_timestamp) {
            Some(partition) => partition.leaf.change(row, changes, columns),
            None => Change::Overtaken,
        }
    }

    /// Whether all the items' partitions can be used: those that only the executor can change cannot.
    pub fn reach_all(&mut self, leases: &[Lease]) -> bool {
        leases.iter().all(|lease| self.partition(lease.frame_timestamp).is_some())
    }

    fn partition(&mut self, frame_timestamp: i64) -> Option<&mut Partition> {
        let oid = self.table.partition_for(frame_timestamp)?;
        let index = match self.partitions.iter().position(|(known, _)| *known == oid) {
            Some(index) => index,
            None => {
                let partition = self.open_partition(oid)?;
                self.partitions.push((oid, partition));
                self.partitions.len() - 1
            }
        };
        Some(&mut self.partitions[index].1)
    }

    fn open_partition(&self, oid: pg_sys::Oid) -> Option<Partition> {
        let relation = Relation::open(oid);
        if !relation.has_columns_of(&self.table) {
            return None;
        }
        let known = (self.rights != 0).then_some(&MESSAGES);
        let key = Relation::open(relation.primary_key()?);
        let leaf = Leaf::open(relation, MESSAGE_COLUMNS, known, 0)?;
        let blocks = leaf.blocks();
        Some(Partition { leaf, key, blocks })
    }
}

impl Partition {
    /// By the key, where the row is no longer where it was written.
    fn search(&mut self, item: &Item, snapshot: &Snapshot) -> Option<Stored<'_>> {
        let found = {
            let keys = [Key::Bigint(item.frame_timestamp)];
            let mut scan = Scan::new(self.leaf.table(), &self.key, snapshot, &keys);
            loop {
                let row = scan.next()?;
                if row.get::<i64>(column::ID) == Some(item.id) {
                    break row.row_id();
                }
            }
        };
        self.leaf.at(found, snapshot)
    }
}
