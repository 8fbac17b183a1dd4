//! Values of one key, sent by several sessions: each finds the one before it.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::installed_server;
use camcount_cluster_tests::site::{SOON, Site, preloaded};
use camcount_cluster_tests::wait::wait_until;

const SESSIONS: i32 = 8;
const ROUNDS: i32 = 25;
const EXPIRY: Duration = Duration::from_secs(30);

const UPDATE: &str =
    "SELECT (camcount.update_realtime_aggregation('gate', $1, $2::integer) ->> 'previous_value')::integer";

fn on_a_site(settings: &[(&str, &str)], test: impl FnOnce(&Site<'_>) -> Result<()>) -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    let settings: Vec<_> = settings.iter().copied().chain([("camcount.vision_workers", "0")]).collect();
    with_cluster(&server, &preloaded(&settings), |cluster| test(&Site::create(cluster, "site")?))
}

/// Resolution 46.
#[test]
fn no_two_sessions_share_a_previous_value() -> Result<()> {
    on_a_site(&[], |site| {
        thread::scope(|scope| {
            let session = |number: i32| -> Result<()> {
                let mut client = site.connect()?;
                for round in 0..ROUNDS {
                    let value = 1 + number * ROUNDS + round;
                    for key in ["people", "people_in_2s"] {
                        client.execute(UPDATE, &[&key, &value])?;
                    }
                }
                Ok(())
            };
            let sessions: Vec<_> = (0..SESSIONS).map(|number| scope.spawn(move || session(number))).collect();
            sessions
                .into_iter()
                .try_for_each(|session| session.join().map_err(|_| anyhow!("a session panicked"))?)
        })?;
        let mut client = site.connect()?;
        let chain: bool = client
            .query_one(
                "SELECT count(*) = 200 AND count(DISTINCT current_value) = 200
                     AND count(DISTINCT previous_value) = 199 AND count(DISTINCT aggregation_timestamp) = 200
                     AND bool_and(previous_value IS NOT DISTINCT FROM before)
                 FROM (SELECT *, lag(current_value) OVER (ORDER BY aggregation_timestamp) AS before
                       FROM camcount.realtime_aggregations WHERE aggregation_key = 'people') AS valued",
                &[],
            )?
            .try_get(0)?;
        ensure!(chain, "the values are not one chain");
        let windows: bool = client
            .query_one(
                "SELECT sum(count_values) = 200 AND sum(sum_value) = 200 * 201 / 2 AND min(min_value) = 1
                     AND max(max_value) = 200 AND bool_and(window_start = date_bin('2 seconds', last_updated, '2000-01-01'))
                 FROM camcount.realtime_aggregations WHERE aggregation_key = 'people_in_2s'",
                &[],
            )?
            .try_get(0)?;
        ensure!(windows, "the windows do not have all values");
        Ok(())
    })
}

/// Resolution 46: also where neither the key nor its window is there yet.
#[test]
fn a_second_session_waits_for_the_first_value_of_a_key() -> Result<()> {
    on_a_site(&[], |site| {
        for (key, is_kept) in [("first", true), ("first_in_1s", true), ("undone", false)] {
            let (mut one, mut other, mut watcher) = (site.connect()?, site.connect()?, site.connect()?);
            let mut first = one.transaction()?;
            first.execute(UPDATE, &[&key, &1])?;
            thread::scope(|scope| -> Result<()> {
                let second = scope.spawn(move || other.query_one(UPDATE, &[&key, &2]));
                wait_until("the second session waits", SOON, || {
                    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'site'
                        AND wait_event_type = 'Lock' AND query LIKE '%update_realtime_aggregation%')";
                    Ok(watcher.query_one(waits, &[])?.try_get(0)?)
                })?;
                if is_kept {
                    first.commit()?;
                } else {
                    first.rollback()?;
                }
                let previous: Option<i32> =
                    second.join().map_err(|_| anyhow!("the second session panicked"))??.try_get(0)?;
                ensure!(previous == is_kept.then_some(1), "{key}: {previous:?}");
                Ok(())
            })?;
        }
        Ok(())
    })
}

#[test]
fn the_maintenance_worker_removes_windows_after_their_retention() -> Result<()> {
    on_a_site(&[("camcount.aggregation_retention", "1h"), ("camcount.maintenance_interval", "1s")], |site| {
        let mut client = site.connect()?;
        client.execute(UPDATE, &[&"kept", &1])?;
        client.batch_execute(
            "INSERT INTO camcount.realtime_aggregations (camera_id, aggregation_key, aggregation_timestamp, last_updated)
             SELECT 'gate', 'old', now() - interval '2 hours' - n * interval '1 second', now() - interval '2 hours'
             FROM generate_series(1, 25000) AS n",
        )?;
        wait_until("old windows are removed", EXPIRY, || {
            let left =
                "SELECT array_agg(DISTINCT aggregation_key) = '{kept}' FROM camcount.realtime_aggregations";
            Ok(client.query_one(left, &[])?.try_get(0)?)
        })
    })
}
