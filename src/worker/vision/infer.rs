//! Pictures to detections, outside any transaction.

use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use camcount_vision::decode::Limits;
use camcount_vision::detection::Detection;
use camcount_vision::model::{Detector, PrepareError, Prepared, prepare_together};

use crate::error::{Error, Result};
use crate::worker::process;

/// Pictures prepared at once where a batch has fewer; bounds the memory that decoded pictures take.
const MOST_TOGETHER: usize = 4;

/// What one model found in one picture.
pub struct Seen {
    pub width: u32,
    pub height: u32,
    /// Best first.
    pub detections: Vec<Detection>,
    /// This picture's share of its preparation and the model's run.
    pub elapsed: Duration,
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
    let cores = available_parallelism().map_or(1, usize::from);
    let preprocessor = detector.preprocessor();
    let mut outcomes = Vec::with_capacity(pictures.len());
    for group in pictures.chunks(batch_size.max(cores.min(MOST_TOGETHER))) {
        let started = Instant::now();
        let prepared = process::without_signals(|| prepare_together(&preprocessor, group, limits));
        let share = started.elapsed() / group.len() as u32;
        let mut prepared = prepared.into_iter().peekable();
        while prepared.peek().is_some() {
            if !go_on() {
                outcomes.resize_with(pictures.len(), || None);
                return Ok(outcomes);
            }
            let batch = prepared.by_ref().take(batch_size).collect();
            outcomes.extend(run_batch(detector, batch, share)?.into_iter().map(Some));
        }
    }
    Ok(outcomes)
}

/// One run of the model over those pictures of the batch that could be prepared.
fn run_batch(
    detector: &mut Detector,
    batch: Vec<Result<Prepared, PrepareError>>,
    share: Duration,
) -> Result<Vec<Result<Seen>>> {
    let started = Instant::now();
    let mut inputs = Vec::with_capacity(batch.len());
    let mut sizes = Vec::with_capacity(batch.len());
    for prepared in batch {
        sizes.push(prepared.map_err(refusal).map(|Prepared { width, height, input }| {
            inputs.push(input);
            (width, height)
        }));
    }
    if inputs.is_empty() {
        return Ok(sizes.into_iter().filter_map(|size| size.err().map(Err)).collect());
    }
    let found = detector.infer(&inputs).map_err(|source| Error::Model { name: "run".into(), source })?;
    let elapsed = share + started.elapsed() / inputs.len() as u32;
    let mut found = found.into_iter();
    let seen = sizes.into_iter().map(|size| {
        let (width, height) = size?;
        Ok(Seen { width, height, detections: found.next().unwrap_or_default(), elapsed })
    });
    Ok(seen.collect())
}

fn refusal(error: PrepareError) -> Error {
    match error {
        PrepareError::Decode(source) => Error::Image { parameter: "image", source },
        PrepareError::TooSmall { .. } => Error::invalid("image", format!("is too small: {error}")),
        PrepareError::Resize(source) => Error::Model { name: "input".into(), source },
    }
}
