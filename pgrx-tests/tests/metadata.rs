//! What a sender says of a frame travels with what is made of it, and how good its pictures are is measured.

use std::time::Duration;

use anyhow::{Result, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::{Material, installed_server};
use camcount_cluster_tests::site::{SOON, Site, plaza_pipeline, preloaded};
use camcount_cluster_tests::wait::wait_until;
use serde_json::{Value, json};

const RUN: Duration = Duration::from_secs(60);

#[test]
fn location_weather_events_and_context_travel_with_results_and_series() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[]), |cluster| {
        let mut client = Site::create(cluster, "site")?.connect()?;
        client.batch_execute("SELECT camcount.create_pipeline('p', 'P', 'tracking', '{}')")?;
        let told =
            json!({"location": {"latitude": 21.0}, "weather": "rain", "events": ["match"], "context": 7});
        let mut payload = json!({"width": 64, "height": 48, "detections": [], "secret": true});
        merge(&mut payload, &told);
        let long = json!({"width": 64, "height": 48, "detections": [], "context": "x".repeat(9000)});
        let ingest = "SELECT camcount.ingest_realtime_data($1, 'main', now(), 1, 'detection', $2)";
        for (camera, payload) in [("told", &payload), ("long", &long)] {
            client.query(ingest, &[&camera, payload])?;
        }
        wait_until("two results", SOON, || {
            let results = "SELECT count(DISTINCT camera_id) = 2 FROM camcount.processing_results";
            Ok(client.query_one(results, &[])?.get(0))
        })?;
        let kept = "SELECT r.camera_id, r.result_metadata, t.metric_tags - '{pipeline_id,stream_id}'::text[]
            FROM camcount.processing_results r JOIN camcount.timeseries_data t USING (camera_id)
            WHERE r.step_name = 'detect' AND t.metric_name = 'detections' ORDER BY r.camera_id DESC";
        let found: Vec<(String, Option<Value>, Value)> =
            client.query(kept, &[])?.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        let expected = [("told".to_owned(), Some(told.clone()), told), ("long".to_owned(), None, json!({}))];
        assert_eq!(found, expected);
        Ok(())
    })
}

#[test]
fn pictures_are_measured_and_one_that_never_changes_is_frozen() -> Result<()> {
    let Some(material) = Material::find(1)? else { return Ok(()) };
    with_cluster(&material.server, &preloaded(&[("camcount.monitor_interval", "1s")]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.register("default", &material.model)?;
        site.create_pipeline("plaza", &plaza_pipeline("default"))?;
        let mut client = site.connect()?;
        let ingest = "SELECT camcount.ingest_frame('still', 'main',
                timestamptz '2026-01-05 08:00:00+00' + n * interval '1 s', n, $1, '{\"weather\": \"rain\"}')
            FROM generate_series(0, 6) AS n";
        client.query(ingest, &[&material.frames[0].image])?;
        site.drain(RUN)?;
        let measured =
            "SELECT is_frozen AND image_quality_score > 60 AND unchanged_since = '2026-01-05 08:00:00+00'
            FROM camcount.stream_state";
        ensure!(client.query_one(measured, &[])?.get::<_, bool>(0), "the picture was not measured");
        let told = "SELECT count(*) = 7 FROM camcount.processing_results
            WHERE step_name = 'detect' AND result_metadata = '{\"weather\": \"rain\"}'";
        ensure!(client.query_one(told, &[])?.get::<_, bool>(0), "the metadata did not travel");
        wait_until("samples that show the arrivals and the frozen camera", SOON, || {
            let sample = "SELECT coalesce(bool_or(is_frozen AND image_quality_score = 0 AND sharpness > 0)
                AND sum(ingestion_rate_fps) > 0 AND sum(lost_frames) = 0, false) FROM camcount.ingestion_monitoring";
            Ok(client.query_one(sample, &[])?.get(0))
        })?;
        Ok(())
    })
}

fn merge(object: &mut Value, more: &Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
}
