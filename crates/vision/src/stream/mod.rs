//! One stream of one pipeline, frame by frame: detections in, tracks and counts out.
//!
//! [`StreamState`] is all that has to be kept between two frames. It serialises to a few kilobytes, and a state that
//! was saved and loaded again behaves exactly as one that was not.

mod outcome;
mod saved;

pub use outcome::{EndedTrack, FrameOutcome, TrackView};
pub use saved::{MAX_STATE_BYTES, StateError};

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::count::density::DensityState;
use crate::count::line::LineState;
use crate::count::zone::ZoneState;
use crate::detection::Detection;
use crate::geometry::Timestamp;
use crate::pipeline::{PipelineConfig, PipelineType};
use crate::track::{ScoreThresholds, Track, Tracker};

/// Detections that one frame may have.
pub const MAX_DETECTIONS: usize = 500;

/// Whether somebody has tracked the detections already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservationKind {
    /// From a detector: we track.
    Detected,
    /// From an edge device that tracks: each detection has a `track_id`, which is used.
    Tracked,
}

/// What was seen in one frame.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// When the frame was taken.
    pub timestamp: Timestamp,
    /// What was found in it.
    pub detections: &'a [Detection],
    /// Whether it has been tracked.
    pub kind: ObservationKind,
}

/// An observation that cannot be used; the state is as it was before.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum StepError {
    /// It comes before the latest frame.
    #[error(
        "frame at {timestamp:?} is older than the latest frame at {latest:?}; frames must come in order of time"
    )]
    Late {
        /// Time of the frame.
        timestamp: Timestamp,
        /// Time of the latest one that was taken in.
        latest: Timestamp,
    },
    /// It has more than [`MAX_DETECTIONS`].
    #[error("frame has {0} detections; at most {MAX_DETECTIONS} are allowed")]
    TooManyDetections(usize),
    /// A number is not finite or out of range.
    #[error("detection {index}: {problem}")]
    BadDetection {
        /// Position in the frame, from 0.
        index: usize,
        /// What is wrong with it, and what would be right.
        problem: &'static str,
    },
}

/// Everything that a pipeline remembers of a stream.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StreamState {
    latest: Option<Timestamp>,
    frames: u64,
    tracker: Tracker,
    lines: Vec<LineState>,
    zones: Vec<ZoneState>,
    density: DensityState,
    /// Crossings and visits so far, from which sequences are drawn where identities may repeat.
    events: u64,
    #[serde(skip)]
    ended: Vec<Track>,
}

impl StreamState {
    /// The state before the first frame; own track identities start after `last_track_id`, 0 unless a state was lost
    /// whose identities must not come again.
    pub fn starting_after(last_track_id: i64) -> Self {
        Self { tracker: Tracker::starting_after(last_track_id), ..Self::default() }
    }

    /// Time of the latest frame, `None` before the first.
    pub fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    /// Frames taken in so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The greatest track identity given out so far.
    pub fn last_track_id(&self) -> i64 {
        self.tracker.last_id()
    }

    /// Takes in one frame, as far as `stage` goes; `thresholds` come from [`PipelineConfig::thresholds`]. Detections of
    /// classes that the pipeline does not look for are left out.
    ///
    /// The configuration may differ from that of the frame before: a line, zone or grid that is new or was moved
    /// starts afresh, and visits of a zone that is gone end. Two frames may have the same time, and any time may lie
    /// between them. A pipeline of type `detection` has no state.
    ///
    /// # Errors
    /// A frame older than the latest, too many detections, numbers out of range; the state is unchanged then.
    pub fn step(
        &mut self,
        stage: PipelineType,
        config: &PipelineConfig,
        thresholds: ScoreThresholds,
        observation: &Observation,
    ) -> Result<FrameOutcome, StepError> {
        let now = observation.timestamp;
        if let Some(latest) = self.latest.filter(|&latest| now < latest) {
            return Err(StepError::Late { timestamp: now, latest });
        }
        check(observation)?;
        self.latest = Some(now);
        self.frames = self.frames.saturating_add(1);
        let mut outcome = FrameOutcome::default();
        if stage >= PipelineType::Tracking {
            self.track(config, thresholds, observation);
        }
        if stage >= PipelineType::Counting {
            self.count(config, now, &mut outcome);
        }
        if stage >= PipelineType::Analytics {
            self.heat(config, now, &mut outcome);
        }
        outcome.tracks = self.tracker.tracks().iter().filter(|t| t.is_confirmed).map(TrackView::of).collect();
        outcome.ended = self.ended.iter().filter(|t| t.is_confirmed).map(EndedTrack::of).collect();
        self.ended.clear();
        Ok(outcome)
    }

    fn track(&mut self, config: &PipelineConfig, thresholds: ScoreThresholds, observation: &Observation) {
        let timestamp = observation.timestamp;
        let detections = wanted(config, observation.detections);
        match observation.kind {
            ObservationKind::Detected => {
                self.tracker.observe(timestamp, &detections, &config.tracker, thresholds, &mut self.ended);
            }
            ObservationKind::Tracked => {
                self.tracker.adopt(timestamp, &detections, &config.tracker, &mut self.ended);
            }
        }
    }

    fn count(&mut self, config: &PipelineConfig, now: Timestamp, outcome: &mut FrameOutcome) {
        self.match_lines(config);
        self.match_zones(config, now, outcome);
        for track in &self.ended {
            self.lines.iter_mut().for_each(|line| line.forget(track.id));
            self.zones.iter_mut().for_each(|zone| zone.forget(track.id, now, &mut outcome.zone_events));
        }
        let seen = || self.tracker.tracks().iter().filter(|t| t.is_seen());
        for (line, state) in config.lines.iter().zip(&mut self.lines) {
            for track in seen().filter(|t| counts(&line.classes, t)) {
                outcome.crossings.extend(state.observe(line, track, now, &mut self.events));
            }
        }
        for (zone, state) in config.zones.iter().zip(&mut self.zones) {
            for track in seen().filter(|t| counts(&zone.classes, t)) {
                outcome.zone_events.extend(state.observe(zone, track, now, &mut self.events));
            }
            let (occupancy, overcrowding) = state.summarise(zone, now);
            outcome.occupancy.push(occupancy);
            outcome.overcrowding.extend(overcrowding);
        }
    }

    /// Brings the line states into the configuration's order, with fresh ones where a line is new or was moved.
    fn match_lines(&mut self, config: &PipelineConfig) {
        let is_matched = self.lines.len() == config.lines.len()
            && self.lines.iter().zip(&config.lines).all(|(state, line)| state.belongs_to(line));
        if is_matched {
            return;
        }
        let mut old = std::mem::take(&mut self.lines);
        self.lines = config
            .lines
            .iter()
            .map(|line| match old.iter().position(|state| state.belongs_to(line)) {
                Some(position) => old.swap_remove(position),
                None => LineState::new(line, self.tracker.last_id()),
            })
            .collect();
    }

    fn match_zones(&mut self, config: &PipelineConfig, now: Timestamp, outcome: &mut FrameOutcome) {
        let is_matched = self.zones.len() == config.zones.len()
            && self.zones.iter().zip(&config.zones).all(|(state, zone)| state.belongs_to(zone));
        if is_matched {
            return;
        }
        let mut old = std::mem::take(&mut self.zones);
        self.zones = config
            .zones
            .iter()
            .map(|zone| match old.iter().position(|state| state.belongs_to(zone)) {
                Some(position) => old.remove(position),
                None => ZoneState::new(zone, self.tracker.last_id()),
            })
            .collect();
        for zone in old {
            zone.close(now, &mut outcome.zone_events, &mut outcome.overcrowding);
        }
    }

    fn heat(&mut self, config: &PipelineConfig, now: Timestamp, outcome: &mut FrameOutcome) {
        let Some(density) = &config.density else {
            self.density = DensityState::default();
            return;
        };
        self.density.advance(density, now);
        for track in self.tracker.tracks().iter().filter(|t| t.is_seen() && t.is_confirmed) {
            self.density.stand(track.bbox().bottom_center(), track.gap_seconds, &mut outcome.density);
        }
    }
}

/// The detections of the classes that the pipeline looks for.
fn wanted<'d>(config: &PipelineConfig, detections: &'d [Detection]) -> Cow<'d, [Detection]> {
    if detections.iter().all(|d| config.wants_class(&d.class)) {
        return Cow::Borrowed(detections);
    }
    Cow::Owned(detections.iter().filter(|d| config.wants_class(&d.class)).cloned().collect())
}

fn counts(classes: &Option<Vec<Arc<str>>>, track: &Track) -> bool {
    classes.as_ref().is_none_or(|classes| classes.contains(&track.class))
}

fn check(observation: &Observation) -> Result<(), StepError> {
    let detections = observation.detections;
    if detections.len() > MAX_DETECTIONS {
        return Err(StepError::TooManyDetections(detections.len()));
    }
    for (index, detection) in detections.iter().enumerate() {
        let bad = |problem| Err(StepError::BadDetection { index, problem });
        let b = &detection.bbox;
        // A box may stick out of the picture, but not by more than the picture's size.
        if ![b.x, b.y, b.x + b.w, b.y + b.h].iter().all(|v| (-1.0..=2.0).contains(v)) {
            return bad("its bbox lies outside the picture; coordinates are normalised to 0..1");
        }
        if b.w < 0.0 || b.h < 0.0 {
            return bad("its bbox has a negative width or height; they are 0 or more");
        }
        if !(0.0..=1.0).contains(&detection.confidence) {
            return bad("its confidence is not within 0..1");
        }
        if observation.kind == ObservationKind::Tracked {
            match detection.track_id {
                None => return bad("it has no track_id; tracked detections need one each"),
                id if detections[..index].iter().any(|d| d.track_id == id) => {
                    return bad("its track_id is used twice in the frame");
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}
