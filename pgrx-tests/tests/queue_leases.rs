//! What becomes of items whose worker fails, is too slow, or gives up.

use anyhow::{Context, Result, ensure};
use camcount_cluster_tests::queue::{
    Item, LONG, Queue, complete, extend, fail, ids, numbers, refused, with_queue,
};
use camcount_cluster_tests::site::SOON;
use camcount_cluster_tests::wait::wait_until;
use postgres::Client;

/// Expires before anybody can look.
const SHORT: &str = "1 millisecond";
const NOT_LEASED: &str = "55000";

#[test]
fn an_expired_lease_goes_to_another_worker_and_leaves_the_first_with_nothing() -> Result<()> {
    with_queue("max_attempts = 3", |site, queue| {
        let (mut north, mut south) = (site.connect()?, site.connect()?);
        queue.fill(&mut north, 1..=1)?;
        let lost = queue.await_item(&mut north, "north", SHORT)?;
        let item = queue.await_item(&mut south, "south", LONG)?;
        ensure!(item.id == lost.id && lost.attempts == 1 && item.attempts == 2, "{lost:?} {item:?}");

        let held = [item.id];
        ensure!(complete(&mut north, &held, Some("north"))?.is_empty());
        ensure!(extend(&mut north, &held, LONG, Some("north"))?.is_empty());
        refused(fail(&mut north, item.id, None, Some("north")), NOT_LEASED)?;
        ensure!(complete(&mut south, &held, Some("south"))? == held);
        ensure!(status(&mut north, item.id)? == "completed");

        ensure!(complete(&mut south, &held, None)?.is_empty());
        ensure!(extend(&mut south, &held, LONG, None)?.is_empty());
        refused(fail(&mut south, item.id, None, None), NOT_LEASED)?;
        Ok(())
    })
}

#[test]
fn of_many_ids_those_are_completed_that_are_held() -> Result<()> {
    with_queue("max_attempts = 3", |site, queue| {
        let mut client = site.connect()?;
        queue.fill(&mut client, 1..=6)?;
        let north = ids(&queue.claim(&mut client, "north", 2)?);
        let south = ids(&queue.claim(&mut client, "south", 2)?);
        let all = [&north[..], &south[..], &[i64::MAX]].concat();
        ensure!(extend(&mut client, &all, LONG, Some("south"))? == south);
        ensure!(complete(&mut client, &all, Some("north"))? == north);
        ensure!(complete(&mut client, &all, None)? == south);
        ensure!(numbers(&queue.claim(&mut client, "north", 10)?) == [5, 6]);
        Ok(())
    })
}

#[test]
fn an_extended_lease_outlasts_the_first() -> Result<()> {
    with_queue("max_attempts = 100", |site, queue| {
        let (mut north, mut south) = (site.connect()?, site.connect()?);
        queue.fill(&mut north, 1..=1)?;
        let item = claim_and_extend(&mut north, queue)?;
        wait_until("the first lease is over", SOON, || {
            let row = south.query_one("SELECT clock_timestamp() > $1", &[&item.lease_until])?;
            Ok(row.try_get(0)?)
        })?;
        ensure!(queue.claim(&mut south, "south", 10)?.is_empty(), "the lease was not extended");
        ensure!(complete(&mut north, &[item.id], Some("north"))? == [item.id]);
        Ok(())
    })
}

/// An item as it was claimed for a short time, before the lease was extended.
fn claim_and_extend(client: &mut Client, queue: Queue<'_>) -> Result<Item> {
    // On a busy machine the first may be over before it is extended.
    for lease in ["250 milliseconds", "2 seconds", "15 seconds"] {
        let item = queue.await_item(client, "north", lease)?;
        if extend(client, &[item.id], LONG, Some("north"))? == [item.id] {
            return Ok(item);
        }
    }
    anyhow::bail!("no lease could be extended")
}

#[test]
fn leases_that_always_expire_make_a_dead_letter() -> Result<()> {
    with_queue("max_attempts = 3", |site, queue| {
        let mut client = site.connect()?;
        queue.fill(&mut client, 1..=1)?;
        let mut attempts = Vec::new();
        wait_until("the item is given up", SOON, || {
            let items = queue.claim_for(&mut client, "north", 1, SHORT)?;
            attempts.extend(items.iter().map(|item| item.attempts));
            Ok(queue.count(&mut client, "failed")? == 1)
        })?;
        ensure!(attempts == [1, 2, 3], "{attempts:?}");
        let (code, message) = dead_letter(&mut client)?;
        ensure!(!code.is_empty() && !message.is_empty(), "no reason: {code:?} {message:?}");
        ensure!(queue.claim(&mut client, "north", 1)?.is_empty());
        Ok(())
    })
}

#[test]
fn a_failed_item_comes_back_until_its_attempts_are_used_up() -> Result<()> {
    with_queue("max_attempts = 3", |site, queue| {
        let mut client = site.connect()?;
        queue.fill(&mut client, 1..=1)?;
        for (attempt, becomes) in (1..).zip(["queued", "queued", "failed"]) {
            let item = queue.await_item(&mut client, "north", LONG)?;
            ensure!(item.attempts == attempt, "attempt {attempt}: {item:?}");
            refused(fail(&mut client, item.id, None, Some("south")), NOT_LEASED)?;
            ensure!(fail(&mut client, item.id, None, Some("north"))? == becomes, "attempt {attempt}");
            ensure!(status(&mut client, item.id)? == becomes, "attempt {attempt}");
            ensure!(complete(&mut client, &[item.id], None)?.is_empty(), "a failed item was held");
        }
        ensure!(dead_letter(&mut client)? == ("22023".into(), "too dark".into()));
        ensure!(queue.claim(&mut client, "north", 1)?.is_empty());
        Ok(())
    })
}

#[test]
fn a_retry_waits_as_long_as_it_is_told() -> Result<()> {
    with_queue("max_attempts = 100", |site, queue| {
        let mut client = site.connect()?;
        queue.fill(&mut client, 1..=2)?;
        let items = queue.claim(&mut client, "north", 2)?;
        ensure!(fail(&mut client, items[0].id, Some("1 hour"), None)? == "queued");
        ensure!(fail(&mut client, items[1].id, Some(SHORT), None)? == "queued");
        let item = queue.await_item(&mut client, "north", LONG)?;
        ensure!(item.id == items[1].id && item.attempts == 2, "{item:?}");
        ensure!(queue.claim(&mut client, "north", 2)?.is_empty(), "the retry came too soon");

        // Where it is not told, it waits for the back-off of the setting.
        client.batch_execute("ALTER SYSTEM SET camcount.retry_backoff = '1h'")?;
        client.batch_execute("SELECT pg_reload_conf()")?;
        wait_until("the setting holds", SOON, || {
            let row = client.query_one("SHOW camcount.retry_backoff", &[])?;
            Ok(row.try_get::<_, String>(0)? == "1h")
        })?;
        ensure!(fail(&mut client, item.id, None, None)? == "queued");
        ensure!(queue.claim(&mut client, "north", 2)?.is_empty(), "the back-off was not kept to");
        Ok(())
    })
}

#[test]
fn a_failure_that_is_rolled_back_leaves_the_lease() -> Result<()> {
    with_queue("max_attempts = 1", |site, queue| {
        let (mut worker, mut other) = (site.connect()?, site.connect()?);
        queue.fill(&mut worker, 1..=1)?;
        let item = queue.await_item(&mut worker, "north", LONG)?;
        let mut transaction = worker.transaction()?;
        ensure!(fail(&mut transaction, item.id, None, Some("north"))? == "failed");
        transaction.rollback()?;
        ensure!(status(&mut other, item.id)? == "processing");
        ensure!(queue.claim(&mut other, "south", 1)?.is_empty(), "the lease was lost");
        ensure!(complete(&mut worker, &[item.id], Some("north"))? == [item.id]);
        Ok(())
    })
}

#[test]
fn dead_letters_are_requeued_by_name_or_all() -> Result<()> {
    with_queue("max_attempts = 1", |site, queue| {
        let mut client = site.connect()?;
        queue.fill(&mut client, 1..=3)?;
        let items = queue.claim(&mut client, "north", 3)?;
        for item in &items {
            ensure!(fail(&mut client, item.id, None, None)? == "failed");
        }
        ensure!(queue.claim(&mut client, "north", 3)?.is_empty());

        let second = [items[1].id];
        ensure!(requeue(&mut client, queue, Some(&second))? == 1);
        let item = queue.await_item(&mut client, "north", LONG)?;
        ensure!(item.frame_number == 2, "{item:?}");
        ensure!(complete(&mut client, &second, None)? == second);
        ensure!(requeue(&mut client, queue, Some(&second))? == 0, "a finished item was queued again");

        ensure!(requeue(&mut client, queue, None)? == 2);
        ensure!(queue.count(&mut client, "failed")? == 0);
        let mut again = Vec::new();
        for _ in 0..2 {
            again.push(queue.await_item(&mut client, "north", LONG)?.frame_number);
        }
        again.sort_unstable();
        ensure!(again == [1, 3], "{again:?}");
        Ok(())
    })
}

#[test]
fn purging_skips_what_waits_and_leaves_what_is_held() -> Result<()> {
    with_queue("max_size = 3", |site, queue| {
        let mut client = site.connect()?;
        let other = Queue::create(&mut client, "window")?;
        other.ingest(&mut client, "counting", 4)?;
        queue.fill(&mut client, 1..=3)?;
        let held = ids(&queue.claim(&mut client, "north", 1)?);
        let purged = client.query_one("SELECT camcount.purge_queue($1)", &[&queue.0])?;
        ensure!(purged.try_get::<_, i64>(0)? == 2);

        ensure!(queue.count(&mut client, "skipped")? == 2);
        ensure!(queue.claim(&mut client, "north", 10)?.is_empty(), "a purged item was given out");
        ensure!(complete(&mut client, &held, Some("north"))? == held);
        ensure!(queue.count(&mut client, "current_size")? == 0);
        queue.fill(&mut client, 5..=7)?;
        ensure!(numbers(&other.claim(&mut client, "north", 10)?) == [4], "the other queue was purged");
        Ok(())
    })
}

fn status(client: &mut Client, id: i64) -> Result<String> {
    let statement = "SELECT status FROM camcount.queue_items WHERE id = $1";
    Ok(client.query_one(statement, &[&id])?.try_get(0)?)
}

/// Code and message of the one dead letter.
fn dead_letter(client: &mut Client) -> Result<(String, String)> {
    let statement = "SELECT error_code, error_message FROM camcount.dead_letters";
    let row = client.query_one(statement, &[]).context("there is not one dead letter")?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn requeue(client: &mut Client, queue: Queue<'_>, ids: Option<&[i64]>) -> Result<i64> {
    let row = client.query_one("SELECT camcount.requeue_failed($1, $2)", &[&queue.0, &ids])?;
    Ok(row.try_get(0)?)
}
