//! A used database moves to another place and goes on there.

use std::time::Duration;

use anyhow::{Result, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::Material;
use camcount_cluster_tests::outcome::Outcome;
use camcount_cluster_tests::queue::{complete, fail, with_queue};
use camcount_cluster_tests::site::{Site, plaza_pipeline, preloaded};

const FRAMES: usize = 200;
const RUN: Duration = Duration::from_secs(180);

/// What a person has set up, as one row of text each.
const CONFIGURATION: &str = "
    SELECT 'model ' || to_jsonb(m)::text FROM (SELECT model_name, model_version, sha256, md5(onnx) AS onnx FROM camcount.models) m
    UNION ALL SELECT 'camera ' || to_jsonb(c)::text FROM camcount.cameras c
    UNION ALL SELECT 'pipeline ' || pipeline_id || pipeline_name || pipeline_type || pipeline_config::text
        FROM camcount.stream_processing_pipeline
    UNION ALL SELECT 'queue ' || queue_id || max_size FROM camcount.ingestion_queue
    UNION ALL SELECT 'zone ' || camera_id || zone_name || occupancy FROM camcount.zone_occupancy
    ORDER BY 1";

#[test]
fn a_dump_of_a_used_database_restores_with_everything_and_counts_on() -> Result<()> {
    let Some(material) = Material::find(FRAMES)? else { return Ok(()) };
    let (before, after) = material.frames.split_at(FRAMES * 3 / 4);
    with_cluster(&material.server, &preloaded(&[]), |cluster| {
        let used = Site::create(cluster, "used")?;
        used.register("default", &material.model)?;
        used.create_pipeline("plaza", &plaza_pipeline("default"))?;
        let mut client = used.connect()?;
        client.batch_execute(
            "SELECT camcount.add_line('plaza', 'exit', ARRAY[0.1, 0.1], ARRAY[0.1, 0.9]);
             UPDATE camcount.ingestion_queue SET max_size = 12345 WHERE queue_id = 'normal';",
        )?;
        used.ingest("plaza", before)?;
        used.drain(RUN)?;
        let counted = Outcome::of_camera(&mut client, "plaza")?;
        ensure!(!counted.crossings.is_empty(), "nobody crossed a line: the run proves nothing");
        let configured = configuration(&mut client)?;

        let dump = cluster.path("used.dump");
        cluster.run("pg_dump", &["-Fc", "-f", &dump, "used"])?;
        cluster.connect("postgres")?.batch_execute("CREATE DATABASE restored")?;
        cluster.run("pg_restore", &["--exit-on-error", "-d", "restored", &dump])?;

        let restored = Site { cluster, database: "restored" };
        let mut client = restored.connect()?;
        ensure!(
            configuration(&mut client)? == configured,
            "{configured:#?}\n{:#?}",
            configuration(&mut client)?
        );
        Outcome::of_camera(&mut client, "plaza")?.ensure_same(&counted)?;

        // Tracks go on where they were, and no sequence starts again: both databases count alike from here.
        for site in [&used, &restored] {
            site.ingest("plaza", after)?;
            let queue = site.drain(RUN)?;
            ensure!(queue.failed == 0, "{}: {queue:?}", site.database);
        }
        let expected = Outcome::of_camera(&mut used.connect()?, "plaza")?;
        Outcome::of_camera(&mut client, "plaza")?.ensure_same(&expected)
    })
}

fn configuration(client: &mut postgres::Client) -> Result<Vec<String>> {
    let rows = client.query(CONFIGURATION, &[])?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Their transactions are of the old database: the new one gives them out all the same.
#[test]
fn what_waits_in_a_dump_is_given_out_where_it_is_restored() -> Result<()> {
    with_queue("max_attempts = 3", |site, queue| {
        let mut client = site.connect()?;
        queue.fill(&mut client, 1..=4)?;
        let done = queue.claim(&mut client, "north", 1)?;
        complete(&mut client, &[done[0].id], None)?;
        let held = queue.claim(&mut client, "north", 1)?;
        // Of a batch whose other items wait: its entry and that of the requeued item begin with the same message.
        queue.ingest_batch(&mut client, (5, 6), "fail")?;
        queue.set(&mut client, "max_attempts = 1")?;
        let batch = queue.claim(&mut client, "north", 3)?;
        for item in batch.iter().filter(|item| item.frame_number == 5) {
            fail(&mut client, item.id, None, None)?;
        }
        let requeued = client.query_one("SELECT camcount.requeue_failed($1)", &[&queue.0])?;
        ensure!(requeued.try_get::<_, i64>(0)? == 1);

        let dump = site.cluster.path("used.dump");
        site.cluster.run("pg_dump", &["-Fc", "-f", &dump, site.database])?;
        site.cluster.connect("postgres")?.batch_execute("CREATE DATABASE restored")?;
        site.cluster.run("pg_restore", &["--exit-on-error", "-d", "restored", &dump])?;

        let restored = Site { cluster: site.cluster, database: "restored" };
        let items = queue.claim(&mut restored.connect()?, "south", 10)?;
        let numbers: Vec<i64> = items.iter().map(|item| item.frame_number).collect();
        // A lease is not in the dump.
        ensure!(numbers == [held[0].frame_number, 3, 4, 5, 6], "{numbers:?}");
        Ok(())
    })
}
