//! What makes a message of a camera the same message when it is sent again.

use std::fmt::Write;

use camcount_vision::geometry::Timestamp;
use pgrx::prelude::*;
use sha2::{Digest, Sha256};

use crate::arguments::{moment, name, not_negative};
use crate::error::Result;

/// Characters of the camera's name that go into an ingestion id: with 19 digits of frame number, 24 of time, 12 of
/// hash and three separators the id stays under 100.
const CAMERA_PREFIX: usize = 40;

/// Bytes of an id at most, nearly always: a camera's name may have more bytes than characters.
const LONGEST_ID: usize = 100;

/// The five parts that identify a message, checked.
pub struct Identity<'a> {
    pub camera_id: &'a str,
    pub stream_id: &'a str,
    pub frame_timestamp: TimestampWithTimeZone,
    pub frame_number: i64,
    pub data_type: &'a str,
    time: Timestamp,
}

impl<'a> Identity<'a> {
    pub fn new(
        camera_id: Option<&'a str>,
        stream_id: Option<&'a str>,
        frame_timestamp: Option<TimestampWithTimeZone>,
        frame_number: Option<i64>,
        data_type: &'a str,
    ) -> Result<Self> {
        let time = moment(frame_timestamp, "p_frame_timestamp")?;
        Ok(Self {
            camera_id: name(camera_id, "p_camera_id")?,
            stream_id: name(stream_id, "p_stream_id")?,
            frame_timestamp: crate::arguments::from_timestamp(time)?,
            frame_number: not_negative(frame_number, "p_frame_number")?,
            data_type,
            time,
        })
    }

    /// `camera_number_epoch_hash`: the documented three parts, made unique by a hash of all five.
    pub fn ingestion_id(&self) -> String {
        ingestion_id(self.camera_id, self.stream_id, self.time, self.frame_number, self.data_type)
    }

    /// Results are small and wanted soon; frames wait for the model anyway.
    pub fn queue(&self) -> &'static str {
        if self.data_type == "frame" { "normal" } else { "high_priority" }
    }

    /// As documented: detections first, then counts, tracks and frames.
    pub fn priority(&self) -> i32 {
        match self.data_type {
            "detection" => 10,
            "counting" => 9,
            "tracking" => 8,
            _ => 5,
        }
    }
}

fn ingestion_id(
    camera_id: &str,
    stream_id: &str,
    time: Timestamp,
    frame_number: i64,
    data_type: &str,
) -> String {
    let mut hash = Sha256::new();
    for part in [camera_id, stream_id, data_type] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(time.0.to_le_bytes());
    hash.update(frame_number.to_le_bytes());
    let digest = hash.finalize();
    let camera = camera_id.char_indices().nth(CAMERA_PREFIX).map_or(camera_id, |(end, _)| &camera_id[..end]);
    let sign = if time.0 < 0 { "-" } else { "" };
    let (seconds, fraction) = (time.0.unsigned_abs() / 1_000_000, time.0.unsigned_abs() % 1_000_000);
    let [a, b, c, d, e, f, ..] = <[u8; 32]>::from(digest);
    let short = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let mut id = String::with_capacity(LONGEST_ID);
    // Writing to a string does not fail.
    let _ = write!(id, "{camera}_{frame_number}_{sign}{seconds}.{fraction:06}_{short:012x}");
    id
}
