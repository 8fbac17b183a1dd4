//! Many messages in one call.

use std::collections::HashSet;
use std::ffi::CString;

use pgrx::direct_function_call;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::Value;

use super::arrival::{Arrival, MAX_JSON_BYTES, check_size};
use super::identity::Identity;
use super::store::Message;
use super::{chosen_queue, store};
use crate::arguments::{required, shown};
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;
use crate::queue::settings::Queue;

/// Elements of one batch at most.
const MAX_ELEMENTS: usize = 100_000;

/// Queue of what comes in batches, unless another is asked for.
const QUEUE: &str = "batch";

/// Takes many messages: a JSON array of objects with `camera_id`, `stream_id`, `frame_timestamp`, `frame_number`,
/// `data_type` and `data_payload`, as for `ingest_realtime_data`. Returns how many were taken, those among them that
/// were there already.
///
/// `p_on_error` says what becomes of the batch where an element is refused: `fail` takes nothing and names the element;
/// `skip` takes the others and keeps the refused ones, with their reasons, in `ingestion_rejects`. The items go to the
/// queue `batch`, or to `p_queue_id`.
#[pg_extern]
fn batch_ingest_data(
    p_data_batch: Option<Jsonb>,
    p_on_error: default!(Option<&str>, "'fail'"),
    p_queue_id: default!(Option<&str>, "NULL"),
) -> Result<i32, ErrorReport> {
    let batch = required(p_data_batch, "p_data_batch")?;
    let skip = match required(p_on_error, "p_on_error")? {
        "fail" => false,
        "skip" => true,
        other => {
            return Err(Error::invalid("p_on_error", format!("must be fail or skip, got {other:?}")).into());
        }
    };
    let queue = chosen_queue(p_queue_id, QUEUE)?;
    Ok(ingest(batch, skip, &queue)?)
}

fn ingest(batch: Jsonb, skip: bool, queue: &Queue) -> Result<i32> {
    const PARAMETER: &str = "p_data_batch";
    check_size(PARAMETER, batch.size(), MAX_JSON_BYTES)?;
    let batch = batch.fetched();
    let value = batch.read(PARAMETER)?;
    let elements =
        value.as_array().ok_or_else(|| Error::invalid(PARAMETER, "must be a JSON array of objects"))?;
    if elements.len() > MAX_ELEMENTS {
        let reason = format!("has {} elements; {MAX_ELEMENTS} is the most", elements.len());
        return Err(Error::invalid(PARAMETER, reason));
    }
    let numbers: Vec<Ids> = elements.iter().map(Ids::of).collect();
    let (mut arrivals, mut refusals) = (Vec::new(), Vec::new());
    for (index, (element, numbers)) in elements.iter().zip(&numbers).enumerate() {
        let (arrival, refusal) = match arrival(element, numbers) {
            Ok(arrival) => (Some(arrival), None),
            Err(source) if skip => (None, Some(source)),
            Err(source) => {
                return Err(Error::Element { parameter: PARAMETER, index, source: Box::new(source) });
            }
        };
        arrivals.push(arrival);
        refusals.push(refusal);
    }
    let accepted = arrivals.iter().flatten().count();
    drop_repeated(&mut arrivals);
    let (places, messages): (Vec<_>, Vec<_>) = arrivals
        .iter()
        .enumerate()
        .filter_map(|(index, arrival)| Some((index, message(batch, index, arrival.as_ref()?)?)))
        .unzip();
    let refused = store::store(queue, &messages, skip)?;
    for &index in &refused {
        refusals[places[index]] = Some(Error::QueueFull {
            queue: queue.queue_id.clone(),
            size: queue.max_size,
            max_size: queue.max_size,
        });
    }
    if refusals.iter().any(Option::is_some) {
        store::store_rejects(batch, &refusals)?;
    }
    Ok((accepted - refused.len()) as i32)
}

/// The arrival with its payload, which is there: it was read.
fn message<'a>(batch: Jsonb, index: usize, arrival: &'a Arrival<'a>) -> Option<Message<'a>> {
    let payload = batch.element(index as i32)?.field("data_payload")?;
    let payload = if arrival.picture.is_some() { payload.without("image") } else { payload };
    Some(Message::new(arrival, payload))
}

/// Of a message that comes twice, the first stays.
fn drop_repeated(arrivals: &mut [Option<Arrival<'_>>]) {
    let mut seen = HashSet::new();
    for arrival in arrivals {
        if arrival.as_ref().is_some_and(|arrival| !seen.insert(arrival.ingestion_id.clone())) {
            *arrival = None;
        }
    }
}

/// The ids of an element that are numbers, as text.
struct Ids {
    camera_id: Option<String>,
    stream_id: Option<String>,
}

impl Ids {
    fn of(element: &Value) -> Self {
        let number = |key| {
            let value: &Value = &element[key];
            (value.is_i64() || value.is_u64()).then(|| value.to_string())
        };
        Self { camera_id: number("camera_id"), stream_id: number("stream_id") }
    }
}

fn arrival<'a>(element: &'a Value, numbers: &'a Ids) -> Result<Arrival<'a>> {
    if !element.is_object() {
        return Err(Error::invalid("the element", "must be an object"));
    }
    let identity = Identity::new(
        text(&element["camera_id"], numbers.camera_id.as_deref(), "p_camera_id")?,
        text(&element["stream_id"], numbers.stream_id.as_deref(), "p_stream_id")?,
        frame_timestamp(&element["frame_timestamp"])?,
        frame_number(&element["frame_number"])?,
        required(text(&element["data_type"], None, "p_data_type")?, "p_data_type")?,
    )?;
    let payload = match &element["data_payload"] {
        Value::Null => return Err(Error::Null { parameter: "p_data_payload" }),
        payload => payload,
    };
    Arrival::of_payload(identity, payload)
}

/// A text, or a whole number where the column takes ids.
fn text<'a>(value: &'a Value, number: Option<&'a str>, parameter: &'static str) -> Result<Option<&'a str>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        other => number.map(Some).ok_or_else(|| refused(parameter, "must be text", other)),
    }
}

fn refused(parameter: &'static str, expected: &str, found: &Value) -> Error {
    Error::invalid(parameter, format!("{expected}, got {}", shown(&found.to_string())))
}

fn frame_number(value: &Value) -> Result<Option<i64>> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    };
    number.map(Some).ok_or_else(|| refused("p_frame_number", "must be a whole number", value))
}

/// Reads a time as Postgres does: with an offset, or else in the session's time zone.
fn frame_timestamp(value: &Value) -> Result<Option<TimestampWithTimeZone>> {
    const PARAMETER: &str = "p_frame_timestamp";
    let refused = || refused(PARAMETER, "must be a time such as 2026-01-05T08:00:00+01:00", value);
    match value {
        Value::Null => Ok(None),
        Value::String(text) => {
            let text = CString::new(text.as_str()).map_err(|_| refused())?;
            parse_timestamp(&text).map(Some).ok_or_else(refused)
        }
        _ => Err(refused()),
    }
}

/// `None` for what Postgres does not read.
fn parse_timestamp(text: &CString) -> Option<TimestampWithTimeZone> {
    PgTryBuilder::new(|| {
        let arguments = [Some(text.as_ptr().into()), Some(pg_sys::InvalidOid.into()), Some((-1i32).into())];
        // SAFETY: the input function of timestamptz with its three arguments. It fails before it holds anything.
        #[allow(unsafe_code)]
        unsafe {
            direct_function_call::<TimestampWithTimeZone>(pg_sys::timestamptz_in, &arguments)
        }
    })
    .catch_others(|_| None)
    .execute()
}
