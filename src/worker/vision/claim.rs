//! Taking work: streams that nobody holds, and their next items in frame order, under a lease.

use std::collections::BTreeMap;

use camcount_vision::geometry::Timestamp;
use camcount_vision::payload::{self, Count, EdgeFrame};
use camcount_vision::pipeline::steps::DataType;
use camcount_vision::quality::Stillness;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiHeapTupleData};
use serde_json::Value;

use crate::arguments::to_timestamp;
use crate::database;
use crate::error::{Error, Result};
use crate::ingest;
use crate::jsonb::Jsonb;
use crate::queue::admission;
use crate::queue::effects::End;
use crate::settings;

/// Bytes of pictures and payloads claimed in one go, to bound the worker's memory: as many as one message may have. The
/// first item of each stream is taken whatever its size.
const CLAIM_BYTES: usize = ingest::MAX_BYTES;

/// A stream that this worker holds, with the items it took.
pub struct Claim {
    pub camera_id: String,
    pub stream_id: String,
    /// Time and number of the last frame applied.
    pub last_frame: Option<(Timestamp, i64)>,
    /// Since when it shows the same picture.
    pub stillness: Option<Stillness>,
    /// A pipeline wanted it when it was claimed. Where none does, only counts are taken.
    pub is_served: bool,
    /// In frame order.
    pub items: Vec<Item>,
}

/// One queued message.
pub struct Item {
    pub id: i64,
    pub queued_at: TimestampWithTimeZone,
    pub ingestion_id: String,
    pub frame_timestamp: Timestamp,
    pub frame_number: i64,
    pub data_type: DataType,
    pub content: Content,
    /// `location`, `weather`, `events` and `context` of the message's metadata, where it has them.
    pub context: Option<Value>,
    /// It was attempted before.
    pub is_retry: bool,
}

/// What an item brings.
pub enum Content {
    Picture(Vec<u8>),
    Detections {
        frame: EdgeFrame,
        tracked: bool,
    },
    Counts(Vec<Count>),
    /// The item cannot be processed, now or later.
    Unusable(Error),
}

impl Item {
    /// Whether frames after this one were applied already.
    pub fn is_late(&self, last_frame: Option<(Timestamp, i64)>) -> bool {
        last_frame.is_some_and(|last| (self.frame_timestamp, self.frame_number) < last)
    }
}

/// Claims up to `claim_size` items: of one stream where that has `capacity` items due, so that other workers find
/// streams too, and else of as many streams as it takes to keep the models busy. An item that was attempted before is
/// claimed alone.
pub fn claim(worker_id: i64, capacity: usize) -> Result<Vec<Claim>> {
    let most_items = settings::claim_size();
    Spi::connect_mut(|client| {
        let mut claims = claim_streams(client, worker_id, 1, true, most_items)?;
        let items: Vec<&Item> = claims.iter().flat_map(|claim| &claim.items).collect();
        let taken = items.len();
        let is_retry = items.iter().any(|item| item.is_retry);
        let further = capacity.min(most_items).saturating_sub(taken);
        if taken > 0 && further > 0 && !is_retry {
            claims.extend(claim_streams(client, worker_id, further, false, most_items - taken)?);
        }
        Ok(claims)
    })
}

/// Claims streams and, spread over them, their next items: at least one of each.
fn claim_streams(
    client: &mut SpiClient<'_>,
    worker_id: i64,
    most_streams: usize,
    retries: bool,
    most_items: usize,
) -> Result<Vec<Claim>> {
    const STREAMS: &str = include_str!("claim_streams.sql");
    let lease = settings::lease().as_secs() as i64;
    let arguments = [worker_id.into(), lease.into(), (most_streams as i64).into(), retries.into()];
    let mut claims = Vec::new();
    for row in database::execute(client, STREAMS, &arguments)? {
        claims.push(read_claim(&row)?);
    }
    let streams = claims.len().max(1);
    for claim in &mut claims {
        let most_items = (most_items / streams).max(1);
        claim.items = take_items(client, worker_id, claim, most_items, CLAIM_BYTES / streams)?;
    }
    Ok(claims)
}

fn read_claim(row: &SpiHeapTupleData<'_>) -> Result<Claim> {
    let time = row.get::<TimestampWithTimeZone>(3)?;
    let number = row.get::<i64>(4)?;
    let (fingerprint, since) = (row.get::<i64>(5)?, row.get::<TimestampWithTimeZone>(6)?);
    Ok(Claim {
        camera_id: text(row, 1)?,
        stream_id: text(row, 2)?,
        last_frame: time.map(to_timestamp).zip(number),
        stillness: fingerprint
            .and_then(|value| u32::try_from(value).ok())
            .zip(since)
            .map(|(fingerprint, since)| Stillness { fingerprint, since: to_timestamp(since) }),
        is_served: present(row.get(7)?)?,
        items: Vec::new(),
    })
}

fn take_items(
    client: &mut SpiClient<'_>,
    worker_id: i64,
    claim: &Claim,
    most_items: usize,
    most_bytes: usize,
) -> Result<Vec<Item>> {
    const ITEMS: &str = include_str!("claim_items.sql");
    let arguments = [
        claim.camera_id.as_str().into(),
        claim.stream_id.as_str().into(),
        worker_id.into(),
        (most_items as i64).into(),
        (most_bytes as i64).into(),
        claim.is_served.into(),
    ];
    database::execute(client, ITEMS, &arguments)?.map(|row| read_item(&row)).collect()
}

fn read_item(row: &SpiHeapTupleData<'_>) -> Result<Item> {
    let data_type = match text(row, 6)?.as_str() {
        "detection" => DataType::Detection,
        "tracking" => DataType::Tracking,
        "counting" => DataType::Counting,
        _ => DataType::Frame,
    };
    let context: Option<Jsonb> = row.get(9)?;
    let (content, context) = match context.map(|context| context.read("data_payload")).transpose() {
        Ok(context) => (read_content(row, data_type)?, context),
        Err(error) => (Content::Unusable(error), None),
    };
    Ok(Item {
        id: present(row.get(1)?)?,
        queued_at: present(row.get(2)?)?,
        ingestion_id: text(row, 3)?,
        frame_timestamp: to_timestamp(present(row.get(4)?)?),
        frame_number: present(row.get(5)?)?,
        data_type,
        content,
        context,
        is_retry: present(row.get(10)?)?,
    })
}

fn read_content(row: &SpiHeapTupleData<'_>, data_type: DataType) -> Result<Content> {
    let gone = |kind| Content::Unusable(Error::Missing { kind, name: text(row, 3).unwrap_or_default() });
    if data_type == DataType::Frame {
        return Ok(row.get::<Vec<u8>>(7)?.map_or_else(|| gone("picture of frame"), Content::Picture));
    }
    const COLUMN: &str = "data_payload";
    let Some(payload) = row.get::<Jsonb>(8)? else { return Ok(gone("message")) };
    let payload = match payload.value(COLUMN) {
        Ok(payload) => payload.deserializer(),
        Err(error) => return Ok(Content::Unusable(error)),
    };
    let tracked = data_type == DataType::Tracking;
    let parsed = match data_type {
        DataType::Counting => payload::parse_counts(payload).map(Content::Counts),
        _ => payload::parse_detections(payload, tracked).map(|frame| Content::Detections { frame, tracked }),
    };
    let unusable = |source| Content::Unusable(Error::Payload { parameter: COLUMN, source });
    Ok(parsed.unwrap_or_else(unusable))
}

fn text(row: &SpiHeapTupleData<'_>, column: usize) -> Result<String> {
    present(row.get::<String>(column)?)
}

fn present<T>(value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::Runtime("a queue row has NULL where it cannot".into()))
}

/// Makes a lease last from now.
pub fn renew(worker_id: i64) -> Result<()> {
    const RENEW: &str = "UPDATE camcount.stream_state
        SET lease_until = clock_timestamp() + $2 * interval '1 second' WHERE claimed_by = $1";
    database::run(RENEW, &[worker_id.into(), (settings::lease().as_secs() as i64).into()])?;
    Ok(())
}

/// Gives everything back that this worker holds, as if it had never been claimed; due again after `pause` seconds.
pub fn release(worker_id: i64, pause: f64) -> Result<()> {
    give_back(worker_id, None, None, pause)
}

/// As [`release`], for one stream.
pub fn put_back(worker_id: i64, claim: &Claim, pause: f64) -> Result<()> {
    give_back(worker_id, Some(&claim.camera_id), Some(&claim.stream_id), pause)
}

fn give_back(worker_id: i64, camera_id: Option<&str>, stream_id: Option<&str>, pause: f64) -> Result<()> {
    const ITEMS: &str = "UPDATE camcount.stream_items
        SET status = 'queued', attempts = attempts - 1, claimed_by = NULL, processing_started_at = NULL,
            available_at = clock_timestamp() + $4 * interval '1 second'
        WHERE status = 'processing' AND claimed_by = $1
          AND ($2 IS NULL OR camera_id = $2) AND ($3 IS NULL OR stream_id = $3)";
    const STREAMS: &str = "UPDATE camcount.stream_state SET claimed_by = NULL, lease_until = NULL
        WHERE claimed_by = $1 AND ($2 IS NULL OR camera_id = $2) AND ($3 IS NULL OR stream_id = $3)";
    let arguments = [worker_id.into(), camera_id.into(), stream_id.into(), pause.into()];
    database::run(ITEMS, &arguments)?;
    database::run(STREAMS, &arguments[..3])?;
    Ok(())
}

/// Puts a claim's items up for another attempt, each alone and after a pause that doubles; those without attempts
/// left rest as failed with the error.
pub fn fail_attempt(worker_id: i64, claim: &Claim, error: &Error) -> Result<()> {
    const FAIL: &str = concat!(include_str!("fail_attempt.sql"), include_str!("after_failure.sql"));
    failed(
        FAIL,
        &[
            worker_id.into(),
            claim.camera_id.as_str().into(),
            claim.stream_id.as_str().into(),
            error.sqlstate().as_str().into(),
            error.to_string().as_str().into(),
            settings::retry_backoff_ms().into(),
        ],
    )?;
    Ok(())
}

/// Runs a statement that ends attempts; returns how many. Those that were the last end their items.
fn failed(sql: &'static str, arguments: &[DatumWithOid<'_>]) -> Result<usize> {
    let mut dead = BTreeMap::<String, i64>::new();
    let attempts = Spi::connect_mut(|client| {
        let rows = database::execute(client, sql, arguments)?;
        let attempts = rows.len();
        for row in rows {
            if row.get::<bool>(2)? == Some(true) {
                *dead.entry(text(&row, 1)?).or_default() += 1;
            }
        }
        Ok::<_, Error>(attempts)
    })?;
    for (queue_id, items) in dead {
        admission::left(&queue_id, items, End::Failed, 0)?;
    }
    Ok(attempts)
}

/// Takes back what workers hold that are gone or let their lease run out. Returns how many items it was.
pub fn reclaim() -> Result<usize> {
    const RECLAIM: &str = concat!(include_str!("reclaim.sql"), include_str!("after_failure.sql"));
    failed(RECLAIM, &[settings::retry_backoff_ms().into()])
}
