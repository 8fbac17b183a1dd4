//! A queue holds as much as it may, and gives as much as it may, whoever asks.

use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use camcount_cluster_tests::cluster::Shutdown;
use camcount_cluster_tests::queue::{complete, ids, is_full, join, numbers, refused, with_queue};
use camcount_cluster_tests::site::SOON;
use camcount_cluster_tests::wait::wait_until;
use postgres::Client;

const FULL: &str = "53400";

fn messages(client: &mut Client) -> Result<i64> {
    let statement = "SELECT count(*) FROM camcount.realtime_data_ingestion";
    Ok(client.query_one(statement, &[])?.try_get(0)?)
}

#[test]
fn a_full_queue_refuses_every_kind_of_message_and_says_what_helps() -> Result<()> {
    with_queue("max_size = 3", |site, queue| {
        let mut client = site.connect()?;
        queue.fill(&mut client, 1..=3)?;
        for data_type in ["frame", "detection", "tracking", "counting"] {
            let refusal = refused(queue.ingest(&mut client, data_type, 4), FULL)?;
            ensure!(refusal.hint().is_some_and(|hint| !hint.is_empty()), "no hint: {refusal:?}");
            ensure!(refusal.message().contains(queue.0), "does not name the queue: {refusal:?}");
        }
        ensure!(messages(&mut client)? == 3, "a refused message was stored");
        ensure!(numbers(&queue.claim(&mut client, "north", 10)?) == [1, 2, 3]);
        Ok(())
    })
}

#[test]
fn sessions_that_race_for_the_last_room_fill_the_queue_and_no_more() -> Result<()> {
    const SESSIONS: i64 = 8;
    const EACH: i64 = 25;
    const ROOM: i64 = 100;
    with_queue(&format!("max_size = {ROOM}"), |site, queue| {
        let session = |first: i64| -> Result<i64> {
            let mut client = site.connect()?;
            let mut taken = 0;
            for number in first..first + EACH {
                taken += i64::from(!is_full(queue.ingest(&mut client, "counting", number))?);
            }
            Ok(taken)
        };
        let taken = thread::scope(|scope| {
            let session = &session;
            let sessions: Vec<_> = (0..SESSIONS).map(|n| scope.spawn(move || session(n * EACH))).collect();
            sessions.into_iter().map(join).sum::<Result<i64>>()
        })?;
        ensure!(taken == ROOM, "{taken} messages were taken for {ROOM} places");
        let held = queue.count(&mut site.connect()?, "queued")?;
        ensure!(held == ROOM, "{held} items wait");
        Ok(())
    })
}

#[test]
fn a_batch_too_large_is_refused_whole_or_by_what_is_beyond_the_limit() -> Result<()> {
    with_queue("max_size = 3", |site, queue| {
        let mut client = site.connect()?;
        refused(queue.ingest_batch(&mut client, (1, 5), "fail"), FULL)?;
        ensure!(messages(&mut client)? == 0, "half a batch was stored");

        ensure!(queue.ingest_batch(&mut client, (1, 5), "skip")? == 3);
        ensure!(messages(&mut client)? == 3);
        let statement = "SELECT item_index, error_code FROM camcount.ingestion_rejects ORDER BY item_index";
        let rejects: Vec<(i32, String)> =
            client.query(statement, &[])?.iter().map(|row| (row.get(0), row.get(1))).collect();
        ensure!(rejects == [(3, FULL.into()), (4, FULL.into())], "{rejects:?}");
        ensure!(numbers(&queue.claim(&mut client, "north", 10)?) == [1, 2, 3]);
        Ok(())
    })
}

#[test]
fn what_is_completed_leaves_room() -> Result<()> {
    with_queue("max_size = 2", |site, queue| {
        let (mut camera, mut worker) = (site.connect()?, site.connect()?);
        for round in 0..20 {
            queue.fill(&mut camera, 3 * round..3 * round + 2)?;
            refused(queue.ingest(&mut camera, "counting", 3 * round + 2), FULL)?;
            let items = queue.claim(&mut worker, "north", 10)?;
            ensure!(complete(&mut worker, &ids(&items), None)?.len() == 2, "round {round}: {items:?}");
        }
        Ok(())
    })
}

#[test]
fn what_is_rolled_back_leaves_room() -> Result<()> {
    with_queue("max_size = 2", |site, queue| {
        let (mut camera, mut other) = (site.connect()?, site.connect()?);
        let mut transaction = camera.transaction()?;
        queue.fill(&mut transaction, 1..=2)?;
        transaction.rollback()?;
        ensure!(queue.count(&mut other, "current_size")? == 0);

        let mut transaction = camera.transaction()?;
        let mut savepoint = transaction.transaction()?;
        queue.fill(&mut savepoint, 3..=4)?;
        savepoint.rollback()?;
        queue.ingest(&mut transaction, "counting", 5)?;
        transaction.commit()?;

        queue.ingest(&mut other, "counting", 6)?;
        refused(queue.ingest(&mut other, "counting", 7), FULL)?;
        ensure!(numbers(&queue.claim(&mut other, "north", 10)?) == [5, 6]);
        Ok(())
    })
}

#[test]
fn a_camera_that_goes_away_in_mid_transaction_leaves_room() -> Result<()> {
    with_queue("max_size = 2", |site, queue| {
        let (mut camera, mut other) = (site.connect()?, site.connect()?);
        camera.batch_execute("BEGIN")?;
        queue.fill(&mut camera, 1..=2)?;
        drop(camera);
        wait_until("the queue has room", SOON, || Ok(!is_full(queue.ingest(&mut other, "counting", 3))?))?;
        queue.ingest(&mut other, "counting", 4)?;
        ensure!(numbers(&queue.claim(&mut other, "north", 10)?) == [3, 4]);
        Ok(())
    })
}

#[test]
fn the_oldest_frames_make_room_where_the_queue_says_so() -> Result<()> {
    with_queue("max_size = 4, overflow_policy = 'drop_oldest'", |site, queue| {
        let mut client = site.connect()?;
        queue.ingest(&mut client, "counting", 1)?;
        let oldest = queue.ingest(&mut client, "frame", 2)?;
        for number in 3..=4 {
            queue.ingest(&mut client, "frame", number)?;
        }
        queue.ingest(&mut client, "frame", 5)?;
        ensure!(fate(&mut client, &oldest)? == ("skipped".into(), Some(FULL.into())));
        ensure!(queue.count(&mut client, "dropped")? == 1);

        queue.ingest_batch(&mut client, (6, 7), "fail")?;
        ensure!(queue.count(&mut client, "dropped")? == 3);
        ensure!(queue.count(&mut client, "current_size")? == 4);
        ensure!(numbers(&queue.claim(&mut client, "north", 10)?) == [1, 6, 7, 5]);
        Ok(())
    })
}

#[test]
fn nothing_but_frames_is_dropped() -> Result<()> {
    with_queue("max_size = 3, overflow_policy = 'drop_oldest'", |site, queue| {
        let mut client = site.connect()?;
        for (number, data_type) in (1..).zip(["detection", "tracking", "counting"]) {
            queue.ingest(&mut client, data_type, number)?;
        }
        refused(queue.ingest(&mut client, "frame", 4), FULL)?;
        refused(queue.ingest(&mut client, "counting", 5), FULL)?;
        ensure!(queue.count(&mut client, "dropped")? == 0);
        ensure!(queue.claim(&mut client, "north", 10)?.len() == 3);
        Ok(())
    })
}

#[test]
fn a_frame_dropped_for_what_is_rolled_back_still_comes() -> Result<()> {
    with_queue("max_size = 1, overflow_policy = 'drop_oldest'", |site, queue| {
        let (mut camera, mut worker) = (site.connect()?, site.connect()?);
        let first = queue.ingest(&mut camera, "frame", 1)?;
        let mut transaction = camera.transaction()?;
        queue.ingest(&mut transaction, "frame", 2)?;
        transaction.rollback()?;
        ensure!(numbers(&queue.claim(&mut worker, "north", 10)?) == [1]);
        let (status, code) = fate(&mut worker, &first)?;
        ensure!(status != "skipped" && code.is_none(), "{status} {code:?}");
        Ok(())
    })
}

/// What became of a message.
fn fate(client: &mut Client, ingestion_id: &str) -> Result<(String, Option<String>)> {
    let statement = "SELECT processing_status, error_code FROM camcount.realtime_data_ingestion
        WHERE ingestion_id = $1";
    let row = client.query_one(statement, &[&ingestion_id])?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

#[test]
fn a_paused_or_inactive_queue_takes_items_and_gives_none() -> Result<()> {
    with_queue("max_size = 3", |site, queue| {
        let (mut camera, mut worker) = (site.connect()?, site.connect()?);
        let settings = [("is_paused = true", "is_paused = false"), ("is_active = false", "is_active = true")];
        for (number, (closed, open)) in (1..).zip(settings) {
            queue.set(&mut camera, closed)?;
            queue.ingest(&mut camera, "counting", number)?;
            ensure!(queue.claim(&mut worker, "north", 10)?.is_empty(), "{closed}");
            queue.set(&mut camera, open)?;
            ensure!(numbers(&queue.claim(&mut worker, "north", 10)?) == [number], "{open}");
        }
        Ok(())
    })
}

#[test]
fn all_workers_together_keep_to_the_queues_rate() -> Result<()> {
    const RATE: i64 = 5;
    const ITEMS: i64 = 20;
    with_queue(&format!("processing_rate = {RATE}"), |site, queue| {
        queue.fill(&mut site.connect()?, 1..=ITEMS)?;
        let mut workers = [("north", site.connect()?), ("south", site.connect()?)];
        let (began, mut claimed) = (Instant::now(), 0);
        wait_until("all items are claimed", SOON, || {
            for (name, session) in &mut workers {
                claimed += queue.claim(session, name, 20)?.len();
                // A second's worth at once, and one for rounding.
                let most = RATE as f64 * (1.0 + began.elapsed().as_secs_f64()) + 1.0;
                ensure!(claimed as f64 <= most, "{claimed} items within {:?}", began.elapsed());
            }
            Ok(claimed == ITEMS as usize)
        })
    })
}

#[test]
fn a_raised_rate_holds_at_once() -> Result<()> {
    // Items for longer, at the first rate, than the test waits.
    const ITEMS: i64 = 500;
    with_queue("processing_rate = 1", |site, queue| {
        let (mut client, mut worker) = (site.connect()?, site.connect()?);
        queue.ingest_batch(&mut client, (1, ITEMS), "fail")?;
        let mut claimed = queue.claim(&mut worker, "north", 1000)?.len();
        ensure!(claimed < ITEMS as usize, "the rate was not kept to");
        queue.set(&mut client, "processing_rate = 1000000")?;
        wait_until("all items are claimed", SOON, || {
            claimed += queue.claim(&mut worker, "north", 1000)?.len();
            Ok(claimed == ITEMS as usize)
        })
    })
}

#[test]
fn the_size_is_live_in_every_session_and_outlives_a_crash() -> Result<()> {
    with_queue("max_size = 4", |site, queue| {
        let (mut camera, mut worker) = (site.connect()?, site.connect()?);
        queue.fill(&mut camera, 1..=4)?;
        ensure!(queue.count(&mut worker, "current_size")? == 4);
        let items = queue.claim(&mut worker, "north", 1)?;
        complete(&mut worker, &ids(&items), None)?;
        ensure!(queue.count(&mut camera, "current_size")? == 3);
        let mut transaction = camera.transaction()?;
        queue.ingest(&mut transaction, "counting", 5)?;
        transaction.rollback()?;
        ensure!(queue.count(&mut worker, "current_size")? == 3);

        // Of the three, one comes back from a worker that is gone.
        ensure!(queue.claim(&mut worker, "north", 1)?.len() == 1);
        site.cluster.stop(Shutdown::Immediate)?;
        site.cluster.start()?;
        let mut camera = site.connect()?;
        wait_until("the size is known again", SOON, || Ok(queue.count(&mut camera, "current_size")? == 3))?;
        queue.ingest(&mut camera, "counting", 6)?;
        refused(queue.ingest(&mut camera, "counting", 7), FULL)?;
        Ok(())
    })
}
