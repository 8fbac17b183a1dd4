//! Rows of `realtime_counters`, read as they are now and changed in place.

use std::ffi::CStr;

use camcount_counter::config::{Config, Mode};
use camcount_counter::counts::{Counts, PERIODS, Period};
use pgrx::prelude::*;

use crate::jsonb::Jsonb;
use crate::rows::{Change, Key, Known, Leaf, Relation, Row, Scan, Snapshot, Stored, Wait};

/// Columns of `realtime_counters`, counted from 0.
mod column {
    pub const ID: usize = 0;
    pub const CAMERA_ID: usize = 1;
    pub const COUNTER_NAME: usize = 2;
    pub const CURRENT_COUNT: usize = 3;
    pub const TOTAL_COUNT: usize = 4;
    pub const RESET_COUNT: usize = 5;
    /// Of the hour; those of day, week and month follow.
    pub const COUNTS: usize = 6;
    /// As above.
    pub const STARTS: usize = 10;
    pub const LAST_INCREMENT_AT: usize = 14;
    pub const LAST_RESET_AT: usize = 15;
    pub const COUNTER_CONFIG: usize = 16;
    pub const UPDATED_AT: usize = 18;
}
const COLUMNS: usize = 19;
/// All that a change may set.
const CHANGING: [usize; 14] = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 18];

/// What counts fulfil, and triggers that concern changes made otherwise.
const KNOWN: Known<'_> = Known {
    checks: &[
        c"realtime_counters_camera_id_length",
        c"realtime_counters_counter_name_length",
        c"realtime_counters_current_count_range",
        c"realtime_counters_total_count_range",
        c"realtime_counters_reset_count_range",
        c"realtime_counters_hourly_count_range",
        c"realtime_counters_daily_count_range",
        c"realtime_counters_weekly_count_range",
        c"realtime_counters_monthly_count_range",
    ],
    triggers: &[
        c"realtime_counters_check_config",
        c"realtime_counters_changed",
        c"realtime_counters_reconfigured",
        c"realtime_counters_truncated",
    ],
};
const NAME: &CStr = c"realtime_counters";

/// Identifies the table; `None` where there is none.
pub fn table() -> Option<u32> {
    Relation::named(NAME).map(|table| table.oid().to_u32())
}

/// A counter as it is stored.
#[derive(Clone, Debug)]
pub struct Record {
    pub id: i64,
    pub camera_id: String,
    pub counter_name: String,
    pub counts: Counts,
    pub reset_count: i64,
    pub last_reset_at: Option<i64>,
    pub mode: Mode,
    /// The (sub)transaction that wrote it.
    pub writer: u32,
}

/// Which counter.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    Named { camera_id: &'a str, counter_name: &'a str },
    Id(i64),
}

/// The table.
pub struct Records {
    // Dropped in this order.
    by_name: Relation,
    by_id: Relation,
    leaf: Leaf,
}

impl Records {
    /// Opens the table for changes; `None` where the user may not make them or where only the executor can.
    pub fn open() -> Option<Self> {
        let table = Relation::named(NAME)?;
        table.check_rights(&[pg_sys::ACL_SELECT, pg_sys::ACL_UPDATE]).ok()?;
        Self::of(Leaf::open(table, COLUMNS, Some(&KNOWN), 0)?)
    }

    /// Opens the table for reading.
    ///
    /// # Errors
    /// For a user who may not read all of its rows.
    pub fn open_for_reading() -> crate::error::Result<Option<Self>> {
        let Some(table) = Relation::named(NAME) else { return Ok(None) };
        table.check_rights(&[pg_sys::ACL_SELECT])?;
        Ok(Leaf::open(table, COLUMNS, None, 0).and_then(Self::of))
    }

    fn of(leaf: Leaf) -> Option<Self> {
        let by_name = Relation::named(c"realtime_counters_name_key")?;
        Some(Self { by_name, by_id: Relation::open(leaf.table().primary_key()?), leaf })
    }

    /// Identifies the table.
    pub fn oid(&self) -> u32 {
        self.leaf.table().oid().to_u32()
    }

    /// A counter as it is now, given to `work` while its row is at hand.
    pub fn find<T>(&self, which: Which<'_>, work: impl FnOnce(Option<At<'_>>) -> T) -> T {
        let snapshot = Snapshot::latest();
        let mut scan = match which {
            Which::Named { camera_id, counter_name } => {
                let keys = [Key::Text(camera_id), Key::Text(counter_name)];
                Scan::new(self.leaf.table(), &self.by_name, &snapshot, &keys)
            }
            Which::Id(id) => Scan::new(self.leaf.table(), &self.by_id, &snapshot, &[Key::Bigint(id)]),
        };
        work(scan.next().map(|row| At { record: Record::of(&row), row, leaf: &self.leaf }))
    }

    /// Goes through the counters of a camera, or of all, by name.
    pub fn each<E>(
        &self,
        camera_id: Option<&str>,
        mut work: impl FnMut(Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let snapshot = Snapshot::latest();
        let keys: Vec<Key<'_>> = camera_id.map(Key::Text).into_iter().collect();
        let mut scan = Scan::new(self.leaf.table(), &self.by_name, &snapshot, &keys);
        while let Some(row) = scan.next() {
            work(Record::of(&row))?;
        }
        Ok(())
    }
}

/// A counter whose row is at hand.
pub struct At<'a> {
    pub record: Record,
    row: Stored<'a>,
    leaf: &'a Leaf,
}

impl At<'_> {
    /// Writes the counts of the record, if the row is still as it was found.
    pub fn write(&self, wait: Wait) -> Change {
        let change = self.leaf.change_found(&self.row, &self.record.changes(), &CHANGING, wait);
        if change == Change::Made {
            // SAFETY: within a transaction; what follows in this command sees the change.
            #[allow(unsafe_code)]
            unsafe {
                pg_sys::CommandCounterIncrement();
            }
        }
        change
    }
}

impl Record {
    fn of(row: &Stored<'_>) -> Self {
        let number = |column| row.get::<i64>(column).unwrap_or(0);
        let periods = std::array::from_fn(|period| Period {
            count: number(column::COUNTS + period),
            start: row.get(column::STARTS + period),
        });
        Self {
            id: number(column::ID),
            camera_id: row.get(column::CAMERA_ID).unwrap_or_default(),
            counter_name: row.get(column::COUNTER_NAME).unwrap_or_default(),
            counts: Counts {
                current: number(column::CURRENT_COUNT),
                total: number(column::TOTAL_COUNT),
                periods,
                last_at: row.get(column::LAST_INCREMENT_AT),
            },
            reset_count: number(column::RESET_COUNT),
            last_reset_at: row.get(column::LAST_RESET_AT),
            mode: mode(row),
            writer: row.writer(),
        }
    }

    fn changes(&self) -> Row<COLUMNS> {
        let time = |at: Option<i64>| at.and_then(|at| TimestampWithTimeZone::try_from(at).ok());
        let mut row = Row::new();
        row.set(column::CURRENT_COUNT, self.counts.current)
            .set(column::TOTAL_COUNT, self.counts.total)
            .set(column::RESET_COUNT, self.reset_count)
            .set(column::LAST_INCREMENT_AT, time(self.counts.last_at))
            .set(column::LAST_RESET_AT, time(self.last_reset_at))
            .set(column::UPDATED_AT, time(Some(crate::queue::shared::now())));
        for (index, period) in self.counts.periods.iter().enumerate() {
            row.set(column::COUNTS + index, period.count).set(column::STARTS + index, time(period.start));
        }
        row
    }
}

/// As the row's configuration says; durable where somebody has stored one that is not valid.
fn mode(row: &Stored<'_>) -> Mode {
    let config = row.get::<Jsonb>(column::COUNTER_CONFIG);
    let config = config
        .filter(|config| !config.is_empty_object())
        .and_then(|config| config.read("counter_config").ok());
    config.and_then(|config| Config::from_json(&config).ok()).unwrap_or_default().mode
}

const _: () = assert!(column::COUNTS + PERIODS == column::STARTS);
