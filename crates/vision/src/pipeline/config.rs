//! A pipeline's configuration: the JSON in `pipeline_config`, checked strictly.

use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::geometry::{BBox, Point};
use crate::track::{ScoreThresholds, TrackerConfig};

/// The score threshold for detections from edge devices, to be used as the model's own: they have passed the device's
/// threshold already.
pub const EDGE_SCORE_THRESHOLD: f64 = 0.25;

/// How far a frame is taken; each stage includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineType {
    /// Objects are found.
    Detection,
    /// They are followed.
    Tracking,
    /// Lines and zones are counted.
    Counting,
    /// Density is kept as well.
    Analytics,
}

/// A pipeline type that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("pipeline type {0:?} does not exist; use detection, tracking, counting or analytics")]
pub struct UnknownPipelineType(pub String);

impl FromStr for PipelineType {
    type Err = UnknownPipelineType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "detection" => Ok(Self::Detection),
            "tracking" => Ok(Self::Tracking),
            "counting" => Ok(Self::Counting),
            "analytics" => Ok(Self::Analytics),
            other => Err(UnknownPipelineType(other.to_owned())),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {problem}")]
pub struct ConfigError {
    /// The key that is wrong, for example `lines[2].from`; `.` is the whole.
    pub path: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

/// What one pipeline looks for, and in which cameras.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Camera ids; `*` is every camera.
    pub cameras: Vec<String>,
    /// Registered name of the detector.
    pub model: String,
    /// Classes that are looked for; empty means all that the model knows.
    pub classes: Vec<Arc<str>>,
    /// Score from which a detection is taken for an object, instead of the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_threshold: Option<f64>,
    /// Tuning of the tracker.
    pub tracker: TrackerConfig,
    /// Lines to count crossings of.
    pub lines: Vec<LineConfig>,
    /// Zones to count visits of.
    pub zones: Vec<ZoneConfig>,
    /// The density grid; kept by pipelines of type `analytics`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density: Option<DensityConfig>,
    /// Where results go.
    pub outputs: OutputConfig,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            cameras: vec!["*".to_owned()],
            model: "default".to_owned(),
            classes: vec![Arc::from("person")],
            score_threshold: None,
            tracker: TrackerConfig::default(),
            lines: Vec::new(),
            zones: Vec::new(),
            density: None,
            outputs: OutputConfig::default(),
        }
    }
}

/// The point of a box that stands for the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The middle of the bottom edge: the foot.
    #[default]
    BottomCenter,
    /// The middle of the box, for cameras that look straight down.
    Center,
}

impl Anchor {
    /// The anchor of `bbox`.
    pub fn of(self, bbox: &BBox) -> Point {
        match self {
            Self::BottomCenter => bbox.bottom_center(),
            Self::Center => bbox.center(),
        }
    }
}

/// When a track that has crossed a line may count there again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rearm {
    /// At once.
    #[default]
    EachTime,
    /// Never.
    Once,
    /// After this many seconds (0 or more).
    CooldownSeconds(f64),
}

/// A line whose crossings are counted, from `from` to `to` and not beyond.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
    /// Unique among the pipeline's lines.
    pub name: String,
    /// Start, normalised.
    pub from: Point,
    /// End, normalised. Who goes to the right-hand side, seen from start to end, goes `in`.
    pub to: Point,
    /// Which point of a box crosses.
    #[serde(default)]
    pub anchor: Anchor,
    /// Frames for which a track must be seen on a side before it is held to be there.
    #[serde(default = "default_confirm_frames")]
    pub confirm_frames: u32,
    /// When a track may count again.
    #[serde(default)]
    pub rearm: Rearm,
    /// What the direction `in` is called.
    #[serde(rename = "in", default = "default_in")]
    pub in_label: String,
    /// What the direction `out` is called.
    #[serde(rename = "out", default = "default_out")]
    pub out_label: String,
    /// Classes that count here; absent means all that the pipeline looks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<Arc<str>>>,
}

/// An area whose visits and occupancy are counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneConfig {
    /// Unique among the pipeline's zones.
    pub name: String,
    /// Corners, normalised, in order; the last is joined to the first.
    pub polygon: Vec<Point>,
    /// Which point of a box is inside or outside.
    #[serde(default)]
    pub anchor: Anchor,
    /// Frames in a row for which a track must be seen inside before it has entered.
    #[serde(default = "default_confirm_frames")]
    pub enter_frames: u32,
    /// Seconds for which it must be seen outside before it has left.
    #[serde(default = "default_exit_seconds")]
    pub exit_seconds: f64,
    /// When the zone counts as overcrowded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overcrowding: Option<OvercrowdingConfig>,
    /// Classes that count here; absent means all that the pipeline looks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<Arc<str>>>,
}

/// Overcrowding: so many for so long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OvercrowdingConfig {
    /// From this occupancy on.
    pub occupancy: u32,
    /// Held for this long.
    #[serde(default)]
    pub seconds: f64,
}

/// The grid on which foot points leave heat.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DensityConfig {
    /// Cells across.
    pub columns: u32,
    /// Cells down.
    pub rows: u32,
    /// Seconds after which heat has halved.
    pub half_life_seconds: f64,
}

impl Default for DensityConfig {
    fn default() -> Self {
        Self { columns: 48, rows: 36, half_life_seconds: 60.0 }
    }
}

/// What may be published as an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A track crossed a line.
    LineCrossed,
    /// A track entered a zone.
    ZoneEntered,
    /// A track left a zone.
    ZoneLeft,
    /// A zone became overcrowded.
    OvercrowdingStarted,
    /// It no longer is.
    OvercrowdingEnded,
    /// A camera has fallen silent.
    CameraStalled,
    /// It is heard again.
    CameraRecovered,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::LineCrossed,
        Self::ZoneEntered,
        Self::ZoneLeft,
        Self::OvercrowdingStarted,
        Self::OvercrowdingEnded,
        Self::CameraStalled,
        Self::CameraRecovered,
    ];

    /// Its name in configuration and in the event store.
    pub fn name(self) -> &'static str {
        match self {
            Self::LineCrossed => "line_crossed",
            Self::ZoneEntered => "zone_entered",
            Self::ZoneLeft => "zone_left",
            Self::OvercrowdingStarted => "overcrowding_started",
            Self::OvercrowdingEnded => "overcrowding_ended",
            Self::CameraStalled => "camera_stalled",
            Self::CameraRecovered => "camera_recovered",
        }
    }
}

/// Where results go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputConfig {
    /// Write time series.
    pub timeseries: bool,
    /// Keep counters.
    pub counters: bool,
    /// Kinds of event to publish.
    pub events: Vec<EventKind>,
    /// Least time between two values of one time series, in seconds.
    pub interval_seconds: f64,
}

impl Default for OutputConfig {
    fn default() -> Self {
        Self { timeseries: true, counters: true, events: EventKind::ALL.to_vec(), interval_seconds: 1.0 }
    }
}

fn default_confirm_frames() -> u32 {
    3
}

fn default_exit_seconds() -> f64 {
    1.0
}

fn default_in() -> String {
    "in".to_owned()
}

fn default_out() -> String {
    "out".to_owned()
}

impl PipelineConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Unknown keys, wrong types, geometry that encloses or divides nothing, values out of range, names that are
    /// empty, too long or used twice, lists that are too long; the error names the key.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, ConfigError> {
        let config: Self = parse(value)?;
        config.validate()?;
        Ok(config)
    }

    /// Whether the pipeline serves this camera.
    pub fn serves(&self, camera_id: &str) -> bool {
        self.cameras.iter().any(|c| c == "*" || c == camera_id)
    }

    /// Whether the pipeline looks for this class.
    pub fn wants_class(&self, class: &str) -> bool {
        self.classes.is_empty() || self.classes.iter().any(|c| &**c == class)
    }

    /// The score thresholds in force with a model whose own threshold is `model_threshold`. A detector need not
    /// report what scores below `low`.
    pub fn thresholds(&self, model_threshold: f64) -> ScoreThresholds {
        self.tracker.thresholds(self.score_threshold.unwrap_or(model_threshold))
    }
}

/// Reads `value` strictly; errors name the key.
pub(crate) fn parse<'v, T: Deserialize<'v>>(value: &'v serde_json::Value) -> Result<T, ConfigError> {
    if !value.is_object() {
        return Err(ConfigError::new(".", "is no JSON object; use {\"key\": value, …}"));
    }
    serde_path_to_error::deserialize(value)
        .map_err(|e| ConfigError::new(e.path().to_string(), e.inner().to_string()))
}
