//! Several copies of a model side by side.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::preprocess::{PrepareError, Prepared};
use super::{Detector, ModelConfig, ModelError, Runtime, SessionOptions};
use crate::decode::Limits;
use crate::detection::Detection;
use crate::quality::ImageQuality;
use crate::signals::without_signals;

/// A model opened several times, so that several pictures are decoded, prepared and looked at at once.
///
/// Threads that share one run wait for each other after every operator of the model; runs side by side wait for
/// nothing. Where one picture is all there is, the first copy has every thread for it.
pub struct DetectorPool {
    first: Detector,
    others: Vec<Detector>,
}

/// What a model found in one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Width of the picture, in pixels.
    pub width: u32,
    /// Height of the picture, in pixels.
    pub height: u32,
    /// How good the picture is.
    pub quality: Option<ImageQuality>,
    /// Best first.
    pub detections: Vec<Detection>,
    /// This picture's share of the time that all the pictures of the call took.
    pub elapsed: Duration,
}

/// What became of a picture.
pub type Outcome = Result<Seen, PrepareError>;

impl DetectorPool {
    /// Opens a model as often as [`SessionOptions::parallel_runs`] says.
    ///
    /// # Errors
    /// As [`Detector::open`].
    pub fn open(
        runtime: &Runtime,
        onnx: &[u8],
        config: &ModelConfig,
        options: &SessionOptions,
    ) -> Result<Self, ModelError> {
        let first = Detector::open(runtime, onnx, config, options)?;
        let copies = options.copies(first.provider().serving);
        let beside = SessionOptions { intra_op_threads: (options.threads() / copies).max(1), ..*options };
        let others = (1..copies).map(|_| Detector::open(runtime, onnx, config, &beside));
        Ok(Self { others: others.collect::<Result<_, _>>()?, first })
    }

    /// One of the copies, for what they have in common.
    pub fn detector(&self) -> &Detector {
        &self.first
    }

    /// How many pictures are worked on at once, each copy taking `batch_size` of them.
    pub fn capacity(&self, batch_size: usize) -> usize {
        (self.others.len() + 1) * self.batch(batch_size)
    }

    fn batch(&self, batch_size: usize) -> usize {
        batch_size.clamp(1, self.first.max_batch())
    }

    /// Sets [`Detector::set_min_score`] of every copy.
    pub fn set_min_score(&mut self, min_score: f64) {
        self.others.iter_mut().chain([&mut self.first]).for_each(|copy| copy.set_min_score(min_score));
    }

    /// Looks at JPEG and PNG pictures, `batch_size` in one run of the model, and returns their outcomes in their
    /// order. `go_on` is asked on the calling thread before each of its runs; once it says no, no further run begins
    /// and what is left has no outcome.
    ///
    /// # Errors
    /// The model's failure; a picture's own is its outcome.
    pub fn detect(
        &mut self,
        pictures: &[&[u8]],
        batch_size: usize,
        limits: Limits,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<Vec<Option<Outcome>>, ModelError> {
        let started = Instant::now();
        let queue = &Queue::new(pictures, self.batch(batch_size));
        let useful = queue.batches().saturating_sub(1).min(self.others.len());
        let lanes = thread::scope(|scope| {
            let others: Vec<_> = without_signals(|| {
                let others = self.others[..useful].iter_mut();
                // Where the system has no thread to give, the others do its work.
                let spawn = |copy| {
                    let work = move || lane(copy, queue, limits, || true);
                    thread::Builder::new().spawn_scoped(scope, work).ok()
                };
                others.filter_map(spawn).collect()
            });
            let own = lane(&mut self.first, queue, limits, &mut go_on);
            let joined =
                others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            [own].into_iter().chain(joined).collect::<Vec<_>>()
        });
        let share = started.elapsed() / u32::try_from(pictures.len()).unwrap_or(u32::MAX).max(1);
        let mut outcomes: Vec<Option<Outcome>> = pictures.iter().map(|_| None).collect();
        for lane in lanes {
            for (place, outcome) in lane? {
                outcomes[place] = Some(outcome.map(|seen| Seen { elapsed: share, ..seen }));
            }
        }
        Ok(outcomes)
    }
}

/// Pictures that wait for a copy to be free.
struct Queue<'p> {
    pictures: &'p [&'p [u8]],
    batch_size: usize,
    next: AtomicUsize,
}

impl<'p> Queue<'p> {
    fn new(pictures: &'p [&'p [u8]], batch_size: usize) -> Self {
        Self { pictures, batch_size, next: AtomicUsize::new(0) }
    }

    fn batches(&self) -> usize {
        self.pictures.len().div_ceil(self.batch_size)
    }

    /// The next pictures, and the place of the first of them.
    fn take(&self) -> Option<(usize, &'p [&'p [u8]])> {
        let batch = self.next.fetch_add(1, Ordering::Relaxed);
        let place = batch.checked_mul(self.batch_size)?;
        self.pictures.chunks(self.batch_size).nth(batch).map(|pictures| (place, pictures))
    }

    /// Nothing is taken from now on.
    fn close(&self) {
        self.next.store(self.batches(), Ordering::Relaxed);
    }
}

/// Works with one copy for as long as there are pictures. Returns outcomes with their places.
fn lane(
    detector: &mut Detector,
    queue: &Queue<'_>,
    limits: Limits,
    mut go_on: impl FnMut() -> bool,
) -> Result<Vec<(usize, Outcome)>, ModelError> {
    let mut outcomes = Vec::new();
    while let Some((place, pictures)) = queue.take() {
        if !go_on() {
            queue.close();
            break;
        }
        let seen = run(detector, pictures, limits).inspect_err(|_| queue.close())?;
        outcomes.extend((place..).zip(seen));
    }
    Ok(outcomes)
}

/// One run of the model over those pictures that can be prepared.
fn run(detector: &mut Detector, pictures: &[&[u8]], limits: Limits) -> Result<Vec<Outcome>, ModelError> {
    let preprocessor = detector.preprocessor();
    let mut inputs = Vec::with_capacity(pictures.len());
    let mut outlines = Vec::with_capacity(pictures.len());
    for picture in pictures {
        let prepared = preprocessor.prepare_encoded(picture, &limits);
        outlines.push(prepared.map(|Prepared { width, height, quality, input }| {
            inputs.push(input);
            (width, height, quality)
        }));
    }
    let found = if inputs.is_empty() { Vec::new() } else { detector.infer(&inputs)? };
    let mut found = found.into_iter();
    let seen = |outline: Result<_, PrepareError>| {
        let (width, height, quality) = outline?;
        let detections = found.next().unwrap_or_default();
        Ok(Seen { width, height, quality, detections, elapsed: Duration::ZERO })
    };
    Ok(outlines.into_iter().map(seen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_gives_each_picture_once_and_nothing_once_closed() {
        let pictures: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];
        let queue = Queue::new(&pictures, 2);
        assert_eq!(queue.batches(), 3);
        assert_eq!(queue.take(), Some((0, &pictures[..2])));
        assert_eq!(queue.take(), Some((2, &pictures[2..4])));
        assert_eq!(queue.take(), Some((4, &pictures[4..])));
        assert_eq!(queue.take(), None);
        let queue = Queue::new(&pictures, 2);
        queue.close();
        assert_eq!(queue.take(), None);
    }
}
