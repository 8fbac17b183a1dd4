//! Reads sequences in the MOT format (motchallenge.net): detections, ground truth and `seqinfo.ini`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use camcount_vision::detection::Detection;
use camcount_vision::geometry::{BBox, Timestamp};

pub type Failure = Box<dyn std::error::Error>;

/// What `seqinfo.ini` says.
#[derive(Clone, Debug)]
pub struct Sequence {
    pub frames_per_second: f64,
    pub frames: usize,
    pub width: f64,
    pub height: f64,
}

impl Sequence {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path)?;
        let keys: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let number = |key: &str| -> Result<f64, Failure> {
            let value = keys.get(key).ok_or_else(|| format!("{}: no {key}", path.display()))?;
            Ok(value.trim().parse()?)
        };
        Ok(Self {
            frames_per_second: number("frameRate")?,
            frames: number("seqLength")? as usize,
            width: number("imWidth")?,
            height: number("imHeight")?,
        })
    }

    /// Time of a frame, which counts from 0, after the epoch.
    pub fn timestamp(&self, frame: usize) -> Timestamp {
        Timestamp((frame as f64 * 1e6 / self.frames_per_second).round() as i64)
    }
}

/// One row of a detection or ground-truth file.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// From 1.
    pub frame: usize,
    /// −1 where nobody has tracked.
    pub id: i64,
    pub bbox: BBox,
    /// Score of a detection; of a ground-truth row, whether it counts.
    pub score: f64,
}

/// The rows of a file, boxes normalised by the sequence's picture size.
pub fn read_rows(path: &Path, sequence: &Sequence) -> Result<Vec<Row>, Failure> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    text.lines()
        .map(|line| {
            let fields: Vec<f64> = line.split(',').map(str::parse).collect::<Result<_, _>>()?;
            let [frame, id, x, y, w, h, score, ..] = fields[..] else {
                return Err(format!("{}: {line:?} has fewer than 7 fields", path.display()).into());
            };
            let (width, height) = (sequence.width, sequence.height);
            let bbox = BBox { x: x / width, y: y / height, w: w / width, h: h / height };
            Ok(Row { frame: frame as usize, id: id as i64, bbox, score })
        })
        .collect()
}

/// Detections of class `person` for each frame, the first frame first.
pub fn detections(rows: &[Row], sequence: &Sequence) -> Vec<Vec<Detection>> {
    let person: Arc<str> = Arc::from("person");
    let mut frames = vec![Vec::new(); sequence.frames];
    for row in rows.iter().filter(|row| (1..=sequence.frames).contains(&row.frame)) {
        frames[row.frame - 1].push(Detection {
            class: Arc::clone(&person),
            confidence: row.score.clamp(0.0, 1.0),
            bbox: row.bbox,
            track_id: (row.id > 0).then_some(row.id),
        });
    }
    frames
}
