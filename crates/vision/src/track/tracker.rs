//! Two-stage association over time.
//!
//! ByteTrack (Zhang et al., "Multi-Object Tracking by Associating Every Detection Box", ECCV 2022): sure detections
//! are matched with all tracks, then doubtful ones with the tracks that are left, as an object half hidden is still
//! an object. Differences: the filter steps by real time, and waiting is measured in seconds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::assignment::{Assigner, Candidate};
use super::config::{ScoreThresholds, TrackerConfig};
use super::kalman::{BoxFilter, Noise};
use super::state::{Track, Trajectory};
use crate::detection::Detection;
use crate::geometry::{BBox, Timestamp};

/// Tracks that a stream keeps at most; beyond them those unseen for longest are ended.
pub const MAX_TRACKS: usize = 1000;

/// Virtual sightings with which a filter is corrected at most when its object is found again.
const MAX_REUPDATES: u32 = 60;

/// The tracks of one stream.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tracker {
    tracks: Vec<Track>,
    last_id: i64,
    #[serde(skip)]
    work: Workspace,
}

/// Buffers kept between frames; empty of meaning there.
#[derive(Clone, Debug, Default)]
struct Workspace {
    assigner: Assigner,
    rows: Vec<usize>,
    high: Vec<usize>,
    low: Vec<usize>,
    candidates: Vec<Candidate>,
    pairs: Vec<(usize, usize)>,
}

/// One frame's part in an update.
struct Frame<'a> {
    timestamp: Timestamp,
    detections: &'a [Detection],
    config: &'a TrackerConfig,
    noise: Noise,
}

/// How one stage of association measures overlap.
#[derive(Clone, Copy)]
struct Stage {
    least_overlap: f64,
    fuse_score: bool,
}

impl Tracker {
    /// A tracker whose own identities start after `last_id`.
    pub fn starting_after(last_id: i64) -> Self {
        Self { last_id, ..Self::default() }
    }

    /// The tracks, in order of birth.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The greatest identity given out so far, 0 before the first.
    pub fn last_id(&self) -> i64 {
        self.last_id
    }

    /// Takes in the detections of a frame and tells who is who. `timestamp` must not precede the last one.
    /// Tracks that end are moved to `ended`.
    pub fn observe(
        &mut self,
        timestamp: Timestamp,
        detections: &[Detection],
        config: &TrackerConfig,
        thresholds: ScoreThresholds,
        ended: &mut Vec<Track>,
    ) {
        let frame = Frame { timestamp, detections, config, noise: config.noise() };
        self.advance(&frame, ended);
        let mut work = std::mem::take(&mut self.work);
        work.split(detections, thresholds);
        self.associate(&frame, &mut work);
        for &d in work.high.iter().filter(|&&d| detections[d].confidence >= thresholds.new_track) {
            self.last_id = self.last_id.saturating_add(1);
            self.start(&frame, d, self.last_id, false);
        }
        self.work = work;
        self.shed(ended);
    }

    /// Takes in detections that an edge device has tracked; those without `track_id` are ignored. Their identities are
    /// used as they are: a stream should be tracked either here or there, or identities may coincide.
    pub fn adopt(
        &mut self,
        timestamp: Timestamp,
        detections: &[Detection],
        config: &TrackerConfig,
        ended: &mut Vec<Track>,
    ) {
        let frame = Frame { timestamp, detections, config, noise: config.noise() };
        self.advance(&frame, ended);
        for (d, detection) in detections.iter().enumerate() {
            let Some(id) = detection.track_id else { continue };
            match self.tracks.iter().position(|t| t.is_given && t.id == id) {
                Some(t) => self.sight(&frame, t, d),
                None => self.start(&frame, d, id, true),
            }
        }
        self.shed(ended);
    }

    /// Predicts every track to the frame's time and ends those that have waited too long.
    fn advance(&mut self, frame: &Frame, ended: &mut Vec<Track>) {
        let config = frame.config;
        let is_over = |track: &mut Track| {
            let unseen = frame.timestamp.seconds_since(track.last_seen);
            // However slow the camera, a new track is looked for in the next frame.
            let is_dropped = !track.is_confirmed && !track.is_seen() && unseen > config.unconfirmed_seconds;
            is_dropped || unseen > config.lost_seconds
        };
        ended.extend(self.tracks.extract_if(.., is_over));
        for track in &mut self.tracks {
            let dt = frame.timestamp.seconds_since(track.last_seen);
            track.predicted = track.filter.predicted(dt, &frame.noise).bbox();
            track.occluded_frames = track.occluded_frames.saturating_add(1);
        }
    }

    fn associate(&mut self, frame: &Frame, work: &mut Workspace) {
        let config = frame.config;
        let first = Stage { least_overlap: config.match_overlap, fuse_score: config.fuse_score };
        work.rows.clear();
        work.rows.extend((0..self.tracks.len()).filter(|&t| self.tracks[t].is_confirmed));
        let mut columns = std::mem::take(&mut work.high);
        self.run_stage(frame, work, &mut columns, first);

        let mut low = std::mem::take(&mut work.low);
        // A track lost for longer is not brought back by a doubtful detection.
        work.rows.retain(|&t| self.tracks[t].occluded_frames == 1);
        let second = Stage { least_overlap: config.low_match_overlap, fuse_score: false };
        self.run_stage(frame, work, &mut low, second);
        work.low = low;

        work.rows.clear();
        work.rows.extend((0..self.tracks.len()).filter(|&t| !self.tracks[t].is_confirmed));
        let third = Stage { least_overlap: config.new_match_overlap, ..first };
        self.run_stage(frame, work, &mut columns, third);
        work.high = columns;
    }

    /// Matches the tracks `work.rows` with the detections `columns`; leaves in both what found no partner.
    fn run_stage(&mut self, frame: &Frame, work: &mut Workspace, columns: &mut Vec<usize>, stage: Stage) {
        work.candidates.clear();
        for (row, &t) in work.rows.iter().enumerate() {
            let track = &self.tracks[t];
            let buffer = frame.buffer(track);
            let expected = widened(&track.predicted, buffer);
            for (column, &d) in columns.iter().enumerate() {
                let detection = &frame.detections[d];
                if track.is_given || track.class != detection.class {
                    continue;
                }
                let overlap = stage.overlap(&expected, detection, buffer);
                if overlap > stage.least_overlap {
                    work.candidates.push(Candidate { row, column, weight: overlap - stage.least_overlap });
                }
            }
        }
        work.pairs.clear();
        work.assigner.assign(work.rows.len(), columns.len(), &work.candidates, &mut work.pairs);
        for &(row, column) in &work.pairs {
            self.sight(frame, work.rows[row], columns[column]);
        }
        remove_positions(&mut work.rows, work.pairs.iter().map(|p| p.0));
        remove_positions(columns, work.pairs.iter().map(|p| p.1));
    }

    fn start(&mut self, frame: &Frame, d: usize, id: i64, is_given: bool) {
        let detection = &frame.detections[d];
        let mut trajectory = Trajectory::default();
        trajectory.push(detection.bbox.bottom_center());
        self.tracks.push(Track {
            id,
            is_given,
            class: Arc::clone(&detection.class),
            confidence: detection.confidence,
            detected: detection.bbox,
            filter: BoxFilter::new(&detection.bbox, &frame.noise),
            first_seen: frame.timestamp,
            last_seen: frame.timestamp,
            gap_seconds: 0.0,
            frames: 1,
            occluded_frames: 0,
            is_confirmed: is_given || frame.config.confirm_frames <= 1,
            trajectory,
            predicted: detection.bbox,
        });
    }

    fn sight(&mut self, frame: &Frame, t: usize, d: usize) {
        let track = &mut self.tracks[t];
        let detection = &frame.detections[d];
        let dt = frame.timestamp.seconds_since(track.last_seen);
        let steps = match frame.config.observation_centric {
            true => track.occluded_frames.clamp(1, MAX_REUPDATES),
            false => 1,
        };
        for step in 1..=steps {
            track.filter = track.filter.predicted(dt / f64::from(steps), &frame.noise);
            let seen = between(&track.detected, &detection.bbox, f64::from(step) / f64::from(steps));
            track.filter.update(&seen, &frame.noise);
        }
        track.detected = detection.bbox;
        track.confidence = detection.confidence;
        track.class = Arc::clone(&detection.class);
        track.last_seen = frame.timestamp;
        track.gap_seconds = dt;
        track.frames = track.frames.saturating_add(1);
        track.occluded_frames = 0;
        track.is_confirmed |= track.frames >= frame.config.confirm_frames;
        track.predicted = track.filter.bbox();
        track.trajectory.push(track.predicted.bottom_center());
    }

    /// Ends the tracks unseen for longest where there are too many.
    fn shed(&mut self, ended: &mut Vec<Track>) {
        if self.tracks.len() > MAX_TRACKS {
            self.tracks.sort_by_key(|t| (t.occluded_frames, t.first_seen, t.id));
            ended.extend(self.tracks.drain(MAX_TRACKS..));
            self.tracks.sort_by_key(|t| (t.first_seen, t.id));
        }
    }

    pub(crate) fn is_within_bounds(&self) -> bool {
        self.tracks.len() <= MAX_TRACKS && self.tracks.iter().all(|t| t.trajectory.is_within_bounds())
    }
}

impl Workspace {
    fn split(&mut self, detections: &[Detection], thresholds: ScoreThresholds) {
        self.high.clear();
        self.low.clear();
        for (d, detection) in detections.iter().enumerate() {
            if detection.confidence >= thresholds.high {
                self.high.push(d);
            } else if detection.confidence >= thresholds.low {
                self.low.push(d);
            }
        }
    }
}

impl Frame<'_> {
    /// By which part of their size boxes are widened to find this track again.
    fn buffer(&self, track: &Track) -> f64 {
        let unseen = self.timestamp.seconds_since(track.last_seen);
        self.config.box_buffer + self.config.box_buffer_growth * unseen
    }
}

impl Stage {
    fn overlap(&self, expected: &BBox, detection: &Detection, buffer: f64) -> f64 {
        let iou = expected.iou(&widened(&detection.bbox, buffer));
        if self.fuse_score { iou * detection.confidence } else { iou }
    }
}

fn widened(b: &BBox, fraction: f64) -> BBox {
    let (dx, dy) = (b.w * fraction, b.h * fraction);
    BBox { x: b.x - dx, y: b.y - dy, w: b.w + 2.0 * dx, h: b.h + 2.0 * dy }
}

fn between(from: &BBox, to: &BBox, part: f64) -> BBox {
    let mix = |a: f64, b: f64| if part >= 1.0 { b } else { a + (b - a) * part };
    BBox { x: mix(from.x, to.x), y: mix(from.y, to.y), w: mix(from.w, to.w), h: mix(from.h, to.h) }
}

/// Removes the elements at `positions`, keeping the order of the others.
fn remove_positions(list: &mut Vec<usize>, positions: impl Iterator<Item = usize>) {
    for position in positions {
        list[position] = usize::MAX;
    }
    list.retain(|&v| v != usize::MAX);
}
