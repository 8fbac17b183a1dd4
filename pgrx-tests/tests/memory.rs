//! A vision worker's memory is bounded, and stays level however many frames it has seen.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::Material;
use camcount_cluster_tests::site::{Site, plaza_pipeline, preloaded};

const FRAMES: usize = 400;
const RUN: Duration = Duration::from_secs(300);
/// Tracks, plans and the allocator's reserves have settled by then.
const SETTLED: i64 = 150;
const MOST_KIB: u64 = 400 * 1024;
const GROWTH_KIB: u64 = 10 * 1024;

#[test]
fn a_workers_memory_stays_below_its_bound_and_level() -> Result<()> {
    let Some(material) = Material::find(FRAMES)? else { return Ok(()) };
    with_cluster(&material.server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.register("default", &material.model)?;
        site.create_pipeline("plaza", &plaza_pipeline("default"))?;
        site.ingest("plaza", &material.frames)?;
        site.await_completed(SETTLED, RUN)?;
        let workers = site.vision_workers()?;
        let [worker] = workers[..] else { anyhow::bail!("vision workers: {workers:?}") };
        let settled = own(worker)?;
        let queue = site.drain(RUN)?;
        ensure!(queue.completed == FRAMES as i64, "{queue:?}");

        let (end, peak) = (own(worker)?, kib(worker, "VmHWM:")?);
        eprintln!("own KiB after {SETTLED} frames {settled}, after {FRAMES} {end}; resident at most {peak}");
        ensure!(peak < MOST_KIB, "worker {worker} held {peak} KiB");
        ensure!(end < settled + GROWTH_KIB, "worker {worker} grew from {settled} to {end} KiB");
        Ok(())
    })
}

/// Memory of a process's own in KiB: without the server's shared buffers, which it touches one after another.
fn own(pid: i32) -> Result<u64> {
    kib(pid, "RssAnon:")
}

fn kib(pid: i32, figure: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(figure)).context("no such figure")?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}
