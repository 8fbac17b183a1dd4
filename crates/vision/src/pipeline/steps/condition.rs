//! When a step runs.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FrameData;
use crate::pipeline::config::{ConfigError, parse};
use crate::pipeline::validate;

/// How a frame came in; see `data_type` of `ingest_realtime_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    /// A picture.
    Frame,
    /// Detections from an edge device.
    Detection,
    /// Tracks from an edge device.
    Tracking,
    /// Counts from an edge device.
    Counting,
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "frame",
            Self::Detection => "detection",
            Self::Tracking => "tracking",
            Self::Counting => "counting",
        })
    }
}

/// `step_conditions`: all that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepConditions {
    /// The frame came in as one of these; empty is any.
    pub data_types: Vec<DataType>,
    /// The frame has at least so many detections.
    pub min_detections: usize,
    /// The frame's number is a multiple of this.
    pub every_nth_frame: Option<u32>,
    /// A detection of one of these classes is there; empty is any, or none.
    pub classes_present: Vec<Arc<str>>,
}

impl StepConditions {
    pub(super) fn parse(value: &Value) -> Result<Self, ConfigError> {
        let conditions: Self = parse(value)?;
        if let Some(nth) = conditions.every_nth_frame {
            validate::integer("every_nth_frame", nth, 1, u32::MAX)?;
        }
        validate::classes("classes_present", &conditions.classes_present)?;
        Ok(conditions)
    }

    /// The first condition that does not hold, in words.
    pub(super) fn unmet(&self, frame: &FrameData) -> Option<String> {
        if !self.data_types.is_empty() && !self.data_types.contains(&frame.data_type) {
            return Some(format!("data_types does not list {}", frame.data_type));
        }
        if frame.detections.len() < self.min_detections {
            return Some(format!("{} detections are fewer than min_detections", frame.detections.len()));
        }
        if self.every_nth_frame.is_some_and(|nth| frame.frame_number % i64::from(nth) != 0) {
            return Some(format!("frame {} is no multiple of every_nth_frame", frame.frame_number));
        }
        let is_present = || frame.detections.iter().any(|d| self.classes_present.contains(&d.class));
        if !self.classes_present.is_empty() && !is_present() {
            return Some("none of classes_present is there".to_owned());
        }
        None
    }
}
