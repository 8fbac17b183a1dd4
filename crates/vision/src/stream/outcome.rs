//! What one frame brought about.

use std::sync::Arc;

use crate::count::density::DensityCell;
use crate::count::line::Crossing;
use crate::count::zone::{Occupancy, OvercrowdingEvent, ZoneEvent};
use crate::geometry::{BBox, Point, Timestamp};
use crate::track::{Track, Trajectory};

/// A confirmed track as of this frame.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackView {
    /// Identity within the stream.
    pub id: i64,
    /// Class name.
    pub class: Arc<str>,
    /// Score of the latest detection.
    pub confidence: f64,
    /// Where it is: filtered where it was seen in this frame, else predicted.
    pub bbox: BBox,
    /// Whether it was seen in this frame.
    pub is_seen: bool,
    /// Frames since it was last seen.
    pub occluded_frames: u32,
    /// Velocity of the box's centre, in picture widths (x) and heights (y) per second.
    pub velocity: Point,
    /// Where its foot is expected one second from now, if it goes on as it does.
    pub predicted_foot: Point,
    /// First frame in which it was seen.
    pub first_seen: Timestamp,
    /// Latest frame in which it was seen.
    pub last_seen: Timestamp,
    /// Frames in which it was seen.
    pub frames: u32,
    /// Where its foot has been.
    pub trajectory: Trajectory,
}

impl TrackView {
    pub(super) fn of(track: &Track) -> Self {
        let bbox = track.bbox();
        let velocity = track.filter.velocity();
        let foot = bbox.bottom_center();
        Self {
            id: track.id,
            class: Arc::clone(&track.class),
            confidence: track.confidence,
            bbox,
            is_seen: track.is_seen(),
            occluded_frames: track.occluded_frames,
            velocity,
            predicted_foot: Point { x: foot.x + velocity.x, y: foot.y + velocity.y },
            first_seen: track.first_seen,
            last_seen: track.last_seen,
            frames: track.frames,
            trajectory: track.trajectory.clone(),
        }
    }
}

/// A confirmed track that is no more.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedTrack {
    /// Identity within the stream.
    pub id: i64,
    /// Class name.
    pub class: Arc<str>,
    /// First frame in which it was seen.
    pub first_seen: Timestamp,
    /// Latest frame in which it was seen.
    pub last_seen: Timestamp,
    /// Frames in which it was seen.
    pub frames: u32,
}

impl EndedTrack {
    pub(super) fn of(track: &Track) -> Self {
        Self {
            id: track.id,
            class: Arc::clone(&track.class),
            first_seen: track.first_seen,
            last_seen: track.last_seen,
            frames: track.frames,
        }
    }
}

/// What [`super::StreamState::step`] found out. Empty lists where the pipeline's type does not go that far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameOutcome {
    /// Confirmed tracks, those hidden for the moment included.
    pub tracks: Vec<TrackView>,
    /// Confirmed tracks that ended with this frame.
    pub ended: Vec<EndedTrack>,
    /// Crossings of lines.
    pub crossings: Vec<Crossing>,
    /// Visits of zones that began or ended.
    pub zone_events: Vec<ZoneEvent>,
    /// Occupancy of every zone, in the configuration's order.
    pub occupancy: Vec<Occupancy>,
    /// Overcrowding that began or ended.
    pub overcrowding: Vec<OvercrowdingEvent>,
    /// Cells of the density grid in which somebody stood.
    pub density: Vec<DensityCell>,
}
