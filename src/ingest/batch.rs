//! Many messages in one call.

use std::borrow::Cow;
use std::ffi::CString;

use pgrx::direct_function_call;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::Value;

use super::arrival::{Arrival, check_size};
use super::identity::Identity;
use super::{chosen_queue, store};
use crate::arguments::required;
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;

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
    let queue_id = chosen_queue(p_queue_id, QUEUE)?;
    Ok(ingest(batch, skip, queue_id)?)
}

fn ingest(batch: Jsonb, skip: bool, queue_id: &str) -> Result<i32> {
    const PARAMETER: &str = "p_data_batch";
    check_size(PARAMETER, batch.size())?;
    let value = batch.read(PARAMETER)?;
    let elements =
        value.as_array().ok_or_else(|| Error::invalid(PARAMETER, "must be a JSON array of objects"))?;
    if elements.len() > MAX_ELEMENTS {
        let reason = format!("has {} elements; {MAX_ELEMENTS} is the most", elements.len());
        return Err(Error::invalid(PARAMETER, reason));
    }
    let texts: Vec<Texts<'_>> = elements.iter().map(Texts::of).collect();
    let (mut arrivals, mut refusals) = (Vec::new(), Vec::new());
    for (index, (element, texts)) in elements.iter().zip(&texts).enumerate() {
        let (arrival, refusal) = match arrival(element, texts) {
            Ok(arrival) => (Some(arrival), None),
            Err(source) if skip => (None, Some(source)),
            Err(source) => {
                return Err(Error::Element { parameter: PARAMETER, index, source: Box::new(source) });
            }
        };
        arrivals.push(arrival);
        refusals.push(refusal);
    }
    let taken = arrivals.iter().flatten().count();
    if taken > 0 {
        store::store_many(queue_id, &arrivals, batch)?;
    }
    if taken < elements.len() {
        store::store_rejects(batch, &refusals)?;
    }
    Ok(taken as i32)
}

/// What identifies a message, as text.
struct Texts<'a> {
    camera_id: Option<Cow<'a, str>>,
    stream_id: Option<Cow<'a, str>>,
    data_type: Option<Cow<'a, str>>,
}

impl<'a> Texts<'a> {
    fn of(element: &'a Value) -> Self {
        let text = |key| text(&element[key]);
        Self { camera_id: text("camera_id"), stream_id: text("stream_id"), data_type: text("data_type") }
    }
}

/// As `->>` gives it: a number or a truth value is its text.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(value) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn arrival<'a>(element: &'a Value, texts: &'a Texts<'a>) -> Result<Arrival<'a>> {
    if !element.is_object() {
        return Err(Error::invalid("the element", "must be an object"));
    }
    for (key, parameter) in
        [("camera_id", "p_camera_id"), ("stream_id", "p_stream_id"), ("data_type", "p_data_type")]
    {
        if element[key].is_array() || element[key].is_object() {
            return Err(Error::invalid(parameter, "must be text"));
        }
    }
    let identity = Identity::new(
        texts.camera_id.as_deref(),
        texts.stream_id.as_deref(),
        frame_timestamp(&element["frame_timestamp"])?,
        frame_number(&element["frame_number"])?,
        required(texts.data_type.as_deref(), "p_data_type")?,
    )?;
    let payload = match &element["data_payload"] {
        Value::Null => return Err(Error::Null { parameter: "p_data_payload" }),
        payload => payload,
    };
    Arrival::of_payload(identity, payload)
}

fn frame_number(value: &Value) -> Result<Option<i64>> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    };
    number
        .map(Some)
        .ok_or_else(|| Error::invalid("p_frame_number", format!("must be a whole number, got {value}")))
}

/// Reads a time as Postgres does: with an offset, or else in the session's time zone.
fn frame_timestamp(value: &Value) -> Result<Option<TimestampWithTimeZone>> {
    const PARAMETER: &str = "p_frame_timestamp";
    let refused = || {
        Error::invalid(PARAMETER, format!("must be a time such as 2026-01-05T08:00:00+01:00, got {value}"))
    };
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
