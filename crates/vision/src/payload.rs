//! What edge devices send instead of a picture: detections, tracked detections and counts, as JSON.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::detection::Detection;
use crate::geometry::BBox;

/// Most detections or counts in one payload.
pub const MAX_ITEMS: usize = 10_000;

/// Why a payload is refused; the message names the key.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PayloadError {
    /// Not the shape its data type asks for.
    #[error("{0}")]
    Shape(String),
    /// A value is out of range.
    #[error("{key} is {value}; {expected}")]
    Range {
        /// Path of the value, for example `detections[3].bbox`.
        key: String,
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
}

/// One frame as an edge device saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeFrame {
    /// Width of the picture the boxes refer to, in pixels.
    pub width: u32,
    /// Height, in pixels.
    pub height: u32,
    /// What was seen, normalised.
    pub detections: Vec<Detection>,
}

/// One value of a counter that a device counted by itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with counter and value")]
pub struct Count {
    /// Counter name, 1 to 100 characters.
    pub counter: String,
    /// How much to add.
    pub value: i32,
}

/// Other keys (`weather`, `context`, …) are metadata and are left alone.
#[derive(Deserialize)]
struct RawFrame<'a> {
    width: u32,
    height: u32,
    #[serde(borrow)]
    detections: Vec<RawDetection<'a>>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with class, confidence and bbox")]
struct RawDetection<'a> {
    #[serde(borrow)]
    class: Cow<'a, str>,
    confidence: f64,
    bbox: [f64; 4],
    track_id: Option<i64>,
}

/// Reads a `detection` payload, or a `tracking` one where `tracked` asks for a `track_id` on each detection:
/// `{"width": 1920, "height": 1080, "detections": [{"class": "person", "confidence": 0.9, "bbox": [x, y, w, h]}]}`
/// with the box in pixels, top-left corner first.
///
/// # Errors
/// [`PayloadError`] where a key is missing or a value is out of range.
pub fn parse_detections<'de, D: Deserializer<'de>>(
    payload: D,
    tracked: bool,
) -> Result<EdgeFrame, PayloadError> {
    let raw = checked_frame(payload, tracked)?;
    let (width, height) = (raw.width, raw.height);
    let detections = raw.detections.into_iter().map(|raw| raw.normalised(width, height, tracked)).collect();
    Ok(EdgeFrame { width, height, detections })
}

/// As [`parse_detections`], where no more is wanted than whether the payload is right.
///
/// # Errors
/// As there.
pub fn check_detections<'de, D: Deserializer<'de>>(payload: D, tracked: bool) -> Result<(), PayloadError> {
    checked_frame(payload, tracked).map(drop)
}

fn checked_frame<'de, D: Deserializer<'de>>(
    payload: D,
    tracked: bool,
) -> Result<RawFrame<'de>, PayloadError> {
    let raw = payload.deserialize_map(FrameObject(PhantomData)).map_err(shape)?;
    for (key, value) in [("width", raw.width), ("height", raw.height)] {
        if value == 0 {
            return Err(range(key, value, "it must be the picture's size in pixels"));
        }
    }
    check_length("detections", raw.detections.len())?;
    for (index, detection) in raw.detections.iter().enumerate() {
        detection.check(index, raw.width, raw.height, tracked)?;
    }
    Ok(raw)
}

/// serde would take a list of the values for an object.
struct FrameObject<'a>(PhantomData<&'a ()>);

impl<'de> Visitor<'de> for FrameObject<'de> {
    type Value = RawFrame<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with width, height and detections")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        RawFrame::deserialize(MapAccessDeserializer::new(map))
    }
}

impl RawDetection<'_> {
    fn check(&self, index: usize, width: u32, height: u32, tracked: bool) -> Result<(), PayloadError> {
        let key = |name: &str| format!("detections[{index}].{name}");
        if self.class.is_empty() || self.class.chars().count() > 100 {
            return Err(range(key("class"), &self.class, "it must be 1 to 100 characters long"));
        }
        if !(0.0..=1.0).contains(&self.confidence) {
            return Err(range(key("confidence"), self.confidence, "it must be from 0 to 1"));
        }
        let [x, y, w, h] = self.bbox;
        let (width, height) = (f64::from(width), f64::from(height));
        let near = |value: f64, size: f64| (-size..=2.0 * size).contains(&value);
        if w < 0.0 || h < 0.0 || !near(x, width) || !near(y, height) || !near(w, width) || !near(h, height) {
            let given = format!("{:?}", self.bbox);
            return Err(range(key("bbox"), given, "it must be [x, y, w, h] in pixels of the picture"));
        }
        if tracked && self.track_id.is_none() {
            return Err(range(key("track_id"), "missing", "data type tracking needs one on each detection"));
        }
        Ok(())
    }

    fn normalised(self, width: u32, height: u32, tracked: bool) -> Detection {
        let [x, y, w, h] = self.bbox;
        let (width, height) = (f64::from(width), f64::from(height));
        Detection {
            class: self.class.into(),
            confidence: self.confidence,
            bbox: BBox { x: x / width, y: y / height, w: w / width, h: h / height },
            track_id: self.track_id.filter(|_| tracked),
        }
    }
}

/// Reads a `counting` payload: a list of `{"counter": "door.in", "value": 2}`, or one such object.
///
/// # Errors
/// [`PayloadError`] where a key is missing, unknown or out of range.
pub fn parse_counts<'de, D: Deserializer<'de>>(payload: D) -> Result<Vec<Count>, PayloadError> {
    let counts = payload.deserialize_any(CountOrList).map_err(shape)?;
    check_length("the list", counts.len())?;
    for (index, count) in counts.iter().enumerate() {
        if !(1..=100).contains(&count.counter.chars().count()) {
            let key = format!("[{index}].counter");
            return Err(range(key, &count.counter, "it must be 1 to 100 characters long"));
        }
    }
    Ok(counts)
}

struct CountOrList;

impl<'de> Visitor<'de> for CountOrList {
    type Value = Vec<Count>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects with counter and value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(vec![Count::deserialize(MapAccessDeserializer::new(map))?])
    }
}

fn shape(error: impl fmt::Display) -> PayloadError {
    PayloadError::Shape(error.to_string())
}

fn check_length(key: &str, length: usize) -> Result<(), PayloadError> {
    if length > MAX_ITEMS {
        return Err(range(key, format!("{length} long"), "10000 entries is the most"));
    }
    Ok(())
}

fn range(key: impl Into<String>, value: impl ToString, expected: &'static str) -> PayloadError {
    PayloadError::Range { key: key.into(), value: value.to_string(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn frame(detection: Value) -> Value {
        json!({"width": 200, "height": 100, "detections": [detection], "weather": "rain"})
    }

    #[test]
    fn boxes_are_normalised_by_the_picture_size() {
        let payload = frame(json!({"class": "person", "confidence": 0.5, "bbox": [20, 10, 40, 50]}));
        let seen = parse_detections(&payload, false).unwrap();
        assert_eq!(seen.detections[0].bbox, BBox { x: 0.1, y: 0.1, w: 0.2, h: 0.5 });
    }

    #[test]
    fn an_identity_counts_only_where_the_device_tracks() {
        let payload = frame(json!({"class": "car", "confidence": 1, "bbox": [0, 0, 1, 1], "track_id": 7}));
        assert_eq!(parse_detections(&payload, false).unwrap().detections[0].track_id, None);
        assert_eq!(parse_detections(&payload, true).unwrap().detections[0].track_id, Some(7));
    }

    #[test]
    fn refusals_name_the_key() {
        let cases = [
            (json!({"class": "", "confidence": 0.5, "bbox": [0, 0, 1, 1]}), "detections[0].class"),
            (json!({"class": "a", "confidence": 1.5, "bbox": [0, 0, 1, 1]}), "detections[0].confidence"),
            (json!({"class": "a", "confidence": 0.5, "bbox": [0, 0, -1, 1]}), "detections[0].bbox"),
            (json!({"class": "a", "confidence": 0.5, "bbox": [9e9, 0, 1, 1]}), "detections[0].bbox"),
            (json!({"class": "a", "confidence": 0.5, "bbox": [0, 0, 1]}), "length"),
            (json!({"class": "a", "bbox": [0, 0, 1, 1]}), "confidence"),
        ];
        for (detection, key) in cases {
            let message = parse_detections(frame(detection), false).unwrap_err().to_string();
            assert!(message.contains(key), "{message} does not name {key}");
        }
        // serde would take an array for the struct.
        let list = json!([200, 100, []]);
        assert!(parse_detections(&list, false).unwrap_err().to_string().contains("object"));
        let untracked = frame(json!({"class": "a", "confidence": 0.5, "bbox": [0, 0, 1, 1]}));
        assert!(parse_detections(&untracked, true).unwrap_err().to_string().contains("track_id"));
        let flat = json!({"width": 0, "height": 1, "detections": []});
        assert!(parse_detections(&flat, false).unwrap_err().to_string().contains("width"));
    }

    #[test]
    fn counts_are_a_list_or_one_object() {
        let one = json!({"counter": "in", "value": 2});
        assert_eq!(parse_counts(&one).unwrap(), parse_counts(json!([one])).unwrap());
        assert!(
            parse_counts(json!([{"counter": "", "value": 1}])).unwrap_err().to_string().contains("counter")
        );
        assert!(parse_counts(json!([{"counter": "in", "value": 3e12}])).is_err());
        assert!(parse_counts(json!("in")).is_err());
    }
}
