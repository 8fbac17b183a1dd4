//! Workers come and go with extensions, databases and models.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use camcount_cluster_tests::cluster::{Cluster, with_cluster};
use camcount_cluster_tests::material::{Material, installed_server};
use camcount_cluster_tests::outcome::Outcome;
use camcount_cluster_tests::site::{SOON, Site, plaza_pipeline, preloaded, unloaded};
use camcount_cluster_tests::wait::wait_until;
use serde_json::json;

const RUN: Duration = Duration::from_secs(60);

#[test]
fn workers_follow_create_and_drop_extension() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.await_vision_workers(1)?;
        site.connect()?.batch_execute("DROP EXTENSION camcount")?;
        await_no_workers(cluster, "site")?;
        site.connect()?.batch_execute("CREATE EXTENSION camcount")?;
        site.await_vision_workers(1).map(drop)
    })
}

/// DROP EXTENSION takes the tables one by one: a worker that took them in another order meanwhile would end one of both
/// with a deadlock.
#[test]
fn workers_wait_for_a_drop_before_they_lock_a_table() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.await_vision_workers(1)?;
        let (mut reader, mut dropper, mut client) = (site.connect()?, site.connect()?, site.connect()?);
        let mut reading = reader.transaction()?;
        reading.batch_execute("LOCK TABLE camcount.cameras IN ACCESS SHARE MODE")?;
        std::thread::scope(|scope| {
            let dropped = scope.spawn(move || dropper.batch_execute("DROP EXTENSION camcount"));
            let waiting = "SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM pg_locks AS table_lock
                    WHERE table_lock.pid = waits.pid AND table_lock.relation >= 16384))
                FROM pg_locks AS waits JOIN pg_stat_activity USING (pid)
                WHERE NOT granted AND classid = 'pg_extension'::regclass AND backend_type LIKE 'camcount%'";
            wait_until("a worker waits for the extension", SOON, || {
                let found = client.query_one(waiting, &[])?;
                ensure!(
                    found.get::<_, i64>(1) == 0,
                    "a worker that waits for the extension has locked a table"
                );
                Ok(found.get::<_, i64>(0) > 0)
            })?;
            reading.rollback()?;
            dropped.join().map_err(|_| anyhow!("the dropping session panicked"))??;
            await_no_workers(cluster, "site")
        })
    })
}

#[test]
fn a_rolled_back_extension_leaves_no_workers() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        cluster.connect("postgres")?.batch_execute("BEGIN; CREATE EXTENSION camcount; ROLLBACK;")?;
        // The launcher has seen to this database when it has seen to the other.
        site.await_vision_workers(1)?;
        await_no_workers(cluster, "postgres")
    })
}

#[test]
fn a_database_with_running_workers_is_dropped_by_a_plain_drop() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[]), |cluster| {
        let dropped = Site::create(cluster, "dropped")?;
        let kept = Site::create(cluster, "kept")?;
        dropped.await_vision_workers(1)?;
        let others = kept.await_vision_workers(1)?;
        cluster.connect("postgres")?.batch_execute("DROP DATABASE dropped")?;
        ensure!(kept.vision_workers()? == others, "the other database's worker was disturbed");

        // A new database of the same name is another database.
        Site::create(cluster, "dropped")?.await_vision_workers(1).map(drop)
    })
}

#[test]
fn a_template_with_the_extension_can_be_copied_while_workers_run() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.await_vision_workers(1)?;
        cluster.connect("postgres")?.batch_execute("CREATE DATABASE copy TEMPLATE site")?;
        Site { cluster, database: "copy" }.await_vision_workers(1).map(drop)
    })
}

#[test]
fn a_database_with_running_workers_is_renamed_by_a_plain_rename() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.await_vision_workers(1)?;
        cluster.connect("postgres")?.batch_execute("ALTER DATABASE site RENAME TO moved")?;
        Site { cluster, database: "moved" }.await_vision_workers(1).map(drop)
    })
}

#[test]
fn without_preload_workers_run_when_they_are_started() -> Result<()> {
    let Some(material) = Material::find(10)? else { return Ok(()) };
    with_cluster(&material.server, &unloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.register("default", &material.model)?;
        site.create_pipeline("plaza", &plaza_pipeline("default"))?;
        site.ingest("plaza", &material.frames)?;
        ensure!(site.queue()?.queued == 10 && site.vision_workers()?.is_empty(), "{:?}", site.queue()?);

        let mut client = site.connect()?;
        client.batch_execute("SELECT camcount.start_workers()")?;
        let workers = site.await_vision_workers(1)?;
        let queue = site.drain(RUN)?;
        ensure!(queue.completed == 10, "{queue:?}");

        client.batch_execute("SELECT camcount.start_workers()")?;
        ensure!(site.vision_workers()? == workers, "started twice, workers run twice");
        client.batch_execute("SELECT camcount.stop_workers()")?;
        await_no_workers(cluster, "site")
    })
}

#[test]
fn a_new_model_version_serves_without_a_restart() -> Result<()> {
    let Some(material) = Material::find(60)? else { return Ok(()) };
    let (before, after) = material.frames.split_at(30);
    with_cluster(&material.server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        let first = site.register("default", &material.model)?;
        ensure!(site.register("default", &material.model)? == first, "the same model became another version");
        site.create_pipeline("plaza", &plaza_pipeline("default"))?;
        site.ingest("seeing", before)?;
        site.drain(RUN)?;
        let workers = site.vision_workers()?;

        let second = site.register("default", &material.model.blind())?;
        ensure!(second > first, "version {second} after {first}");
        site.ingest("blind", after)?;
        site.drain(RUN)?;

        let mut client = site.connect()?;
        let seen = Outcome::of_camera(&mut client, "seeing")?.tracks.len();
        let missed = Outcome::of_camera(&mut client, "blind")?.tracks.len();
        ensure!(seen > 0 && missed == 0, "{seen} boxes with the first version, {missed} with the second");
        ensure!(site.vision_workers()? == workers, "the worker was restarted");
        Ok(())
    })
}

/// Waits until nothing of ours runs in the database.
fn await_no_workers(cluster: &Cluster, database: &str) -> Result<()> {
    let mut client = cluster.connect("postgres")?;
    // Those of the server itself have fixed names; a background worker of ours has the extension's.
    let statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() \
        AND (backend_type LIKE 'camcount%' OR application_name LIKE 'camcount%')";
    wait_until(&format!("no worker runs in {database}"), SOON, || {
        Ok(client.query_one(statement, &[&database])?.try_get::<_, i64>(0)? == 0)
    })
}

#[test]
fn a_missing_model_holds_up_only_the_streams_that_need_it() -> Result<()> {
    let Some(material) = Material::find(10)? else { return Ok(()) };
    with_cluster(&material.server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.register("default", &material.model)?;
        for (camera, model) in [("lost", "absent"), ("plaza", "default")] {
            let mut pipeline = plaza_pipeline(model);
            pipeline["cameras"] = json!([camera]);
            site.create_pipeline(camera, &pipeline)?;
            site.ingest(camera, &material.frames)?;
        }
        site.await_completed(10, RUN)?;
        let mut client = site.connect()?;
        let waiting = client.query_one(
            "SELECT count(*), max(attempts) FROM camcount.queue_items WHERE camera_id = 'lost' AND status = 'queued'",
            &[],
        )?;
        ensure!(
            waiting.get::<_, i64>(0) == 10 && waiting.get::<_, i32>(1) == 0,
            "the waiting frames were tried"
        );
        site.register("absent", &material.model)?;
        site.await_completed(20, RUN).map(drop)
    })
}
