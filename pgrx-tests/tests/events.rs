//! Many publish at once, and one reads from outside: nothing is missed, nothing comes twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::installed_server;
use camcount_cluster_tests::site::{SOON, Site, preloaded};
use camcount_cluster_tests::wait::wait_until;
use postgres::Client;

const PUBLISHERS: usize = 16;
const AGGREGATES: usize = 4;
const LASTS: Duration = Duration::from_secs(60);
const WITHOUT_VISION: &[(&str, &str)] = &[("camcount.vision_workers", "0")];

#[test]
fn an_outside_reader_misses_nothing_while_publishers_roll_back_and_are_killed() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(WITHOUT_VISION), |cluster| {
        let site = Site::create(cluster, "site")?;
        let is_over = AtomicBool::new(false);
        let read = thread::scope(|scope| -> Result<Vec<i64>> {
            let publishers: Vec<_> =
                (0..PUBLISHERS).map(|_| scope.spawn(|| publish_until(&site, &is_over))).collect();
            let reader = scope.spawn(|| read_until(&site, &is_over));
            let outcome = kill_some(&site);
            is_over.store(true, Ordering::SeqCst);
            for publisher in publishers {
                publisher.join().map_err(|_| anyhow!("a publisher panicked"))??;
            }
            outcome?;
            reader.join().map_err(|_| anyhow!("the reader panicked"))?
        })?;

        let mut client = site.connect()?;
        let stored: Vec<i64> = client
            .query_one(
                "SELECT array_agg(global_position ORDER BY global_position) FROM camcount.event_store",
                &[],
            )?
            .try_get(0)?;
        eprintln!("{} events were published, {} of them read", stored.len(), read.len());
        ensure!(stored.len() > 1000, "the run proves nothing");
        ensure!(read == stored, "the reader did not see each event once and in order");
        const GAPS: &str = "SELECT count(*) FROM (
                SELECT event_version, row_number() OVER (PARTITION BY aggregate_type, aggregate_id
                                                         ORDER BY event_version) AS expected
                FROM camcount.event_store) AS versions
            WHERE event_version <> expected";
        ensure!(client.query_one(GAPS, &[])?.try_get::<_, i64>(0)? == 0, "versions have gaps");
        Ok(())
    })
}

/// Publishes in transactions, of which some are rolled back. A session that was killed is replaced by another.
fn publish_until(site: &Site<'_>, is_over: &AtomicBool) -> Result<()> {
    while !is_over.load(Ordering::SeqCst) {
        let Ok(mut client) = site.connect() else { continue };
        client.batch_execute("SET application_name = 'publisher'").ok();
        while !is_over.load(Ordering::SeqCst) && publish_some(&mut client).is_ok() {}
    }
    Ok(())
}

/// A batch, or some events of one aggregate: whoever took several in any order would meet deadlocks.
fn publish_some(client: &mut Client) -> Result<()> {
    const BATCH: &str =
        "SELECT camcount.publish_events(jsonb_agg(jsonb_build_object('aggregate_id', n % $1::bigint,
            'aggregate_type', 'door', 'event_type', 'opened', 'event_data', n) ORDER BY random()))
        FROM generate_series(1::bigint, 10) AS n";
    const SINGLE: &str = "SELECT camcount.publish_event($1, 'door', 'opened', '{}')";
    let mut transaction = client.transaction()?;
    if fastrand::u8(..3) == 0 {
        transaction.execute(BATCH, &[&(AGGREGATES as i64)])?;
    } else {
        let aggregate = fastrand::usize(..AGGREGATES).to_string();
        for _ in 0..fastrand::usize(1..4) {
            transaction.execute(SINGLE, &[&aggregate])?;
        }
    }
    if fastrand::u8(..4) == 0 {
        transaction.rollback()?
    } else {
        transaction.commit()?
    }
    Ok(())
}

fn kill_some(site: &Site<'_>) -> Result<()> {
    const KILL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'publisher' ORDER BY random() LIMIT 1";
    let until = Instant::now() + LASTS;
    let mut client = site.connect()?;
    while Instant::now() < until {
        thread::sleep(Duration::from_millis(fastrand::u64(50..400)));
        client.execute(KILL, &[])?;
    }
    Ok(())
}

/// The positions that a reader sees who goes on from the last one each time.
fn read_until(site: &Site<'_>, is_over: &AtomicBool) -> Result<Vec<i64>> {
    const READ: &str = "SELECT global_position FROM camcount.read_events($1, 100)";
    let mut client = site.connect()?;
    let mut read = Vec::new();
    let mut last = 0;
    let mut ended: Option<Instant> = None;
    loop {
        let rows = client.query(READ, &[&last])?;
        for row in &rows {
            read.push(row.try_get(0)?);
        }
        last = read.last().copied().unwrap_or(0);
        if !rows.is_empty() || !is_over.load(Ordering::SeqCst) {
            ended = None;
            continue;
        }
        // Sessions that were killed may still be rolling back.
        const REST: &str = "SELECT EXISTS (SELECT FROM camcount.event_store WHERE global_position > $1)";
        let has_rest: bool = client.query_one(REST, &[&last])?.try_get(0)?;
        let since = *ended.get_or_insert_with(Instant::now);
        if !has_rest && since.elapsed() > Duration::from_secs(2) {
            return Ok(read);
        }
        ensure!(since.elapsed() < SOON, "events after {last} are not to be read");
    }
}

#[test]
fn a_reader_waits_for_a_transaction_with_a_smaller_position() -> Result<()> {
    const PUBLISH: &str = "SELECT camcount.publish_event($1, 'door', 'opened', '{}')";
    const READ: &str =
        "SELECT string_agg(aggregate_id, ' ' ORDER BY global_position) FROM camcount.read_events(0)";
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(WITHOUT_VISION), |cluster| {
        let site = Site::create(cluster, "site")?;
        let (mut first, mut second, mut reader) = (site.connect()?, site.connect()?, site.connect()?);
        let mut read = || -> Result<String> {
            Ok(reader.query_one(READ, &[])?.try_get::<_, Option<String>>(0)?.unwrap_or_default())
        };
        first.execute(PUBLISH, &[&"a"])?;
        // The younger transaction takes the smaller position.
        let mut older = second.transaction()?;
        older.execute("SELECT pg_current_xact_id()", &[])?;
        let mut younger = first.transaction()?;
        younger.execute(PUBLISH, &[&"b"])?;
        older.execute(PUBLISH, &[&"c"])?;
        older.commit()?;
        ensure!(read()? == "a", "read {:?} beside an open transaction", read()?);
        younger.commit()?;
        ensure!(read()? == "a b c", "read {:?}", read()?);

        let mut open = first.transaction()?;
        open.execute(PUBLISH, &[&"d"])?;
        second.execute(PUBLISH, &[&"e"])?;
        ensure!(read()? == "a b c", "read {:?} beside an open transaction", read()?);
        open.rollback()?;
        ensure!(read()? == "a b c e", "read {:?}", read()?);
        let settled: i64 = second.query_one("SELECT camcount.last_settled_position()", &[])?.try_get(0)?;
        ensure!(settled == 5, "settled up to {settled}");
        Ok(())
    })
}

#[test]
fn one_key_given_by_two_at_once_is_one_event() -> Result<()> {
    const PUBLISH: &str =
        "SELECT camcount.publish_event('gate', 'door', 'opened', '{}', '{\"idempotency_key\": \"k\"}')";
    const EXPECTING: &str =
        "SELECT camcount.publish_event('gate', 'door', 'opened', '{}', '{\"expected_version\": 1}')";
    const WAITING: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)";
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(WITHOUT_VISION), |cluster| {
        let site = Site::create(cluster, "site")?;
        let (mut first, mut witness) = (site.connect()?, site.connect()?);
        for (statement, is_same) in [(PUBLISH, true), (EXPECTING, false)] {
            let mut open = first.transaction()?;
            let id: String = open.query_one(statement, &[])?.try_get(0)?;
            let found = thread::scope(|scope| -> Result<_> {
                let other = scope.spawn(|| -> Result<_> { Ok(site.connect()?.query_one(statement, &[])) });
                wait_until("the other waits", SOON, || {
                    Ok(other.is_finished() || witness.query_one(WAITING, &[])?.try_get(0)?)
                })?;
                open.commit()?;
                other.join().ok().context("the other panicked")?
            })?;
            match found {
                Ok(row) => {
                    ensure!(is_same && row.try_get::<_, String>(0)? == id, "another event was published")
                }
                Err(error) => ensure!(
                    !is_same && error.code().is_some_and(|code| code.code() == "40001"),
                    "failed: {error:?}"
                ),
            }
        }
        let versions: i64 = first.query_one("SELECT count(*) FROM camcount.event_store", &[])?.try_get(0)?;
        ensure!(versions == 2, "{versions} events");
        Ok(())
    })
}
