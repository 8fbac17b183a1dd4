//! A kept frame with what was found in it.

use std::collections::HashMap;

use camcount_vision::decode::encode_jpeg;
use camcount_vision::draw::{DrawnLine, DrawnTrack, DrawnZone, Scene, annotate};
use camcount_vision::geometry::{BBox, Point};
use camcount_vision::pipeline::PipelineConfig;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{JsonB, Spi};
use serde::Deserialize;

use crate::arguments::name;
use crate::database;
use crate::error::{Error, Result};

/// JPEG quality: text stays crisp.
const QUALITY: u8 = 90;

/// A processed frame as a JPEG, with boxes, track ids, trails, lines with their counts so far, and zones with their
/// occupancy. `p_pipeline_id` chooses among several pipelines; without it the first that has results is drawn.
#[pg_extern]
fn annotate_frame(
    p_ingestion_id: Option<&str>,
    p_pipeline_id: default!(Option<&str>, "NULL"),
) -> Result<Vec<u8>, ErrorReport> {
    let ingestion_id = name(p_ingestion_id, "p_ingestion_id")?;
    let frame = read_frame(ingestion_id)?;
    let scene = scene(ingestion_id, p_pipeline_id, &frame)?;
    let picture = annotate(&super::decode(&frame.image)?, &scene);
    Ok(encode_jpeg(&picture, QUALITY).map_err(|error| Error::Runtime(error.to_string()))?)
}

struct KeptFrame {
    camera_id: String,
    stream_id: String,
    taken_at: TimestampWithTimeZone,
    caption: String,
    image: Vec<u8>,
}

/// What the step `track` wrote.
#[derive(Deserialize)]
struct Tracked {
    tracks: Vec<TrackedObject>,
    #[serde(default)]
    occupancy: HashMap<String, i64>,
}

#[derive(Deserialize)]
struct TrackedObject {
    track_id: i64,
    class: String,
    confidence: f64,
    bbox: BBox,
    seen: bool,
}

fn read_frame(ingestion_id: &str) -> Result<KeptFrame> {
    const READ: &str = "SELECT camera_id, stream_id, frame_timestamp, image,
            format('%s  %s  frame %s', camera_id,
                   to_char(frame_timestamp AT TIME ZONE coalesce(time_zone, 'UTC'), 'YYYY-MM-DD HH24:MI:SS'),
                   frame_number)
        FROM camcount.frames LEFT JOIN camcount.cameras USING (camera_id) WHERE ingestion_id = $1";
    let missing = || Error::Missing { kind: "picture of frame", name: ingestion_id.to_owned() };
    Spi::connect_mut(|client| {
        let table = database::execute(client, READ, &[ingestion_id.into()])?;
        if table.is_empty() {
            return Err(missing());
        }
        let row = table.first();
        Ok(KeptFrame {
            camera_id: row.get(1)?.ok_or_else(missing)?,
            stream_id: row.get(2)?.ok_or_else(missing)?,
            taken_at: row.get(3)?.ok_or_else(missing)?,
            image: row.get(4)?.ok_or_else(missing)?,
            caption: row.get(5)?.unwrap_or_default(),
        })
    })
}

fn scene(ingestion_id: &str, pipeline_id: Option<&str>, frame: &KeptFrame) -> Result<Scene> {
    const RESULT: &str = "SELECT r.pipeline_id, r.result_data, p.pipeline_config
        FROM camcount.processing_results r JOIN camcount.stream_processing_pipeline p USING (pipeline_id)
        WHERE r.ingestion_id = $1 AND ($2 IS NULL OR r.pipeline_id = $2) AND r.step_name = 'track'
        ORDER BY r.pipeline_id LIMIT 1";
    let found = Spi::connect_mut(|client| {
        let table = database::execute(client, RESULT, &[ingestion_id.into(), pipeline_id.into()])?;
        if table.is_empty() {
            return Ok(None);
        }
        let row = table.first();
        let parts = (row.get::<String>(1)?, row.get::<JsonB>(2)?, row.get::<JsonB>(3)?);
        Ok::<_, Error>(match parts {
            (Some(pipeline), Some(result), Some(config)) => Some((pipeline, result.0, config.0)),
            _ => None,
        })
    })?;
    let caption = frame.caption.clone();
    let Some((pipeline_id, result, config)) = found else {
        return Ok(Scene { caption, ..Scene::default() });
    };
    let result = Tracked::deserialize(&result).map_err(|error| Error::Runtime(error.to_string()))?;
    let config = PipelineConfig::from_json(&config)?;
    let mut trails = trails(&pipeline_id, frame)?;
    let counts = crossings_until(&pipeline_id, frame)?;
    Ok(Scene {
        zones: zones(&config, &result),
        tracks: result.tracks.into_iter().map(|track| drawn_track(track, &mut trails)).collect(),
        lines: lines(&config, &counts),
        caption,
    })
}

fn drawn_track(track: TrackedObject, trails: &mut HashMap<i64, Vec<Point>>) -> DrawnTrack {
    DrawnTrack {
        trail: trails.remove(&track.track_id).unwrap_or_default(),
        track_id: track.track_id,
        class: track.class,
        confidence: track.confidence,
        bbox: track.bbox,
        occluded: !track.seen,
    }
}

/// Where each track's foot was in the last three seconds, oldest first.
fn trails(pipeline_id: &str, frame: &KeptFrame) -> Result<HashMap<i64, Vec<Point>>> {
    const TRAILS: &str = "SELECT result_data FROM camcount.processing_results
        WHERE camera_id = $1 AND stream_id = $2 AND pipeline_id = $3 AND step_name = 'track'
          AND frame_timestamp > $4 - interval '3 seconds' AND frame_timestamp <= $4
        ORDER BY frame_timestamp, frame_number";
    let arguments = place(pipeline_id, frame);
    Spi::connect_mut(|client| {
        let mut trails: HashMap<i64, Vec<Point>> = HashMap::new();
        for row in database::execute(client, TRAILS, &arguments)? {
            let Some(JsonB(result)) = row.get::<JsonB>(1)? else { continue };
            let Ok(result) = Tracked::deserialize(&result) else { continue };
            for track in result.tracks {
                trails.entry(track.track_id).or_default().push(track.bbox.bottom_center());
            }
        }
        Ok(trails)
    })
}

/// Crossings of each line and direction up to the frame.
fn crossings_until(pipeline_id: &str, frame: &KeptFrame) -> Result<HashMap<(String, String), i64>> {
    const COUNTS: &str = "SELECT line_name, direction, count(*) FROM camcount.line_crossings
        WHERE camera_id = $1 AND stream_id = $2 AND pipeline_id = $3 AND crossed_at <= $4
        GROUP BY line_name, direction";
    let arguments = place(pipeline_id, frame);
    Spi::connect_mut(|client| {
        let mut counts = HashMap::new();
        for row in database::execute(client, COUNTS, &arguments)? {
            if let (Some(line), Some(direction), Some(count)) = (row.get(1)?, row.get(2)?, row.get(3)?) {
                counts.insert((line, direction), count);
            }
        }
        Ok(counts)
    })
}

fn place<'a>(pipeline_id: &'a str, frame: &'a KeptFrame) -> [pgrx::datum::DatumWithOid<'a>; 4] {
    [
        frame.camera_id.as_str().into(),
        frame.stream_id.as_str().into(),
        pipeline_id.into(),
        frame.taken_at.into(),
    ]
}

fn lines(config: &PipelineConfig, counts: &HashMap<(String, String), i64>) -> Vec<DrawnLine> {
    let count =
        |line: &str, direction: &str| *counts.get(&(line.to_owned(), direction.to_owned())).unwrap_or(&0);
    let drawn = config.lines.iter().map(|line| DrawnLine {
        count_in: count(&line.name, "in"),
        count_out: count(&line.name, "out"),
        name: line.name.clone(),
        from: line.from,
        to: line.to,
        in_label: line.in_label.clone(),
        out_label: line.out_label.clone(),
    });
    drawn.collect()
}

fn zones(config: &PipelineConfig, result: &Tracked) -> Vec<DrawnZone> {
    let drawn = config.zones.iter().map(|zone| {
        let occupancy = *result.occupancy.get(&zone.name).unwrap_or(&0);
        let limit = zone.overcrowding.as_ref().map(|limit| i64::from(limit.occupancy));
        DrawnZone {
            name: zone.name.clone(),
            polygon: zone.polygon.clone(),
            occupancy,
            overcrowded: limit.is_some_and(|limit| occupancy >= limit),
        }
    });
    drawn.collect()
}
