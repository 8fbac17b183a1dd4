//! Visits and occupancy of zones, and overcrowding.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::geometry::{Point, Timestamp};
use crate::pipeline::ZoneConfig;
use crate::track::Track;

/// What happened to a visit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ZoneChange {
    /// The track has been inside for `enter_frames`.
    Entered,
    /// The track has been outside for `exit_seconds`, or it ended, or its zone was changed.
    Left {
        /// Last time at which it was seen inside.
        left_at: Timestamp,
        /// Seconds from the first to the last sighting inside.
        dwell_seconds: f64,
    },
}

/// A track entered or left a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneEvent {
    /// The zone's name.
    pub zone: String,
    /// Who.
    pub track_id: i64,
    /// Which visit it is, from 1; it numbers like [`super::line::Crossing::sequence`], and a visit's two events
    /// share it.
    pub sequence: u64,
    /// The track's class.
    pub class: Arc<str>,
    /// First time at which the track was seen inside.
    pub entered_at: Timestamp,
    /// Time of the frame that decided it.
    pub timestamp: Timestamp,
    /// What happened.
    pub change: ZoneChange,
}

/// How many are in a zone; told with every frame, also when it is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Occupancy {
    /// The zone's name.
    pub zone: String,
    /// Visits under way, those of objects hidden for the moment included.
    pub occupancy: u32,
    /// Whether it is overcrowded.
    pub is_overcrowded: bool,
}

/// A zone became overcrowded, or no longer is.
#[derive(Clone, Debug, PartialEq)]
pub struct OvercrowdingEvent {
    /// The zone's name.
    pub zone: String,
    /// True at the start, false at the end.
    pub is_start: bool,
    /// Occupancy now.
    pub occupancy: u32,
    /// Since when the occupancy had been at its limit or above.
    pub since: Timestamp,
    /// Time of the frame that decided it.
    pub timestamp: Timestamp,
}

/// Twice-signed-halved area by the shoelace formula, in units of the whole picture.
pub(crate) fn signed_area(polygon: &[Point]) -> f64 {
    let next = polygon.iter().cycle().skip(1);
    polygon.iter().zip(next).map(|(a, b)| a.x * b.y - b.x * a.y).sum::<f64>() / 2.0
}

/// Whether `p` lies inside, by the even-odd rule.
pub(crate) fn contains(polygon: &[Point], p: Point) -> bool {
    let next = polygon.iter().cycle().skip(1);
    let crossed = polygon
        .iter()
        .zip(next)
        .filter(|(a, b)| (a.y > p.y) != (b.y > p.y) && p.x < a.x + (b.x - a.x) * (p.y - a.y) / (b.y - a.y));
    crossed.count() % 2 == 1
}

/// What one zone remembers of one track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Visitor {
    track_id: i64,
    class: Arc<str>,
    /// Frames in a row in which it was inside; counted until it has entered.
    inside_frames: u32,
    /// First sighting inside of the visit, or of the run of frames that may become one.
    since: Timestamp,
    last_inside: Timestamp,
    /// First sighting outside after the last one inside.
    outside_since: Option<Timestamp>,
    has_entered: bool,
    /// Sequence of its latest visit.
    sequence: u64,
}

/// The state of one zone in one stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ZoneState {
    name: String,
    polygon: Vec<Point>,
    /// Identities up to this one were in use before the zone was.
    last_id_before: i64,
    visitors: Vec<Visitor>,
    crowded_since: Option<Timestamp>,
    is_overcrowded: bool,
}

impl ZoneState {
    pub fn new(zone: &ZoneConfig, last_id: i64) -> Self {
        Self {
            name: zone.name.clone(),
            polygon: zone.polygon.clone(),
            last_id_before: last_id,
            visitors: Vec::new(),
            crowded_since: None,
            is_overcrowded: false,
        }
    }

    /// Whether this is the state of `zone`, as it is configured now.
    pub fn belongs_to(&self, zone: &ZoneConfig) -> bool {
        self.name == zone.name && self.polygon == zone.polygon
    }

    /// Ends the visit of a track that is no more.
    pub fn forget(&mut self, track_id: i64, now: Timestamp, events: &mut Vec<ZoneEvent>) {
        if let Some(position) = self.visitors.iter().position(|v| v.track_id == track_id) {
            let visitor = self.visitors.remove(position);
            events.extend(visitor.has_entered.then(|| visitor.left(&self.name, now)));
        }
    }

    /// Ends every visit, and overcrowding, as the zone is no more.
    pub fn close(
        mut self,
        now: Timestamp,
        events: &mut Vec<ZoneEvent>,
        overcrowding: &mut Vec<OvercrowdingEvent>,
    ) {
        events.extend(self.visitors.iter().filter(|v| v.has_entered).map(|v| v.left(&self.name, now)));
        self.visitors.clear();
        overcrowding.extend(self.watch_crowd(None, now));
    }

    /// Takes in a track seen in this frame. `visits` counts the stream's visits so far.
    pub fn observe(
        &mut self,
        zone: &ZoneConfig,
        track: &Track,
        now: Timestamp,
        visits: &mut u64,
    ) -> Option<ZoneEvent> {
        let is_inside = contains(&zone.polygon, zone.anchor.of(&track.bbox()));
        let known = self.visitors.iter().position(|v| v.track_id == track.id);
        let position = match known {
            Some(position) => position,
            None if !is_inside => return None,
            None => {
                let may_have_visited = track.is_given || track.id <= self.last_id_before;
                self.visitors.push(Visitor::new(track, now, if may_have_visited { *visits } else { 0 }));
                self.visitors.len() - 1
            }
        };
        let visitor = &mut self.visitors[position];
        if !is_inside {
            return visitor.observe_outside(zone, now);
        }
        visitor.observe_inside(zone, track, now).inspect(|_| *visits = visits.saturating_add(1))
    }

    /// Closes the frame: occupancy, and overcrowding where it begins or ends.
    pub fn summarise(&mut self, zone: &ZoneConfig, now: Timestamp) -> (Occupancy, Option<OvercrowdingEvent>) {
        let event = self.watch_crowd(zone.overcrowding.map(|c| (c.occupancy, c.seconds)), now);
        let occupancy = Occupancy {
            zone: zone.name.clone(),
            occupancy: self.occupancy(),
            is_overcrowded: self.is_overcrowded,
        };
        (occupancy, event)
    }

    fn occupancy(&self) -> u32 {
        self.visitors.iter().filter(|v| v.has_entered).count() as u32
    }

    /// `limit`: occupancy and seconds.
    fn watch_crowd(&mut self, limit: Option<(u32, f64)>, now: Timestamp) -> Option<OvercrowdingEvent> {
        let occupancy = self.occupancy();
        let is_crowded = limit.is_some_and(|(least, _)| occupancy >= least);
        let since = self.crowded_since.unwrap_or(now);
        self.crowded_since = is_crowded.then_some(since);
        let has_held = limit.is_some_and(|(_, seconds)| now.seconds_since(since) >= seconds);
        let is_overcrowded = is_crowded && (self.is_overcrowded || has_held);
        if is_overcrowded == self.is_overcrowded {
            return None;
        }
        self.is_overcrowded = is_overcrowded;
        let zone = self.name.clone();
        Some(OvercrowdingEvent { zone, is_start: is_overcrowded, occupancy, since, timestamp: now })
    }
}

impl Visitor {
    fn new(track: &Track, now: Timestamp, sequence: u64) -> Self {
        Self {
            track_id: track.id,
            class: Arc::clone(&track.class),
            inside_frames: 0,
            since: now,
            last_inside: now,
            outside_since: None,
            has_entered: false,
            sequence,
        }
    }

    fn observe_inside(&mut self, zone: &ZoneConfig, track: &Track, now: Timestamp) -> Option<ZoneEvent> {
        self.last_inside = now;
        self.outside_since = None;
        if self.has_entered {
            return None;
        }
        if self.inside_frames == 0 {
            self.since = now;
        }
        self.inside_frames = self.inside_frames.saturating_add(1);
        if self.inside_frames < zone.enter_frames || !track.is_confirmed {
            return None;
        }
        self.has_entered = true;
        self.class = Arc::clone(&track.class);
        self.sequence = self.sequence.saturating_add(1);
        Some(self.event(&zone.name, now, ZoneChange::Entered))
    }

    fn observe_outside(&mut self, zone: &ZoneConfig, now: Timestamp) -> Option<ZoneEvent> {
        self.inside_frames = 0;
        if !self.has_entered {
            return None;
        }
        let since = *self.outside_since.get_or_insert(now);
        if now.seconds_since(since) < zone.exit_seconds {
            return None;
        }
        self.has_entered = false;
        self.outside_since = None;
        Some(self.left(&zone.name, now))
    }

    fn left(&self, zone: &str, now: Timestamp) -> ZoneEvent {
        let dwell_seconds = self.last_inside.seconds_since(self.since);
        self.event(zone, now, ZoneChange::Left { left_at: self.last_inside, dwell_seconds })
    }

    fn event(&self, zone: &str, timestamp: Timestamp, change: ZoneChange) -> ZoneEvent {
        ZoneEvent {
            zone: zone.to_owned(),
            track_id: self.track_id,
            sequence: self.sequence,
            class: Arc::clone(&self.class),
            entered_at: self.since,
            timestamp,
            change,
        }
    }
}
