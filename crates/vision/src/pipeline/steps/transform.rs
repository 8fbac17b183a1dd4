//! Steps that change detections.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::FrameData;
use crate::geometry::BBox;
use crate::pipeline::config::{ConfigError, parse};
use crate::pipeline::validate;

/// `step_config` of a transform: what is given is done, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransformConfig {
    /// New names of classes, by old name; a class that is not listed keeps its own.
    pub rename_classes: BTreeMap<String, Arc<str>>,
    /// Factor by which a box grows about its centre, 0.1..=2.
    pub scale_boxes: Option<f64>,
    /// Cut boxes at the picture's edges.
    pub clip: bool,
}

impl TransformConfig {
    pub(super) fn parse(value: &Value) -> Result<Self, ConfigError> {
        let transform: Self = parse(value)?;
        let renamed: Vec<&str> = transform.rename_classes.keys().map(String::as_str).collect();
        validate::classes("rename_classes", &renamed)?;
        for (from, to) in &transform.rename_classes {
            validate::name(&format!("rename_classes.{from}"), to)?;
        }
        if let Some(factor) = transform.scale_boxes {
            validate::number("scale_boxes", factor, 0.1, 2.0)?;
        }
        Ok(transform)
    }

    pub(super) fn apply(&self, frame: &mut FrameData) -> Value {
        let mut renamed = 0;
        for detection in &mut frame.detections {
            if let Some(class) = self.rename_classes.get(&*detection.class) {
                detection.class = Arc::clone(class);
                renamed += 1;
            }
            if let Some(factor) = self.scale_boxes {
                detection.bbox = scaled(detection.bbox, factor);
            }
            if self.clip {
                detection.bbox = clipped(detection.bbox);
            }
        }
        json!({ "detections": frame.detections.len(), "renamed": renamed })
    }
}

fn scaled(b: BBox, factor: f64) -> BBox {
    let (w, h) = (b.w * factor, b.h * factor);
    BBox { x: b.x - (w - b.w) / 2.0, y: b.y - (h - b.h) / 2.0, w, h }
}

fn clipped(b: BBox) -> BBox {
    let (x, y) = (b.x.clamp(0.0, 1.0), b.y.clamp(0.0, 1.0));
    BBox { x, y, w: (b.x + b.w).clamp(0.0, 1.0) - x, h: (b.y + b.h).clamp(0.0, 1.0) - y }
}
