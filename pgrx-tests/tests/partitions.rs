//! Rows stay in sight while they move to a partition of their own.

use std::thread;

use anyhow::{Context, Result, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::{Material, installed_server};
use camcount_cluster_tests::site::{SOON, Site, unloaded};
use camcount_cluster_tests::wait::wait_until;
use postgres::{IsolationLevel, Transaction};

const FRAMES: usize = 20;

/// What a vision worker asks when it claims: an item with its picture. One row for each frame that can be found.
const WITH_PICTURES: &str = "SELECT count(frame.image) FROM camcount.queue_items AS item
    LEFT JOIN camcount.frames AS frame
        ON frame.ingestion_id = item.ingestion_id AND frame.camera_id = item.camera_id
       AND frame.ingestion_timestamp = item.queued_at";

#[test]
fn a_query_that_waits_while_rows_move_finds_them_afterwards() -> Result<()> {
    let Some(material) = Material::find(FRAMES)? else { return Ok(()) };
    // Without workers nothing moves but by this test's hand.
    with_cluster(&material.server, &unloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.ingest("plaza", &material.frames)?;
        let mut witness = site.connect()?;
        let mut mover = site.connect()?;
        let mut moving = mover.transaction()?;
        let made: i32 = moving.query_one("SELECT camcount.create_partitions()", &[])?.try_get(0)?;
        ensure!(made > 0, "no partition was made: nothing moves");

        let found = thread::scope(|scope| -> Result<i64> {
            let reading = scope
                .spawn(|| -> Result<i64> { Ok(site.connect()?.query_one(WITH_PICTURES, &[])?.try_get(0)?) });
            wait_until("the query waits for the move", SOON, || {
                const WAITING: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)";
                Ok(reading.is_finished() || witness.query_one(WAITING, &[])?.try_get(0)?)
            })?;
            ensure!(!reading.is_finished(), "the query did not wait: the test proves nothing");
            moving.commit()?;
            reading.join().ok().context("the reader panicked")?
        })?;
        ensure!(found == FRAMES as i64, "{found} of {FRAMES} frames in sight");
        Ok(())
    })
}

#[test]
fn a_transaction_that_reads_and_then_writes_is_not_caught_in_a_deadlock_by_a_move() -> Result<()> {
    const POINT: &str =
        "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)
        VALUES ('plaza', 'people', now() - interval '60 days', 1)";
    // As create_partitions does it, but it waits for its locks as long as it takes.
    const MOVE: &str = "SELECT camcount.make_partition(table_name, partition_interval,
            camcount.partition_start(partition_interval, now() - interval '60 days'))
        FROM camcount.retention_policies WHERE table_name = 'timeseries_data'";
    let Some(material) = Material::find(1)? else { return Ok(()) };
    with_cluster(&material.server, &unloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        let mut witness = site.connect()?;
        let mut writer = site.connect()?;
        writer.batch_execute("INSERT INTO camcount.cameras (camera_id) VALUES ('plaza')")?;
        writer.batch_execute(POINT)?;
        let mut writing = writer.transaction()?;
        writing.batch_execute("SELECT * FROM camcount.timeseries_data")?;

        thread::scope(|scope| -> Result<()> {
            let moving =
                scope.spawn(|| -> Result<bool> { Ok(site.connect()?.query_one(MOVE, &[])?.try_get(0)?) });
            wait_until("the move waits for the reader", SOON, || {
                const WAITING: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)";
                Ok(moving.is_finished() || witness.query_one(WAITING, &[])?.try_get(0)?)
            })?;
            ensure!(!moving.is_finished(), "the move did not wait: the test proves nothing");
            writing.batch_execute(POINT).context("the writer is the victim")?;
            writing.commit()?;
            let is_moved =
                moving.join().ok().context("the mover panicked")?.context("the move is the victim")?;
            ensure!(is_moved, "nothing was moved: the test proves nothing");
            Ok(())
        })
    })
}

#[test]
fn a_series_is_read_whole_by_a_snapshot_that_is_older_than_its_partitions() -> Result<()> {
    // Some of the values are compressed; there are no partitions for these times yet.
    const SERIES: &str =
        "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)
        SELECT 'plaza', 'people', '2026-03-01 00:00+00'::timestamptz + n * interval '1 hour', n
        FROM generate_series(1, 200) n;
        SELECT camcount.compress_timeseries_data('plaza', 'people', 1);
        INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)
        SELECT 'plaza', 'people', '2026-03-01 00:30+00'::timestamptz + n * interval '1 hour', n
        FROM generate_series(1, 200) n";
    const RANGE: &str = "'2026-03-02 12:15+00', '2026-03-06 12:20+00'";
    const DEFAULTS: &str = "SELECT (SELECT count(*) FROM camcount.timeseries_data_default)
        + (SELECT count(*) FROM camcount.timeseries_blocks_default)";
    let read = |client: &mut Transaction<'_>| -> Result<(i64, String, i64)> {
        let statement = format!(
            "SELECT (SELECT count(*) FROM camcount.timeseries_points('plaza', 'people', {RANGE})),
                    camcount.aggregate_timeseries_data('plaza', 'people', 'minute', {RANGE})::text,
                    (SELECT sum(count_values)::bigint
                     FROM camcount.timeseries_buckets('plaza', 'people', '7 minutes', {RANGE}))"
        );
        let row = client.query_one(&statement, &[])?;
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    };
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &unloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        let mut mover = site.connect()?;
        mover.batch_execute(SERIES)?;
        let mut reader = site.connect()?;
        let mut reading =
            reader.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start()?;
        reading.batch_execute("SELECT")?;
        ensure!(mover.query_one(DEFAULTS, &[])?.try_get::<_, i64>(0)? > 200, "nothing is to be moved");
        while mover.query_one("SELECT camcount.create_partitions()", &[])?.try_get::<_, i32>(0)? > 0 {}
        ensure!(mover.query_one(DEFAULTS, &[])?.try_get::<_, i64>(0)? == 0, "not everything was moved");

        let found = read(&mut reading)?;
        reading.commit()?;
        let mut fresh = reader.transaction()?;
        let expected = read(&mut fresh)?;
        ensure!(found.0 == 192, "{} of 192 points in sight", found.0);
        ensure!(found == expected, "the old snapshot reads {found:?}, a new one {expected:?}");
        Ok(())
    })
}
