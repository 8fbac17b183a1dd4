//! Tracks and counts the detections of a MOT sequence.
//!
//! ```text
//! mot DETECTIONS SEQINFO OUT [--lines "name:x1,y1,x2,y2;…"] [--score 0.4] [--fps 10] [--config FILE.json]
//! ```
//! Writes `OUT/tracks.csv` (MOT format) and `OUT/report.json` (counts, and the time that the engine took).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use camcount_vision::count::line::Direction;
use camcount_vision::pipeline::{PipelineConfig, PipelineType};
use camcount_vision::stream::{Observation, ObservationKind, StreamState};
use serde_json::{Value, json};

#[path = "../tests/counting/mot.rs"]
mod mot;

use mot::{Failure, Sequence};

fn main() -> Result<(), Failure> {
    let mut options = HashMap::new();
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--") {
            Some(name) => {
                let value = arguments.next().ok_or_else(|| format!("--{name} needs a value"))?;
                options.insert(name.to_owned(), value);
            }
            None => files.push(argument),
        }
    }
    let [detections, seqinfo, out] = &files[..] else {
        return Err(
            "usage: mot DETECTIONS SEQINFO OUT [--lines L] [--score S] [--fps F] [--config FILE]".into()
        );
    };
    run(Path::new(detections), Path::new(seqinfo), Path::new(out), &options)
}

fn run(
    detections: &Path,
    seqinfo: &Path,
    out: &Path,
    options: &HashMap<String, String>,
) -> Result<(), Failure> {
    let mut sequence = Sequence::read(seqinfo)?;
    if let Some(rate) = options.get("fps") {
        sequence.frames_per_second = rate.parse()?;
    }
    let score = options.get("score").map_or(Ok(0.5), |s| s.parse())?;
    let config = configuration(options)?;
    let frames = mot::detections(&mot::read_rows(detections, &sequence)?, &sequence);
    let thresholds = config.thresholds(score);

    let mut state = StreamState::default();
    let mut counts: HashMap<String, [u64; 2]> = HashMap::new();
    let mut rows = String::new();
    let mut seconds = 0.0;
    for (n, found) in frames.iter().enumerate() {
        let observation = Observation {
            timestamp: sequence.timestamp(n),
            detections: found,
            kind: ObservationKind::Detected,
        };
        let start = Instant::now();
        let outcome = state.step(PipelineType::Analytics, &config, thresholds, &observation)?;
        seconds += start.elapsed().as_secs_f64();
        for crossing in outcome.crossings {
            counts.entry(crossing.line).or_default()[usize::from(crossing.direction == Direction::Out)] += 1;
        }
        for track in outcome.tracks.iter().filter(|t| t.is_seen) {
            let (b, w, h) = (track.bbox, sequence.width, sequence.height);
            writeln!(
                rows,
                "{},{},{:.2},{:.2},{:.2},{:.2},{:.4}",
                n + 1,
                track.id,
                b.x * w,
                b.y * h,
                b.w * w,
                b.h * h,
                track.confidence
            )?;
        }
    }
    let lines: serde_json::Map<String, Value> = config
        .lines
        .iter()
        .map(|line| {
            let [into, out] = counts.get(&line.name).copied().unwrap_or_default();
            (line.name.clone(), json!({ "in": into, "out": out }))
        })
        .collect();
    let fps = frames.len() as f64 / seconds;
    let report = json!({ "frames": frames.len(), "seconds": seconds, "fps": fps, "lines": lines });
    fs::create_dir_all(out)?;
    fs::write(out.join("tracks.csv"), rows)?;
    fs::write(out.join("report.json"), serde_json::to_string_pretty(&report)?)?;
    println!("{report}");
    Ok(())
}

/// The configuration file, where one is given, with the lines of `--lines` added.
fn configuration(options: &HashMap<String, String>) -> Result<PipelineConfig, Failure> {
    let mut value = match options.get("config") {
        Some(file) => serde_json::from_str(&fs::read_to_string(file)?)?,
        None => json!({}),
    };
    let mut lines = Vec::new();
    for spec in options.get("lines").map_or("", String::as_str).split(';').filter(|s| !s.trim().is_empty()) {
        let (name, ends) =
            spec.split_once(':').ok_or_else(|| format!("line {spec:?} is not name:x1,y1,x2,y2"))?;
        let ends: Vec<f64> = ends.split(',').map(|v| v.trim().parse()).collect::<Result<_, _>>()?;
        let [x1, y1, x2, y2] = ends[..] else {
            return Err(format!("line {spec:?} needs four coordinates").into());
        };
        lines.push(json!({ "name": name.trim(), "from": [x1, y1], "to": [x2, y2] }));
    }
    if !lines.is_empty() {
        value["lines"] = Value::Array(lines);
    }
    Ok(PipelineConfig::from_json(&value)?)
}
