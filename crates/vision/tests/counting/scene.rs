//! People who walk as they are told, and a stream that watches them.

use std::sync::Arc;

use camcount_vision::detection::Detection;
use camcount_vision::geometry::{BBox, Timestamp};
use camcount_vision::pipeline::{PipelineConfig, PipelineType};
use camcount_vision::stream::{FrameOutcome, Observation, ObservationKind, StepError, StreamState};
use serde_json::{Value, json};

/// Model threshold of the scenes.
pub const SCORE: f64 = 0.5;
/// Seconds between two frames, unless a test says otherwise.
pub const FRAME: f64 = 0.1;

pub fn pipeline(value: Value) -> PipelineConfig {
    PipelineConfig::from_json(&value).expect("a valid configuration")
}

/// A pipeline with the line `door` across the picture at half its height, from left to right: downward is `in`.
pub fn door(options: Value) -> PipelineConfig {
    let mut line = json!({"name": "door", "from": [0, 0.5], "to": [1, 0.5]});
    for (key, value) in options.as_object().expect("an object") {
        line[key] = value.clone();
    }
    pipeline(json!({"lines": [line]}))
}

/// A person with the foot at (x, y): 0.05 wide and 0.2 high.
pub fn person(x: f64, y: f64) -> Detection {
    Detection {
        class: Arc::from("person"),
        confidence: 0.9,
        bbox: BBox { x: x - 0.025, y: y - 0.2, w: 0.05, h: 0.2 },
        track_id: None,
    }
}

pub fn known(id: i64, x: f64, y: f64) -> Detection {
    Detection { track_id: Some(id), ..person(x, y) }
}

pub fn at(seconds: f64) -> Timestamp {
    Timestamp(1_700_000_000_000_000 + (seconds * 1e6).round() as i64)
}

/// One stream under watch.
pub struct Scene {
    pub state: StreamState,
    pub config: PipelineConfig,
    pub seconds: f64,
}

impl Scene {
    pub fn new(config: PipelineConfig) -> Self {
        Self { state: StreamState::default(), config, seconds: 0.0 }
    }

    /// The next frame, [`FRAME`] after the one before.
    pub fn see(&mut self, detections: &[Detection]) -> FrameOutcome {
        self.seconds += FRAME;
        self.try_see(self.seconds, detections).expect("a frame that is in order")
    }

    pub fn try_see(&mut self, seconds: f64, detections: &[Detection]) -> Result<FrameOutcome, StepError> {
        let is_tracked = detections.iter().any(|d| d.track_id.is_some());
        let observation = Observation {
            timestamp: at(seconds),
            detections,
            kind: if is_tracked { ObservationKind::Tracked } else { ObservationKind::Detected },
        };
        self.state.step(PipelineType::Analytics, &self.config, self.config.thresholds(SCORE), &observation)
    }

    /// A person goes through these points; the outcomes of all frames.
    pub fn walk(&mut self, path: impl IntoIterator<Item = (f64, f64)>) -> Vec<FrameOutcome> {
        path.into_iter().map(|(x, y)| self.see(&[person(x, y)])).collect()
    }

    /// Nobody is seen for so many frames.
    pub fn empty(&mut self, frames: usize) -> Vec<FrameOutcome> {
        (0..frames).map(|_| self.see(&[])).collect()
    }
}

/// `steps` points from `from` to `to`, both included.
pub fn straight(from: (f64, f64), to: (f64, f64), steps: usize) -> Vec<(f64, f64)> {
    let part = |k: usize| k as f64 / (steps - 1) as f64;
    (0..steps).map(|k| (from.0 + (to.0 - from.0) * part(k), from.1 + (to.1 - from.1) * part(k))).collect()
}
