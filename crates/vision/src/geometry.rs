//! Points, boxes and times shared by every stage.

use serde::{Deserialize, Serialize};

/// A point in the picture, normalised to 0..1 (x right, y down). Values outside are legal for predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Point {
    /// Right, as a fraction of the picture's width.
    pub x: f64,
    /// Down, as a fraction of the picture's height.
    pub y: f64,
}

impl From<[f64; 2]> for Point {
    fn from([x, y]: [f64; 2]) -> Self {
        Self { x, y }
    }
}

impl From<Point> for [f64; 2] {
    fn from(point: Point) -> Self {
        [point.x, point.y]
    }
}

/// An axis-aligned box, normalised like [`Point`]; written as `[x, y, w, h]` with the top-left corner first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 4]", into = "[f64; 4]")]
pub struct BBox {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width, not negative.
    pub w: f64,
    /// Height, not negative.
    pub h: f64,
}

impl BBox {
    /// The middle of the bottom edge: where a standing person touches the ground.
    pub fn bottom_center(&self) -> Point {
        Point { x: self.x + self.w / 2.0, y: self.y + self.h }
    }

    /// The middle of the box.
    pub fn center(&self) -> Point {
        Point { x: self.x + self.w / 2.0, y: self.y + self.h / 2.0 }
    }

    /// Area in units of the whole picture.
    pub fn area(&self) -> f64 {
        self.w * self.h
    }

    /// Intersection over union, 0 where the boxes do not meet or both are empty.
    pub fn iou(&self, other: &BBox) -> f64 {
        let w = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let h = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        if w <= 0.0 || h <= 0.0 {
            return 0.0;
        }
        let intersection = w * h;
        intersection / (self.area() + other.area() - intersection)
    }
}

impl From<[f64; 4]> for BBox {
    fn from([x, y, w, h]: [f64; 4]) -> Self {
        Self { x, y, w, h }
    }
}

impl From<BBox> for [f64; 4] {
    fn from(b: BBox) -> Self {
        [b.x, b.y, b.w, b.h]
    }
}

/// A moment, in microseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Seconds from `earlier` to `self`; negative where `self` comes first.
    pub fn seconds_since(self, earlier: Timestamp) -> f64 {
        (self.0.saturating_sub(earlier.0)) as f64 / 1e6
    }
}
