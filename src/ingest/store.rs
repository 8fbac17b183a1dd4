//! Writes messages: a row each in `realtime_data_ingestion` and the queue, and the pictures to `frames`.

use std::collections::BTreeSet;

use pgrx::datum::DatumWithOid;

use super::arrival::{Arrival, Picture};
use crate::database;
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;
use crate::worker::wake;

const ONE: &str = concat!(include_str!("one.sql"), include_str!("store.sql"));
const MANY: &str = concat!(include_str!("many.sql"), include_str!("store.sql"));

/// Stores one message unless it is there already; `from_payload` says that its picture came in the payload.
pub fn store_one(
    queue_id: &str,
    arrival: &Arrival<'_>,
    payload: Option<Jsonb>,
    from_payload: bool,
) -> Result<()> {
    let identity = &arrival.identity;
    register_stream(identity.camera_id, identity.stream_id)?;
    let picture = arrival.picture.as_ref();
    let queued = database::run(
        ONE,
        &[
            queue_id.into(),
            arrival.ingestion_id.as_str().into(),
            identity.camera_id.into(),
            identity.stream_id.into(),
            identity.frame_timestamp.into(),
            identity.frame_number.into(),
            identity.data_type.into(),
            identity.priority().into(),
            (arrival.size as i64).into(),
            picture.map(|picture| &*picture.image).into(),
            picture.map(|picture| picture.info.format.name().to_lowercase()).into(),
            picture.map(|picture| picture.info.width as i32).into(),
            picture.map(|picture| picture.info.height as i32).into(),
            picture.and_then(Picture::metadata).into(),
            payload.into(),
            (from_payload && picture.is_some()).into(),
        ],
    )?;
    wake_worker(queued);
    Ok(())
}

/// Stores those messages of a batch that are not there already, `None` standing for an element that is not to be
/// stored. No message may come twice.
pub fn store_many(queue_id: &str, arrivals: &[Option<Arrival<'_>>], batch: Jsonb) -> Result<()> {
    let streams: BTreeSet<_> = arrivals
        .iter()
        .flatten()
        .map(|arrival| (arrival.identity.camera_id, arrival.identity.stream_id))
        .collect();
    // In one order for all sessions, so that two that make the same streams known do not wait for each other.
    streams.into_iter().try_for_each(|(camera_id, stream_id)| register_stream(camera_id, stream_id))?;
    let queued = database::run(
        MANY,
        &[
            queue_id.into(),
            column(arrivals, |arrival| Some(arrival.ingestion_id.as_str())),
            column(arrivals, |arrival| Some(arrival.identity.camera_id)),
            column(arrivals, |arrival| Some(arrival.identity.stream_id)),
            column(arrivals, |arrival| Some(arrival.identity.frame_timestamp)),
            column(arrivals, |arrival| Some(arrival.identity.frame_number)),
            column(arrivals, |arrival| Some(arrival.identity.data_type)),
            column(arrivals, |arrival| Some(arrival.identity.priority())),
            column(arrivals, |arrival| Some(arrival.size as i64)),
            column(arrivals, |arrival| Some(&*arrival.picture.as_ref()?.image)),
            column(arrivals, |arrival| Some(arrival.picture.as_ref()?.info.format.name().to_lowercase())),
            column(arrivals, |arrival| Some(arrival.picture.as_ref()?.info.width as i32)),
            column(arrivals, |arrival| Some(arrival.picture.as_ref()?.info.height as i32)),
            column(arrivals, |arrival| arrival.picture.as_ref()?.metadata()),
            batch.into(),
        ],
    )?;
    wake_worker(queued);
    Ok(())
}

/// An array with one value for each element.
fn column<'a, T: pgrx::IntoDatum>(
    arrivals: &'a [Option<Arrival<'_>>],
    value: impl Fn(&'a Arrival<'_>) -> Option<T>,
) -> DatumWithOid<'static> {
    arrivals.iter().map(|arrival| arrival.as_ref().and_then(&value)).collect::<Vec<Option<T>>>().into()
}

/// Keeps the refused elements of a batch with their reasons.
pub fn store_rejects(batch: Jsonb, refusals: &[Option<Error>]) -> Result<()> {
    const REJECT: &str = include_str!("reject.sql");
    let codes: Vec<_> = refusals.iter().map(|refusal| refusal.as_ref().map(Error::sqlstate)).collect();
    let messages: Vec<_> = refusals.iter().map(|refusal| refusal.as_ref().map(Error::to_string)).collect();
    database::run(REJECT, &[batch.into(), codes.into(), messages.into()])?;
    Ok(())
}

fn wake_worker(queued: usize) {
    if queued > 0 {
        wake::on_commit(wake::Sleeper::Vision);
    }
}

/// Makes the camera and stream known at the first message of a stream.
fn register_stream(camera_id: &str, stream_id: &str) -> Result<()> {
    const KNOWN: &str = "SELECT true FROM camcount.stream_state WHERE camera_id = $1 AND stream_id = $2";
    const CAMERA: &str = "INSERT INTO camcount.cameras (camera_id) VALUES ($1) ON CONFLICT DO NOTHING";
    const STREAM: &str =
        "INSERT INTO camcount.stream_state (camera_id, stream_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let stream = [camera_id.into(), stream_id.into()];
    if database::value::<bool>(KNOWN, &stream)?.is_none() {
        database::run(CAMERA, &stream[..1])?;
        database::run(STREAM, &stream)?;
        wake::on_commit(wake::Sleeper::Maintenance);
    }
    Ok(())
}
