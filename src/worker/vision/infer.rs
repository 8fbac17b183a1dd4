//! Pictures to detections, outside any transaction. Decoding and resizing run one step ahead of the model, on a thread
//! of their own that never touches Postgres.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use camcount_vision::decode::{self, Limits};
use camcount_vision::detection::Detection;
use camcount_vision::model::{Detector, Input, Preprocessor};

use crate::error::{Error, Result};
use crate::worker::process;

/// Pixels that a frame has at least, across and down: in less nobody can be made out.
const SMALLEST_SIDE: u32 = 8;

/// What one model found in one picture.
pub struct Seen {
    pub width: u32,
    pub height: u32,
    /// Best first.
    pub detections: Vec<Detection>,
    /// This picture's share of the model's run and its preparation.
    pub elapsed: Duration,
}

/// A picture made ready for the model.
struct Prepared {
    place: usize,
    outcome: Result<(u32, u32, Input)>,
}

/// Runs a model over pictures, `batch_size` at a time. `go_on` is asked before each run; where it says no, what is
/// left has no outcome. A picture that cannot be decoded has its error; a model that fails ends it all.
pub fn run(
    detector: &mut Detector,
    pictures: &[&[u8]],
    batch_size: usize,
    limits: Limits,
    mut go_on: impl FnMut() -> bool,
) -> Result<Vec<Option<Result<Seen>>>> {
    let batch_size = batch_size.min(detector.max_batch()).max(1);
    let preprocessor = detector.preprocessor();
    let mut outcomes: Vec<Option<Result<Seen>>> = pictures.iter().map(|_| None).collect();
    thread::scope(|scope| {
        let (ready, prepared) = sync_channel(batch_size);
        process::without_signals(|| {
            scope.spawn(move || {
                for (place, picture) in pictures.iter().enumerate() {
                    let outcome = prepare(&preprocessor, picture, limits);
                    if ready.send(Prepared { place, outcome }).is_err() {
                        break;
                    }
                }
            })
        });
        while go_on() {
            let batch = next_batch(&prepared, batch_size);
            if batch.is_empty() {
                break;
            }
            for (place, outcome) in run_batch(detector, batch)? {
                outcomes[place] = Some(outcome);
            }
        }
        Ok(outcomes)
    })
}

fn prepare(preprocessor: &Preprocessor, picture: &[u8], limits: Limits) -> Result<(u32, u32, Input)> {
    let picture =
        decode::decode(picture, &limits).map_err(|source| Error::Image { parameter: "image", source })?;
    if picture.width.min(picture.height) < SMALLEST_SIDE {
        let size = format!("{}x{}", picture.width, picture.height);
        return Err(Error::invalid(
            "image",
            format!("has {size} pixels; at least {SMALLEST_SIDE} are needed each way"),
        ));
    }
    let input =
        preprocessor.prepare(&picture).map_err(|source| Error::Model { name: "input".into(), source })?;
    Ok((picture.width, picture.height, input))
}

fn next_batch(prepared: &Receiver<Prepared>, batch_size: usize) -> Vec<Prepared> {
    prepared.iter().take(batch_size).collect()
}

fn run_batch(detector: &mut Detector, batch: Vec<Prepared>) -> Result<Vec<(usize, Result<Seen>)>> {
    let started = Instant::now();
    let mut outcomes = Vec::with_capacity(batch.len());
    let mut inputs = Vec::new();
    let mut places = Vec::new();
    for Prepared { place, outcome } in batch {
        match outcome {
            Ok((width, height, input)) => {
                inputs.push(input);
                places.push((place, width, height));
            }
            Err(error) => outcomes.push((place, Err(error))),
        }
    }
    if inputs.is_empty() {
        return Ok(outcomes);
    }
    let found = detector.infer(&inputs).map_err(|source| Error::Model { name: "run".into(), source })?;
    let elapsed = started.elapsed() / inputs.len() as u32;
    for ((place, width, height), detections) in places.into_iter().zip(found) {
        outcomes.push((place, Ok(Seen { width, height, detections, elapsed })));
    }
    Ok(outcomes)
}
