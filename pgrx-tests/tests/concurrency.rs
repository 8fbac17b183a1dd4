//! Several sessions write at once: what they add up to is as if they had come one after the other.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::installed_server;
use camcount_cluster_tests::site::{Site, preloaded};

const SESSIONS: i64 = 8;
const ROUNDS: i64 = 25;

/// Runs a statement in each session, `ROUNDS` times, and then a condition that must hold.
fn at_once(statement: &str, condition: &str) -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[("camcount.vision_workers", "0")]), |cluster| {
        let site = Site::create(cluster, "site")?;
        thread::scope(|scope| {
            let session = || -> Result<()> {
                let mut client = site.connect()?;
                (0..ROUNDS).try_for_each(|_| client.execute(statement, &[]).map(drop)).map_err(Into::into)
            };
            let sessions: Vec<_> = (0..SESSIONS).map(|_| scope.spawn(session)).collect();
            sessions
                .into_iter()
                .try_for_each(|session| session.join().map_err(|_| anyhow!("a session panicked"))?)
        })?;
        let met: bool = site.connect()?.query_one(condition, &[])?.try_get(0)?;
        ensure!(met, "does not hold: {condition}");
        Ok(())
    })
}

#[test]
fn versions_of_one_aggregate_have_no_gaps() -> Result<()> {
    at_once(
        "SELECT camcount.publish_event('gate', 'camera', 'noted', '{}')",
        "SELECT count(*) = 200 AND count(DISTINCT event_version) = 200 AND max(event_version) = 200
             AND bool_and(event_sequence = event_version) AND count(DISTINCT event_id) = 200
         FROM camcount.event_store WHERE (aggregate_type, aggregate_id) = ('camera', 'gate')",
    )
}

#[test]
fn increments_of_one_counter_all_count() -> Result<()> {
    at_once(
        "SELECT camcount.increment_realtime_counter('gate', 'door.in', 3)",
        "SELECT count(*) = 1 AND sum(current_count) = 600 AND sum(total_count) = 600 FROM camcount.realtime_counters",
    )
}

#[test]
fn one_message_sent_by_all_is_taken_once() -> Result<()> {
    at_once(
        "SELECT camcount.ingest_realtime_data('gate', 'main', '2026-01-05 08:00:00+00', 1, 'counting', '[]')",
        "SELECT (SELECT count(*) FROM camcount.queue_items) = 1
            AND (SELECT count(*) FROM camcount.realtime_data_ingestion) = 1
            AND (SELECT count(*) FROM camcount.cameras) = 1",
    )
}

#[test]
fn batches_of_the_same_messages_in_any_order_do_not_wait_for_each_other() -> Result<()> {
    at_once(
        "SELECT camcount.batch_ingest_data((
             SELECT jsonb_agg(jsonb_build_object('camera_id', 'gate', 'stream_id', 'stream ' || n % 7,
                 'frame_timestamp', '2026-01-05T08:00:00Z', 'frame_number', extract(second FROM now())::integer * 100 + n,
                 'data_type', 'counting', 'data_payload', '[]'::jsonb) ORDER BY random())
             FROM generate_series(1, 60) AS n))",
        "SELECT count(*) = count(DISTINCT ingestion_id) AND count(*) >= 60 FROM camcount.realtime_data_ingestion",
    )
}
