//! The cache over sessions, databases, restarts and crashes.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use camcount_cluster_tests::cluster::{Cluster, Shutdown, with_cluster};
use camcount_cluster_tests::material::installed_server;
use camcount_cluster_tests::site::{SOON, Site, preloaded, unloaded};
use camcount_cluster_tests::wait::wait_until;
use postgres::Client;
use postgres::error::SqlState;

const FILE: &str = "data/pg_stat/camcount_cache";
const EXPIRY: Duration = Duration::from_secs(30);

fn on_a_cluster(settings: &[(&str, &str)], test: impl FnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(settings), test)
}

fn set(client: &mut Client, key: &str, value: &str) -> Result<()> {
    client.execute("SELECT camcount.cache_set($1, to_jsonb($2::text), 3600)", &[&key, &value])?;
    Ok(())
}

fn get(client: &mut Client, key: &str) -> Result<Option<String>> {
    Ok(client.query_one("SELECT camcount.cache_get($1) #>> '{}'", &[&key])?.try_get(0)?)
}

fn ensure_value(client: &mut Client, key: &str, expected: Option<&str>) -> Result<()> {
    let found = get(client, key)?;
    ensure!(found.as_deref() == expected, "{key}: {found:?}, not {expected:?}");
    Ok(())
}

#[test]
fn what_one_session_sets_others_get_at_once_and_a_rollback_does_not_undo_it() -> Result<()> {
    on_a_cluster(&[], |cluster| {
        let site = Site::create(cluster, "site")?;
        let (mut one, mut other) = (site.connect()?, site.connect()?);
        let mut open = one.transaction()?;
        open.execute("SELECT camcount.cache_set('key', '\"set\"')", &[])?;
        ensure_value(&mut other, "key", Some("set"))?;
        open.execute("SELECT camcount.cache_delete('key')", &[])?;
        ensure_value(&mut other, "key", None)?;
        open.execute("SELECT camcount.cache_set('key', '\"set again\"')", &[])?;
        open.rollback()?;
        ensure_value(&mut other, "key", Some("set again"))
    })
}

/// Resolution 52: a read is no write.
#[test]
fn reading_and_writing_need_no_transaction_id() -> Result<()> {
    on_a_cluster(&[], |cluster| {
        let mut client = Site::create(cluster, "site")?.connect()?;
        client.batch_execute(
            "BEGIN READ ONLY; SELECT camcount.cache_set('key', '1'); SELECT camcount.cache_get('key')",
        )?;
        let is_clean: bool = client
            .query_one(
                "SELECT pg_current_xact_id_if_assigned() IS NULL AND (SELECT hit_count = 1 FROM camcount.realtime_metrics_cache)",
                &[],
            )?
            .try_get(0)?;
        ensure!(is_clean, "a transaction id was needed, or the hit was not counted");
        Ok(())
    })
}

#[test]
fn databases_do_not_see_each_others_values() -> Result<()> {
    on_a_cluster(&[], |cluster| {
        let (one, other) = (Site::create(cluster, "one")?, Site::create(cluster, "other")?);
        let (mut client, mut stranger) = (one.connect()?, other.connect()?);
        set(&mut client, "key", "of one")?;
        ensure_value(&mut stranger, "key", None)?;
        set(&mut stranger, "key", "of the other")?;
        ensure_value(&mut client, "key", Some("of one"))?;
        let shown: i64 =
            stranger.query_one("SELECT count(*) FROM camcount.realtime_metrics_cache", &[])?.try_get(0)?;
        ensure!(shown == 1, "{shown} values are shown");
        stranger.execute("SELECT camcount.cache_delete('key')", &[])?;
        ensure_value(&mut client, "key", Some("of one"))
    })
}

/// A number of a database that is gone comes again, here by force.
#[test]
fn a_database_with_the_number_of_a_dropped_one_starts_empty() -> Result<()> {
    on_a_cluster(&[], |cluster| {
        let mut admin = cluster.connect("postgres")?;
        for _ in 0..2 {
            admin.batch_execute("CREATE DATABASE again WITH OID = 4242424")?;
            let mut client = cluster.connect("again")?;
            client.batch_execute("CREATE EXTENSION camcount")?;
            ensure_value(&mut client, "key", None)?;
            set(&mut client, "key", "old")?;
            ensure_value(&mut client, "key", Some("old"))?;
            drop(client);
            admin.batch_execute("DROP DATABASE again WITH (FORCE)")?;
        }
        Ok(())
    })
}

#[test]
fn an_extension_made_anew_starts_empty_in_sessions_that_are_there() -> Result<()> {
    on_a_cluster(&[], |cluster| {
        let site = Site::create(cluster, "site")?;
        let (mut client, mut other) = (site.connect()?, site.connect()?);
        set(&mut client, "key", "old")?;
        ensure_value(&mut other, "key", Some("old"))?;
        client.batch_execute("DROP EXTENSION camcount; CREATE EXTENSION camcount")?;
        ensure_value(&mut client, "key", None)?;
        ensure_value(&mut other, "key", None)?;
        set(&mut other, "key", "new")?;
        ensure_value(&mut client, "key", Some("new"))
    })
}

#[test]
fn values_survive_a_clean_restart_and_no_crash() -> Result<()> {
    on_a_cluster(&[], |cluster| {
        let site = Site::create(cluster, "site")?;
        let mut client = site.connect()?;
        set(&mut client, "kept", "kept")?;
        client.batch_execute(
            "SELECT camcount.cache_set('array', '[1, {\"a\": 1.50}]', 3600); SELECT camcount.cache_set('short', '1', 1);
             SELECT camcount.cache_get('array')",
        )?;
        wait_until("the short value expires", EXPIRY, || Ok(get(&mut client, "short")?.is_none()))?;
        for _ in 0..2 {
            drop(client);
            cluster.stop(Shutdown::Fast)?;
            ensure!(fs::exists(cluster.path(FILE))?, "nothing was written");
            cluster.start()?;
            ensure!(!fs::exists(cluster.path(FILE))?, "the file is still there");
            client = site.connect()?;
            ensure_value(&mut client, "kept", Some("kept"))?;
            ensure_value(&mut client, "array", Some("[1, {\"a\": 1.50}]"))?;
            ensure_value(&mut client, "short", None)?;
        }
        let hits: i64 = client
            .query_one(
                "SELECT hit_count FROM camcount.realtime_metrics_cache WHERE cache_key = 'array'",
                &[],
            )?
            .try_get(0)?;
        ensure!(hits == 3, "{hits} hits");

        // A stop that writes no checkpoint.
        drop(client);
        cluster.stop(Shutdown::Immediate)?;
        ensure!(!fs::exists(cluster.path(FILE))?, "written by a server that did not shut down");
        cluster.start()?;
        client = site.connect()?;
        ensure_value(&mut client, "kept", None)?;

        // A crash of one process, after which the server goes on.
        set(&mut client, "kept", "kept")?;
        site.kill_a_vision_worker()?;
        client = site.connect()?;
        ensure_value(&mut client, "kept", None)?;
        set(&mut client, "kept", "kept again")?;
        drop(client);
        cluster.stop(Shutdown::Fast)?;
        cluster.start()?;
        ensure_value(&mut site.connect()?, "kept", Some("kept again"))
    })
}

#[test]
fn a_damaged_file_is_ignored_with_a_message() -> Result<()> {
    on_a_cluster(&[], |cluster| {
        let site = Site::create(cluster, "site")?;
        set(&mut site.connect()?, "key", "value")?;
        cluster.stop(Shutdown::Fast)?;
        let path = cluster.path(FILE);
        let mut octets = fs::read(&path)?;
        let middle = octets.len() / 2;
        octets[middle] ^= 1;
        fs::write(&path, octets)?;
        cluster.start()?;
        ensure_value(&mut site.connect()?, "key", None)?;
        ensure!(!fs::exists(&path)?, "the file is still there");
        ensure!(cluster.log().contains("LOG:  camcount: the cache starts empty"), "nothing was logged");
        Ok(())
    })
}

#[test]
fn sessions_that_set_get_and_delete_at_once_never_see_anothers_value() -> Result<()> {
    const SESSIONS: i32 = 4;
    on_a_cluster(&[("camcount.cache_size", "1MB")], |cluster| {
        let site = Site::create(cluster, "site")?;
        // More than fits: values of up to 40 KB under 200 keys, each of which says whose it is.
        let work = "DO $$
            DECLARE v_key text; v_value jsonb;
            BEGIN
                FOR i IN 1 .. 3000 LOOP
                    v_key := 'key ' || (random() * 200)::integer;
                    v_value := camcount.cache_get(v_key);
                    IF v_value ->> 0 <> v_key OR length(v_value ->> 1) <> (v_value ->> 2)::integer THEN
                        RAISE EXCEPTION '% has %', v_key, left(v_value::text, 100);
                    END IF;
                    IF i % 10 = 0 THEN
                        PERFORM camcount.cache_delete(v_key);
                    ELSIF i % 2 = 0 THEN
                        PERFORM camcount.cache_set(v_key, jsonb_build_array(v_key, repeat('x', n), n))
                        FROM CAST(random() * random() * 40000 AS integer) AS n;
                    END IF;
                END LOOP;
            END $$";
        thread::scope(|scope| {
            let session = || -> Result<()> { Ok(site.connect()?.batch_execute(work)?) };
            let sessions: Vec<_> = (0..SESSIONS).map(|_| scope.spawn(session)).collect();
            sessions
                .into_iter()
                .try_for_each(|session| session.join().map_err(|_| anyhow!("a session panicked"))?)
        })?;
        let holds: bool = site
            .connect()?
            .query_one(
                "SELECT evictions > 0 AND hits > 0 AND used_bytes + free_bytes <= 1048576
                     AND entries = (SELECT count(*) FROM camcount.realtime_metrics_cache)
                     AND (SELECT bool_and(cache_value ->> 0 = cache_key) AND count(*) = count(DISTINCT cache_key)
                          FROM camcount.realtime_metrics_cache)
                 FROM camcount.cache_statistics",
                &[],
            )?
            .try_get(0)?;
        ensure!(holds, "the figures are wrong");
        Ok(())
    })
}

#[test]
fn the_maintenance_worker_removes_what_has_expired() -> Result<()> {
    on_a_cluster(&[("camcount.maintenance_interval", "1s")], |cluster| {
        let mut client = Site::create(cluster, "site")?.connect()?;
        client.execute(
            "SELECT camcount.cache_set('key ' || n, '1', 1) FROM generate_series(1, 5000) AS n",
            &[],
        )?;
        set(&mut client, "kept", "kept")?;
        wait_until("expired values are removed", EXPIRY, || {
            let removed = "SELECT entries = 1 AND expirations = 5000 FROM camcount.cache_statistics";
            Ok(client.query_one(removed, &[])?.try_get(0)?)
        })
    })
}

#[test]
fn without_preload_the_functions_say_what_is_missing() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &unloaded(&[]), |cluster| {
        let mut client = Site::create(cluster, "site")?.connect()?;
        for call in
            ["cache_get('key')", "cache_set('key', '1')", "cache_delete('key')", "cache_evict_expired()"]
        {
            let refused =
                client.execute(&format!("SELECT camcount.{call}"), &[]).err().context("was not refused")?;
            let error = refused.as_db_error().context("not of the server")?;
            ensure!(*error.code() == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{call}: {error}");
            ensure!(
                error.hint().is_some_and(|hint| hint.contains("shared_preload_libraries")),
                "{call}: {error}"
            );
        }
        let shown: i64 = client
            .query_one(
                "SELECT (SELECT count(*) FROM camcount.realtime_metrics_cache) + (SELECT count(*) FROM camcount.cache_statistics)",
                &[],
            )?
            .try_get(0)?;
        ensure!(shown == 0, "{shown} rows without shared memory");
        Ok(())
    })
}

#[test]
fn the_worker_publishes_occupancy_and_counters() -> Result<()> {
    on_a_cluster(&[], |cluster| {
        let site = Site::create(cluster, "site")?;
        let mut client = site.connect()?;
        client.batch_execute(
            r#"SELECT camcount.create_pipeline('p', 'P', 'counting', '{"cameras": ["gate"],
                   "lines": [{"name": "door", "from": [0.5, 0.2], "to": [0.5, 0.9], "in": "enter", "out": "leave"}],
                   "zones": [{"name": "hall", "polygon": [[0, 0.2], [0.5, 0.2], [0.5, 0.9], [0, 0.9]]}]}');
               SELECT count(camcount.ingest_realtime_data('gate', 'main', now() - interval '1 minute' + n * interval '100 ms',
                   n, 'detection', jsonb_build_object('width', 1000, 'height', 1000, 'detections', jsonb_build_array(
                       jsonb_build_object('class', 'person', 'confidence', 0.9,
                                          'bbox', jsonb_build_array(700 - 15 * n, 300, 60, 200))))))
               FROM generate_series(1, 30) AS n"#,
        )?;
        wait_until("the worker has published what it counted", SOON, || {
            let published = "SELECT coalesce(
                (camcount.cache_get('occupancy:gate:hall') ->> 'occupancy')::integer = occupancy
                AND (camcount.cache_get('occupancy:gate:hall') ->> 'as_of')::timestamptz = as_of
                AND occupancy = 1
                AND (SELECT bool_and((camcount.cache_get('counter:gate:' || counter_name) ->> 'current_count')::bigint = current_count)
                     FROM camcount.realtime_counters), false)
                FROM (SELECT max(occupancy) AS occupancy, max(as_of) AS as_of FROM camcount.zone_occupancy) AS zone";
            Ok(client.query_one(published, &[])?.try_get(0)?)
        })
    })
}
