//! What the worker puts into the cache for dashboards: who is where, and how far the counters have come.

use serde_json::{Value, json};

use super::claim::Claim;
use crate::error::Result;
use crate::realtime::cache::publish;

/// A zone's occupancy, as `zone_state` has it, under `occupancy:<camera>:<zone>`.
pub fn occupancy(claim: &Claim, zone: &str, row: &Value) -> Result<()> {
    let mut value = row.clone();
    value["camera_id"] = claim.camera_id.as_str().into();
    value["stream_id"] = claim.stream_id.as_str().into();
    publish::on_commit(format!("occupancy:{}:{zone}", claim.camera_id), &value)
}

/// A counter, as the worker has left it, under `counter:<camera>:<counter>`.
pub fn counter(claim: &Claim, counter: &str, count: i64) -> Result<()> {
    let value = json!({"camera_id": claim.camera_id, "counter_name": counter, "current_count": count});
    publish::on_commit(format!("counter:{}:{counter}", claim.camera_id), &value)
}
