//! Tuning of the tracker, with defaults that were measured on five MOT15 sequences.

use serde::{Deserialize, Serialize};

use super::kalman::Noise;

/// The key `tracker` of a pipeline's configuration. Every field has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrackerConfig {
    /// Detections that score below this part of the score threshold are ignored; those between it and the threshold
    /// only prolong tracks.
    pub low_score_ratio: f64,
    /// A detection starts a track where it scores this many times the score threshold (1 or more).
    pub new_track_ratio: f64,
    /// Least overlap (IoU, times score where `fuse_score`) of the first stage of association.
    pub match_overlap: f64,
    /// Least overlap (IoU) of the second stage, with low-score detections.
    pub low_match_overlap: f64,
    /// Least overlap (IoU, times score where `fuse_score`) with a track that is not yet confirmed.
    pub new_match_overlap: f64,
    /// Boxes are widened by this fraction of their size on each side before overlap is taken, so that what moves by
    /// its own width between two frames is found again (buffered IoU, Yang et al., WACV 2023).
    pub box_buffer: f64,
    /// By how much that fraction grows with each second since the object was last seen.
    pub box_buffer_growth: f64,
    /// Multiply overlap by the detection's score, so that a sure detection wins over a doubtful one.
    pub fuse_score: bool,
    /// Frames in which an object must be seen before it counts.
    pub confirm_frames: u32,
    /// How long a confirmed track waits for its object to be seen again.
    pub lost_seconds: f64,
    /// How long a track that is not yet confirmed waits; the next frame is looked at in any case.
    pub unconfirmed_seconds: f64,
    /// When an object is seen again, correct its velocity along the straight way from where it was last seen
    /// (observation-centric re-update, Cao et al., CVPR 2023).
    pub observation_centric: bool,
    /// Standard deviation of a detected centre, in box sizes.
    pub position_noise: f64,
    /// Standard deviation of a detected width or height, in box sizes.
    pub size_noise: f64,
    /// Change of velocity within one second, in box sizes per second.
    pub acceleration_noise: f64,
    /// Change of size within one second, in box sizes.
    pub growth_noise: f64,
    /// Speed of an object just found, in box sizes per second.
    pub initial_speed: f64,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            low_score_ratio: 0.35,
            new_track_ratio: 1.25,
            match_overlap: 0.2,
            low_match_overlap: 0.25,
            new_match_overlap: 0.25,
            box_buffer: 0.3,
            box_buffer_growth: 0.5,
            fuse_score: true,
            confirm_frames: 3,
            lost_seconds: 3.0,
            unconfirmed_seconds: 0.25,
            observation_centric: true,
            position_noise: 0.1,
            size_noise: 0.08,
            acceleration_noise: 0.5,
            growth_noise: 0.1,
            initial_speed: 2.0,
        }
    }
}

/// What a detection's score decides, for one model in one pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreThresholds {
    /// From here on a detection is taken for an object.
    pub high: f64,
    /// Below this it is ignored; a detector need not report it.
    pub low: f64,
    /// From here on it may start a track.
    pub new_track: f64,
}

impl TrackerConfig {
    /// The thresholds that go with `score_threshold`, the model's own or the pipeline's.
    pub fn thresholds(&self, score_threshold: f64) -> ScoreThresholds {
        ScoreThresholds {
            high: score_threshold,
            low: score_threshold * self.low_score_ratio,
            // A high threshold still leaves scores with which a track can start.
            new_track: (score_threshold * self.new_track_ratio).min((1.0 + score_threshold) / 2.0),
        }
    }

    pub(crate) fn noise(&self) -> Noise {
        Noise {
            position: self.position_noise,
            size: self.size_noise,
            acceleration: self.acceleration_noise,
            growth: self.growth_noise,
            initial_speed: self.initial_speed,
        }
    }
}
