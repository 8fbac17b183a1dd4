//! What goes wrong only where two things meet: leases that pass on, limits that are met again, tables of a user's own.

use anyhow::{Result, ensure};
use camcount_cluster_tests::queue::{LONG, Queue, complete, fail, ids, is_full, numbers, with_queue};
use camcount_cluster_tests::site::SOON;
use camcount_cluster_tests::wait::wait_until;
use postgres::Client;

const SHORT: &str = "1 millisecond";

#[test]
fn an_aborted_claim_does_not_touch_the_lease_that_came_after_it() -> Result<()> {
    with_queue("max_attempts = 3", |site, queue| {
        let (mut slow, mut client) = (site.connect()?, site.connect()?);
        queue.fill(&mut client, 1..=1)?;
        let mut transaction = slow.transaction()?;
        ensure!(queue.claim_for(&mut transaction, "north", 1, SHORT)?.len() == 1);
        let item = queue.await_item(&mut client, "south", LONG)?;
        transaction.rollback()?;
        ensure!(queue.claim(&mut client, "east", 1)?.is_empty(), "a leased item was given out again");
        ensure!(complete(&mut client, &[item.id], Some("south"))? == [item.id]);
        Ok(())
    })
}

#[test]
fn a_completion_that_is_rolled_back_after_its_lease_ran_out_is_noticed() -> Result<()> {
    with_queue("max_attempts = 3", |site, queue| {
        let (mut slow, mut client) = (site.connect()?, site.connect()?);
        queue.fill(&mut client, 1..=1)?;
        let items = queue.claim_for(&mut slow, "north", 1, SHORT)?;
        let mut transaction = slow.transaction()?;
        ensure!(complete(&mut transaction, &ids(&items), None)? == ids(&items));
        ensure!(queue.claim(&mut client, "south", 1)?.is_empty(), "it is being completed");
        transaction.rollback()?;
        queue.await_item(&mut client, "south", LONG).map(drop)
    })
}

#[test]
fn a_batch_sent_again_takes_no_room() -> Result<()> {
    with_queue("max_size = 4", |site, queue| {
        let mut client = site.connect()?;
        for _ in 0..3 {
            ensure!(send_first(&mut client, queue, 3)? == 3);
        }
        ensure!(queue.count(&mut client, "current_size")? == 3);
        ensure!(send_first(&mut client, queue, 4)? == 4, "one place is left, and one item is new");
        ensure!(is_full(send_first(&mut client, queue, 5))?);
        ensure!(queue.count(&mut client, "current_size")? == 4);
        Ok(())
    })
}

/// The first messages of a camera, the same each time, in one batch.
fn send_first(client: &mut Client, queue: Queue<'_>, messages: i32) -> Result<i32, postgres::Error> {
    let statement = "SELECT camcount.batch_ingest_data(jsonb_agg(jsonb_build_object(
            'camera_id', 'gate', 'stream_id', 'main', 'frame_timestamp', '2026-01-05 08:00:00+00',
            'frame_number', n, 'data_type', 'counting', 'data_payload', '[]'::jsonb)), 'fail', $2)
        FROM generate_series(1, $1) AS n";
    client.query_one(statement, &[&messages, &queue.0])?.try_get(0)
}

#[test]
fn results_are_not_dropped_even_where_their_lease_ran_out() -> Result<()> {
    with_queue("max_size = 1, overflow_policy = 'drop_oldest'", |site, queue| {
        let mut client = site.connect()?;
        queue.ingest(&mut client, "counting", 1)?;
        let items = queue.claim_for(&mut client, "north", 1, SHORT)?;
        wait_until("the lease is over", SOON, || {
            let row = client.query_one("SELECT clock_timestamp() > $1", &[&items[0].lease_until])?;
            Ok(row.try_get(0)?)
        })?;
        ensure!(is_full(queue.ingest(&mut client, "frame", 2))?);
        ensure!(queue.count(&mut client, "skipped")? == 0);
        Ok(())
    })
}

/// An index on some rows only is the executor's to keep.
const OWN_INDEX: &str =
    "CREATE INDEX ON camcount.realtime_data_ingestion (id) WHERE processing_status = 'failed'";
const OWN_TRIGGER: &str = "
    CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER nothing BEFORE INSERT OR UPDATE ON camcount.realtime_data_ingestion
        FOR EACH ROW EXECUTE FUNCTION public.nothing();
    CREATE TRIGGER nothing BEFORE INSERT ON camcount.frames FOR EACH ROW EXECUTE FUNCTION public.nothing();";

#[test]
fn tables_with_a_users_own_index_or_trigger_work_alike() -> Result<()> {
    for own in [OWN_INDEX, OWN_TRIGGER] {
        with_queue("max_attempts = 1", |site, queue| works_through(&mut site.connect()?, queue, own))?;
    }
    Ok(())
}

fn works_through(client: &mut Client, queue: Queue<'_>, own: &str) -> Result<()> {
    client.batch_execute(own)?;
    queue.ingest_batch(client, (1, 3), "fail")?;
    for number in 4..=5 {
        queue.ingest(client, "frame", number)?;
    }
    let pictures: i64 = client.query_one("SELECT count(*) FROM camcount.frames", &[])?.try_get(0)?;
    ensure!(pictures == 2, "{pictures} pictures");
    let items = queue.claim(client, "north", 10)?;
    ensure!(numbers(&items) == [1, 2, 3, 4, 5], "{items:?}");
    let done = ids(&items[..4]);
    ensure!(complete(client, &done, None)? == done);
    ensure!(fail(client, items[4].id, None, None)? == "failed");
    ensure!(queue.count(client, "completed")? == 4 && queue.count(client, "failed")? == 1);
    ensure!(queue.count(client, "current_size")? == 0);
    Ok(())
}

#[test]
fn leases_end_with_the_extension() -> Result<()> {
    with_queue("max_attempts = 3", |site, queue| {
        let mut client = site.connect()?;
        queue.fill(&mut client, 1..=2)?;
        ensure!(queue.claim(&mut client, "north", 2)?.len() == 2);
        client.batch_execute("DROP EXTENSION camcount CASCADE")?;
        client.batch_execute("CREATE EXTENSION camcount")?;
        let queue = Queue::create(&mut client, queue.0)?;
        queue.fill(&mut client, 1..=2)?;
        ensure!(numbers(&queue.claim(&mut client, "south", 2)?) == [1, 2]);
        ensure!(queue.count(&mut client, "current_size")? == 2);
        Ok(())
    })
}
