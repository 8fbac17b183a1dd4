//! Processing steps: what a user puts between the detector and the tracker.
//!
//! The rows of `processing_steps` are parsed once ([`ProcessingStep::parse`], strictly) and run on every frame
//! ([`run`]). A *filter* drops detections, a *transform* changes them, an *aggregate* makes numbers of them, an
//! *output* says where numbers go; the caller takes them there.

mod aggregate;
mod condition;
mod filter;
mod order;
mod transform;

pub use aggregate::{AggregateConfig, Aggregation, OutputStepConfig, OutputTarget};
pub use condition::{DataType, StepConditions};
pub use filter::FilterConfig;
pub use order::{MAX_STEPS, in_order};
pub use transform::TransformConfig;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::config::ConfigError;
use super::validate;
use crate::detection::Detection;

/// A row of `processing_steps`, as it stands in the table.
#[derive(Clone, Debug)]
pub struct StepRow<'a> {
    /// Unique within the pipeline.
    pub step_name: &'a str,
    /// Steps run from low to high.
    pub step_order: i32,
    /// `filter`, `transform`, `aggregate` or `output`.
    pub step_type: &'a str,
    /// What the type needs; `None` is `{}`.
    pub step_config: Option<&'a Value>,
    /// When the step runs; `None` is always.
    pub step_conditions: Option<&'a Value>,
    /// Steps that are not active are skipped.
    pub is_active: bool,
    /// Whether the frame fails where the step fails.
    pub is_required: bool,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepAction {
    /// Drops detections.
    Filter(FilterConfig),
    /// Changes detections.
    Transform(TransformConfig),
    /// Makes a metric.
    Aggregate(AggregateConfig),
    /// Hands metrics on.
    Output(OutputStepConfig),
}

/// A step that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessingStep {
    /// Unique within the pipeline.
    pub name: String,
    /// Steps run from low to high.
    pub order: i32,
    /// What it does.
    pub action: StepAction,
    /// When it does so.
    pub conditions: StepConditions,
    /// Whether it does so at all.
    pub is_active: bool,
    /// Whether the frame fails where it fails.
    pub is_required: bool,
}

impl ProcessingStep {
    /// Reads and checks a row.
    ///
    /// # Errors
    /// Unknown types and keys, values out of range; the path starts with the step's name.
    pub fn parse(row: &StepRow) -> Result<Self, ConfigError> {
        validate::name("step_name", row.step_name)?;
        let within = |part: &'static str| {
            move |e: ConfigError| {
                let key = if e.path == "." { String::new() } else { format!(".{}", e.path) };
                ConfigError::new(format!("{}.{part}{key}", row.step_name), e.problem)
            }
        };
        let empty = json!({});
        let config = row.step_config.filter(|v| !v.is_null()).unwrap_or(&empty);
        let conditions = row.step_conditions.filter(|v| !v.is_null()).unwrap_or(&empty);
        Ok(Self {
            name: row.step_name.to_owned(),
            order: row.step_order,
            action: StepAction::parse(row, config, within("step_config"))?,
            conditions: StepConditions::parse(conditions).map_err(within("step_conditions"))?,
            is_active: row.is_active,
            is_required: row.is_required,
        })
    }
}

impl StepAction {
    fn parse(
        row: &StepRow,
        config: &Value,
        within: impl Fn(ConfigError) -> ConfigError,
    ) -> Result<Self, ConfigError> {
        let action = match row.step_type {
            "filter" => FilterConfig::parse(config).map(Self::Filter),
            "transform" => TransformConfig::parse(config).map(Self::Transform),
            "aggregate" => AggregateConfig::parse(config).map(Self::Aggregate),
            "output" => OutputStepConfig::parse(config).map(Self::Output),
            other => {
                return Err(ConfigError::new(
                    format!("{}.step_type", row.step_name),
                    format!("{other:?} does not exist; use filter, transform, aggregate or output"),
                ));
            }
        };
        action.map_err(within)
    }
}

/// A frame as the steps see it.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameData {
    /// How it came in.
    pub data_type: DataType,
    /// Its number in the stream, from 0 or 1.
    pub frame_number: i64,
    /// What was found; filters and transforms change it.
    pub detections: Vec<Detection>,
    /// What aggregates have made so far; `None` where a number could not be made, as the mean of nothing.
    pub metrics: BTreeMap<String, Option<f64>>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepStatus {
    /// It ran.
    Completed,
    /// It is not active, its conditions were not met, or a required step before it failed.
    Skipped,
    /// It could not run.
    Failed,
}

impl StepStatus {
    /// Its name in `processing_results`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// A number that an output step hands on.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputValue {
    /// Where it goes.
    pub target: OutputTarget,
    /// The metric's, counter's or event's name.
    pub name: String,
    /// The number.
    pub value: f64,
}

/// What one step did with one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutcome {
    /// The step's name.
    pub name: String,
    /// How it ended.
    pub status: StepStatus,
    /// Why it failed or was skipped.
    pub error: Option<String>,
    /// Whether the frame must fail: a required step failed.
    pub fails_frame: bool,
    /// What it did, for `processing_results.result_data`.
    pub output: Value,
    /// What the caller is to write.
    pub values: Vec<OutputValue>,
    /// Time it took, in microseconds.
    pub duration_us: u64,
}

/// Runs the steps in their order. After a required step has failed the rest are skipped, and the caller must fail the
/// frame.
pub fn run(steps: &[ProcessingStep], frame: &mut FrameData) -> Vec<StepOutcome> {
    let mut failed: Option<&str> = None;
    let mut outcomes = Vec::with_capacity(steps.len());
    for step in steps {
        let outcome = match failed {
            Some(name) => step.skipped(format!("required step {name:?} failed")),
            None => step.run(frame),
        };
        if outcome.fails_frame {
            failed = Some(&step.name);
        }
        outcomes.push(outcome);
    }
    outcomes
}

impl ProcessingStep {
    fn run(&self, frame: &mut FrameData) -> StepOutcome {
        if !self.is_active {
            return self.skipped("the step is not active".to_owned());
        }
        if let Some(unmet) = self.conditions.unmet(frame) {
            return self.skipped(unmet);
        }
        let start = std::time::Instant::now();
        let mut values = Vec::new();
        let result = match &self.action {
            StepAction::Filter(filter) => Ok(filter.apply(frame)),
            StepAction::Transform(transform) => Ok(transform.apply(frame)),
            StepAction::Aggregate(aggregate) => Ok(aggregate.apply(frame)),
            StepAction::Output(output) => output.apply(frame, &mut values),
        };
        let duration_us = start.elapsed().as_micros() as u64;
        match result {
            Ok(output) => {
                StepOutcome { output, values, duration_us, ..self.outcome(StepStatus::Completed, None) }
            }
            Err(problem) => StepOutcome {
                fails_frame: self.is_required,
                duration_us,
                ..self.outcome(StepStatus::Failed, Some(problem))
            },
        }
    }

    fn skipped(&self, why: String) -> StepOutcome {
        self.outcome(StepStatus::Skipped, Some(why))
    }

    fn outcome(&self, status: StepStatus, error: Option<String>) -> StepOutcome {
        StepOutcome {
            name: self.name.clone(),
            status,
            error,
            fails_frame: false,
            output: Value::Null,
            values: Vec::new(),
            duration_us: 0,
        }
    }
}

#[cfg(test)]
mod tests;
