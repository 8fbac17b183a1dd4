//! Time series that are written, rolled up, compressed and read at once: no point is lost, none is there twice, and
//! every read is of one moment.
//!
//! `CAMCOUNT_STRESS_SECONDS` says for how long; 5 unless it is set.

use std::env;
use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::installed_server;
use camcount_cluster_tests::queue::join;
use camcount_cluster_tests::site::{SOON, Site, preloaded};
use camcount_cluster_tests::wait::wait_until;
use postgres::error::SqlState;
use postgres::{Client, GenericClient, IsolationLevel, Transaction};

const WRITERS: i64 = 8;
const CAMERAS: i64 = 3;
/// Rows of the largest statement.
const MANY: i64 = 400;

/// What is written to a series is written here too. Nothing expires.
const PREPARE: &str = "CREATE TABLE written (camera_id text, at timestamptz, value numeric);
    CREATE INDEX ON written (camera_id);
    UPDATE camcount.retention_policies SET retention = NULL WHERE table_name LIKE 'timeseries%'";
const COLUMNS: &str = "camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)";

fn with_site(test: impl FnOnce(&Site<'_>) -> Result<()>) -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[("camcount.vision_workers", "0")]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.connect()?.batch_execute(PREPARE)?;
        test(&site)
    })
}

#[test]
fn eight_writers_beside_rollups_and_compression_lose_no_point() -> Result<()> {
    let seconds = env::var("CAMCOUNT_STRESS_SECONDS").unwrap_or_else(|_| "5".into());
    let seconds = seconds.parse().context("CAMCOUNT_STRESS_SECONDS must be a whole number of seconds")?;
    with_site(|site| {
        let run = Run { site, until: Instant::now() + Duration::from_secs(seconds) };
        let (rolled_back, moved, rollups, reads) = run.press()?;
        let mut client = site.connect()?;
        for camera in 0..CAMERAS {
            ensure_all_there(&mut client, &format!("camera {camera}"))?;
        }
        let figures = "SELECT (SELECT count(*) FROM written),
            (SELECT coalesce(sum(count_points), 0) FROM camcount.timeseries_blocks)";
        let figures = client.query_one(figures, &[])?;
        let (written, compressed): (i64, i64) = (figures.try_get(0)?, figures.try_get(1)?);
        // Where a test passes, what macros print is not shown.
        writeln!(
            io::stderr(),
            "{written} points within {seconds} s, {compressed} of them compressed, beside {rolled_back} \
             transactions rolled back; {moved} moved by {rollups} rounds of rollups and compression; {reads} reads"
        )?;
        ensure!(rolled_back > 0 && moved > 0 && compressed > 0 && reads > 0, "the run proves nothing");
        Ok(())
    })
}

struct Run<'a> {
    site: &'a Site<'a>,
    until: Instant,
}

impl Run<'_> {
    /// Transactions rolled back, points moved, rounds of rollups and compression, reads.
    fn press(&self) -> Result<(u64, i64, u64, u64)> {
        thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS).map(|n| scope.spawn(move || self.write(n))).collect();
            let compressor = scope.spawn(|| self.compress());
            let roller = scope.spawn(|| self.roll_up());
            let reader = scope.spawn(|| self.read());
            let rolled_back = writers.into_iter().map(join).sum::<Result<u64>>();
            let (compressed, rolled_up, reads) = (join(compressor), join(roller), join(reader));
            let ((moved, rounds), (others, more)) = (compressed?, rolled_up?);
            Ok((rolled_back?, moved + others, rounds + more, reads?))
        })
    }

    fn is_time_left(&self) -> bool {
        Instant::now() < self.until
    }

    /// How many transactions were rolled back.
    fn write(&self, writer: i64) -> Result<u64> {
        let (mut client, mut rolled_back) = (self.site.connect()?, 0);
        // No two points are the same.
        let mut number = writer * 1_000_000_000;
        while self.is_time_left() {
            let mut transaction = client.transaction()?;
            for _ in 0..fastrand::u8(1..=3) {
                let camera = format!("camera {}", fastrand::i64(0..CAMERAS));
                number += write(&mut transaction, &camera, number)?;
            }
            if fastrand::u8(..) < 40 {
                transaction.rollback()?;
                rolled_back += 1;
            } else {
                transaction.commit()?;
            }
        }
        Ok(rolled_back)
    }

    /// How many points it moved, in how many rounds.
    fn compress(&self) -> Result<(i64, u64)> {
        let (mut client, mut moved, mut rounds) = (self.site.connect()?, 0, 0);
        while self.is_time_left() {
            for camera in 0..CAMERAS {
                moved += compress(&mut client, &format!("camera {camera}"))?;
            }
            rounds += 1;
        }
        Ok((moved, rounds))
    }

    /// As `compress`, and rolls up in between.
    fn roll_up(&self) -> Result<(i64, u64)> {
        let (mut client, mut moved, mut rounds) = (self.site.connect()?, 0, 0);
        while self.is_time_left() {
            client.execute("SELECT camcount.roll_up_timeseries()", &[])?;
            if fastrand::bool() {
                moved += compress(&mut client, "camera 0")?;
            }
            rounds += 1;
        }
        Ok((moved, rounds))
    }

    /// How many reads found what a plain query of the same moment finds.
    fn read(&self) -> Result<u64> {
        let (mut client, mut reads) = (self.site.connect()?, 0);
        while self.is_time_left() {
            ensure_same_sums(&mut client, &format!("camera {}", fastrand::i64(0..CAMERAS)))?;
            reads += 1;
        }
        Ok(reads)
    }
}

/// Writes points with values from `number` on, live or late, in one of the ways there are. How many.
fn write(transaction: &mut Transaction<'_>, camera: &str, number: i64) -> Result<i64> {
    let days = if fastrand::bool() { 0 } else { fastrand::i64(1..60) };
    let count = fastrand::i64(1..=MANY);
    let rows = format!(
        "SELECT '{camera}', clock_timestamp() - interval '{days} days' + n * interval '7 milliseconds', {number} + n
         FROM generate_series(1, {count}) AS n"
    );
    match fastrand::u8(0..3) {
        0 => {
            let statement = format!(
                "WITH new AS (INSERT INTO written {rows} RETURNING *)
                 INSERT INTO {COLUMNS} SELECT camera_id, 'people', at, value FROM new"
            );
            transaction.execute(&statement, &[])?;
            Ok(count)
        }
        1 => {
            let statement = format!(
                "WITH new AS (INSERT INTO written {rows} LIMIT 1 RETURNING *)
                 SELECT camcount.record_metric(camera_id, 'people', at, value) FROM new"
            );
            transaction.execute(&statement, &[])?;
            Ok(1)
        }
        _ => {
            let rows =
                transaction.query(&format!("SELECT at::text FROM ({rows}) rows (camera, at, n)"), &[])?;
            let times = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
            let lines = |metric: &str| {
                let lines = times.iter().zip(number + 1..);
                lines.map(|(at, value)| format!("{camera}\t{metric}{at}\t{value}\n")).collect::<String>()
            };
            copy(transaction, "written", &lines(""))?;
            copy(transaction, COLUMNS, &lines("people\t"))?;
            Ok(count)
        }
    }
}

fn copy(transaction: &mut Transaction<'_>, target: &str, lines: &str) -> Result<()> {
    let mut copy = transaction.copy_in(&format!("COPY {target} FROM STDIN"))?;
    copy.write_all(lines.as_bytes())?;
    copy.finish()?;
    Ok(())
}

/// All that is older than today. How many were moved.
fn compress(client: &mut impl GenericClient, camera: &str) -> Result<i64> {
    let statement = "SELECT camcount.compress_timeseries_data($1, 'people', 1)";
    Ok(client.query_one(statement, &[&camera])?.try_get::<_, i32>(0)?.into())
}

/// Aggregates and points of the whole series, and points that are raw, beside what was written, in one statement.
fn ensure_same_sums(client: &mut Client, camera: &str) -> Result<()> {
    let statement = "SELECT (a ->> 'count')::bigint, (a -> 'sum')::text, p.count, p.sum::text, w.count, w.sum::text
        FROM camcount.aggregate_timeseries_data($1, 'people', 'day', now() - interval '100 days 17 minutes',
                                                now() + interval '1 day 3 seconds') AS a,
             (SELECT count(*), coalesce(sum(metric_value)::text, 'null') AS sum
              FROM camcount.timeseries_points($1, 'people', '-infinity', 'infinity')) AS p,
             (SELECT count(*), coalesce(sum(value)::text, 'null') AS sum FROM written WHERE camera_id = $1) AS w";
    let row = client.query_one(statement, &[&camera])?;
    let figures =
        |first: usize| -> Result<(i64, String)> { Ok((row.try_get(first)?, row.try_get(first + 1)?)) };
    let (aggregate, points, written) = (figures(0)?, figures(2)?, figures(4)?);
    ensure!(aggregate == written, "{camera}: {aggregate:?} are aggregated of {written:?}");
    ensure!(points == written, "{camera}: {points:?} points are read of {written:?}");
    Ok(())
}

/// Each point that was written is read once.
fn ensure_all_there(client: &mut Client, camera: &str) -> Result<()> {
    ensure_same_sums(client, camera)?;
    let statement = "WITH found AS (
            SELECT metric_timestamp, metric_value FROM camcount.timeseries_points($1, 'people', '-infinity', 'infinity')
        ), expected AS (
            SELECT at, value FROM written WHERE camera_id = $1
        )
        SELECT (SELECT count(*) FROM (TABLE expected EXCEPT ALL TABLE found) lost),
               (SELECT count(*) FROM (TABLE found EXCEPT ALL TABLE expected) more)";
    let row = client.query_one(statement, &[&camera])?;
    let (lost, more): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    ensure!(lost == 0 && more == 0, "{camera}: {lost} points are lost, {more} are there that should not be");
    Ok(())
}

/// Points of that many days ago.
fn write_old(client: &mut impl GenericClient, count: i32, days: i32) -> Result<()> {
    let statement = format!(
        "WITH new AS (
             INSERT INTO written
             SELECT 'gate', now() - make_interval(days => $2) + n * interval '10 milliseconds', n
             FROM generate_series(1, $1) AS n RETURNING *)
         INSERT INTO {COLUMNS} SELECT camera_id, 'people', at, value FROM new"
    );
    client.execute(&statement, &[&count, &days])?;
    Ok(())
}

fn raw(client: &mut Client) -> Result<i64> {
    Ok(client.query_one("SELECT count(*) FROM camcount.timeseries_data", &[])?.try_get(0)?)
}

#[test]
fn compression_does_not_wait_for_an_open_writer_and_takes_its_points_later() -> Result<()> {
    with_site(|site| {
        let (mut client, mut slow) = (site.connect()?, site.connect()?);
        client.batch_execute("SET statement_timeout = '15s'")?;
        write_old(&mut client, 100, 10)?;
        client.execute("SELECT camcount.roll_up_timeseries()", &[])?;

        let mut open = slow.transaction()?;
        write_old(&mut open, 50, 12)?;
        // Has a larger id than what the open writer has written.
        write_old(&mut client, 70, 11)?;
        compress(&mut client, "gate")?;
        ensure!(raw(&mut client)? == 70, "compressed what is not rolled up, or left what is");
        ensure_all_there(&mut client, "gate")?;

        write_old(&mut open, 5, 9)?;
        open.commit()?;
        ensure_all_there(&mut client, "gate")?;
        compress(&mut client, "gate")?;
        ensure!(raw(&mut client)? == 0, "left points of a writer that has ended");
        ensure_all_there(&mut client, "gate")
    })
}

/// They must see what was committed while they waited for writers.
#[test]
fn rollups_and_compression_need_read_committed() -> Result<()> {
    with_site(|site| {
        let mut client = site.connect()?;
        write_old(&mut client, 100, 10)?;
        for level in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
            for call in ["roll_up_timeseries()", "compress_timeseries_data('gate', 'people', 1)"] {
                let mut transaction = client.build_transaction().isolation_level(level).start()?;
                let refusal = transaction.execute(&format!("SELECT camcount.{call}"), &[]);
                let code = refusal.err().and_then(|error| error.code().cloned());
                ensure!(code == Some(SqlState::INVALID_TRANSACTION_STATE), "{call}, {level:?}: {code:?}");
            }
        }
        ensure_all_there(&mut client, "gate")
    })
}

#[test]
fn a_server_killed_in_the_middle_of_a_compression_loses_nothing() -> Result<()> {
    const POINTS: i32 = 200_000;
    const DAYS: [i32; 3] = [25, 10, 24];
    with_site(|site| {
        let mut client = site.connect()?;
        // The second time there are blocks to be merged with.
        for days in DAYS {
            write_old(&mut client, POINTS, days)?;
            client.execute("SELECT camcount.roll_up_timeseries()", &[])?;
            kill_while_compressing(site)?;
            client = site.connect()?;
            ensure_all_there(&mut client, "gate")?;
            compress(&mut client, "gate")?;
            ensure!(raw(&mut client)? == 0, "left points");
            ensure_all_there(&mut client, "gate")?;
        }
        let blocks = "SELECT sum(count_points) FROM camcount.timeseries_blocks";
        let compressed: i64 = client.query_one(blocks, &[])?.try_get(0)?;
        ensure!(compressed == i64::from(POINTS) * DAYS.len() as i64, "{compressed} points are compressed");
        Ok(())
    })
}

/// Kills the session of a compression that has begun to move points and has not committed.
fn kill_while_compressing(site: &Site<'_>) -> Result<()> {
    let mut session = site.connect()?;
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[])?.try_get(0)?;
    thread::scope(|scope| {
        // Whether it gets to its end or not: it cannot commit.
        let compression = scope.spawn(move || -> Result<i64> {
            session.batch_execute("BEGIN")?;
            let moved = compress(&mut session, "gate")?;
            session.query_one("SELECT pg_sleep(60)", &[])?;
            Ok(moved)
        });
        let mut witness = site.connect()?;
        let writes = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND mode = 'RowExclusiveLock'
            AND relation = 'camcount.timeseries_blocks'::regclass)";
        let writes_blocks =
            wait_until("blocks are written", SOON, || Ok(witness.query_one(writes, &[&pid])?.try_get(0)?));
        site.kill(pid)?;
        ensure!(join(compression).is_err(), "the compression went on");
        writes_blocks
    })
}
