//! Values that are old enough go from rows into blocks.

use camcount_series::block::{Block, Builder, Error as BlockError, Number, Point};
use pgrx::check_for_interrupts;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::deleted::{Deleted, Row};
use crate::arguments::{name, required};
use crate::database;
use crate::error::{Error, Result};

/// Points of a block: large enough that what every block costs does not count, small enough that the end of a range is
/// read quickly.
const BLOCK: usize = 16_384;
/// Rows of one stretch.
const ROWS: i64 = 65_536;
/// Blocks that late values are merged into in one stretch.
const BLOCKS: i64 = 4;
/// A hundred years.
const LONGEST_RETENTION: i32 = 36_500;

/// Rolls up a series, and moves its values that are older than `p_retention_days` whole days of the camera's time zone
/// from `timeseries_data` into `timeseries_blocks`, where `timeseries_points` and the aggregates go on to find them.
/// Returns how many were moved. Values that are being written are left for the next run.
#[pg_extern]
fn compress_timeseries_data(
    p_camera_id: Option<&str>,
    p_metric_name: Option<&str>,
    p_retention_days: default!(Option<i32>, "30"),
) -> Result<i32, ErrorReport> {
    const BEFORE: &str = "SELECT pg_catalog.date_trunc('day', pg_catalog.clock_timestamp() AT TIME ZONE zone
            - pg_catalog.make_interval(days => $2)) AT TIME ZONE zone
        FROM camcount.camera_time_zone($1) AS zone";
    let series =
        Series { camera: name(p_camera_id, "p_camera_id")?, metric: name(p_metric_name, "p_metric_name")? };
    let days = required(p_retention_days, "p_retention_days")?;
    if !(1..=LONGEST_RETENTION).contains(&days) {
        let reason = format!("must be 1 to {LONGEST_RETENTION}, got {days}");
        return Err(Error::invalid("p_retention_days", reason).into());
    }
    database::run("SELECT camcount.roll_up_timeseries()", &[])?;
    let before = database::value::<TimestampWithTimeZone>(BEFORE, &[series.camera.into(), days.into()])?;
    let mut moved = 0;
    series.lock()?;
    while let Some(stretch) = series.stretch(before)? {
        // Rows that a trigger or a policy keeps from being deleted would be found for ever.
        match series.compress(&stretch)? {
            0 => break,
            rows => moved += rows,
        }
        check_for_interrupts!();
    }
    Ok(i32::try_from(moved).unwrap_or(i32::MAX))
}

/// A series with values that are older than `retention_policies.compress_after` says.
pub struct Due {
    camera: String,
    metric: String,
    before: Option<TimestampWithTimeZone>,
}

/// The series that are due to be compressed.
pub fn due() -> Result<Vec<Due>> {
    const DUE: &str = include_str!("due_series.sql");
    Spi::connect_mut(|client| {
        let mut due = Vec::new();
        for row in database::execute(client, DUE, &[])? {
            if let (Some(camera), Some(metric)) = (row.get(1)?, row.get(2)?) {
                due.push(Due { camera, metric, before: row.get(3)? });
            }
        }
        Ok(due)
    })
}

impl Due {
    /// Compresses one stretch and returns how many values it had: 0 where the series is done, or somebody else is at it.
    pub fn compress_some(&self) -> Result<usize> {
        let series = Series { camera: &self.camera, metric: &self.metric };
        if !series.try_lock()? {
            return Ok(0);
        }
        series.stretch(self.before)?.map_or(Ok(0), |stretch| series.compress(&stretch))
    }
}

struct Series<'a> {
    camera: &'a str,
    metric: &'a str,
}

/// A stretch of time, within one calendar month (UTC), with no more in it than is compressed at once.
struct Stretch {
    since: TimestampWithTimeZone,
    until: TimestampWithTimeZone,
    /// Values with larger ids are not in the rollups yet, and stay.
    last_id: i64,
}

impl Series<'_> {
    /// Keeps others from compressing the series until the transaction ends.
    fn lock(&self) -> Result<()> {
        const LOCK: &str = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(
            'camcount compression', pg_catalog.hashtextextended($1 || chr(1) || $2, 0)))";
        database::run(LOCK, &[self.camera.into(), self.metric.into()])?;
        Ok(())
    }

    /// As [`Series::lock`], where nobody else has it.
    fn try_lock(&self) -> Result<bool> {
        const LOCK: &str = "SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended(
            'camcount compression', pg_catalog.hashtextextended($1 || chr(1) || $2, 0)))";
        Ok(database::value::<bool>(LOCK, &[self.camera.into(), self.metric.into()])? == Some(true))
    }

    /// The first stretch that has rows to compress.
    fn stretch(&self, before: Option<TimestampWithTimeZone>) -> Result<Option<Stretch>> {
        const STRETCH: &str = include_str!("stretch.sql");
        let arguments = [self.camera.into(), self.metric.into(), before.into(), ROWS.into(), BLOCKS.into()];
        Spi::connect_mut(|client| {
            let table = database::execute(client, STRETCH, &arguments)?;
            if table.is_empty() {
                return Ok(None);
            }
            let row = table.first();
            let found = (row.get(1)?, row.get(2)?, row.get(3)?);
            let (Some(since), Some(until), Some(last_id)) = found else { return Ok(None) };
            Ok(Some(Stretch { since, until, last_id }))
        })
    }

    /// Moves the rows of a stretch into blocks, together with the blocks that are there.
    fn compress(&self, stretch: &Stretch) -> Result<usize> {
        const ROWS_OUT: &str = include_str!("take_rows.sql");
        const BLOCKS_OUT: &str = include_str!("take_blocks.sql");
        let bounds =
            || vec![self.camera.into(), self.metric.into(), stretch.since.into(), stretch.until.into()];
        Spi::connect_mut(|client| {
            let mut blocks = Vec::new();
            for row in database::execute(client, BLOCKS_OUT, &bounds())? {
                blocks.push(Block::read(row.get::<&[u8]>(1)?.unwrap_or_default())?);
            }
            let mut points: Vec<Point<'_>> = blocks.iter().flat_map(Block::points).collect();
            let mut arguments = bounds();
            arguments.push(stretch.last_id.into());
            database::execute(client, ROWS_OUT, &arguments)?;
            let rows = Deleted::of_last_statement();
            let texts = rows.iter().map(|row| text(&row)).collect::<Result<Vec<_>>>()?;
            let mut fresh = Vec::with_capacity(rows.len());
            for (row, text) in rows.iter().zip(&texts) {
                fresh.push((row.id(), point(&row, text.as_deref())?));
            }
            // Of one time, what came first stays first.
            fresh.sort_by_key(|(id, point)| (point.at, *id));
            points.extend(fresh.into_iter().map(|(_, point)| point));
            points.sort_by_key(|point| point.at);
            self.store(client, &points)?;
            Ok(rows.len())
        })
    }

    /// Writes blocks of points that are in the order of their times.
    fn store(&self, client: &mut SpiClient<'_>, points: &[Point<'_>]) -> Result<()> {
        let mut builder = Builder::new();
        let (mut first, mut last) = (None, 0);
        for point in points {
            let is_full = builder.len() == BLOCK;
            let pushed = if is_full { Err(BlockError::Full) } else { builder.push(point) };
            match pushed {
                Ok(()) => {}
                Err(BlockError::Full) => {
                    self.insert(client, std::mem::take(&mut builder), first.take(), last)?;
                    builder.push(point)?;
                }
                Err(error) => return Err(error.into()),
            }
            first = first.or(Some(point.at));
            last = point.at;
        }
        self.insert(client, builder, first, last)
    }

    fn insert(
        &self,
        client: &mut SpiClient<'_>,
        builder: Builder,
        first: Option<i64>,
        last: i64,
    ) -> Result<()> {
        const INSERT: &str = "INSERT INTO camcount.timeseries_blocks
            (camera_id, metric_name, first_timestamp, last_timestamp, count_points, points)
            VALUES ($1, $2, $3, $4, $5, $6)";
        let Some(first) = first else { return Ok(()) };
        let time = |at| TimestampWithTimeZone::try_from(at).ok();
        let count = builder.len() as i32;
        let octets = builder.finish();
        let arguments = [
            self.camera.into(),
            self.metric.into(),
            time(first).into(),
            time(last).into(),
            count.into(),
            octets.as_slice().into(),
        ];
        database::execute(client, INSERT, &arguments)?;
        Ok(())
    }
}

/// The text of a number that does not fit the block's columns.
fn text(row: &Row<'_>) -> Result<Option<String>> {
    Ok(row.number()?.filter(|number| number.as_decimal().is_none()).map(|number| number.to_string()))
}

fn point<'a>(row: &Row<'a>, text: Option<&'a str>) -> Result<Point<'a>> {
    let value = row.number()?.map(|number| match number.as_decimal() {
        Some((mantissa, scale)) => Number::Decimal { mantissa, scale },
        None => Number::Text(text.unwrap_or_default()),
    });
    Ok(Point {
        at: row.at(),
        value,
        confidence: row.double(5),
        quality: row.double(6),
        unit: row.text(3)?,
        tags: row.text(4)?,
    })
}
