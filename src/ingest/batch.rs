//! Many messages in one call.

use std::borrow::Cow;
use std::collections::HashSet;

use camcount_jsonb::Value;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::arrival::{Arrival, MAX_JSON_BYTES, check_size};
use super::identity::Identity;
use super::store::Message;
use super::{chosen_queue, store};
use crate::arguments::required;
use crate::error::{Error, Result};
use crate::fields::{id, refused, text, timestamp};
use crate::jsonb::{Jsonb, unreadable};
use crate::queue::settings::Queue;

/// Elements of one batch at most.
const MAX_ELEMENTS: usize = 100_000;

const PARAMETER: &str = "p_data_batch";

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
    check_size(PARAMETER, batch.size(), MAX_JSON_BYTES)?;
    let batch = batch.fetched();
    let Value::Array(array) = batch.value(PARAMETER)? else {
        return Err(Error::invalid(PARAMETER, "must be a JSON array of objects"));
    };
    if array.len() > MAX_ELEMENTS {
        let reason = format!("has {} elements; {MAX_ELEMENTS} is the most", array.len());
        return Err(Error::invalid(PARAMETER, reason));
    }
    let found = array.iter().collect::<camcount_jsonb::Result<Vec<_>>>().map_err(unreadable(PARAMETER))?;
    let (elements, mut refusals): (Vec<_>, Vec<_>) =
        found.iter().map(|&element| split(Element::read(element))).unzip();
    let mut arrivals = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let (arrival, refusal) = element.as_ref().map(Element::arrival).map_or((None, None), split);
        arrivals.push(arrival);
        refusals[index] = refusals[index].take().or(refusal);
        if let Some(source) = refusals[index].take_if(|_| !skip) {
            return Err(Error::Element { parameter: PARAMETER, index, source: Box::new(source) });
        }
    }
    let accepted = arrivals.iter().flatten().count();
    drop_repeated(&mut arrivals);
    let (places, messages): (Vec<_>, Vec<_>) = arrivals
        .iter()
        .zip(&elements)
        .enumerate()
        .filter_map(|(index, (arrival, element))| {
            Some((index, message(arrival.as_ref()?, element.as_ref()?.payload)?))
        })
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

fn split<T>(outcome: Result<T>) -> (Option<T>, Option<Error>) {
    match outcome {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error)),
    }
}

/// The arrival with its payload, which was found to be a list or an object.
fn message<'a>(arrival: &'a Arrival<'a>, payload: Value<'_>) -> Option<Message<'a>> {
    let payload = Jsonb::part(match payload {
        Value::Array(list) => list.bytes(),
        Value::Object(object) => object.bytes(),
        _ => return None,
    });
    let payload = if arrival.picture.is_some() { payload.without("image") } else { payload };
    Some(Message::new(arrival, payload))
}

/// Of a message that comes twice, the first stays.
fn drop_repeated(arrivals: &mut [Option<Arrival<'_>>]) {
    let mut seen = HashSet::with_capacity(arrivals.len());
    let repeated: Vec<usize> = arrivals
        .iter()
        .enumerate()
        .filter_map(|(index, arrival)| {
            (!seen.insert(arrival.as_ref()?.ingestion_id.as_str())).then_some(index)
        })
        .collect();
    repeated.into_iter().for_each(|index| arrivals[index] = None);
}

/// What an element says, each under the name of the parameter that it stands for.
struct Element<'a> {
    camera_id: Option<Cow<'a, str>>,
    stream_id: Option<Cow<'a, str>>,
    frame_timestamp: Option<TimestampWithTimeZone>,
    frame_number: Option<i64>,
    data_type: Option<Cow<'a, str>>,
    payload: Value<'a>,
}

impl<'a> Element<'a> {
    fn read(element: Value<'a>) -> Result<Self> {
        let unreadable = unreadable("the element");
        let Value::Object(element) = element else {
            return Err(Error::invalid("the element", "must be an object"));
        };
        let field = |key| element.get(key).map(|value| value.unwrap_or(Value::Null)).map_err(&unreadable);
        Ok(Self {
            camera_id: id(field("camera_id")?, "p_camera_id")?,
            stream_id: id(field("stream_id")?, "p_stream_id")?,
            frame_timestamp: timestamp(field("frame_timestamp")?, "p_frame_timestamp")?,
            frame_number: frame_number(field("frame_number")?)?,
            data_type: text(field("data_type")?, "p_data_type")?,
            payload: field("data_payload")?,
        })
    }

    fn arrival(&self) -> Result<Arrival<'_>> {
        let identity = Identity::new(
            self.camera_id.as_deref(),
            self.stream_id.as_deref(),
            self.frame_timestamp,
            self.frame_number,
            required(self.data_type.as_deref(), "p_data_type")?,
        )?;
        match self.payload {
            Value::Null => Err(Error::Null { parameter: "p_data_payload" }),
            payload => Arrival::of_payload(identity, payload),
        }
    }
}

fn frame_number(value: Value<'_>) -> Result<Option<i64>> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_integer().and_then(|number| i64::try_from(number).ok()),
        _ => None,
    };
    number.map(Some).ok_or_else(|| refused("p_frame_number", "must be a whole number", value))
}
