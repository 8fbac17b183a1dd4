//! What the tracker remembers of one object.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::kalman::BoxFilter;
use crate::geometry::{BBox, Point, Timestamp};

/// Points that a [`Trajectory`] keeps.
pub const MAX_TRAJECTORY: usize = 32;

/// The latest foot points of a track, oldest first, one for each frame in which it was seen.
///
/// Kept at 1/8192 of the picture, as a trajectory is drawn and not computed with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trajectory(Vec<(i16, i16)>);

const TRAJECTORY_SCALE: f64 = 8192.0;

impl Trajectory {
    /// Appends a point, forgetting the oldest where there are [`MAX_TRAJECTORY`].
    pub fn push(&mut self, point: Point) {
        if self.0.len() >= MAX_TRAJECTORY {
            self.0.remove(0);
        }
        // `as` saturates: a point far outside the picture is kept at the edge of the range.
        let fixed = |v: f64| (v * TRAJECTORY_SCALE).round() as i16;
        self.0.push((fixed(point.x), fixed(point.y)));
    }

    /// The points, oldest first.
    pub fn points(&self) -> impl ExactSizeIterator<Item = Point> + '_ {
        self.0
            .iter()
            .map(|&(x, y)| Point { x: f64::from(x) / TRAJECTORY_SCALE, y: f64::from(y) / TRAJECTORY_SCALE })
    }

    pub(crate) fn is_within_bounds(&self) -> bool {
        self.0.len() <= MAX_TRAJECTORY
    }
}

/// One object followed through a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Its identity: from 1 upward within a stream, or the one an edge device gave it.
    pub id: i64,
    /// Whether an edge device gave the identity.
    pub is_given: bool,
    /// Class name.
    pub class: Arc<str>,
    /// Score of the latest detection, 0..=1.
    pub confidence: f64,
    /// The box of the latest detection.
    pub detected: BBox,
    /// The estimate at `last_seen`.
    pub filter: BoxFilter,
    /// First frame in which it was seen.
    pub first_seen: Timestamp,
    /// Latest frame in which it was seen.
    pub last_seen: Timestamp,
    /// Seconds between its two latest sightings, 0 at the first.
    pub gap_seconds: f64,
    /// Frames in which it was seen.
    pub frames: u32,
    /// Frames since it was last seen; 0 where it was seen in the latest frame.
    pub occluded_frames: u32,
    /// Seen often enough to count.
    pub is_confirmed: bool,
    /// Where its foot has been.
    pub trajectory: Trajectory,
    /// The estimate at the tracker's present moment; computed anew in each frame.
    #[serde(skip)]
    pub predicted: BBox,
}

impl Track {
    /// Whether it was seen in the latest frame.
    pub fn is_seen(&self) -> bool {
        self.occluded_frames == 0
    }

    /// The box to show and to count with: the filtered one, or the predicted one while it is not seen.
    pub fn bbox(&self) -> BBox {
        if self.is_seen() { self.filter.bbox() } else { self.predicted }
    }
}
