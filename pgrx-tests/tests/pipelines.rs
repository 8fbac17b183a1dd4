//! What is accepted while a pipeline is there reaches it, whenever pipelines come and go.

use anyhow::{Result, ensure};
use camcount_cluster_tests::cluster::{Cluster, with_cluster};
use camcount_cluster_tests::material::installed_server;
use camcount_cluster_tests::site::{SOON, Site, preloaded};
use camcount_cluster_tests::wait::wait_until;
use postgres::Client;

const CREATE_PIPELINE: &str = r#"SELECT camcount.create_pipeline('door', 'Door', 'counting',
    '{"cameras": ["gate"], "lines": [{"name": "door", "from": [0.5, 0.2], "to": [0.5, 0.9]}]}')"#;

/// Somebody goes through the door.
const INGEST: &str = "SELECT count(camcount.ingest_realtime_data('gate', 'main',
        now() - interval '1 minute' + n * interval '100 ms', n, 'detection',
        jsonb_build_object('width', 1000, 'height', 1000, 'detections', jsonb_build_array(jsonb_build_object(
            'class', 'person', 'confidence', 0.9, 'bbox', jsonb_build_array(700 - 15 * n, 300, 60, 200))))))
    FROM generate_series(1, 30) AS n";

fn on_a_cluster(test: impl FnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[("camcount.poll_interval", "10ms")]), test)
}

fn await_crossings(client: &mut Client, expected: i64) -> Result<()> {
    wait_until(&format!("{expected} crossings are counted"), SOON, || {
        let crossings: i64 =
            client.query_one("SELECT count(*) FROM camcount.line_crossings", &[])?.try_get(0)?;
        Ok(crossings == expected)
    })
}

#[test]
fn what_comes_together_with_its_pipeline_meets_it() -> Result<()> {
    const ROUNDS: i64 = 60;
    on_a_cluster(|cluster| {
        let site = Site::create(cluster, "site")?;
        let mut client = site.connect()?;
        for round in 1..=ROUNDS {
            let statements = format!("{CREATE_PIPELINE}; {INGEST}");
            client.batch_execute(
                &statements
                    .replace("gate", &format!("gate-{round}"))
                    .replace("'door'", &format!("'door-{round}'")),
            )?;
        }
        await_crossings(&mut client, ROUNDS)
    })
}

#[test]
fn what_waits_for_a_pipeline_lets_counts_pass() -> Result<()> {
    const COUNT: &str = r#"SELECT camcount.ingest_realtime_data('gate', 'main', now() - interval '2 minutes', 0, 'counting',
        '{"counter": "visitors", "value": 3}')"#;
    const STATES: &str = "SELECT coalesce(string_agg(status || ' ' || items, ', ' ORDER BY status), '')
        FROM (SELECT status, count(*) AS items FROM camcount.queue_items GROUP BY status) AS states";
    on_a_cluster(|cluster| {
        let site = Site::create(cluster, "site")?;
        let mut client = site.connect()?;
        client.batch_execute(COUNT)?;
        client.batch_execute(INGEST)?;
        wait_until("the count is taken", SOON, || {
            let states: String = client.query_one(STATES, &[])?.try_get(0)?;
            ensure!(!states.contains("completed 2"), "{states}");
            Ok(states == "completed 1, queued 30")
        })?;
        client.batch_execute(CREATE_PIPELINE)?;
        await_crossings(&mut client, 1)
    })
}
