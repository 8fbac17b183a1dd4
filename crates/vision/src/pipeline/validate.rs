//! The rules that a pipeline's configuration must keep beyond its shape.

use std::collections::HashSet;

use super::config::{ConfigError, LineConfig, PipelineConfig, Rearm, ZoneConfig};
use crate::count::zone::signed_area;
use crate::geometry::Point;
use crate::track::TrackerConfig;

/// Characters of a name.
pub const MAX_NAME: usize = 100;
/// Characters of the name of a line or zone: what is derived from it, as the counter `line.direction`, fits a name.
pub const MAX_SHAPE_NAME: usize = 80;
/// Characters of the name of a line's direction.
pub const MAX_DIRECTION_NAME: usize = 19;
/// Cameras that a pipeline lists.
pub const MAX_CAMERAS: usize = 10_000;
/// Classes in one list.
pub const MAX_CLASSES: usize = 1000;
/// Lines of a pipeline.
pub const MAX_LINES: usize = 64;
/// Zones of a pipeline.
pub const MAX_ZONES: usize = 64;
/// Corners of a zone.
pub const MAX_POLYGON_POINTS: usize = 256;
/// Columns or rows of the density grid.
pub const MAX_GRID_SIDE: u32 = 128;
/// Longest duration: one day.
pub const MAX_SECONDS: f64 = 86_400.0;

const MAX_CONFIRM_FRAMES: u32 = 1000;
const MAX_LOST_SECONDS: f64 = 60.0;
/// Shorter lines and smaller zones cannot be told from mistakes.
const MIN_LENGTH: f64 = 1e-4;
const MIN_AREA: f64 = 1e-6;

type Checked = Result<(), ConfigError>;

impl PipelineConfig {
    /// Checks everything that the types do not; see [`PipelineConfig::from_json`].
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Checked {
        list_length("cameras", self.cameras.len(), MAX_CAMERAS)?;
        if self.cameras.is_empty() {
            return Err(ConfigError::new("cameras", "is empty; list camera ids, or \"*\" for every camera"));
        }
        for (i, camera) in self.cameras.iter().enumerate() {
            name(&format!("cameras[{i}]"), camera)?;
        }
        name("model", &self.model)?;
        classes("classes", &self.classes)?;
        if let Some(score) = self.score_threshold {
            number("score_threshold", score, 0.0, 1.0)?;
        }
        self.tracker.validate()?;
        self.validate_lines()?;
        self.validate_zones()?;
        if let Some(density) = self.density {
            integer("density.columns", density.columns, 1, MAX_GRID_SIDE)?;
            integer("density.rows", density.rows, 1, MAX_GRID_SIDE)?;
            number("density.half_life_seconds", density.half_life_seconds, 0.1, MAX_SECONDS)?;
        }
        number("outputs.interval_seconds", self.outputs.interval_seconds, 0.0, MAX_SECONDS)
    }

    fn validate_lines(&self) -> Checked {
        list_length("lines", self.lines.len(), MAX_LINES)?;
        unique_names("lines", self.lines.iter().map(|l| l.name.as_str()))?;
        self.lines.iter().enumerate().try_for_each(|(i, line)| line.validate(&format!("lines[{i}]")))
    }

    fn validate_zones(&self) -> Checked {
        list_length("zones", self.zones.len(), MAX_ZONES)?;
        unique_names("zones", self.zones.iter().map(|z| z.name.as_str()))?;
        self.zones.iter().enumerate().try_for_each(|(i, zone)| zone.validate(&format!("zones[{i}]")))
    }
}

impl LineConfig {
    fn validate(&self, path: &str) -> Checked {
        point(&format!("{path}.from"), self.from)?;
        point(&format!("{path}.to"), self.to)?;
        if (self.to.x - self.from.x).hypot(self.to.y - self.from.y) < MIN_LENGTH {
            return Err(ConfigError::new(
                format!("{path}.to"),
                "is the same point as \"from\"; a line needs two points apart from each other",
            ));
        }
        integer(&format!("{path}.confirm_frames"), self.confirm_frames, 1, MAX_CONFIRM_FRAMES)?;
        name_within(&format!("{path}.in"), &self.in_label, MAX_DIRECTION_NAME)?;
        name_within(&format!("{path}.out"), &self.out_label, MAX_DIRECTION_NAME)?;
        if self.in_label == self.out_label {
            return Err(ConfigError::new(
                format!("{path}.out"),
                format!("is {:?} as \"in\" is; the two directions need different names", self.out_label),
            ));
        }
        if let Rearm::CooldownSeconds(seconds) = self.rearm {
            number(&format!("{path}.rearm.cooldown_seconds"), seconds, 0.0, MAX_SECONDS)?;
        }
        classes(&format!("{path}.classes"), self.classes.as_deref().unwrap_or_default())
    }
}

impl ZoneConfig {
    fn validate(&self, path: &str) -> Checked {
        polygon(&format!("{path}.polygon"), &self.polygon)?;
        integer(&format!("{path}.enter_frames"), self.enter_frames, 1, MAX_CONFIRM_FRAMES)?;
        number(&format!("{path}.exit_seconds"), self.exit_seconds, 0.0, MAX_SECONDS)?;
        if let Some(crowd) = self.overcrowding {
            integer(&format!("{path}.overcrowding.occupancy"), crowd.occupancy, 1, u32::MAX)?;
            number(&format!("{path}.overcrowding.seconds"), crowd.seconds, 0.0, MAX_SECONDS)?;
        }
        classes(&format!("{path}.classes"), self.classes.as_deref().unwrap_or_default())
    }
}

impl TrackerConfig {
    fn validate(&self) -> Checked {
        let fractions = [
            ("low_score_ratio", self.low_score_ratio),
            ("match_overlap", self.match_overlap),
            ("low_match_overlap", self.low_match_overlap),
            ("new_match_overlap", self.new_match_overlap),
            ("box_buffer", self.box_buffer),
        ];
        for (key, value) in fractions {
            number(&format!("tracker.{key}"), value, 0.0, 1.0)?;
        }
        number("tracker.new_track_ratio", self.new_track_ratio, 1.0, 10.0)?;
        number("tracker.box_buffer_growth", self.box_buffer_growth, 0.0, 10.0)?;
        let noises = [
            ("position_noise", self.position_noise),
            ("size_noise", self.size_noise),
            ("acceleration_noise", self.acceleration_noise),
            ("growth_noise", self.growth_noise),
            ("initial_speed", self.initial_speed),
        ];
        for (key, value) in noises {
            number(&format!("tracker.{key}"), value, 1e-4, 100.0)?;
        }
        integer("tracker.confirm_frames", self.confirm_frames, 1, MAX_CONFIRM_FRAMES)?;
        number("tracker.lost_seconds", self.lost_seconds, 0.0, MAX_LOST_SECONDS)?;
        number("tracker.unconfirmed_seconds", self.unconfirmed_seconds, 0.0, MAX_LOST_SECONDS)
    }
}

pub(super) fn name(path: &str, value: &str) -> Checked {
    name_within(path, value, MAX_NAME)
}

fn name_within(path: &str, value: &str, max: usize) -> Checked {
    let length = value.chars().count();
    if length == 0 || length > max {
        return Err(ConfigError::new(path, format!("has {length} characters; use 1 to {max}")));
    }
    if value.chars().any(char::is_control) {
        return Err(ConfigError::new(path, "contains a control character; use printable text"));
    }
    Ok(())
}

/// Names of lines or of zones.
fn unique_names<'a>(list: &str, names: impl Iterator<Item = &'a str>) -> Checked {
    let mut seen = HashSet::new();
    for (i, value) in names.enumerate() {
        let path = format!("{list}[{i}].name");
        name_within(&path, value, MAX_SHAPE_NAME)?;
        if !seen.insert(value) {
            return Err(ConfigError::new(path, format!("{value:?} is used twice; names must differ")));
        }
    }
    Ok(())
}

pub(super) fn classes<S: AsRef<str>>(path: &str, list: &[S]) -> Checked {
    list_length(path, list.len(), MAX_CLASSES)?;
    list.iter().enumerate().try_for_each(|(i, class)| name(&format!("{path}[{i}]"), class.as_ref()))
}

fn list_length(path: &str, length: usize, max: usize) -> Checked {
    if length > max {
        return Err(ConfigError::new(path, format!("has {length} entries; at most {max} are allowed")));
    }
    Ok(())
}

pub(super) fn point(path: &str, p: Point) -> Checked {
    if !(0.0..=1.0).contains(&p.x) || !(0.0..=1.0).contains(&p.y) {
        let problem =
            format!("[{}, {}] is outside the picture; coordinates are normalised to 0..1", p.x, p.y);
        return Err(ConfigError::new(path, problem));
    }
    Ok(())
}

pub(super) fn polygon(path: &str, corners: &[Point]) -> Checked {
    if corners.len() < 3 {
        let problem = format!("has {} points; a polygon needs at least 3", corners.len());
        return Err(ConfigError::new(path, problem));
    }
    list_length(path, corners.len(), MAX_POLYGON_POINTS)?;
    for (i, &corner) in corners.iter().enumerate() {
        point(&format!("{path}[{i}]"), corner)?;
    }
    if signed_area(corners).abs() < MIN_AREA {
        return Err(ConfigError::new(path, "encloses no area; its points must not lie on one line"));
    }
    Ok(())
}

pub(super) fn number(path: &str, value: f64, min: f64, max: f64) -> Checked {
    if !(min..=max).contains(&value) {
        return Err(ConfigError::new(path, format!("is {value}; use a number from {min} to {max}")));
    }
    Ok(())
}

pub(super) fn integer(path: &str, value: u32, min: u32, max: u32) -> Checked {
    if !(min..=max).contains(&value) {
        return Err(ConfigError::new(path, format!("is {value}; use a whole number from {min} to {max}")));
    }
    Ok(())
}
