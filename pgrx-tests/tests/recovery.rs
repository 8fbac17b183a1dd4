//! What is killed changes nothing that is counted.

use std::time::Duration;

use anyhow::{Result, ensure};
use camcount_cluster_tests::cluster::{Cluster, Shutdown, with_cluster};
use camcount_cluster_tests::material::Material;
use camcount_cluster_tests::outcome::Outcome;
use camcount_cluster_tests::site::{Site, plaza_pipeline, preloaded};

const FRAMES: usize = 300;
const RUN: Duration = Duration::from_secs(180);

#[test]
fn three_killed_workers_and_a_restart_change_no_count_no_crossing_and_no_track() -> Result<()> {
    let Some(material) = Material::find(FRAMES)? else { return Ok(()) };
    with_cluster(&material.server, &preloaded(&[]), |cluster| {
        let undisturbed = prepared(cluster, "undisturbed", &material)?;
        undisturbed.ingest("plaza", &material.frames)?;
        let expected = finish(&undisturbed)?;
        ensure!(!expected.crossings.is_empty(), "nobody crossed a line: the run proves nothing");

        let disturbed = prepared(cluster, "disturbed", &material)?;
        disturbed.ingest("plaza", &material.frames)?;
        for fifth in 1..=3 {
            disturbed.await_completed(FRAMES as i64 * fifth / 5, RUN)?;
            disturbed.kill_a_vision_worker()?;
        }
        disturbed.await_completed(FRAMES as i64 * 4 / 5, RUN)?;
        cluster.stop(Shutdown::Fast)?;
        cluster.start()?;
        let unfinished = disturbed.queue()?;
        ensure!(unfinished.queued + unfinished.processing > 0, "the restart came too late: {unfinished:?}");
        finish(&disturbed)?.ensure_same(&expected)
    })
}

fn prepared<'a>(cluster: &'a Cluster, database: &'a str, material: &Material) -> Result<Site<'a>> {
    let site = Site::create(cluster, database)?;
    site.register("default", &material.model)?;
    site.create_pipeline("plaza", &plaza_pipeline("default"))?;
    Ok(site)
}

/// Waits for the end of all work, which must be done without a failure.
fn finish(site: &Site<'_>) -> Result<Outcome> {
    let queue = site.drain(RUN)?;
    ensure!(queue.completed == FRAMES as i64 && queue.failed == 0, "{queue:?}");
    Outcome::of_camera(&mut site.connect()?, "plaza")
}
