//! Detections of one stream to tracks: who in this frame is whom in the last one.
//!
//! [`Tracker`] associates in two stages by overlap (ByteTrack) with boxes that a Kalman filter predicts over the
//! real time between frames; where an edge device has tracked already, its identities are taken as they are.
//! Nothing here knows of lines or zones.

mod assignment;
mod config;
mod kalman;
mod state;
mod tracker;

pub use config::{ScoreThresholds, TrackerConfig};
pub use kalman::{BoxFilter, Noise};
pub use state::{MAX_TRAJECTORY, Track, Trajectory};
pub use tracker::{MAX_TRACKS, Tracker};
