//! Writes messages: a row each in `realtime_data_ingestion`, the pictures in `frames`, and their place in the queue.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use super::arrival::Arrival;
use super::direct;
use crate::database;
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;
use crate::queue::settings::Queue;
use crate::queue::{admission, notify, shared};
use crate::worker::wake;

/// How long a stream is taken to be known without another look.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// Streams that a session remembers at most.
const MOST_KNOWN: usize = 10_000;

/// A checked message with what is stored of its payload.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pub arrival: &'a Arrival<'a>,
    pub payload: Jsonb,
}

impl<'a> Message<'a> {
    /// A message whose payload holds no picture any more.
    pub fn new(arrival: &'a Arrival<'a>, payload: Jsonb) -> Self {
        let payload = arrival.picture.as_ref().map_or(payload, |picture| picture.metadata(payload));
        Self { arrival, payload }
    }

    /// The frame's time, in microseconds of Postgres's clock.
    pub fn time(&self) -> i64 {
        self.arrival.identity.frame_timestamp.into()
    }
}

/// Stores those messages that are not there already; none may come twice. Returns which were refused because the queue
/// is full, where that is allowed.
///
/// # Errors
/// A full queue, where it is not.
pub fn store(queue: &Queue, messages: &[Message<'_>], may_refuse: bool) -> Result<Vec<usize>> {
    register_streams(messages)?;
    if admission::has_room(queue, messages.len())? {
        write(queue, messages)?;
        return Ok(Vec::new());
    }
    // What is there already needs no place.
    let known = known(messages)?;
    let mut fresh: Vec<usize> =
        (0..messages.len()).filter(|&index| !known.contains(&messages[index].arrival.ingestion_id)).collect();
    let least = if may_refuse { 0 } else { fresh.len() };
    let admitted = admission::admit(queue, fresh.len(), least)?;
    let refused = fresh.split_off(admitted);
    let taken: Vec<_> = fresh.into_iter().map(|index| messages[index]).collect();
    write(queue, &taken)?;
    Ok(refused)
}

/// Writes messages that have their places in the queue.
fn write(queue: &Queue, messages: &[Message<'_>]) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let now = clock()?;
    if !direct::store(&queue.queue_id, messages, now) {
        let written = execute(&queue.queue_id, messages, now)?;
        admission::unused(queue, messages.len() - written)?;
        if written == 0 {
            return Ok(());
        }
    }
    wake::on_commit(wake::Sleeper::Vision);
    notify::arrived(queue)
}

/// Ids of those messages that are there.
fn known(messages: &[Message<'_>]) -> Result<HashSet<String>> {
    const KNOWN: &str = "SELECT ingestion_id
        FROM unnest($1, $2) AS arrival (ingestion_id, frame_timestamp)
        JOIN camcount.realtime_data_ingestion USING (ingestion_id, frame_timestamp)";
    let ids = column_of(messages, |message| Some(message.arrival.ingestion_id.as_str()));
    let times = column_of(messages, |message| Some(message.arrival.identity.frame_timestamp));
    Spi::connect_mut(|client| {
        let mut known = HashSet::new();
        for row in database::execute(client, KNOWN, &[ids, times])? {
            known.extend(row.get::<String>(1)?);
        }
        Ok(known)
    })
}

fn register_streams(messages: &[Message<'_>]) -> Result<()> {
    // In one order for all sessions, so that two that make the same streams known do not wait for each other.
    let streams: BTreeSet<_> = messages
        .iter()
        .map(|message| (message.arrival.identity.camera_id, message.arrival.identity.stream_id))
        .collect();
    streams.into_iter().try_for_each(|(camera_id, stream_id)| register_stream(camera_id, stream_id))
}

/// The server's clock.
fn clock() -> Result<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(shared::now())
        .map_err(|_| Error::Runtime("the server's clock is out of range".into()))
}

/// Has the executor write the messages; returns how many were new.
fn execute(queue_id: &str, messages: &[Message<'_>], now: TimestampWithTimeZone) -> Result<usize> {
    const STORE: &str = include_str!("store.sql");
    database::run(
        STORE,
        &[
            queue_id.into(),
            column_of(messages, |message| Some(message.arrival.ingestion_id.as_str())),
            column_of(messages, |message| Some(message.arrival.identity.camera_id)),
            column_of(messages, |message| Some(message.arrival.identity.stream_id)),
            column_of(messages, |message| Some(message.arrival.identity.frame_timestamp)),
            column_of(messages, |message| Some(message.arrival.identity.frame_number)),
            column_of(messages, |message| Some(message.arrival.identity.data_type)),
            column_of(messages, |message| Some(message.arrival.identity.priority())),
            column_of(messages, |message| Some(message.arrival.size as i64)),
            column_of(messages, |message| Some(message.payload)),
            column_of(messages, |message| Some(&*message.arrival.picture.as_ref()?.image)),
            column_of(messages, |message| Some(message.arrival.picture.as_ref()?.format())),
            column_of(messages, |message| Some(message.arrival.picture.as_ref()?.info.width as i32)),
            column_of(messages, |message| Some(message.arrival.picture.as_ref()?.info.height as i32)),
            now.into(),
        ],
    )
}

/// An array with one value for each message.
fn column_of<'a, T: IntoDatum>(
    messages: &'a [Message<'_>],
    value: impl Fn(&'a Message<'_>) -> Option<T>,
) -> DatumWithOid<'static> {
    messages.iter().map(value).collect::<Vec<Option<T>>>().into()
}

/// Keeps the refused elements of a batch with their reasons.
pub fn store_rejects(batch: Jsonb, refusals: &[Option<Error>]) -> Result<()> {
    const REJECT: &str = include_str!("reject.sql");
    let codes: Vec<_> = refusals.iter().map(|refusal| refusal.as_ref().map(Error::sqlstate)).collect();
    let messages: Vec<_> = refusals.iter().map(|refusal| refusal.as_ref().map(Error::to_string)).collect();
    database::run(REJECT, &[batch.into(), codes.into(), messages.into()])?;
    Ok(())
}

thread_local! {
    /// By camera and stream, when it was last seen to be known.
    static KNOWN_STREAMS: RefCell<HashMap<String, HashMap<String, Instant>>> = RefCell::default();
}

/// Makes the camera and stream known at the first message of a stream.
fn register_stream(camera_id: &str, stream_id: &str) -> Result<()> {
    const KNOWN: &str = "SELECT true FROM camcount.stream_state WHERE camera_id = $1 AND stream_id = $2";
    const CAMERA: &str = "INSERT INTO camcount.cameras (camera_id) VALUES ($1) ON CONFLICT DO NOTHING";
    const STREAM: &str =
        "INSERT INTO camcount.stream_state (camera_id, stream_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    if is_remembered(camera_id, stream_id) {
        return Ok(());
    }
    let stream = [camera_id.into(), stream_id.into()];
    if database::value::<bool>(KNOWN, &stream)?.is_some() {
        remember(camera_id, stream_id);
        return Ok(());
    }
    database::run(CAMERA, &stream[..1])?;
    database::run(STREAM, &stream)?;
    wake::on_commit(wake::Sleeper::Maintenance);
    Ok(())
}

fn is_remembered(camera_id: &str, stream_id: &str) -> bool {
    KNOWN_STREAMS.with_borrow(|known| {
        known
            .get(camera_id)
            .and_then(|streams| streams.get(stream_id))
            .is_some_and(|seen| seen.elapsed() < KNOWN_FOR)
    })
}

fn remember(camera_id: &str, stream_id: &str) {
    KNOWN_STREAMS.with_borrow_mut(|known| {
        if known.values().map(HashMap::len).sum::<usize>() >= MOST_KNOWN {
            known.clear();
        }
        known.entry(camera_id.to_owned()).or_default().insert(stream_id.to_owned(), Instant::now());
    });
}
