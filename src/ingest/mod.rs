//! Frames and results from outside into the ingestion table and the queue: one row in each, once.

mod identity;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use camcount_vision::decode::{self, PictureInfo};
use camcount_vision::payload;
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{Value, json};

use crate::arguments::required;
use crate::database;
use crate::error::{Error, Result};
use crate::settings;
use crate::worker::wake;
use identity::Identity;

/// Refuses pictures, and payloads as JSON text, beyond this many bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// What to do with an arrival: everything that its data type decides.
struct Arrival<'a> {
    identity: Identity<'a>,
    payload: Value,
    picture: Option<(PictureInfo, &'a [u8])>,
}

/// Takes one frame of a camera: the picture goes to `frames`, an item to the queue, and the frame's ingestion id
/// comes back. A retry with the same camera, stream, time and number returns the same id and queues nothing.
///
/// `p_image` is a JPEG or PNG file; `p_metadata` travels with the frame.
#[pg_extern]
fn ingest_frame(
    p_camera_id: Option<&str>,
    p_stream_id: Option<&str>,
    p_frame_timestamp: Option<TimestampWithTimeZone>,
    p_frame_number: Option<i64>,
    p_image: Option<&[u8]>,
    p_metadata: default!(Option<JsonB>, "'{}'"),
) -> Result<String, ErrorReport> {
    let identity = Identity::new(p_camera_id, p_stream_id, p_frame_timestamp, p_frame_number, "frame")?;
    let image = required(p_image, "p_image")?;
    let metadata = metadata(p_metadata)?;
    Ok(store_frame(identity, image, "p_image", metadata)?)
}

/// Takes one message of a camera: `p_data_type` is `frame` (`{"image": "<base64>"}`), `detection`, `tracking` or
/// `counting`. Returns the ingestion id; a retry returns the same id and queues nothing.
#[pg_extern]
fn ingest_realtime_data(
    p_camera_id: Option<&str>,
    p_stream_id: Option<&str>,
    p_frame_timestamp: Option<TimestampWithTimeZone>,
    p_frame_number: Option<i64>,
    p_data_type: Option<&str>,
    p_data_payload: Option<JsonB>,
) -> Result<String, ErrorReport> {
    let data_type = required(p_data_type, "p_data_type")?;
    let identity = Identity::new(p_camera_id, p_stream_id, p_frame_timestamp, p_frame_number, data_type)?;
    let payload = required(p_data_payload, "p_data_payload")?.0;
    Ok(store_message(identity, payload)?)
}

fn store_message(identity: Identity<'_>, payload: Value) -> Result<String> {
    let refuse = |source| Error::Payload { parameter: "p_data_payload", source };
    match identity.data_type {
        "frame" => return store_base64_frame(identity, payload),
        "detection" => drop(payload::parse_detections(&payload, false).map_err(refuse)?),
        "tracking" => drop(payload::parse_detections(&payload, true).map_err(refuse)?),
        "counting" => drop(payload::parse_counts(&payload).map_err(refuse)?),
        other => {
            let reason = format!("must be frame, detection, tracking or counting, got {other:?}");
            return Err(Error::invalid("p_data_type", reason));
        }
    }
    store(&Arrival { identity, payload, picture: None })
}

/// The picture leaves the JSON; what else the object holds stays as metadata.
fn store_base64_frame(identity: Identity<'_>, mut payload: Value) -> Result<String> {
    let text = match payload.as_object_mut().and_then(|object| object.remove("image")) {
        Some(Value::String(text)) => text,
        _ => return Err(Error::invalid("p_data_payload", r#"must be an object with an "image" in base64"#)),
    };
    let image = BASE64.decode(text.as_bytes()).map_err(|error| {
        Error::invalid("p_data_payload", format!(r#"has an "image" that is no base64: {error}"#))
    })?;
    store_frame(identity, &image, "p_data_payload", payload)
}

fn store_frame(
    identity: Identity<'_>,
    image: &[u8],
    parameter: &'static str,
    metadata: Value,
) -> Result<String> {
    if image.len() > MAX_BYTES {
        return Err(Error::invalid(parameter, format!("is {} bytes; {MAX_BYTES} is the most", image.len())));
    }
    let info = decode::probe(image, &settings::image_limits())
        .map_err(|source| Error::Image { parameter, source })?;
    store(&Arrival { identity, payload: metadata, picture: Some((info, image)) })
}

fn metadata(value: Option<JsonB>) -> Result<Value> {
    match value {
        None => Ok(json!({})),
        Some(JsonB(value @ Value::Object(_))) => Ok(value),
        Some(_) => Err(Error::invalid("p_metadata", "must be a JSON object")),
    }
}

const INGEST: &str = include_str!("ingest.sql");

fn store(arrival: &Arrival<'_>) -> Result<String> {
    let identity = &arrival.identity;
    let ingestion_id = identity.ingestion_id();
    let payload = arrival.payload.to_string();
    if payload.len() > MAX_BYTES {
        let reason = format!("is {} bytes of JSON; {MAX_BYTES} is the most", payload.len());
        return Err(Error::invalid("p_data_payload", reason));
    }
    let (info, image) = arrival.picture.unzip();
    let format = info.map(|info| info.format.name().to_lowercase());
    let stored_bytes = image.map_or(payload.len(), <[u8]>::len);
    register_stream(identity.camera_id, identity.stream_id)?;
    let queued = database::run(
        INGEST,
        &[
            ingestion_id.as_str().into(),
            identity.camera_id.into(),
            identity.stream_id.into(),
            identity.frame_timestamp.into(),
            identity.frame_number.into(),
            identity.data_type.into(),
            payload.as_str().into(),
            (stored_bytes as i64).into(),
            identity.queue().into(),
            identity.priority().into(),
            image.into(),
            format.as_deref().into(),
            info.as_ref().map(|info| info.width as i32).into(),
            info.as_ref().map(|info| info.height as i32).into(),
        ],
    )?;
    if queued > 0 {
        wake::on_commit(wake::Sleeper::Vision);
    }
    Ok(ingestion_id)
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
