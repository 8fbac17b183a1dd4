//! Appending one event.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::conditions::Conditions;
use crate::arguments::{name, required};
use crate::database;
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;

/// What is published; the parts are checked.
pub struct Event<'a> {
    pub aggregate_id: &'a str,
    pub aggregate_type: &'a str,
    pub event_type: &'a str,
    pub data: Jsonb,
    /// An object.
    pub metadata: Jsonb,
    pub source_system: Option<&'a str>,
    pub user_id: Option<i32>,
}

/// Appends an event to its aggregate and returns the event's id. Versions of one aggregate have no gaps; handlers
/// whose event types match (`*`, `prefix.*` or the exact type) get it queued.
///
/// Of the metadata, `expected_version` refuses the event (SQLSTATE 40001) where the aggregate's latest event has
/// another version, 0 standing for none, and `idempotency_key` makes a repetition return the first event's id;
/// `correlation_id` and `causation_id` are kept, as is all else.
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
    let data = required(p_event_data, "p_event_data")?;
    data.value("p_event_data")?;
    let event = Event {
        aggregate_id: name(p_aggregate_id, "p_aggregate_id")?,
        aggregate_type: name(p_aggregate_type, "p_aggregate_type")?,
        event_type: name(p_event_type, "p_event_type")?,
        data,
        metadata: p_event_metadata.unwrap_or_else(|| Jsonb::of(&serde_json::json!({}))).fetched(),
        source_system: p_source_system.map(|source| name(Some(source), "p_source_system")).transpose()?,
        user_id: p_user_id,
    };
    let conditions = Conditions::read(event.metadata.value("p_event_metadata")?, "p_event_metadata")?;
    Ok(match already(&event, &conditions)? {
        Some(event_id) => event_id,
        None => publish(&event)?,
    })
}

/// Appends an event without conditions; see [`publish_event`].
pub fn publish(event: &Event<'_>) -> Result<String> {
    const PUBLISH: &str = include_str!("publish_event.sql");
    let event_id = new_id();
    let arguments = [
        event_id.as_str().into(),
        event.aggregate_type.into(),
        event.aggregate_id.into(),
        event.event_type.into(),
        event.data.into(),
        event.metadata.into(),
        event.source_system.into(),
        event.user_id.into(),
    ];
    database::value::<i64>(PUBLISH, &arguments)?
        .ok_or_else(|| Error::Runtime("the event was not stored".into()))?;
    Ok(event_id)
}

/// An id that sorts behind those given out before.
pub fn new_id() -> String {
    format!("evt_{}", uuid::Uuid::now_v7().simple())
}

/// Locks the aggregate and holds it against the conditions. Returns the id of the event that was published with the
/// same key before.
fn already(event: &Event<'_>, conditions: &Conditions<'_>) -> Result<Option<String>> {
    const LOCK: &str =
        "INSERT INTO camcount.event_aggregates AS a (aggregate_type, aggregate_id, last_version)
        VALUES ($1, $2, 0)
        ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET last_version = a.last_version
        RETURNING last_version";
    if conditions.key.is_none() && conditions.expected.is_none() {
        return Ok(None);
    }
    let version =
        database::value::<i32>(LOCK, &[event.aggregate_type.into(), event.aggregate_id.into()])?.unwrap_or(0);
    if let Some(key) = conditions.key.as_deref()
        && let Some(event_id) = with_key(event, key)?
    {
        return Ok(Some(event_id));
    }
    conditions.hold(event.aggregate_type, event.aggregate_id, version)?;
    Ok(None)
}

/// # Errors
/// The event that has the key says something else.
fn with_key(event: &Event<'_>, key: &str) -> Result<Option<String>> {
    const FIND: &str = "SELECT event_id, (event_type, event_data, event_metadata, source_system)
                                         IS NOT DISTINCT FROM ($4, $5::jsonb, $6::jsonb, $7)
        FROM camcount.event_store
        WHERE aggregate_type = $1 AND aggregate_id = $2 AND event_metadata ? 'idempotency_key'
          AND event_metadata ->> 'idempotency_key' = $3";
    let arguments = [
        event.aggregate_type.into(),
        event.aggregate_id.into(),
        key.into(),
        event.event_type.into(),
        event.data.into(),
        event.metadata.into(),
        event.source_system.into(),
    ];
    Spi::connect_mut(|client| {
        let table = database::execute(client, FIND, &arguments)?;
        if table.is_empty() {
            return Ok(None);
        }
        let row = table.first();
        let (event_id, is_same) = (row.get::<String>(1)?.unwrap_or_default(), row.get::<bool>(2)?);
        if is_same == Some(true) {
            Ok(Some(event_id))
        } else {
            Err(Error::KeyUsed { key: key.into(), event_id })
        }
    })
}
