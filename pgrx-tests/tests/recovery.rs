//! What is killed changes nothing that is counted.

use std::time::Duration;

use anyhow::{Result, ensure};
use camcount_cluster_tests::cluster::{Cluster, Shutdown, with_cluster};
use camcount_cluster_tests::material::{Material, black_png};
use camcount_cluster_tests::outcome::Outcome;
use camcount_cluster_tests::site::{Site, plaza_pipeline, preloaded};
use camcount_cluster_tests::wait::wait_until;

const FRAMES: usize = 300;
const FEW_FRAMES: usize = 20;
/// Just within camcount.max_image_pixels.
const LARGE_SIDE: u32 = 7000;
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

#[test]
fn three_workers_killed_over_the_same_frames_lose_none() -> Result<()> {
    let Some(mut material) = Material::find(FEW_FRAMES)? else { return Ok(()) };
    // Large, so that it is still being decoded when the test kills its worker.
    material.frames[0].image = black_png(LARGE_SIDE, LARGE_SIDE)?;
    with_cluster(&material.server, &preloaded(&[]), |cluster| {
        let site = prepared(cluster, "site", &material)?;
        site.ingest("plaza", &material.frames)?;
        for _ in 0..3 {
            wait_until("a worker holds frames", RUN, || site.is_claimed())?;
            site.kill_a_vision_worker()?;
        }
        let queue = site.drain(RUN)?;
        ensure!(queue.completed == FEW_FRAMES as i64 && queue.failed == 0, "{queue:?}");
        Ok(())
    })
}

#[test]
fn a_frame_that_ends_every_worker_rests_as_failed_and_its_stream_goes_on() -> Result<()> {
    let Some(mut material) = Material::find(FEW_FRAMES)? else { return Ok(()) };
    // Large, so that it is still being decoded when the test kills its worker.
    material.frames[0].image = black_png(LARGE_SIDE, LARGE_SIDE)?;
    let (deadly, harmless) = material.frames.split_at(1);
    with_cluster(&material.server, &preloaded(&[]), |cluster| {
        let site = prepared(cluster, "site", &material)?;
        site.ingest("plaza", deadly)?;
        wait_until("the frame is given up", RUN, || {
            if site.is_claimed()? {
                site.kill_a_vision_worker()?;
            }
            Ok(site.queue()?.failed == 1)
        })?;
        site.ingest("plaza", harmless)?;
        let queue = site.drain(RUN)?;
        ensure!(queue.completed == harmless.len() as i64 && queue.failed == 1, "{queue:?}");
        Ok(())
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
