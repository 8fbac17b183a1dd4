//! Many increments in one call.

use std::collections::BTreeMap;

use camcount_jsonb::Value;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde::Deserialize;

use super::{counters, early_release};
use crate::arguments::{name, required};
use crate::error::{Error, Result};
use crate::jsonb::{Jsonb, unreadable};

/// Elements of one call at most.
const MOST: usize = 100_000;
const PARAMETER: &str = "p_increments";

/// An element.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Increment {
    camera_id: Option<String>,
    counter_name: Option<String>,
    #[serde(default = "one")]
    increment: Option<i32>,
}

fn one() -> Option<i32> {
    Some(1)
}

/// Adds to many counters, as `increment_realtime_counter` does to one: a JSON array of objects with `camera_id`,
/// `counter_name` and `increment`, which is 1 where it is left out. All are taken or, with an error that names the first
/// bad element, none. Returns how many there were.
#[pg_extern]
fn increment_realtime_counters(p_increments: Option<Jsonb>) -> Result<i32, ErrorReport> {
    let increments = required(p_increments, PARAMETER)?.fetched();
    let Value::Array(array) = increments.value(PARAMETER)? else {
        return Err(Error::invalid(PARAMETER, "must be a JSON array of objects").into());
    };
    if array.len() > MOST {
        return Err(
            Error::invalid(PARAMETER, format!("has {} elements; {MOST} is the most", array.len())).into()
        );
    }
    // In one order for all sessions, so that no two of them wait for each other; those of one counter in theirs.
    let mut by_counter = BTreeMap::<(String, String), (Vec<usize>, Vec<i32>)>::new();
    for (index, element) in array.iter().enumerate() {
        let (camera_id, counter_name, value) =
            element.map_err(unreadable(PARAMETER)).and_then(read).map_err(of_element(index))?;
        let (indexes, values) = by_counter.entry((camera_id, counter_name)).or_default();
        indexes.push(index);
        values.push(value);
    }
    let mut is_durable = false;
    for ((camera_id, counter_name), (indexes, values)) in by_counter {
        pgrx::check_for_interrupts!();
        let incremented = counters::increment_each(&camera_id, &counter_name, &values)
            .map_err(|failure| of_element(indexes[failure.index])(failure.error))?;
        is_durable |= incremented.is_durable;
    }
    if is_durable {
        early_release::want();
    }
    Ok(array.len() as i32)
}

fn read(element: Value<'_>) -> Result<(String, String, i32)> {
    let Value::Object(_) = element else {
        return Err(Error::invalid("element", "must be a JSON object"));
    };
    let increment: Increment =
        element.to().map_err(|error| Error::invalid("element", format!("is wrong: {error}")))?;
    let camera_id = name(increment.camera_id.as_deref(), "camera_id")?.to_owned();
    let counter_name = name(increment.counter_name.as_deref(), "counter_name")?.to_owned();
    Ok((camera_id, counter_name, required(increment.increment, "increment")?))
}

fn of_element(index: usize) -> impl Fn(Error) -> Error {
    move |source| Error::Element { parameter: PARAMETER, index, source: Box::new(source) }
}
