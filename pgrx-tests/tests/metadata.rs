//! What a sender says of a frame travels with what is made of it.

use anyhow::Result;
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::installed_server;
use camcount_cluster_tests::site::{SOON, Site, preloaded};
use camcount_cluster_tests::wait::wait_until;
use serde_json::{Value, json};

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

fn merge(object: &mut Value, more: &Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
}
