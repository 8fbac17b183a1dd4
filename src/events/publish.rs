//! Appending one event.

use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::Value;

use crate::arguments::{name, required};
use crate::database;
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;

/// What is published; the parts are checked.
pub struct Event<'a> {
    pub aggregate_id: &'a str,
    pub aggregate_type: &'a str,
    pub event_type: &'a str,
    pub data: Value,
    pub metadata: Value,
    pub source_system: Option<&'a str>,
    pub user_id: Option<i32>,
}

/// Appends an event to its aggregate and returns the event's id. Versions of one aggregate have no gaps; handlers
/// whose event types match (`*`, `prefix.*` or the exact type) get it queued.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn publish_event(
    p_aggregate_id: Option<&str>,
    p_aggregate_type: Option<&str>,
    p_event_type: Option<&str>,
    p_event_data: Option<Jsonb>,
    p_event_metadata: default!(Option<Jsonb>, "'{}'"),
    p_source_system: default!(Option<&str>, "'database'"),
    p_user_id: default!(Option<i32>, "NULL"),
) -> Result<String, ErrorReport> {
    let event = Event {
        aggregate_id: name(p_aggregate_id, "p_aggregate_id")?,
        aggregate_type: name(p_aggregate_type, "p_aggregate_type")?,
        event_type: name(p_event_type, "p_event_type")?,
        data: required(p_event_data, "p_event_data")?.read("p_event_data")?,
        metadata: match p_event_metadata {
            Some(metadata) => metadata.read("p_event_metadata")?,
            None => Value::Object(Default::default()),
        },
        source_system: p_source_system.map(|source| name(Some(source), "p_source_system")).transpose()?,
        user_id: p_user_id,
    };
    Ok(publish(event)?)
}

/// Appends an event; see [`publish_event`].
pub fn publish(event: Event<'_>) -> Result<String> {
    const PUBLISH: &str = include_str!("publish_event.sql");
    let event_id = format!("evt_{}", uuid::Uuid::now_v7().simple());
    let arguments = [
        event_id.as_str().into(),
        event.aggregate_type.into(),
        event.aggregate_id.into(),
        event.event_type.into(),
        JsonB(event.data).into(),
        JsonB(event.metadata).into(),
        event.source_system.into(),
        event.user_id.into(),
    ];
    database::value::<i64>(PUBLISH, &arguments)?
        .ok_or_else(|| Error::Runtime("the event was not stored".into()))?;
    Ok(event_id)
}
