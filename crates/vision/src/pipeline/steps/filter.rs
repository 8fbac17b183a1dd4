//! Steps that drop detections.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::FrameData;
use crate::count::zone::contains;
use crate::detection::Detection;
use crate::geometry::Point;
use crate::pipeline::config::{Anchor, ConfigError, parse};
use crate::pipeline::validate;

/// `step_config` of a filter: a detection stays where all that is given holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilterConfig {
    /// Least score.
    pub min_confidence: Option<f64>,
    /// Classes that stay; empty is all.
    pub classes: Vec<Arc<str>>,
    /// Least area of the box, as a fraction of the picture.
    pub min_area: Option<f64>,
    /// Greatest area of the box, as a fraction of the picture.
    pub max_area: Option<f64>,
    /// Polygon in which the box's anchor must lie, normalised.
    pub region: Option<Vec<Point>>,
    /// Which point of the box must lie in `region`.
    pub anchor: Anchor,
}

impl FilterConfig {
    pub(super) fn parse(value: &Value) -> Result<Self, ConfigError> {
        let filter: Self = parse(value)?;
        for (key, fraction) in [
            ("min_confidence", filter.min_confidence),
            ("min_area", filter.min_area),
            ("max_area", filter.max_area),
        ] {
            if let Some(fraction) = fraction {
                validate::number(key, fraction, 0.0, 1.0)?;
            }
        }
        if let (Some(least), Some(most)) = (filter.min_area, filter.max_area)
            && least > most
        {
            return Err(ConfigError::new("min_area", format!("is {least}, above max_area {most}")));
        }
        validate::classes("classes", &filter.classes)?;
        if let Some(region) = &filter.region {
            validate::polygon("region", region)?;
        }
        Ok(filter)
    }

    pub(super) fn apply(&self, frame: &mut FrameData) -> Value {
        let before = frame.detections.len();
        frame.detections.retain(|d| self.keeps(d));
        json!({ "kept": frame.detections.len(), "dropped": before - frame.detections.len() })
    }

    fn keeps(&self, detection: &Detection) -> bool {
        let area = detection.bbox.area();
        let anchor = self.anchor.of(&detection.bbox);
        self.min_confidence.is_none_or(|least| detection.confidence >= least)
            && (self.classes.is_empty() || self.classes.contains(&detection.class))
            && self.min_area.is_none_or(|least| area >= least)
            && self.max_area.is_none_or(|most| area <= most)
            && self.region.as_ref().is_none_or(|region| contains(region, anchor))
    }
}
