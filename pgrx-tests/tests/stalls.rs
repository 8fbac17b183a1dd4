//! A camera that falls silent is reported once, and once when it is heard again.

use anyhow::{Result, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::Material;
use camcount_cluster_tests::site::{SOON, Site, preloaded};
use camcount_cluster_tests::wait::wait_until;
use serde_json::json;

const EVENTS: &str =
    "SELECT coalesce(string_agg(aggregate_id || ' ' || event_type, ', ' ORDER BY event_version), '')
    FROM camcount.event_store WHERE event_type LIKE 'camera%'";

#[test]
fn a_silent_camera_is_reported_once_and_once_when_it_is_heard_again() -> Result<()> {
    let Some(material) = Material::find(2)? else { return Ok(()) };
    let settings = [("camcount.vision_workers", "0"), ("camcount.stall_after", "1s")];
    with_cluster(&material.server, &preloaded(&settings), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.register("default", &material.model)?;
        site.create_pipeline("door", &json!({ "model": "default", "cameras": ["door"] }))?;
        let mut client = site.connect()?;
        let mut await_events = |expected: &str| {
            wait_until(expected, SOON, || {
                let events: String = client.query_one(EVENTS, &[])?.get(0);
                ensure!(expected.starts_with(&events), "{events}");
                Ok(events == expected)
            })
        };
        // Nobody asks for events of the other.
        site.ingest("yard", &material.frames[..1])?;
        site.ingest("door", &material.frames[..1])?;
        await_events("door camera_stalled")?;
        site.ingest("door", &material.frames[1..])?;
        await_events("door camera_stalled, door camera_recovered, door camera_stalled")?;
        let stalled: i64 =
            site.connect()?.query_one("SELECT count(*) FROM camcount.stalled_cameras", &[])?.get(0);
        ensure!(stalled == 2, "{stalled} cameras are noted as stalled");
        Ok(())
    })
}
