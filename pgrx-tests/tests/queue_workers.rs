//! Outside workers share a queue: each item goes to one of them, in order, whatever else is going on.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camcount_cluster_tests::cluster::Shutdown;
use camcount_cluster_tests::queue::{Queue, complete, ids, join, numbers, with_queue};
use camcount_cluster_tests::site::{SOON, Site};
use camcount_cluster_tests::wait::wait_until;
use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;

/// More than any test claims.
const UNLIMITED: &str = "processing_rate = 1000000";

#[test]
fn workers_that_claim_at_once_never_get_the_same_item() -> Result<()> {
    const ITEMS: i64 = 4000;
    with_queue(UNLIMITED, |site, queue| {
        queue.ingest_batch(&mut site.connect()?, (1, ITEMS), "fail")?;
        let worker = |name: &str| -> Result<Vec<i64>> {
            let (mut client, mut claimed) = (site.connect()?, Vec::new());
            loop {
                let items = queue.claim(&mut client, name, fastrand::i32(1..=50))?;
                if items.is_empty() {
                    return Ok(claimed);
                }
                claimed.extend(numbers(&items));
            }
        };
        let mut claimed = thread::scope(|scope| -> Result<Vec<i64>> {
            let worker = &worker;
            let workers: Vec<_> = ["north", "east", "south", "west"]
                .into_iter()
                .map(|name| scope.spawn(move || worker(name)))
                .collect();
            Ok(workers.into_iter().map(join).collect::<Result<Vec<_>>>()?.concat())
        })?;
        claimed.extend(worker("last")?);
        claimed.sort_unstable();
        ensure!(claimed == Vec::from_iter(1..=ITEMS), "{} claims of {ITEMS} items", claimed.len());
        Ok(())
    })
}

#[test]
fn the_more_urgent_go_first_and_then_those_that_came_first() -> Result<()> {
    // Neither the frame's number nor its time decides.
    const ARRIVALS: [(&str, &str, i64); 8] = [
        ("frame", "today", 8),
        ("tracking", "today", 1),
        ("counting", "yesterday", 6),
        ("detection", "today", 5),
        ("frame", "yesterday", 4),
        ("tracking", "yesterday", 7),
        ("counting", "today", 2),
        ("detection", "yesterday", 3),
    ];
    with_queue(UNLIMITED, |site, queue| {
        let (mut camera, mut worker) = (site.connect()?, site.connect()?);
        for (data_type, time, number) in ARRIVALS {
            queue.ingest_of_time(&mut camera, time, data_type, number)?;
        }
        let mut order = numbers(&queue.claim(&mut worker, "north", 3)?);
        order.extend(numbers(&queue.claim(&mut worker, "north", 10)?));
        ensure!(order == [5, 3, 6, 2, 1, 7, 8, 4], "{order:?}");
        Ok(())
    })
}

#[test]
fn what_commits_late_is_not_passed_over() -> Result<()> {
    const ROUNDS: i64 = 200;
    with_queue(UNLIMITED, |site, queue| {
        let (mut slow, mut quick) = (site.connect()?, site.connect()?);
        let mut worker = site.connect()?;
        // The first message makes the camera known; others of it wait for that.
        queue.ingest(&mut quick, "tracking", 0)?;
        ensure!(queue.claim(&mut worker, "north", 10)?.len() == 1);
        for round in 0..ROUNDS {
            let (early, late) = (2 * round, 2 * round + 1);
            let mut transaction = slow.transaction()?;
            queue.ingest(&mut transaction, "counting", early)?;
            queue.ingest(&mut quick, "counting", late)?;
            ensure!(numbers(&queue.claim(&mut worker, "north", 10)?) == [late], "round {round}");
            transaction.commit()?;
            ensure!(numbers(&queue.claim(&mut worker, "north", 10)?) == [early], "round {round}");
        }
        Ok(())
    })
}

#[test]
fn what_is_committed_in_any_order_is_claimed_once_and_nothing_else_is() -> Result<()> {
    const SESSIONS: i64 = 6;
    with_queue(UNLIMITED, |site, queue| {
        let mut worker = site.connect()?;
        let (mut claimed, mut committed) = thread::scope(|scope| -> Result<_> {
            let sessions: Vec<_> =
                (0..SESSIONS).map(|n| scope.spawn(move || send_at_random(site, queue, n))).collect();
            let mut claimed = Vec::new();
            while sessions.iter().any(|session| !session.is_finished()) {
                claimed.extend(queue.claim(&mut worker, "north", 20)?);
            }
            let committed = sessions.into_iter().map(join).collect::<Result<Vec<_>>>()?.concat();
            claimed.extend(queue.claim(&mut worker, "north", 10_000)?);
            Ok((claimed.into_iter().map(|item| item.ingestion_id).collect::<Vec<_>>(), committed))
        })?;
        claimed.sort_unstable();
        committed.sort_unstable();
        ensure!(claimed == committed, "{} committed, {} claimed", committed.len(), claimed.len());
        Ok(())
    })
}

/// Sends messages in transactions and savepoints of which some are rolled back. The ids of the others.
fn send_at_random(site: &Site<'_>, queue: Queue<'_>, session: i64) -> Result<Vec<String>> {
    const TRANSACTIONS: i64 = 60;
    let (mut client, mut committed) = (site.connect()?, Vec::new());
    for number in session * TRANSACTIONS..(session + 1) * TRANSACTIONS {
        let mut transaction = client.transaction()?;
        let mut sent = vec![queue.ingest(&mut transaction, "counting", number)?];
        let mut savepoint = transaction.transaction()?;
        let nested = queue.ingest(&mut savepoint, "detection", number)?;
        if fastrand::bool() {
            savepoint.commit()?;
            sent.push(nested);
        } else {
            savepoint.rollback()?;
        }
        if fastrand::u8(..) < 200 {
            transaction.commit()?;
            committed.extend(sent);
        } else {
            transaction.rollback()?;
        }
    }
    Ok(committed)
}

#[test]
fn nobody_waits_for_an_open_transaction() -> Result<()> {
    with_queue(UNLIMITED, |site, queue| {
        let (mut slow, mut quick) = (site.connect()?, site.connect()?);
        queue.fill(&mut quick, 1..=4)?;
        let mut transaction = slow.transaction()?;
        let held = queue.claim(&mut transaction, "slow", 2)?;
        complete(&mut transaction, &ids(&held[..1]), Some("slow"))?;

        queue.ingest(&mut quick, "counting", 5)?;
        let free = queue.claim(&mut quick, "quick", 10)?;
        ensure!(numbers(&held) == [1, 2] && numbers(&free) == [3, 4, 5], "{held:?} {free:?}");
        ensure!(complete(&mut quick, &ids(&free), Some("quick"))? == ids(&free));
        transaction.commit()?;
        ensure!(queue.count(&mut quick, "completed")? == 4);
        ensure!(complete(&mut slow, &ids(&held), Some("slow"))? == ids(&held[1..]));
        Ok(())
    })
}

#[test]
fn an_aborted_claim_gives_its_items_back_unused() -> Result<()> {
    with_queue(UNLIMITED, |site, queue| {
        let (mut first, mut second) = (site.connect()?, site.connect()?);
        queue.fill(&mut first, 1..=3)?;
        let mut transaction = first.transaction()?;
        ensure!(queue.claim(&mut transaction, "first", 10)?.len() == 3);
        transaction.rollback()?;

        let mut transaction = second.transaction()?;
        let mut savepoint = transaction.transaction()?;
        ensure!(numbers(&queue.claim(&mut savepoint, "second", 10)?) == [1, 2, 3]);
        savepoint.rollback()?;
        transaction.commit()?;

        first.batch_execute("BEGIN")?;
        ensure!(numbers(&queue.claim(&mut first, "first", 10)?) == [1, 2, 3]);
        drop(first);
        for number in 1..=3 {
            let item = queue.await_item(&mut second, "second", "1 hour")?;
            ensure!(item.frame_number == number && item.attempts == 1, "{item:?}");
        }
        Ok(())
    })
}

#[test]
fn a_completion_that_is_rolled_back_leaves_the_lease() -> Result<()> {
    with_queue(UNLIMITED, |site, queue| {
        let (mut worker, mut other) = (site.connect()?, site.connect()?);
        queue.fill(&mut worker, 1..=2)?;
        let held = ids(&queue.claim(&mut worker, "north", 10)?);
        let mut transaction = worker.transaction()?;
        ensure!(complete(&mut transaction, &held, Some("north"))? == held);
        transaction.rollback()?;

        ensure!(queue.claim(&mut other, "south", 10)?.is_empty(), "the lease was lost");
        ensure!(queue.count(&mut other, "processing")? == 2);
        ensure!(complete(&mut worker, &held, Some("north"))? == held);
        ensure!(queue.count(&mut other, "completed")? == 2);
        ensure!(complete(&mut worker, &held, Some("north"))?.is_empty(), "completed twice");
        Ok(())
    })
}

#[test]
fn a_crash_ends_the_leases_and_keeps_what_is_finished() -> Result<()> {
    with_queue(UNLIMITED, |site, queue| {
        let (mut camera, mut worker) = (site.connect()?, site.connect()?);
        queue.fill(&mut camera, 1..=6)?;
        let held = queue.claim(&mut worker, "north", 4)?;
        complete(&mut worker, &ids(&held[..2]), Some("north"))?;
        worker.batch_execute("BEGIN")?;
        complete(&mut worker, &ids(&held[2..3]), Some("north"))?;
        queue.ingest(&mut worker, "counting", 7)?;

        site.cluster.stop(Shutdown::Immediate)?;
        site.cluster.start()?;
        let mut worker = site.connect()?;
        let mut again: Vec<i64> = Vec::new();
        wait_until("the unfinished items are claimed", SOON, || {
            again.extend(numbers(&queue.claim(&mut worker, "south", 10)?));
            Ok(again.len() >= 4)
        })?;
        again.sort_unstable();
        ensure!(again == [3, 4, 5, 6], "{again:?}");
        ensure!(queue.claim(&mut worker, "south", 10)?.is_empty(), "a finished item came back");
        ensure!(queue.count(&mut worker, "completed")? == 2);
        Ok(())
    })
}

#[test]
fn listeners_hear_of_arrivals_once_a_second_or_so() -> Result<()> {
    const LATER: i64 = 200;
    with_queue(UNLIMITED, |site, queue| {
        let (mut camera, mut listener) = (site.connect()?, site.connect()?);
        let other = Queue::create(&mut camera, "window")?;
        listener.batch_execute("LISTEN camcount_queue")?;
        let began = Instant::now();
        queue.ingest(&mut camera, "counting", 0)?;
        ensure!(next_heard(&mut listener)? == queue.0);

        queue.fill(&mut camera, 1..=LATER)?;
        camera.batch_execute("NOTIFY camcount_queue, 'end of arrivals'")?;
        let mut heard = 0;
        while next_heard(&mut listener)? == queue.0 {
            heard += 1;
        }
        let most = 2.0 + 2.0 * began.elapsed().as_secs_f64();
        ensure!(f64::from(heard) <= most, "heard {heard} times within {:?}", began.elapsed());

        // One queue's silence is not the other's, and it ends.
        other.ingest(&mut camera, "counting", LATER + 1)?;
        await_heard(&mut listener, other.0, || Ok(()))?;
        let mut number = LATER + 2;
        await_heard(&mut listener, queue.0, || {
            number += 1;
            Ok(queue.ingest(&mut camera, "counting", number).map(drop)?)
        })
    })
}

fn next_heard(listener: &mut Client) -> Result<String> {
    let heard = listener.notifications().timeout_iter(SOON).next()?;
    Ok(heard.context("nothing was heard")?.payload().to_owned())
}

/// Repeats an action until the listener has heard of the queue.
fn await_heard(listener: &mut Client, queue: &str, mut action: impl FnMut() -> Result<()>) -> Result<()> {
    wait_until(&format!("{queue} is heard of"), SOON, || {
        action()?;
        let mut notifications = listener.notifications();
        let mut heard = notifications.timeout_iter(Duration::from_millis(1));
        Ok(heard.any(|heard| Ok(heard.payload() == queue))?)
    })
}
