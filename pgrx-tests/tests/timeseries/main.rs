//! A series read as one: whatever of it is raw, rolled up or compressed, late or not, it says what a plain query over
//! all its points says.

mod compare;
mod plan;

use std::cell::RefCell;
use std::io::{self, Write as _};

use anyhow::{Context, Result, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::installed_server;
use camcount_cluster_tests::site::{Site, preloaded};
use postgres::{Client, GenericClient};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use compare::{ensure_aggregate, ensure_buckets, ensure_points};
use plan::{Plan, Point, Range, Step, Way, plan};

const CASES: u32 = 100;
/// A failure takes a while to be made small.
const SHRINKS: u32 = 300;
const METRIC: &str = "people";

/// Compression by the worker too, and nothing expires.
const POLICY: &str =
    "UPDATE camcount.retention_policies SET retention = NULL WHERE table_name LIKE 'timeseries%';
    UPDATE camcount.retention_policies SET compress_after = '2 days' WHERE table_name = 'timeseries_data'";

#[test]
fn any_order_of_calls_reads_as_a_plain_query_over_all_points() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[("camcount.vision_workers", "0")]), |cluster| {
        let mut client = Site::create(cluster, "site")?.connect()?;
        client.batch_execute(POLICY)?;
        client.batch_execute(include_str!("plain.sql"))?;
        let series = RefCell::new(Series { client, number: 0, steps: 0 });

        let default = Config::default();
        let seed = match default.rng_seed {
            RngSeed::Random => fastrand::u64(..),
            RngSeed::Fixed(seed) => seed,
        };
        let config = Config {
            cases: CASES,
            max_shrink_iters: SHRINKS,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(seed),
            ..default
        };
        TestRunner::new(config)
            .run(&plan(), |plan| {
                series.borrow_mut().run(&plan).map_err(|error| TestCaseError::fail(format!("{error:#}")))
            })
            .with_context(|| format!("PROPTEST_RNG_SEED={seed} repeats it"))?;
        series.into_inner().show()
    })
}

/// Makes a series for each plan.
struct Series {
    client: Client,
    number: u32,
    steps: usize,
}

/// What a step needs to know.
struct Place<'a> {
    camera: &'a str,
    unit: Option<&'static str>,
}

impl Series {
    fn run(&mut self, plan: &Plan) -> Result<()> {
        self.number += 1;
        let camera = format!("camera {}", self.number);
        self.client.execute(
            "INSERT INTO camcount.cameras (camera_id, time_zone) VALUES ($1, $2)",
            &[&camera, &plan.time_zone],
        )?;
        let place = Place { camera: &camera, unit: plan.unit };
        for (index, step) in plan.steps.iter().enumerate() {
            self.step(&place, step).with_context(|| format!("{camera}, step {index}"))?;
        }
        let ends = [-400_000, 400_000].map(|days| chrono::Utc::now() + chrono::TimeDelta::days(days));
        self.steps += plan.steps.len();
        ensure_points(&mut self.client, &camera, &Range { from: ends[0], to: ends[1] }).context("at the end")
    }

    /// What the run came to.
    fn show(mut self) -> Result<()> {
        let figures = "SELECT (SELECT count(*) FROM points), (SELECT sum(count_points) FROM camcount.timeseries_blocks),
            (SELECT count(*) FROM camcount.timeseries_aggregations)";
        let figures = self.client.query_one(figures, &[])?;
        let [points, compressed, rollups] = [0, 1, 2].map(|column| figures.get::<_, Option<i64>>(column));
        writeln!(
            io::stderr(),
            "{} series, {} steps: {points:?} points, {compressed:?} of them compressed, {rollups:?} rollups",
            self.number,
            self.steps
        )?;
        ensure!(compressed > Some(0) && compressed < points, "the run proves nothing");
        Ok(())
    }

    fn step(&mut self, place: &Place<'_>, step: &Step) -> Result<()> {
        let mut transaction = self.client.transaction()?;
        if let Step::RollBack(points, steps) = step {
            write(&mut transaction, place, Way::Insert, points)?;
            for (index, step) in steps.iter().enumerate() {
                take(&mut transaction, place, step).with_context(|| format!("rolled back step {index}"))?;
            }
            return Ok(transaction.rollback()?);
        }
        take(&mut transaction, place, step)?;
        Ok(transaction.commit()?)
    }
}

fn take(client: &mut impl GenericClient, place: &Place<'_>, step: &Step) -> Result<()> {
    match step {
        Step::Write(way, points) => write(client, place, *way, points),
        Step::RollUp => call(client, "SELECT camcount.roll_up_timeseries()"),
        Step::RemoveMinutes => call(client, "SELECT camcount.remove_old_minutes()"),
        Step::Compress(days) => {
            let statement = "SELECT camcount.compress_timeseries_data($1, $2, $3)";
            client.execute(statement, &[&place.camera, &METRIC, days])?;
            Ok(())
        }
        Step::Aggregate(level, range) => ensure_aggregate(client, place.camera, level, range),
        Step::Buckets(bucket, fill, range) => ensure_buckets(client, place.camera, bucket, fill, range),
        Step::Points(range) => ensure_points(client, place.camera, range),
        Step::RollBack(..) => Ok(()),
    }
}

fn call(client: &mut impl GenericClient, statement: &str) -> Result<()> {
    client.execute(statement, &[])?;
    Ok(())
}

/// Writes points to the table of all points and from there to the series.
fn write(client: &mut impl GenericClient, place: &Place<'_>, way: Way, points: &[Point]) -> Result<()> {
    const NOTE: &str = "INSERT INTO points
        SELECT $1, batch, at, value::numeric, unit, tags::jsonb, confidence, quality
        FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::float8[])
                 AS new (at, value, unit, tags, confidence, quality)
        CROSS JOIN (SELECT coalesce(max(batch), 0) + 1 FROM points) numbers (batch)";
    const LATEST: &str = "FROM points WHERE camera_id = $1 AND batch = (SELECT max(batch) FROM points)";
    // These the function cannot write.
    const SPECIAL: &str = "(value IS NULL OR quality IS NOT NULL)";

    let texts = |text: fn(&Point) -> Option<&str>| points.iter().map(text).collect::<Vec<_>>();
    let numbers = |number: fn(&Point) -> Option<f64>| points.iter().map(number).collect::<Vec<_>>();
    let units: Vec<_> = points.iter().map(|point| place.unit.filter(|_| point.has_unit)).collect();
    client.execute(
        NOTE,
        &[
            &place.camera,
            &points.iter().map(|point| point.at).collect::<Vec<_>>(),
            &texts(|point| point.value.as_deref()),
            &units,
            &texts(|point| point.tags.as_deref()),
            &numbers(|point| point.confidence),
            &numbers(|point| point.quality),
        ],
    )?;

    let insert = |table: &str, condition: &str| {
        format!(
            "INSERT INTO camcount.{table} (camera_id, metric_name, metric_timestamp, metric_value, metric_unit,
                 metric_tags, confidence_score, data_quality_score)
             SELECT camera_id, '{METRIC}', at, value, unit, tags, confidence, quality {LATEST} AND {condition}"
        )
    };
    let statement = match way {
        Way::Insert => insert("timeseries_data", "true"),
        Way::View => insert("timeseries_data_partitioned", "true"),
        Way::Record => {
            client.execute(&insert("timeseries_data", SPECIAL), &[&place.camera])?;
            format!(
                "SELECT camcount.record_metric(camera_id, '{METRIC}', at, value, unit, tags, confidence)
                 {LATEST} AND NOT {SPECIAL}"
            )
        }
    };
    client.execute(&statement, &[&place.camera])?;
    Ok(())
}
