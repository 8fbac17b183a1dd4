//! Steps that make numbers of detections, and steps that hand them on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FrameData, OutputValue};
use crate::pipeline::config::{ConfigError, parse};
use crate::pipeline::validate;

/// Numbers that can be made of a set of detections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// How many.
    Count,
    /// Mean score; no value where there are none.
    MeanConfidence,
    /// Least score; no value where there are none.
    MinConfidence,
    /// Greatest score; no value where there are none.
    MaxConfidence,
    /// Sum of the boxes' areas, as a fraction of the picture.
    TotalArea,
}

/// `step_config` of an aggregate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AggregateConfig {
    /// What is made.
    pub aggregation: Aggregation,
    /// What it is called; with `by_class`, `.` and the class are added.
    pub metric: String,
    /// Classes that are taken; empty is all.
    #[serde(default)]
    pub classes: Vec<Arc<str>>,
    /// One number for each class; classes that are listed have one even where none of them is there.
    #[serde(default)]
    pub by_class: bool,
}

impl AggregateConfig {
    pub(super) fn parse(value: &Value) -> Result<Self, ConfigError> {
        let aggregate: Self = parse(value)?;
        validate::name("metric", &aggregate.metric)?;
        validate::classes("classes", &aggregate.classes)?;
        Ok(aggregate)
    }

    pub(super) fn apply(&self, frame: &mut FrameData) -> Value {
        let mut made = serde_json::Map::new();
        if self.by_class {
            // An output must find that the metric was made even where there are no classes.
            frame.metrics.insert(self.metric.clone(), None);
        }
        let mut make = |name: String, value: Option<f64>| {
            made.insert(name.clone(), json!(value));
            frame.metrics.insert(name, value);
        };
        if self.by_class {
            let mut classes: Vec<&Arc<str>> = self.classes.iter().collect();
            if classes.is_empty() {
                classes.extend(frame.detections.iter().map(|d| &d.class));
                classes.sort();
                classes.dedup();
            }
            for class in classes {
                let of_class = frame.detections.iter().filter(|d| d.class == *class);
                let value = self.aggregation.of(of_class.map(|d| (d.confidence, d.bbox.area())));
                make(format!("{}.{class}", self.metric), value);
            }
        } else {
            let taken = frame
                .detections
                .iter()
                .filter(|d| self.classes.is_empty() || self.classes.contains(&d.class));
            make(self.metric.clone(), self.aggregation.of(taken.map(|d| (d.confidence, d.bbox.area()))));
        }
        Value::Object(made)
    }
}

impl Aggregation {
    /// Of (score, area) pairs.
    fn of(self, boxes: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
        let boxes: Vec<(f64, f64)> = boxes.collect();
        let scores = boxes.iter().map(|b| b.0);
        match self {
            Self::Count => Some(boxes.len() as f64),
            Self::MeanConfidence if boxes.is_empty() => None,
            Self::MeanConfidence => Some(scores.sum::<f64>() / boxes.len() as f64),
            Self::MinConfidence => scores.reduce(f64::min),
            Self::MaxConfidence => scores.reduce(f64::max),
            Self::TotalArea => Some(boxes.iter().map(|b| b.1).sum()),
        }
    }
}

/// Where an output step sends a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputTarget {
    /// A point of a time series.
    Timeseries,
    /// An increment of a counter.
    Counter,
    /// An event.
    Event,
}

/// `step_config` of an output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputStepConfig {
    /// Where the number goes.
    pub target: OutputTarget,
    /// The metric of an aggregate before this step; with `by_class` of that one, each of its numbers goes.
    pub metric: String,
    /// The name under which it goes, instead of the metric's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl OutputStepConfig {
    pub(super) fn parse(value: &Value) -> Result<Self, ConfigError> {
        let output: Self = parse(value)?;
        validate::name("metric", &output.metric)?;
        output.name.as_ref().map_or(Ok(()), |name| validate::name("name", name))?;
        Ok(output)
    }

    /// Fails where no step has made the metric. One that was made and has no value in this frame (a mean of nothing)
    /// is not handed on.
    pub(super) fn apply(&self, frame: &FrameData, values: &mut Vec<OutputValue>) -> Result<Value, String> {
        let name = self.name.as_ref().unwrap_or(&self.metric);
        let mut is_made = false;
        for (metric, &value) in &frame.metrics {
            let suffix = metric.strip_prefix(&self.metric).filter(|s| s.is_empty() || s.starts_with('.'));
            let Some(suffix) = suffix else { continue };
            is_made = true;
            let name = format!("{name}{suffix}");
            values.extend(value.map(|value| OutputValue { target: self.target, name, value }));
        }
        match is_made {
            true => Ok(json!({ "values": values.len() })),
            false => Err(format!("no aggregate before it made metric {:?} in this frame", self.metric)),
        }
    }
}
