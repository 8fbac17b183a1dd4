//! What a claim's frames brought about, gathered in memory and written with one statement for each table.

use std::collections::BTreeMap;
use std::time::Duration;

use camcount_vision::count::density::DensityCell;
use camcount_vision::count::line::Crossing;
use camcount_vision::count::zone::{Occupancy, OvercrowdingEvent, ZoneChange, ZoneEvent};
use camcount_vision::detection::Detection;
use camcount_vision::geometry::{BBox, Point, Timestamp};
use camcount_vision::pipeline::steps::{OutputTarget, OutputValue, StepOutcome, StepStatus};
use camcount_vision::pipeline::{EventKind, PipelineType};
use camcount_vision::stream::{EndedTrack, FrameOutcome, TrackView};
use chrono::{DateTime, SecondsFormat};
use pgrx::Spi;
use serde_json::{Value, json};

use super::apply::{Frame, Verdict};
use super::claim::{Claim, Item};
use super::figures::Figures;
use super::pipelines::Pipeline;
use super::publish;
use crate::arguments::{NAME_LENGTH, to_timestamp};
use crate::database;
use crate::error::{Error, Result};
use crate::events::{self, Event};
use crate::jsonb::Jsonb;
use crate::queue::admission;
use crate::queue::effects::End;
use crate::queue::shared;
use crate::realtime::counters;

const MINUTE: i64 = 60_000_000;

/// Rows of one table, keyed so that a later frame replaces what an earlier one said.
type Latest<K> = BTreeMap<K, Value>;

/// A density cell's minute.
#[derive(Default)]
struct Cell {
    person_seconds: f64,
    heat: f64,
}

/// Everything that is to be written for one claim.
pub struct Output<'a> {
    claim: &'a Claim,
    previous: Option<Timestamp>,
    results: Vec<Value>,
    tracks: Latest<(String, i64)>,
    ended: Vec<Value>,
    crossings: Vec<Value>,
    entered: Vec<Value>,
    left: Vec<Value>,
    zones: Latest<(String, String)>,
    density: BTreeMap<(String, i64, [u32; 4]), Cell>,
    metrics: Vec<Value>,
    counters: BTreeMap<String, i32>,
    events: Vec<(String, Value)>,
    acknowledged: Vec<Value>,
    figures: Figures,
}

impl<'a> Output<'a> {
    pub fn new(claim: &'a Claim) -> Self {
        Self {
            claim,
            previous: claim.last_frame.map(|(time, _)| time),
            results: Vec::new(),
            tracks: Latest::new(),
            ended: Vec::new(),
            crossings: Vec::new(),
            entered: Vec::new(),
            left: Vec::new(),
            zones: Latest::new(),
            density: BTreeMap::new(),
            metrics: Vec::new(),
            counters: BTreeMap::new(),
            events: Vec::new(),
            acknowledged: Vec::new(),
            figures: Figures::default(),
        }
    }

    /// Takes in what one pipeline made of one frame.
    pub fn frame(
        &mut self,
        pipeline: &Pipeline,
        item: &Item,
        frame: &Frame<'_>,
        detections: &[Detection],
        outcome: &FrameOutcome,
        elapsed: Duration,
    ) {
        let shown: Vec<_> =
            detections.iter().filter(|detection| detection.confidence >= frame.thresholds.high).collect();
        let detected = json!({"width": frame.width, "height": frame.height, "detections": shown});
        self.results.push(result_row(pipeline, item, "detect", detected, frame.elapsed));
        if pipeline.stage >= PipelineType::Tracking {
            self.results.push(result_row(pipeline, item, "track", tracked(frame, outcome), elapsed));
        }
        for track in &outcome.tracks {
            self.tracks.insert((pipeline.pipeline_id.clone(), track.id), track_row(pipeline, track));
        }
        for track in &outcome.ended {
            self.end_track(pipeline, track);
        }
        for crossing in &outcome.crossings {
            self.crossing(pipeline, item, crossing);
        }
        for event in &outcome.zone_events {
            self.zone_event(pipeline, event);
        }
        for event in &outcome.overcrowding {
            self.overcrowding(pipeline, event);
        }
        for cell in &outcome.density {
            self.cell(pipeline, item.frame_timestamp, cell);
        }
        for zone in &outcome.occupancy {
            self.zone(pipeline, item.frame_timestamp, zone);
        }
        self.series(pipeline, item, &shown, outcome);
        let last_step = if pipeline.stage >= PipelineType::Tracking { "track" } else { "detect" };
        self.figures.frame(&pipeline.pipeline_id, frame.elapsed + elapsed, last_step);
    }

    /// Takes in what one of the pipeline's own steps did with a frame.
    pub fn step(&mut self, pipeline: &Pipeline, item: &Item, outcome: &StepOutcome) {
        let skipped = outcome.status == StepStatus::Skipped;
        let elapsed = Duration::from_micros(outcome.duration_us);
        if !skipped {
            let failed = outcome.status == StepStatus::Failed;
            self.figures.step(&pipeline.pipeline_id, &outcome.name, failed, outcome.duration_us);
        }
        if outcome.fails_frame {
            self.figures.failed_frame(&pipeline.pipeline_id);
        }
        let mut row = result_row(pipeline, item, &outcome.name, outcome.output.clone(), elapsed);
        row["status"] = outcome.status.name().into();
        row["error_message"] = json!(outcome.error);
        self.results.push(row);
        for value in &outcome.values {
            self.step_value(pipeline, item, value);
        }
    }

    fn step_value(&mut self, pipeline: &Pipeline, item: &Item, value: &OutputValue) {
        let tags = self.tags(pipeline, item);
        // A class name may have been added to what the user wrote.
        let name: String = value.name.chars().take(NAME_LENGTH).collect();
        match value.target {
            OutputTarget::Timeseries => {
                self.metrics.push(metric_row(&name, item.frame_timestamp, value.value, None, &tags));
            }
            // `as` saturates.
            OutputTarget::Counter => {
                let counter = self.counters.entry(name).or_default();
                *counter = counter.saturating_add(value.value.round() as i32);
            }
            OutputTarget::Event => {
                let data = json!({"value": value.value, "frame_number": item.frame_number, "tags": tags});
                self.events.push((name, data));
            }
        }
    }

    fn end_track(&mut self, pipeline: &Pipeline, track: &EndedTrack) {
        self.ended.push(json!({
            "pipeline_id": pipeline.pipeline_id,
            "track_id": track.id,
            "first_seen_at": text(track.first_seen),
        }));
    }

    fn crossing(&mut self, pipeline: &Pipeline, item: &Item, crossing: &Crossing) {
        let row = json!({
            "pipeline_id": pipeline.pipeline_id,
            "line_name": crossing.line,
            "track_id": crossing.track_id,
            "sequence": crossing.sequence,
            "direction": crossing.direction.name(),
            "label": crossing.label,
            "class": crossing.class,
            "x": crossing.point.x,
            "y": crossing.point.y,
            "crossed_at": text(crossing.crossed_at),
            "ingestion_id": item.ingestion_id,
        });
        if pipeline.config.outputs.counters {
            *self.counters.entry(format!("{}.{}", crossing.line, crossing.label)).or_default() += 1;
        }
        if pipeline.config.outputs.timeseries {
            // By the minute, their sum is the crossings a minute.
            let metric = format!("crossings.{}.{}", crossing.line, crossing.label);
            let tags = self.tags(pipeline, item);
            self.metrics.push(metric_row(&metric, crossing.crossed_at, 1, Some("crossings"), &tags));
        }
        self.event(pipeline, EventKind::LineCrossed, &row);
        self.crossings.push(row);
    }

    fn zone_event(&mut self, pipeline: &Pipeline, event: &ZoneEvent) {
        let mut row = json!({
            "pipeline_id": pipeline.pipeline_id,
            "zone_name": event.zone,
            "track_id": event.track_id,
            "sequence": event.sequence,
            "class": event.class,
            "entered_at": text(event.entered_at),
        });
        match event.change {
            ZoneChange::Entered => {
                self.event(pipeline, EventKind::ZoneEntered, &row);
                self.entered.push(row);
            }
            ZoneChange::Left { left_at, dwell_seconds } => {
                row["exited_at"] = text(left_at).into();
                row["dwell_seconds"] = dwell_seconds.into();
                self.event(pipeline, EventKind::ZoneLeft, &row);
                self.left.push(row);
            }
        }
    }

    fn overcrowding(&mut self, pipeline: &Pipeline, event: &OvercrowdingEvent) {
        let kind = if event.is_start { EventKind::OvercrowdingStarted } else { EventKind::OvercrowdingEnded };
        let data = json!({
            "pipeline_id": pipeline.pipeline_id,
            "zone_name": event.zone,
            "occupancy": event.occupancy,
            "since": text(event.since),
            "at": text(event.timestamp),
        });
        self.event(pipeline, kind, &data);
    }

    fn event(&mut self, pipeline: &Pipeline, kind: EventKind, data: &Value) {
        if pipeline.config.outputs.events.contains(&kind) {
            self.events.push((kind.name().to_owned(), data.clone()));
        }
    }

    fn cell(&mut self, pipeline: &Pipeline, time: Timestamp, cell: &DensityCell) {
        if let Some(grid) = &pipeline.config.density {
            let minute = time.0.div_euclid(MINUTE) * MINUTE;
            let key =
                (pipeline.pipeline_id.clone(), minute, [grid.columns, grid.rows, cell.column, cell.row]);
            let sum = self.density.entry(key).or_default();
            sum.person_seconds += cell.person_seconds;
            sum.heat = cell.heat;
        }
    }

    fn zone(&mut self, pipeline: &Pipeline, time: Timestamp, zone: &Occupancy) {
        let row = json!({
            "pipeline_id": pipeline.pipeline_id,
            "zone_name": zone.zone,
            "occupancy": zone.occupancy,
            "is_overcrowded": zone.is_overcrowded,
            "as_of": text(time),
        });
        self.zones.insert((pipeline.pipeline_id.clone(), zone.zone.clone()), row);
    }

    /// One value of each series for each interval of frame time: the first frame in it gives it.
    fn series(&mut self, pipeline: &Pipeline, item: &Item, shown: &[&Detection], outcome: &FrameOutcome) {
        let time = item.frame_timestamp;
        let interval = (pipeline.config.outputs.interval_seconds * 1e6) as i64;
        let interval_of = |time: Timestamp| time.0.div_euclid(interval.max(1));
        let begins = self.previous.is_none_or(|previous| interval_of(previous) != interval_of(time));
        if !pipeline.config.outputs.timeseries || !begins {
            return;
        }
        let tags = self.tags(pipeline, item);
        let mut record = |metric: &str, value: Value, unit: Option<&str>| {
            self.metrics.push(metric_row(metric, time, value, unit, &tags));
        };
        record("detections", shown.len().into(), Some("objects"));
        if !shown.is_empty() {
            let sum: f64 = shown.iter().map(|detection| detection.confidence).sum();
            record("confidence", (sum / shown.len() as f64).into(), None);
        }
        let waited = shared::now() - i64::from(item.queued_at);
        record("latency_ms", (waited.max(0) / 1000).into(), Some("ms"));
        for zone in &outcome.occupancy {
            record(&format!("occupancy.{}", zone.zone), zone.occupancy.into(), Some("objects"));
        }
    }

    /// What a series' values are tagged with: where they come from, and what the sender said of the frame.
    fn tags(&self, pipeline: &Pipeline, item: &Item) -> Value {
        let mut tags = json!({"pipeline_id": pipeline.pipeline_id, "stream_id": self.claim.stream_id});
        if let (Some(tags), Some(Value::Object(context))) = (tags.as_object_mut(), &item.context) {
            tags.extend(context.clone());
        }
        tags
    }

    /// Notes what became of an item; frames after it come later.
    pub fn acknowledge(&mut self, item: &Item, verdict: &Verdict) {
        let (status, code, message) = match verdict {
            Verdict::Completed => ("completed", None, None),
            Verdict::Skipped(reason) => ("skipped", None, Some(reason)),
            Verdict::Failed { code, message } => ("failed", Some(code), Some(message)),
        };
        self.previous = self.previous.max(Some(item.frame_timestamp));
        self.acknowledged.push(json!({
            "id": item.id,
            "queued_at": text(to_timestamp(item.queued_at)),
            "ingestion_id": item.ingestion_id,
            "frame_timestamp": text(item.frame_timestamp),
            "status": status,
            "error_code": code,
            "error_message": message,
        }));
    }

    /// Writes it all, in the caller's transaction, and returns the figures, which are rolled up later.
    pub fn write(self) -> Result<Figures> {
        let Self { claim, .. } = self;
        let density: Vec<Value> = self.density.iter().map(density_row).collect();
        for ((_, zone), row) in &self.zones {
            publish::occupancy(claim, zone, row)?;
        }
        let tables: [(&'static str, Vec<Value>); 9] = [
            (include_str!("write/results.sql"), self.results),
            (include_str!("write/tracks.sql"), self.tracks.into_values().collect()),
            (include_str!("write/ended_tracks.sql"), self.ended),
            (include_str!("write/crossings.sql"), self.crossings),
            (include_str!("write/zones_entered.sql"), self.entered),
            (include_str!("write/zones_left.sql"), self.left),
            (include_str!("write/zone_state.sql"), self.zones.into_values().collect()),
            (include_str!("write/density.sql"), density),
            (include_str!("write/metrics.sql"), self.metrics),
        ];
        for (statement, rows) in tables {
            write_rows(claim, statement, rows)?;
        }
        for (counter, value) in self.counters {
            let count = counters::increment(&claim.camera_id, &counter, value)?.count;
            publish::counter(claim, &counter, count)?;
        }
        for (event_type, data) in self.events {
            events::publish(&Event {
                aggregate_id: &claim.camera_id,
                aggregate_type: "camera",
                event_type: &event_type,
                data: Jsonb::of(&data),
                metadata: Jsonb::of(&json!({"stream_id": claim.stream_id})),
                source_system: Some("camcount"),
                user_id: None,
            })?;
        }
        acknowledge(claim, self.acknowledged)?;
        Ok(self.figures)
    }
}

/// Ends the items; the queues they came from have room again.
fn acknowledge(claim: &Claim, rows: Vec<Value>) -> Result<()> {
    const ACKNOWLEDGE: &str = include_str!("write/acknowledge.sql");
    let mut ended = BTreeMap::<(String, End), (i64, i64)>::new();
    Spi::connect_mut(|client| {
        let rows = Value::Array(rows).to_string();
        let arguments =
            [claim.camera_id.as_str().into(), claim.stream_id.as_str().into(), rows.as_str().into()];
        for row in database::execute(client, ACKNOWLEDGE, &arguments)? {
            let end = match row.get::<&str>(2)? {
                Some("failed") => End::Failed,
                Some("skipped") => End::Skipped,
                _ => End::Completed,
            };
            let (items, busy) = ended.entry((row.get(1)?.unwrap_or_default(), end)).or_default();
            *items += 1;
            *busy += row.get::<i64>(3)?.unwrap_or(0) * 1000;
        }
        Ok::<_, Error>(())
    })?;
    for ((queue_id, end), (items, busy)) in ended {
        admission::left(&queue_id, items, end, busy)?;
    }
    Ok(())
}

fn write_rows(claim: &Claim, statement: &'static str, rows: Vec<Value>) -> Result<()> {
    if !rows.is_empty() {
        let rows = Value::Array(rows).to_string();
        database::run(
            statement,
            &[claim.camera_id.as_str().into(), claim.stream_id.as_str().into(), rows.as_str().into()],
        )?;
    }
    Ok(())
}

fn result_row(pipeline: &Pipeline, item: &Item, step: &str, data: Value, elapsed: Duration) -> Value {
    json!({
        "pipeline_id": pipeline.pipeline_id,
        "ingestion_id": item.ingestion_id,
        "frame_timestamp": text(item.frame_timestamp),
        "frame_number": item.frame_number,
        "step_name": step,
        "result_data": data,
        "result_metadata": item.context,
        "processing_time_ms": elapsed.as_secs_f64() * 1e3,
        "status": "completed",
    })
}

fn metric_row(
    metric: &str,
    time: Timestamp,
    value: impl Into<Value>,
    unit: Option<&str>,
    tags: &Value,
) -> Value {
    let name: String = metric.chars().take(NAME_LENGTH).collect();
    json!({"metric_name": name, "metric_timestamp": text(time), "metric_value": value.into(), "metric_unit": unit,
           "metric_tags": tags})
}

fn tracked(frame: &Frame<'_>, outcome: &FrameOutcome) -> Value {
    let tracks: Vec<_> = outcome
        .tracks
        .iter()
        .map(|track| {
            json!({"track_id": track.id, "class": track.class, "confidence": track.confidence,
                   "bbox": track.bbox, "seen": track.is_seen})
        })
        .collect();
    let occupancy: serde_json::Map<_, _> =
        outcome.occupancy.iter().map(|zone| (zone.zone.clone(), zone.occupancy.into())).collect();
    json!({"width": frame.width, "height": frame.height, "tracks": tracks, "occupancy": occupancy})
}

fn track_row(pipeline: &Pipeline, track: &TrackView) -> Value {
    let BBox { x, y, w, h } = track.bbox;
    let trajectory: Vec<Point> = track.trajectory.points().collect();
    json!({
        "pipeline_id": pipeline.pipeline_id,
        "track_id": track.id,
        "class": track.class,
        "first_seen_at": text(track.first_seen),
        "last_seen_at": text(track.last_seen),
        "frame_count": track.frames,
        "confidence": track.confidence,
        "bbox": [x, y, w, h],
        "velocity": track.velocity,
        "predicted_position": track.predicted_foot,
        "occluded_frames": track.occluded_frames,
        "trajectory": trajectory,
    })
}

fn density_row(entry: (&(String, i64, [u32; 4]), &Cell)) -> Value {
    let ((pipeline, minute, [columns, rows, x, y]), cell) = entry;
    json!({"pipeline_id": pipeline, "bucket_start": text(Timestamp(*minute)), "grid_columns": columns,
           "grid_rows": rows, "cell_x": x, "cell_y": y, "person_seconds": cell.person_seconds, "heat": cell.heat})
}

/// A time as Postgres reads it back exactly.
fn text(time: Timestamp) -> String {
    DateTime::from_timestamp_micros(time.0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Micros, true)
}
