//! A queue of a test's own, and what the clients and the outside workers of an application do with it.

use std::thread::ScopedJoinHandle;

use anyhow::{Context, Result, anyhow, ensure};
use chrono::{DateTime, Utc};
use postgres::error::{DbError, SqlState};
use postgres::{Client, GenericClient, Row};
use serde_json::{Value, json};

use crate::cluster::with_cluster;
use crate::material::installed_server;
use crate::site::{SOON, STREAM, Site, preloaded};
use crate::wait::wait_until;

/// The camera that sends everything.
pub const CAMERA: &str = "gate";
/// A lease that does not expire while a test runs.
pub const LONG: &str = "1 hour";

/// A black PNG of 64 by 64 pixels.
const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAAG0lEQVR4\
    2u3BgQAAAADDoPlT3+AEVQEAAAB8AxBAAAG9PLePAAAAAElFTkSuQmCC";

/// What a statement gives, or the server's refusal.
pub type Answer<T> = Result<T, postgres::Error>;

/// An item as it was claimed.
#[derive(Clone, Debug)]
pub struct Item {
    /// Identifies the item.
    pub id: i64,
    /// The message.
    pub ingestion_id: String,
    /// The sender's number.
    pub frame_number: i64,
    /// How often it has been claimed, this time included.
    pub attempts: i32,
    /// When the lease ends, by the server's clock.
    pub lease_until: DateTime<Utc>,
}

/// A queue by its name.
#[derive(Clone, Copy, Debug)]
pub struct Queue<'a>(pub &'a str);

/// Runs a test on the queue `door` with these settings, as in an UPDATE; nothing but the test's sessions serves it.
///
/// # Errors
/// Those of making the cluster and of the test.
pub fn with_queue(settings: &str, test: impl FnOnce(&Site<'_>, Queue<'_>) -> Result<()>) -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    let more = [
        ("camcount.vision_workers", "0"),
        ("max_connections", "100"),
        // A statement that waits for another session fails, instead of hanging.
        ("statement_timeout", "60s"),
    ];
    with_cluster(&server, &preloaded(&more), |cluster| {
        let site = Site::create(cluster, "site")?;
        let queue = Queue::create(&mut site.connect()?, "door")?;
        queue.set(&mut site.connect()?, settings)?;
        test(&site, queue)
    })
}

impl<'a> Queue<'a> {
    /// Creates a queue with the default settings.
    ///
    /// # Errors
    /// When it is refused.
    pub fn create(client: &mut Client, name: &'a str) -> Answer<Self> {
        let statement = "INSERT INTO camcount.ingestion_queue (queue_id, queue_type) VALUES ($1, 'normal')";
        client.execute(statement, &[&name])?;
        Ok(Self(name))
    }

    /// Changes settings, written as in an UPDATE: `max_size = 3, is_paused = true`.
    ///
    /// # Errors
    /// When they are refused.
    pub fn set(&self, client: &mut Client, settings: &str) -> Answer<()> {
        let statement = format!("UPDATE camcount.ingestion_queue SET {settings} WHERE queue_id = $1");
        client.execute(&statement, &[&self.0]).map(drop)
    }

    /// A number of `queue_status`, or how many items are in a state.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn count(&self, client: &mut impl GenericClient, column: &str) -> Answer<i64> {
        let statement = match column {
            "current_size" | "dropped" => {
                format!("SELECT {column}::bigint FROM camcount.queue_status WHERE queue_id = $1")
            }
            _ => format!(
                "SELECT count(*) FROM camcount.queue_items WHERE queue_id = $1 AND status = '{column}'"
            ),
        };
        client.query_one(&statement, &[&self.0])?.try_get(0)
    }

    /// Sends a message of the frame's time now. Its ingestion id.
    ///
    /// # Errors
    /// When it is refused.
    pub fn ingest(
        &self,
        client: &mut impl GenericClient,
        data_type: &str,
        frame_number: i64,
    ) -> Answer<String> {
        self.ingest_of_time(client, "now", data_type, frame_number)
    }

    /// Sends a message of another time, written as Postgres reads it.
    ///
    /// # Errors
    /// When it is refused.
    pub fn ingest_of_time(
        &self,
        client: &mut impl GenericClient,
        time: &str,
        data_type: &str,
        frame_number: i64,
    ) -> Answer<String> {
        let statement = "SELECT camcount.ingest_realtime_data($1, $2, $3::text::timestamptz, $4, $5, $6, $7)";
        let payload = payload(data_type);
        let row = client
            .query_one(statement, &[&CAMERA, &STREAM, &time, &frame_number, &data_type, &payload, &self.0])?;
        row.try_get(0)
    }

    /// Sends counts with these frame numbers, one after the other.
    ///
    /// # Errors
    /// When one is refused.
    pub fn fill(&self, client: &mut impl GenericClient, numbers: impl Iterator<Item = i64>) -> Answer<()> {
        for number in numbers {
            self.ingest(client, "counting", number)?;
        }
        Ok(())
    }

    /// Sends counts with the frame numbers from `first` to `last` in one batch. How many were taken.
    ///
    /// # Errors
    /// When the batch is refused.
    pub fn ingest_batch(
        &self,
        client: &mut impl GenericClient,
        (first, last): (i64, i64),
        on_error: &str,
    ) -> Answer<i32> {
        let statement = "SELECT camcount.batch_ingest_data((
                SELECT jsonb_agg(jsonb_build_object('camera_id', $1::text, 'stream_id', $2::text,
                    'frame_timestamp', now(), 'frame_number', n, 'data_type', 'counting', 'data_payload', '[]'::jsonb)
                    ORDER BY n)
                FROM generate_series($3::bigint, $4::bigint) AS n), $5, $6)";
        client.query_one(statement, &[&CAMERA, &STREAM, &first, &last, &on_error, &self.0])?.try_get(0)
    }

    /// Claims at most so many items for a long time.
    ///
    /// # Errors
    /// When it is refused.
    pub fn claim(&self, client: &mut impl GenericClient, worker: &str, most: i32) -> Answer<Vec<Item>> {
        self.claim_for(client, worker, most, LONG)
    }

    /// Claims at most so many items.
    ///
    /// # Errors
    /// When it is refused.
    pub fn claim_for(
        &self,
        client: &mut impl GenericClient,
        worker: &str,
        most: i32,
        lease: &str,
    ) -> Answer<Vec<Item>> {
        let statement = "SELECT id, ingestion_id, frame_number, attempts, lease_until
            FROM camcount.claim_queue_items($1, $2, $3, $4::text::interval)";
        client.query(statement, &[&self.0, &worker, &most, &lease])?.iter().map(Item::read).collect()
    }

    /// Claims one item, as soon as there is one to claim.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn await_item(&self, client: &mut Client, worker: &str, lease: &str) -> Result<Item> {
        let mut items = Vec::new();
        wait_until("an item can be claimed", SOON, || {
            items = self.claim_for(client, worker, 1, lease)?;
            Ok(!items.is_empty())
        })?;
        items.pop().context("no item")
    }
}

impl Item {
    fn read(row: &Row) -> Answer<Self> {
        Ok(Self {
            id: row.try_get(0)?,
            ingestion_id: row.try_get(1)?,
            frame_number: row.try_get(2)?,
            attempts: row.try_get(3)?,
            lease_until: row.try_get(4)?,
        })
    }
}

/// The items' ids.
pub fn ids(items: &[Item]) -> Vec<i64> {
    items.iter().map(|item| item.id).collect()
}

/// The items' frame numbers.
pub fn numbers(items: &[Item]) -> Vec<i64> {
    items.iter().map(|item| item.frame_number).collect()
}

/// Completes items. Those that were, in rising order.
///
/// # Errors
/// When the call is refused.
pub fn complete(client: &mut impl GenericClient, ids: &[i64], worker: Option<&str>) -> Answer<Vec<i64>> {
    let row = client.query_one("SELECT camcount.complete_queue_items($1, $2)", &[&ids, &worker])?;
    Ok(sorted(row.try_get(0)?))
}

/// Reports that an item could not be processed. What becomes of it.
///
/// # Errors
/// When the call is refused.
pub fn fail(
    client: &mut impl GenericClient,
    id: i64,
    retry_after: Option<&str>,
    worker: Option<&str>,
) -> Answer<String> {
    let statement = "SELECT camcount.fail_queue_item($1, '22023', 'too dark', $2::text::interval, $3)";
    client.query_one(statement, &[&id, &retry_after, &worker])?.try_get(0)
}

/// Renews leases. The items whose leases were, in rising order.
///
/// # Errors
/// When the call is refused.
pub fn extend(
    client: &mut impl GenericClient,
    ids: &[i64],
    lease: &str,
    worker: Option<&str>,
) -> Answer<Vec<i64>> {
    let statement = "SELECT camcount.extend_lease($1, $2::text::interval, $3)";
    Ok(sorted(client.query_one(statement, &[&ids, &lease, &worker])?.try_get(0)?))
}

fn sorted(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids
}

/// The refusal, which must have this SQLSTATE.
///
/// # Errors
/// When the statement was taken, or was refused otherwise.
pub fn refused<T>(answer: Answer<T>, state: &str) -> Result<DbError> {
    let error = answer.err().with_context(|| format!("was taken instead of refused with {state}"))?;
    let refusal = error.as_db_error().cloned();
    let refusal = refusal.with_context(|| format!("the session broke: {error}"))?;
    ensure!(refusal.code().code() == state, "should be refused with {state}: {refusal:?}");
    Ok(refusal)
}

/// Whether the answer is that the queue is full.
///
/// # Errors
/// Those of another kind.
pub fn is_full<T>(answer: Answer<T>) -> Answer<bool> {
    match answer {
        Ok(_) => Ok(false),
        Err(error) if error.code() == Some(&SqlState::CONFIGURATION_LIMIT_EXCEEDED) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Waits for a thread's end. What it found.
///
/// # Errors
/// Its own, or that it panicked.
pub fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a session's thread panicked"))?
}

fn payload(data_type: &str) -> Value {
    match data_type {
        "frame" => json!({ "image": PICTURE }),
        "counting" => json!([]),
        _ => json!({ "width": 64, "height": 64, "detections": [] }),
    }
}
