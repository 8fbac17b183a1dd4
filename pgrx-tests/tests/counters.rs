//! Counters over transactions, sessions, crashes and restarts: durable ones are exact, buffered ones lose no more than
//! what was not flushed, and that only in a crash.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use camcount_cluster_tests::cluster::{Cluster, Shutdown, with_cluster};
use camcount_cluster_tests::material::installed_server;
use camcount_cluster_tests::site::{SOON, Site, preloaded, unloaded};
use camcount_cluster_tests::wait::wait_until;
use postgres::Client;

/// As documented: flushed at least every second, and the machine that tests run on may be busy.
const FLUSHED_WITHIN: Duration = Duration::from_secs(2);

fn with_site(test: impl FnOnce(&Site<'_>) -> Result<()>) -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[("camcount.vision_workers", "0")]), |cluster| {
        let site = Site::create(cluster, "site")?;
        configure(&mut site.connect()?, "buffered")?;
        await_flusher(&site)?;
        test(&site)
    })
}

fn configure(client: &mut Client, counter: &str) -> Result<()> {
    let statement = r#"SELECT camcount.configure_realtime_counter('gate', $1, '{"mode": "buffered"}')"#;
    client.execute(statement, &[&counter])?;
    Ok(())
}

fn increment(client: &mut Client, counter: &str, by: i32) -> Result<i32> {
    let statement = "SELECT camcount.increment_realtime_counter('gate', $1, $2)";
    Ok(client.query_one(statement, &[&counter, &by])?.try_get(0)?)
}

/// `current_count` and `total_count` as anybody is told.
fn counts(client: &mut Client, counter: &str) -> Result<(i64, i64)> {
    let statement = "SELECT current_count, total_count FROM camcount.get_realtime_counter('gate', $1)";
    let row = client.query_one(statement, &[&counter])?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// `current_count` and `total_count` of the row.
fn stored(client: &mut Client, counter: &str) -> Result<(i64, i64)> {
    let statement = "SELECT current_count, total_count FROM camcount.realtime_counters
        WHERE (camera_id, counter_name) = ('gate', $1)";
    let row = client.query_one(statement, &[&counter])?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn await_stored(site: &Site<'_>, counter: &str, expected: i64) -> Result<()> {
    let mut client = site.connect()?;
    wait_until(&format!("{counter} is stored as {expected}"), SOON, || {
        Ok(stored(&mut client, counter)?.0 == expected)
    })
}

/// Increments are buffered only once there is a worker that will flush them.
fn await_flusher(site: &Site<'_>) -> Result<()> {
    let mut client = site.connect()?;
    wait_until("increments are buffered", SOON, || increments_without_writing(&mut client, false))
}

/// Whether an increment has written nothing. It stays, where that is so and it is to.
fn increments_without_writing(client: &mut Client, stays: bool) -> Result<bool> {
    let mut transaction = client.transaction()?;
    transaction.execute("SELECT camcount.increment_realtime_counter('gate', 'buffered')", &[])?;
    let wrote = transaction.query_one("SELECT pg_current_xact_id_if_assigned() IS NOT NULL", &[])?;
    let wrote: bool = wrote.try_get(0)?;
    if stays && !wrote {
        transaction.commit()?
    } else {
        transaction.rollback()?
    }
    Ok(!wrote)
}

#[test]
fn what_is_rolled_back_was_never_counted() -> Result<()> {
    with_site(|site| {
        let (mut client, mut other) = (site.connect()?, site.connect()?);
        for counter in ["durable", "buffered"] {
            increment(&mut client, counter, 1)?;
            client.batch_execute(&format!(
                "BEGIN;
                 SELECT camcount.increment_realtime_counter('gate', '{counter}', 10);
                 SAVEPOINT one;
                 SELECT camcount.increment_realtime_counter('gate', '{counter}', 100);
                 SAVEPOINT two;
                 SELECT camcount.increment_realtime_counter('gate', '{counter}', 1000);
                 RELEASE two;
                 ROLLBACK TO one;
                 SELECT camcount.increment_realtime_counter('gate', '{counter}', 10000);"
            ))?;
            ensure!(
                counts(&mut client, counter)? == (10011, 10011),
                "its own transaction sees what it counts"
            );
            ensure!(counts(&mut other, counter)? == (1, 1), "another sees what is not committed");
            client.batch_execute("COMMIT")?;
            ensure!(counts(&mut other, counter)? == (10011, 10011), "{counter}");
            client.batch_execute(&format!(
                "BEGIN; SELECT camcount.increment_realtime_counter('gate', '{counter}', 5); ROLLBACK"
            ))?;
            ensure!(increment(&mut other, counter, 1)? == 10012, "{counter}");
        }
        await_stored(site, "buffered", 10012)
    })
}

#[test]
fn a_buffered_increment_writes_nothing_and_is_stored_within_a_second() -> Result<()> {
    with_site(|site| {
        let mut client = site.connect()?;
        for expected in 1..=3 {
            wait_until("an increment is buffered", SOON, || increments_without_writing(&mut client, true))?;
            let committed = Instant::now();
            await_stored(site, "buffered", expected)?;
            ensure!(committed.elapsed() < FLUSHED_WITHIN, "after {:?}", committed.elapsed());
        }
        Ok(())
    })
}

/// Resets, negative increments, flushes and changes by hand go on all the time.
#[test]
fn sessions_of_all_kinds_lose_nothing_and_count_nothing_twice() -> Result<()> {
    const SESSIONS: usize = 4;
    with_site(|site| {
        let (expected, is_over) = (AtomicI64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let session = |number: usize| -> Result<()> {
                let mut client = site.connect()?;
                for round in 0..200 {
                    for counter in ["durable", "buffered"] {
                        let mut transaction = client.transaction()?;
                        let by = if round % 20 == 19 { -1 } else { 1 };
                        let call =
                            format!("SELECT camcount.increment_realtime_counter('gate', '{counter}', {by})");
                        transaction.execute(&call, &[])?;
                        match (round + number) % 25 {
                            0 => transaction.rollback()?,
                            1 => {
                                let reset =
                                    format!("SELECT camcount.reset_realtime_counter('gate', '{counter}')");
                                transaction.execute(&reset, &[])?;
                                transaction.commit()?;
                                expected
                                    .fetch_add(i64::from(counter == "buffered" && by > 0), Ordering::Relaxed);
                            }
                            _ => {
                                transaction.commit()?;
                                expected
                                    .fetch_add(i64::from(counter == "buffered" && by > 0), Ordering::Relaxed);
                            }
                        }
                    }
                }
                Ok(())
            };
            let watcher = scope.spawn(|| -> Result<()> {
                let mut client = site.connect()?;
                let mut before = (0, 0);
                while !is_over.load(Ordering::Relaxed) {
                    let totals = (counts(&mut client, "buffered")?.1, stored(&mut client, "buffered")?.1);
                    ensure!(
                        totals.0 >= before.0 && totals.1 >= before.1,
                        "a total shrank: {totals:?} {before:?}"
                    );
                    before = totals;
                    client.execute(
                        "UPDATE camcount.realtime_counters SET current_count = current_count + 1",
                        &[],
                    )?;
                }
                Ok(())
            });
            increment(&mut site.connect()?, "durable", 1)?;
            let sessions: Vec<_> = (0..SESSIONS).map(|number| scope.spawn(move || session(number))).collect();
            let outcome = sessions.into_iter().try_for_each(|session| session.join().map_err(panicked)?);
            is_over.store(true, Ordering::Relaxed);
            watcher.join().map_err(panicked)??;
            outcome
        })?;
        let mut client = site.connect()?;
        let expected = expected.load(Ordering::Relaxed);
        ensure!(
            counts(&mut client, "buffered")?.1 == expected,
            "{:?}, not {expected}",
            counts(&mut client, "buffered")?
        );
        ensure!(counts(&mut client, "durable")?.1 == expected + 1, "{:?}", counts(&mut client, "durable")?);
        wait_until("all is stored", SOON, || Ok(stored(&mut client, "buffered")?.1 == expected))
    })
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> anyhow::Error {
    anyhow!("a session panicked")
}

/// What is confirmed is on disk, although the locks were released before it was.
#[test]
fn a_crash_loses_no_durable_increment_and_little_of_a_buffered_one() -> Result<()> {
    with_site(|site| {
        let confirmed = AtomicI64::new(0);
        // When each buffered increment was confirmed.
        let buffered = std::sync::Mutex::new(Vec::new());
        thread::scope(|scope| -> Result<()> {
            let sessions: Vec<_> = (0..4)
                .map(|number| {
                    let (confirmed, buffered) = (&confirmed, &buffered);
                    let mut client = site.connect()?;
                    Ok(scope.spawn(move || {
                        if number == 0 {
                            while increment(&mut client, "buffered", 1).is_ok() {
                                buffered.lock().map(|mut times| times.push(Instant::now())).ok();
                            }
                        }
                        while increment(&mut client, "durable", 1).is_ok() {
                            confirmed.fetch_add(1, Ordering::Relaxed);
                        }
                    }))
                })
                .collect::<Result<_>>()?;
            let mut client = site.connect()?;
            wait_until("there is something to lose", SOON, || {
                Ok(confirmed.load(Ordering::Relaxed) > 500 && stored(&mut client, "buffered")?.0 > 100)
            })?;
            kill_postmaster(site.cluster)?;
            sessions.into_iter().try_for_each(|session| session.join().map_err(panicked))
        })?;
        let died = Instant::now();
        restart(site.cluster)?;
        let mut client = site.connect()?;
        let (confirmed, found) = (confirmed.load(Ordering::Relaxed), counts(&mut client, "durable")?.0);
        // Each of three sessions may have been killed between its commit and the answer.
        ensure!((confirmed..=confirmed + 3).contains(&found), "{found} durable of {confirmed}");
        let times = buffered.into_inner().map_err(|_| anyhow!("a session panicked"))?;
        let safe = times.iter().filter(|&&at| died.duration_since(at) > FLUSHED_WITHIN).count() as i64;
        let found = counts(&mut client, "buffered")?.0;
        ensure!(
            (safe..=times.len() as i64 + 1).contains(&found),
            "{found} buffered: {safe} to {}",
            times.len()
        );
        Ok(())
    })
}

/// Who asks for a copy elsewhere gets no answer before there is one.
#[test]
fn an_increment_waits_for_a_synchronous_standby() -> Result<()> {
    with_site(|site| {
        let mut client = site.connect()?;
        increment(&mut client, "durable", 1)?;
        client.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", &[])?;
        client.execute("SELECT pg_reload_conf()", &[])?;
        let waiting =
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE
            '%increment_realtime_counter%'";
        let stop = AtomicBool::new(false);
        let mut other = site.connect()?;
        thread::scope(|scope| {
            let session = scope.spawn(|| -> Result<()> {
                while !stop.load(Ordering::Relaxed) {
                    increment(&mut other, "durable", 1)?;
                }
                Ok(())
            });
            let waited =
                wait_until("an increment waits", SOON, || Ok(!client.query(waiting, &[])?.is_empty()));
            stop.store(true, Ordering::Relaxed);
            client.execute("SET synchronous_commit = local", &[])?;
            client.execute("ALTER SYSTEM RESET synchronous_standby_names", &[])?;
            client.execute("SELECT pg_reload_conf()", &[])?;
            session.join().map_err(panicked)??;
            waited
        })
    })
}

/// Kills the server's main process; its children notice and end.
fn kill_postmaster(cluster: &Cluster) -> Result<()> {
    let pid = std::fs::read_to_string(cluster.path("data/postmaster.pid"))?;
    let pid = pid.lines().next().context("there is no process in postmaster.pid")?.to_owned();
    let status = Command::new("kill").args(["-KILL", &pid]).status().context("cannot run kill")?;
    ensure!(status.success(), "cannot kill the server");
    Ok(())
}

fn restart(cluster: &Cluster) -> Result<()> {
    // Until the last of the killed server's processes has noticed.
    wait_until("the server starts again", SOON, || Ok(cluster.start().is_ok()))
}

#[test]
fn a_killed_backend_leaves_what_was_stored() -> Result<()> {
    with_site(|site| {
        let mut client = site.connect()?;
        increment(&mut client, "buffered", 7)?;
        await_stored(site, "buffered", 7)?;
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.try_get(0)?;
        let mut witness = site.connect()?;
        let status = Command::new("kill").args(["-KILL", &pid.to_string()]).status()?;
        ensure!(status.success(), "cannot kill a session");
        wait_until("the server has noticed", SOON, || Ok(witness.is_valid(Duration::from_secs(1)).is_err()))?;
        let mut client = site.cluster.connect_when_up(site.database)?;
        ensure!(counts(&mut client, "buffered")? == (7, 7));
        await_flusher(site)?;
        ensure!(increment(&mut client, "buffered", 1)? == 8);
        await_stored(site, "buffered", 8)
    })
}

#[test]
fn a_fast_shutdown_loses_nothing() -> Result<()> {
    with_site(|site| {
        for round in 1..=3 {
            let mut client = site.connect()?;
            increment(&mut client, "buffered", 5)?;
            site.cluster.stop(Shutdown::Fast)?;
            site.cluster.start()?;
            ensure!(counts(&mut site.connect()?, "buffered")? == (5 * round, 5 * round));
            await_flusher(site)?;
        }
        await_stored(site, "buffered", 15)
    })
}

/// Committed when the worker has ended, it goes through the file.
#[test]
fn what_could_not_be_flushed_at_the_end_is_there_after_the_start() -> Result<()> {
    with_site(|site| {
        let (mut late, mut client) = (site.connect()?, site.connect()?);
        let mut transaction = late.transaction()?;
        transaction.execute("SELECT camcount.increment_realtime_counter('gate', 'buffered', 5)", &[])?;
        client.execute("SELECT camcount.stop_workers()", &[])?;
        let running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'camcount maintenance'";
        wait_until("the worker has ended", SOON, || {
            Ok(client.query_one(running, &[])?.try_get::<_, i64>(0)? == 0)
        })?;
        transaction.commit()?;
        ensure!(stored(&mut client, "buffered")? == (0, 0) && counts(&mut client, "buffered")? == (5, 5));
        site.cluster.stop(Shutdown::Fast)?;
        let file = site.cluster.path("data/pg_stat/camcount_counters");
        ensure!(std::path::Path::new(&file).exists(), "the shutdown has left no file");
        site.cluster.start()?;
        ensure!(!std::path::Path::new(&file).exists(), "the file would be read twice");
        ensure!(counts(&mut site.connect()?, "buffered")? == (5, 5));
        await_stored(site, "buffered", 5)?;
        site.cluster.stop(Shutdown::Immediate)?;
        site.cluster.start()?;
        ensure!(counts(&mut site.connect()?, "buffered")? == (5, 5));
        Ok(())
    })
}

#[test]
fn without_a_worker_increments_are_durable() -> Result<()> {
    with_site(|site| {
        let mut client = site.connect()?;
        increment(&mut client, "buffered", 1)?;
        client.execute("SELECT camcount.stop_workers()", &[])?;
        wait_until("increments are durable", SOON, || {
            let count = increment(&mut client, "buffered", 1)?;
            Ok(stored(&mut client, "buffered")?.0 == i64::from(count))
        })?;
        let count = increment(&mut client, "buffered", 1)?;
        ensure!(stored(&mut client, "buffered")?.0 == i64::from(count));
        client.execute("SELECT camcount.start_workers()", &[])?;
        await_flusher(site)?;
        ensure!(increment(&mut client, "buffered", 1)? == count + 1);
        await_stored(site, "buffered", i64::from(count) + 1)
    })
}

#[test]
fn without_preload_increments_are_durable() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &unloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        let mut client = site.connect()?;
        configure(&mut client, "buffered")?;
        ensure!(increment(&mut client, "buffered", 2)? == 2 && increment(&mut client, "buffered", 3)? == 5);
        ensure!(stored(&mut client, "buffered")? == (5, 5) && counts(&mut client, "buffered")? == (5, 5));
        client.execute("SELECT camcount.reset_realtime_counter('gate', 'buffered')", &[])?;
        ensure!(counts(&mut client, "buffered")? == (0, 5));
        Ok(())
    })
}

#[test]
fn a_deleted_counter_begins_anew_in_every_session() -> Result<()> {
    with_site(|site| {
        let (mut client, mut other) = (site.connect()?, site.connect()?);
        for statement in ["DELETE FROM camcount.realtime_counters", "TRUNCATE camcount.realtime_counters"] {
            configure(&mut client, "buffered")?;
            increment(&mut client, "buffered", 5)?;
            ensure!(increment(&mut other, "buffered", 5)? == 10);
            client.batch_execute(statement)?;
            ensure!(increment(&mut other, "buffered", 1)? == 1);
            ensure!(increment(&mut client, "buffered", 1)? == 2);
            // It is a new counter, which is durable.
            ensure!(stored(&mut client, "buffered")? == (2, 2));
            client.batch_execute(statement)?;
        }
        Ok(())
    })
}

#[test]
fn a_mode_that_is_changed_holds_in_every_session() -> Result<()> {
    with_site(|site| {
        let (mut client, mut other) = (site.connect()?, site.connect()?);
        increment(&mut other, "buffered", 1)?;
        client.execute("SELECT camcount.configure_realtime_counter('gate', 'buffered', '{}')", &[])?;
        increment(&mut other, "buffered", 1)?;
        await_stored(site, "buffered", 2)?;
        increment(&mut other, "buffered", 1)?;
        ensure!(stored(&mut client, "buffered")? == (3, 3), "the increment was not durable");
        configure(&mut client, "buffered")?;
        ensure!(increment(&mut other, "buffered", 1)? == 4);
        await_stored(site, "buffered", 4)
    })
}

#[test]
fn a_new_extension_knows_nothing_of_the_old_ones_counters() -> Result<()> {
    with_site(|site| {
        let mut client = site.connect()?;
        increment(&mut client, "buffered", 5)?;
        client.batch_execute("DROP EXTENSION camcount; CREATE EXTENSION camcount")?;
        configure(&mut client, "buffered")?;
        await_flusher(site)?;
        ensure!(increment(&mut client, "buffered", 1)? == 1);
        await_stored(site, "buffered", 1)?;
        ensure!(counts(&mut client, "buffered")? == (1, 1));
        drop(client);
        site.cluster.connect("postgres")?.batch_execute("DROP DATABASE site")?;
        Ok(())
    })
}

#[test]
fn a_prepared_transaction_cannot_take_buffered_increments_along() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    let settings = preloaded(&[("camcount.vision_workers", "0"), ("max_prepared_transactions", "2")]);
    with_cluster(&server, &settings, |cluster| {
        let site = Site::create(cluster, "site")?;
        let mut client = site.connect()?;
        configure(&mut client, "buffered")?;
        await_flusher(&site)?;
        client.batch_execute("BEGIN; SELECT camcount.increment_realtime_counter('gate', 'buffered')")?;
        let refused = client.batch_execute("PREPARE TRANSACTION 'one'").err().context("it was prepared")?;
        ensure!(refused.code().is_some_and(|code| code.code() == "0A000"), "{refused}");
        client.batch_execute(
            "BEGIN; SELECT camcount.increment_realtime_counter('gate', 'durable'); PREPARE TRANSACTION 'one'",
        )?;
        client.batch_execute("COMMIT PREPARED 'one'")?;
        ensure!(stored(&mut client, "durable")? == (1, 1) && counts(&mut client, "buffered")? == (0, 0));
        Ok(())
    })
}

/// Each locks its counters in the order of their names.
#[test]
fn bulk_calls_of_the_same_counters_in_any_order_do_not_wait_for_each_other() -> Result<()> {
    with_site(|site| {
        thread::scope(|scope| {
            let session = || -> Result<()> {
                let mut client = site.connect()?;
                let statement = "SELECT camcount.increment_realtime_counters((
                    SELECT jsonb_agg(jsonb_build_object('camera_id', 'gate', 'counter_name', 'counter ' || n)
                        ORDER BY random()) FROM generate_series(1, 50) AS n))";
                (0..20).try_for_each(|_| client.execute(statement, &[]).map(drop)).map_err(Into::into)
            };
            let sessions: Vec<_> = (0..6).map(|_| scope.spawn(session)).collect();
            sessions.into_iter().try_for_each(|session| session.join().map_err(panicked)?)
        })?;
        let all = "SELECT count(*) FILTER (WHERE current_count = 120) FROM camcount.realtime_counters";
        let exact: i64 = site.connect()?.query_one(all, &[])?.try_get(0)?;
        ensure!(exact == 50, "{exact} of 50 are exact");
        Ok(())
    })
}

#[test]
fn counters_and_their_modes_are_in_a_dump() -> Result<()> {
    with_site(|site| {
        let mut client = site.connect()?;
        increment(&mut client, "durable", 3)?;
        increment(&mut client, "buffered", 4)?;
        await_stored(site, "buffered", 4)?;
        let dump = site.cluster.path("used.dump");
        site.cluster.run("pg_dump", &["-Fc", "-f", &dump, site.database])?;
        site.cluster.connect("postgres")?.batch_execute("CREATE DATABASE restored")?;
        site.cluster.run("pg_restore", &["--exit-on-error", "-d", "restored", &dump])?;
        let restored = Site { cluster: site.cluster, database: "restored" };
        await_flusher(&restored)?;
        let mut client = restored.connect()?;
        ensure!(increment(&mut client, "durable", 1)? == 4 && increment(&mut client, "buffered", 1)? == 5);
        await_stored(&restored, "buffered", 5)
    })
}
