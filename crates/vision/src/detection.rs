//! What a detector, or an edge device, says it sees in one frame.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::geometry::BBox;

/// One object seen in one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Class name, for example `person`.
    pub class: Arc<str>,
    /// Score in 0..=1.
    pub confidence: f64,
    /// Where, normalised.
    pub bbox: BBox,
    /// The identity an edge tracker gave it (`data_type` `tracking`); `None` where we track ourselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track_id: Option<i64>,
}
