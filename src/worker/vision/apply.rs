//! One transaction for each claim: frames in order through tracker and counters, everything written, items
//! acknowledged, the stream set free. All or nothing.

use std::rc::Rc;
use std::time::{Duration, Instant};

use camcount_vision::detection::Detection;
use camcount_vision::geometry::Timestamp;
use camcount_vision::model::Seen;
use camcount_vision::pipeline::steps::{self, FrameData};
use camcount_vision::pipeline::{EDGE_SCORE_THRESHOLD, PipelineType};
use camcount_vision::quality::{ImageQuality, Stillness};
use camcount_vision::stream::{Observation, ObservationKind, StreamState};
use camcount_vision::track::ScoreThresholds;
use pgrx::prelude::*;

use super::claim::{Claim, Content, Item};
use super::figures::Figures;
use super::output::Output;
use super::pipelines::Pipeline;
use super::publish;
use crate::arguments::from_timestamp;
use crate::database;
use crate::error::{Error, Result};
use crate::realtime::counters;

/// What the models found in an item's picture, by model name. Empty for items without a picture.
pub type Found = Vec<(String, f64, Result<Seen>)>;

/// What became of an item.
pub enum Verdict {
    Completed,
    Skipped(String),
    Failed { code: String, message: String },
}

impl From<&Error> for Verdict {
    fn from(error: &Error) -> Self {
        Self::Failed { code: error.sqlstate(), message: error.to_string() }
    }
}

/// One frame as a pipeline gets it.
pub struct Frame<'a> {
    pub width: u32,
    pub height: u32,
    pub detections: &'a [Detection],
    pub kind: ObservationKind,
    /// Time that finding the detections took.
    pub elapsed: Duration,
    pub thresholds: ScoreThresholds,
}

/// Applies a claim; `found` runs parallel to its items. Returns what is to be added to the pipelines' figures.
pub fn apply(worker_id: i64, claim: &Claim, pipelines: &[Rc<Pipeline>], found: &[Found]) -> Result<Figures> {
    lock_stream(worker_id, claim)?;
    let mut output = Output::new(claim);
    let mut states =
        pipelines.iter().map(|pipeline| load_state(claim, pipeline)).collect::<Result<Vec<_>>>()?;
    for (item, found) in claim.items.iter().zip(found) {
        let verdict = process(claim, item, found, pipelines, &mut states, &mut output)?;
        output.acknowledge(item, &verdict);
    }
    let figures = output.write()?;
    for (pipeline, state) in pipelines.iter().zip(&states) {
        save_state(claim, pipeline, state)?;
    }
    release_stream(claim, found)?;
    Ok(figures)
}

fn process(
    claim: &Claim,
    item: &Item,
    found: &Found,
    pipelines: &[Rc<Pipeline>],
    states: &mut [StreamState],
    output: &mut Output<'_>,
) -> Result<Verdict> {
    if item.is_late(claim.last_frame) {
        return Ok(Verdict::Skipped("later frames of this stream were processed already".into()));
    }
    match &item.content {
        Content::Unusable(error) => return Ok(error.into()),
        Content::Counts(counts) => {
            for count in counts {
                let current = counters::increment(&claim.camera_id, &count.counter, count.value)?.count;
                publish::counter(claim, &count.counter, current)?;
            }
        }
        Content::Detections { frame, tracked } => {
            let kind = if *tracked { ObservationKind::Tracked } else { ObservationKind::Detected };
            for (pipeline, state) in pipelines.iter().zip(states) {
                let frame = Frame {
                    width: frame.width,
                    height: frame.height,
                    detections: &frame.detections,
                    kind,
                    elapsed: Duration::ZERO,
                    thresholds: pipeline.config.thresholds(EDGE_SCORE_THRESHOLD),
                };
                if let Err(failure) = step(pipeline, state, item, &frame, output) {
                    return Ok(failure);
                }
            }
        }
        Content::Picture(_) => {
            for (pipeline, state) in pipelines.iter().zip(states) {
                let frame = match picture_frame(pipeline, found) {
                    Ok(frame) => frame,
                    Err(failure) => return Ok(failure),
                };
                if let Err(failure) = step(pipeline, state, item, &frame, output) {
                    return Ok(failure);
                }
            }
        }
    }
    Ok(Verdict::Completed)
}

fn picture_frame<'a>(pipeline: &Pipeline, found: &'a Found) -> Result<Frame<'a>, Verdict> {
    let (_, threshold, seen) =
        found.iter().find(|(model, ..)| *model == pipeline.config.model).ok_or_else(|| {
            Verdict::from(&Error::Missing { kind: "model", name: pipeline.config.model.clone() })
        })?;
    let seen = seen.as_ref().map_err(Verdict::from)?;
    Ok(Frame {
        width: seen.width,
        height: seen.height,
        detections: &seen.detections,
        kind: ObservationKind::Detected,
        elapsed: seen.elapsed,
        thresholds: pipeline.config.thresholds(*threshold),
    })
}

fn step(
    pipeline: &Pipeline,
    state: &mut StreamState,
    item: &Item,
    frame: &Frame<'_>,
    output: &mut Output<'_>,
) -> Result<(), Verdict> {
    let started = Instant::now();
    let wanted = frame
        .detections
        .iter()
        .filter(|detection| pipeline.config.wants_class(&detection.class))
        .filter(|detection| detection.confidence >= frame.thresholds.low)
        .cloned()
        .collect();
    let detections = run_steps(pipeline, item, wanted, output)?;
    let observation =
        Observation { timestamp: item.frame_timestamp, detections: &detections, kind: frame.kind };
    let outcome = state
        .step(pipeline.stage, &pipeline.config, frame.thresholds, &observation)
        .map_err(|error| Verdict::from(&Error::invalid("frame", format!("cannot be used: {error}"))))?;
    output.frame(pipeline, item, frame, &detections, &outcome, started.elapsed());
    Ok(())
}

/// Takes the detections through the pipeline's own steps. The frame fails where a required one does.
fn run_steps(
    pipeline: &Pipeline,
    item: &Item,
    detections: Vec<Detection>,
    output: &mut Output<'_>,
) -> Result<Vec<Detection>, Verdict> {
    if pipeline.steps.is_empty() {
        return Ok(detections);
    }
    let data_type = item.data_type;
    let mut data =
        FrameData { data_type, frame_number: item.frame_number, detections, metrics: Default::default() };
    for outcome in steps::run(&pipeline.steps, &mut data) {
        output.step(pipeline, item, &outcome);
        if outcome.fails_frame {
            let reason = outcome.error.as_deref().unwrap_or("it failed");
            let error = Error::invalid("frame", format!("failed at step {:?}: {reason}", outcome.name));
            return Err(Verdict::from(&error));
        }
    }
    Ok(data.detections)
}

/// Makes sure that the lease still holds, and keeps others out until this transaction ends.
fn lock_stream(worker_id: i64, claim: &Claim) -> Result<()> {
    const LOCK: &str = "SELECT true FROM camcount.stream_state
        WHERE camera_id = $1 AND stream_id = $2 AND claimed_by = $3 FOR UPDATE";
    let arguments = [claim.camera_id.as_str().into(), claim.stream_id.as_str().into(), worker_id.into()];
    match database::value::<bool>(LOCK, &arguments)? {
        Some(true) => Ok(()),
        _ => Err(Error::LeaseLost { camera: claim.camera_id.clone(), stream: claim.stream_id.clone() }),
    }
}

fn release_stream(claim: &Claim, found: &[Found]) -> Result<()> {
    const RELEASE: &str = include_str!("release_stream.sql");
    let latest = claim
        .items
        .iter()
        .map(|item| (item.frame_timestamp, item.frame_number))
        .chain(claim.last_frame)
        .max();
    let time = latest.map(|(time, _)| from_timestamp(time)).transpose()?;
    let picture = last_picture(claim, found);
    let quality = picture.map(|(quality, ..)| quality);
    let since = picture.map(|(_, stillness, _)| from_timestamp(stillness.since)).transpose()?;
    database::run(
        RELEASE,
        &[
            claim.camera_id.as_str().into(),
            claim.stream_id.as_str().into(),
            time.into(),
            latest.map(|(_, number)| number).into(),
            (claim.items.len() as i64).into(),
            quality.map(|quality| quality.score()).into(),
            quality.map(|quality| quality.sharpness).into(),
            quality.map(|quality| quality.brightness).into(),
            quality.map(|quality| i64::from(quality.fingerprint)).into(),
            since.into(),
            picture.map(|(_, stillness, taken_at)| stillness.is_frozen(taken_at)).into(),
        ],
    )?;
    Ok(())
}

/// The last picture that was looked at: how good it is, since when the stream shows it, and when it was taken.
fn last_picture(claim: &Claim, found: &[Found]) -> Option<(ImageQuality, Stillness, Timestamp)> {
    let mut last = None;
    let mut stillness = claim.stillness;
    for (item, found) in claim.items.iter().zip(found) {
        let quality = found.iter().find_map(|(_, _, seen)| seen.as_ref().ok()?.quality);
        if let Some(quality) = quality {
            let still = Stillness::next(stillness, quality.fingerprint, item.frame_timestamp);
            stillness = Some(still);
            last = Some((quality, still, item.frame_timestamp));
        }
    }
    last
}

fn load_state(claim: &Claim, pipeline: &Pipeline) -> Result<StreamState> {
    const LOAD: &str = "SELECT state FROM camcount.tracker_state
        WHERE camera_id = $1 AND stream_id = $2 AND pipeline_id = $3";
    let Some(bytes) = database::value::<Vec<u8>>(LOAD, &place(claim, pipeline))? else {
        return Ok(StreamState::default());
    };
    StreamState::from_bytes(&bytes).or_else(|error| {
        warning!("camcount: tracking of {} {} starts afresh: {error}", claim.camera_id, claim.stream_id);
        Ok(StreamState::starting_after(last_track_id(claim, pipeline)?))
    })
}

/// Identities must not come again when a state is lost.
fn last_track_id(claim: &Claim, pipeline: &Pipeline) -> Result<i64> {
    const LAST: &str = "SELECT max(track_id) FROM camcount.tracks
        WHERE camera_id = $1 AND stream_id = $2 AND pipeline_id = $3";
    Ok(database::value::<i64>(LAST, &place(claim, pipeline))?.unwrap_or(0))
}

fn save_state(claim: &Claim, pipeline: &Pipeline, state: &StreamState) -> Result<()> {
    const SAVE: &str = "INSERT INTO camcount.tracker_state (camera_id, stream_id, pipeline_id, state)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (camera_id, stream_id, pipeline_id)
        DO UPDATE SET state = excluded.state, updated_at = clock_timestamp()";
    if pipeline.stage >= PipelineType::Tracking {
        let [camera, stream, pipeline] = place(claim, pipeline);
        database::run(SAVE, &[camera, stream, pipeline, state.to_bytes()?.into()])?;
    }
    Ok(())
}

fn place<'a>(claim: &'a Claim, pipeline: &'a Pipeline) -> [pgrx::datum::DatumWithOid<'a>; 3] {
    [claim.camera_id.as_str().into(), claim.stream_id.as_str().into(), pipeline.pipeline_id.as_str().into()]
}
