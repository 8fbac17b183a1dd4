//! Frames and results from outside into the ingestion table and the queue: one row in each, once.

mod arrival;
mod batch;
mod direct;
mod identity;
mod store;

use std::rc::Rc;

use camcount_jsonb::Value;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::arguments::{name, required};
use crate::error::{Error, Result};
use crate::jsonb::{Jsonb, unreadable};
use crate::queue::settings::{self, Queue};
pub use arrival::MAX_BYTES;
use arrival::{Arrival, MAX_JSON_BYTES, check_size};
pub use direct::{MESSAGE_COLUMNS, MESSAGES};
use identity::Identity;
use serde_json::json;
use store::Message;

/// Takes one frame of a camera: the picture goes to `frames`, an item to the queue, and the frame's ingestion id
/// comes back. A retry with the same camera, stream, time and number returns the same id and queues nothing.
///
/// `p_image` is a JPEG or PNG file; `p_metadata` travels with the frame. `p_queue_id` names another queue than
/// `normal`.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
pub fn ingest_frame(
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
        check_object(metadata)?;
    }
    let arrival = Arrival::of_picture(identity, image.into(), "p_image")?;
    Ok(ingest(&arrival, p_metadata.unwrap_or_else(|| Jsonb::of(&json!({}))), p_queue_id)?)
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
    let payload = payload.fetched();
    let arrival = Arrival::of_payload(identity, payload.value("p_data_payload")?)?;
    let payload = if arrival.picture.is_some() { payload.without("image") } else { payload };
    Ok(ingest(&arrival, payload, p_queue_id)?)
}

fn check_object(metadata: Jsonb) -> Result<()> {
    const PARAMETER: &str = "p_metadata";
    let value = metadata.value(PARAMETER)?;
    value.text_length().map_err(unreadable(PARAMETER))?;
    match value {
        Value::Object(_) => Ok(()),
        _ => Err(Error::invalid(PARAMETER, "must be a JSON object")),
    }
}

fn ingest(arrival: &Arrival<'_>, payload: Jsonb, queue_id: Option<&str>) -> Result<String> {
    let queue = chosen_queue(queue_id, arrival.identity.queue())?;
    store::store(&queue, &[Message::new(arrival, payload)], false)?;
    Ok(arrival.ingestion_id.clone())
}

/// The queue asked for, or else the usual one.
fn chosen_queue(asked: Option<&str>, usual: &str) -> Result<Rc<Queue>> {
    match asked {
        Some(queue_id) => settings::queue(name(Some(queue_id), "p_queue_id")?),
        None => settings::queue(usual),
    }
}
