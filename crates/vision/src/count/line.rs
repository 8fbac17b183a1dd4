//! Crossings of lines.
//!
//! A detected foot wavers by a few percent of the box even where the person walks straight, so a change of the cross
//! product's sign is no crossing. A track is *held* on a side once its foot has been there for `confirm_frames`
//! frames; to be held on the other side, its foot must be seen that often beyond a dead band, which scales with the
//! box. It crosses where it is held on the other side and the way between the two cuts the finite segment. The foot
//! is that of the filtered box.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::geometry::{BBox, Point, Timestamp};
use crate::pipeline::{LineConfig, Rearm};
use crate::track::Track;

/// Half the width of the dead band, as a fraction of the box's extent across the line: about the error of a detected
/// foot (0.04 box heights with the detectors measured).
pub const DEAD_BAND: f64 = 0.04;

/// Which way a line was crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the right-hand side, seen from the line's start to its end: (end−start)×(p−start) > 0, y down.
    In,
    /// To the left-hand side.
    Out,
}

impl Direction {
    /// `in` or `out`.
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// A track crossed a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing {
    /// The line's name.
    pub line: String,
    /// Who crossed.
    pub track_id: i64,
    /// Which of the track's crossings of this line it is, from 1. Where an identity may have crossed before (an edge
    /// device uses it again, or the line changed meanwhile) it goes on from a higher number; (line, track, sequence)
    /// is never repeated within a stream's state.
    pub sequence: u64,
    /// Which way.
    pub direction: Direction,
    /// What the line calls that way.
    pub label: String,
    /// Where the way of the foot cuts the line, normalised.
    pub point: Point,
    /// The track's class.
    pub class: Arc<str>,
    /// Time of the frame that decided it, the last of `confirm_frames` on the new side.
    pub timestamp: Timestamp,
    /// Time of the first frame on the new side.
    pub crossed_at: Timestamp,
}

/// A side of a line; the sign of the cross product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Side {
    Left,
    Right,
}

/// What one line remembers of one track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Passage {
    track_id: i64,
    /// The side on which the track is held, and where it was last seen there.
    held: Option<(Side, Point)>,
    /// The side on which it was last seen, where and when it first was there, and for how many frames.
    run: Option<Run>,
    /// Sequence of its latest crossing.
    sequence: u64,
    last_crossing: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    side: Side,
    frames: u32,
    start: Point,
    since: Timestamp,
}

/// The state of one line in one stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LineState {
    name: String,
    from: Point,
    to: Point,
    /// Identities up to this one were in use before the line was.
    last_id_before: i64,
    passages: Vec<Passage>,
}

impl LineState {
    pub fn new(line: &LineConfig, last_id: i64) -> Self {
        Self {
            name: line.name.clone(),
            from: line.from,
            to: line.to,
            last_id_before: last_id,
            passages: Vec::new(),
        }
    }

    /// Whether this is the state of `line`, as it is configured now.
    pub fn belongs_to(&self, line: &LineConfig) -> bool {
        self.name == line.name && self.from == line.from && self.to == line.to
    }

    pub fn forget(&mut self, track_id: i64) {
        self.passages.retain(|p| p.track_id != track_id);
    }

    /// Takes in a track seen in this frame. `crossings` counts the stream's crossings so far.
    pub fn observe(
        &mut self,
        line: &LineConfig,
        track: &Track,
        now: Timestamp,
        crossings: &mut u64,
    ) -> Option<Crossing> {
        let foot = line.anchor.of(&track.bbox());
        let passage = self.passage(track, *crossings);
        // The first side is nobody's crossing: no band keeps a track from being held where it appears.
        let dead_band = if passage.held.is_some() { DEAD_BAND } else { 0.0 };
        let side = side_of(line, foot, &track.bbox(), dead_band)?;
        let crossed = passage.observe(line, side, foot, now)?;
        if !track.is_confirmed {
            return None;
        }
        let direction = if side == Side::Right { Direction::In } else { Direction::Out };
        let crossing = passage.count(line, track, direction, crossed, now)?;
        *crossings = crossings.saturating_add(1);
        Some(crossing)
    }

    fn passage(&mut self, track: &Track, crossings: u64) -> &mut Passage {
        let position = match self.passages.iter().position(|p| p.track_id == track.id) {
            Some(position) => position,
            None => {
                let may_have_crossed = track.is_given || track.id <= self.last_id_before;
                let sequence = if may_have_crossed { crossings } else { 0 };
                let track_id = track.id;
                self.passages.push(Passage {
                    track_id,
                    held: None,
                    run: None,
                    sequence,
                    last_crossing: None,
                });
                self.passages.len() - 1
            }
        };
        &mut self.passages[position]
    }
}

/// A change of side that cut the segment.
struct Cut {
    point: Point,
    at: Timestamp,
}

impl Passage {
    /// Takes in a sighting on `side`; tells where the segment was cut, where the track is now held on a new side.
    fn observe(&mut self, line: &LineConfig, side: Side, foot: Point, now: Timestamp) -> Option<Cut> {
        let run = match self.run {
            Some(run) if run.side == side => Run { frames: run.frames.saturating_add(1), ..run },
            _ => Run { side, frames: 1, start: foot, since: now },
        };
        self.run = Some(run);
        match self.held {
            Some((held, _)) if held == side => {
                self.held = Some((side, foot));
                None
            }
            _ if run.frames < line.confirm_frames => None,
            before => {
                self.held = Some((side, foot));
                let (_, from) = before?;
                cut(line, from, run.start).map(|point| Cut { point, at: run.since })
            }
        }
    }

    fn count(
        &mut self,
        line: &LineConfig,
        track: &Track,
        direction: Direction,
        cut: Cut,
        now: Timestamp,
    ) -> Option<Crossing> {
        let is_armed = match (line.rearm, self.last_crossing) {
            (_, None) | (Rearm::EachTime, _) => true,
            (Rearm::Once, Some(_)) => false,
            (Rearm::CooldownSeconds(seconds), Some(last)) => now.seconds_since(last) >= seconds,
        };
        if !is_armed {
            return None;
        }
        self.last_crossing = Some(now);
        self.sequence = self.sequence.saturating_add(1);
        Some(Crossing {
            line: line.name.clone(),
            track_id: track.id,
            sequence: self.sequence,
            direction,
            label: if direction == Direction::In { &line.in_label } else { &line.out_label }.clone(),
            point: cut.point,
            class: Arc::clone(&track.class),
            timestamp: now,
            crossed_at: cut.at,
        })
    }
}

/// (end−start)×(p−start): positive on the right-hand side as y points down.
fn cross(line: &LineConfig, p: Point) -> f64 {
    (line.to.x - line.from.x) * (p.y - line.from.y) - (line.to.y - line.from.y) * (p.x - line.from.x)
}

/// The side on which `foot` is, or `None` within the dead band.
fn side_of(line: &LineConfig, foot: Point, bbox: &BBox, dead_band: f64) -> Option<Side> {
    let (dx, dy) = (line.to.x - line.from.x, line.to.y - line.from.y);
    // The box's extent across the line, times the line's length as the cross product is.
    let extent = dy.abs() * bbox.w + dx.abs() * bbox.h;
    let cross = cross(line, foot);
    if cross.abs() <= dead_band * extent {
        return None;
    }
    Some(if cross > 0.0 { Side::Right } else { Side::Left })
}

/// Where the way from `a` to `b`, which are on different sides, cuts the segment.
fn cut(line: &LineConfig, a: Point, b: Point) -> Option<Point> {
    let (at_a, at_b) = (cross(line, a), cross(line, b));
    let part = at_a / (at_a - at_b);
    let point = Point { x: a.x + (b.x - a.x) * part, y: a.y + (b.y - a.y) * part };
    let (dx, dy) = (line.to.x - line.from.x, line.to.y - line.from.y);
    let along = ((point.x - line.from.x) * dx + (point.y - line.from.y) * dy) / (dx * dx + dy * dy);
    (0.0..=1.0).contains(&along).then_some(point)
}
