//! Frames and results from outside into the ingestion table and the queue: one row in each, once.

mod arrival;
mod batch;
mod identity;
mod store;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::arguments::{name, required};
use crate::database;
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;
pub use arrival::MAX_BYTES;
use arrival::{Arrival, MAX_JSON_BYTES, check_size};
use identity::Identity;

/// Takes one frame of a camera: the picture goes to `frames`, an item to the queue, and the frame's ingestion id
/// comes back. A retry with the same camera, stream, time and number returns the same id and queues nothing.
///
/// `p_image` is a JPEG or PNG file; `p_metadata` travels with the frame. `p_queue_id` names another queue than
/// `normal`.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn ingest_frame(
    p_camera_id: Option<&str>,
    p_stream_id: Option<&str>,
    p_frame_timestamp: Option<TimestampWithTimeZone>,
    p_frame_number: Option<i64>,
    p_image: Option<&[u8]>,
    p_metadata: default!(Option<Jsonb>, "'{}'"),
    p_queue_id: default!(Option<&str>, "NULL"),
) -> Result<String, ErrorReport> {
    let identity = Identity::new(p_camera_id, p_stream_id, p_frame_timestamp, p_frame_number, "frame")?;
    let image = required(p_image, "p_image")?;
    if let Some(metadata) = p_metadata {
        check_size("p_metadata", metadata.size(), MAX_BYTES)?;
        if !metadata.read("p_metadata")?.is_object() {
            return Err(Error::invalid("p_metadata", "must be a JSON object").into());
        }
    }
    let arrival = Arrival::of_picture(identity, image.into(), "p_image")?;
    Ok(ingest(arrival, p_metadata, false, p_queue_id)?)
}

/// Takes one message of a camera: `p_data_type` is `frame` (`{"image": "<base64>"}`), `detection`, `tracking` or
/// `counting`. Returns the ingestion id; a retry returns the same id and queues nothing. Frames go to the queue
/// `normal`, results to `high_priority`, unless `p_queue_id` names another.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn ingest_realtime_data(
    p_camera_id: Option<&str>,
    p_stream_id: Option<&str>,
    p_frame_timestamp: Option<TimestampWithTimeZone>,
    p_frame_number: Option<i64>,
    p_data_type: Option<&str>,
    p_data_payload: Option<Jsonb>,
    p_queue_id: default!(Option<&str>, "NULL"),
) -> Result<String, ErrorReport> {
    let data_type = required(p_data_type, "p_data_type")?;
    let identity = Identity::new(p_camera_id, p_stream_id, p_frame_timestamp, p_frame_number, data_type)?;
    let payload = required(p_data_payload, "p_data_payload")?;
    check_size("p_data_payload", payload.size(), MAX_JSON_BYTES)?;
    let arrival = Arrival::of_payload(identity, &payload.read("p_data_payload")?)?;
    Ok(ingest(arrival, Some(payload), true, p_queue_id)?)
}

fn ingest(
    arrival: Arrival<'_>,
    payload: Option<Jsonb>,
    from_payload: bool,
    queue_id: Option<&str>,
) -> Result<String> {
    let queue_id = chosen_queue(queue_id, arrival.identity.queue())?;
    store::store_one(queue_id, &arrival, payload, from_payload)?;
    Ok(arrival.ingestion_id)
}

/// The queue asked for, which must exist, or else the usual one.
fn chosen_queue<'a>(asked: Option<&'a str>, usual: &'static str) -> Result<&'a str> {
    const KNOWN: &str = "SELECT true FROM camcount.ingestion_queue WHERE queue_id = $1";
    let Some(queue_id) = asked else { return Ok(usual) };
    let queue_id = name(Some(queue_id), "p_queue_id")?;
    match database::value::<bool>(KNOWN, &[queue_id.into()])? {
        Some(_) => Ok(queue_id),
        None => Err(Error::Missing { kind: "queue", name: queue_id.to_owned() }),
    }
}
