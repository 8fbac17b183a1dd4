//! Brings every frame of a source into a sink, in order, each acknowledged once.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::pace::{Pacer, Rate, Step};
use crate::progress::{Progress, Volume};
use crate::sink::{Sink, SinkError};
use crate::source::{Frame, Source, SourceError};
use crate::stop::Clock;

/// Frames sent at once when there is no schedule to keep.
const BATCH_FRAMES: usize = 16;
/// Bytes after which such a batch is sent, however few its frames.
const BATCH_BYTES: usize = 8 << 20;

/// Between two tries to find room in a full queue, which a worker empties frame by frame.
const ROOM_DELAYS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Between two tries to reach the server.
const CONNECTION_DELAYS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// After this a full queue is mentioned: it may be paused, or its workers may be down.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// How to feed.
#[derive(Clone, Copy, Debug)]
pub struct FeedOptions {
    /// How fast.
    pub rate: Rate,
    /// Ends after so many frames.
    pub limit: Option<u64>,
    /// Gives up when the connection has been lost for longer than this.
    pub retry_for: Duration,
}

/// What a feed has done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// What was acknowledged.
    pub volume: Volume,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it ended because it was asked to, before the source did.
    pub stopped: bool,
}

/// Why a feed ended early. Frames acknowledged before are safe.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The sink refused a frame for good.
    #[error("frame {number} was refused: {error}")]
    Refused {
        /// The frame's number.
        number: i64,
        /// What the sink said.
        error: SinkError,
    },
    /// The connection did not come back in time.
    #[error("gave up at frame {number} after {} s without a connection: {error}", waited.as_secs())]
    Lost {
        /// The first frame that is not acknowledged.
        number: i64,
        /// Since the connection was lost.
        waited: Duration,
        /// What the sink said last.
        error: SinkError,
    },
}

/// Feeds until the source ends, the limit is reached or the clock is told to stop.
///
/// # Errors
/// When the source fails, or the sink refuses a frame or stays away for too long. What was read before is sent first.
pub fn feed(
    source: &mut dyn Source,
    sink: &mut dyn Sink,
    clock: &dyn Clock,
    progress: &mut dyn Progress,
    options: FeedOptions,
) -> Result<Summary, FeedError> {
    let pacer = Pacer::new(options.rate, source.frame_rate(), clock.elapsed());
    let began = clock.elapsed();
    let mut feed = Feed { clock, progress, options, pacer, volume: Volume::default() };
    feed.tell_remark(source);
    let outcome = feed.run(source, sink);
    feed.tell_remark(source);
    let elapsed = clock.elapsed().saturating_sub(began);
    outcome.map(|end| Summary { volume: feed.volume, elapsed, stopped: end == End::Stopped })
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Complete,
    Stopped,
}

struct Feed<'a> {
    clock: &'a dyn Clock,
    progress: &'a mut dyn Progress,
    options: FeedOptions,
    pacer: Pacer,
    volume: Volume,
}

impl Feed<'_> {
    fn run(&mut self, source: &mut dyn Source, sink: &mut dyn Sink) -> Result<End, FeedError> {
        loop {
            if self.clock.stopped() {
                return Ok(End::Stopped);
            }
            let (batch, failure) = self.read_batch(source);
            let at_end = batch.is_empty();
            if !at_end && (!self.pace() || !self.deliver(sink, &batch)?) {
                return Ok(End::Stopped);
            }
            match failure {
                Some(error) => return Err(error.into()),
                None if at_end => return Ok(End::Complete),
                None => {}
            }
        }
    }

    /// The next frames to send together; none at the source's end or the limit. A failure comes with what was read
    /// before it.
    fn read_batch(&self, source: &mut dyn Source) -> (Vec<Frame>, Option<SourceError>) {
        let wanted = if self.pacer.is_paced() { 1 } else { BATCH_FRAMES };
        let left = self.options.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.volume.frames));
        let wanted = usize::try_from(left).map_or(wanted, |left| left.min(wanted));
        let mut batch = Vec::with_capacity(wanted);
        let mut bytes = 0;
        while batch.len() < wanted && bytes < BATCH_BYTES {
            match source.next_frame() {
                Ok(Some(frame)) => {
                    bytes += frame.image.len();
                    batch.push(frame);
                }
                Ok(None) => break,
                Err(error) => return (batch, Some(error)),
            }
        }
        (batch, None)
    }

    /// Waits until the next frame is due. Returns false when asked to stop.
    fn pace(&mut self) -> bool {
        match self.pacer.step(self.volume.frames, self.clock.elapsed()) {
            Step::Now => {}
            Step::Wait(duration) => self.clock.sleep(duration),
            Step::FellBehind(lag) => {
                self.progress.note(&format!(
                    "{:.1} s behind schedule: hurrying, nothing is dropped",
                    lag.as_secs_f64()
                ));
            }
            Step::CaughtUp => self.progress.note("on schedule again"),
        }
        !self.clock.stopped()
    }

    /// Sends until all of the batch is acknowledged. Returns false when asked to stop before that.
    fn deliver(&mut self, sink: &mut dyn Sink, batch: &[Frame]) -> Result<bool, FeedError> {
        let mut rest = batch;
        let mut at_once = batch.len();
        let mut full = None;
        let mut loss = None;
        while let Some(first) = rest.first() {
            let (sending, later) = rest.split_at(at_once.min(rest.len()));
            match sink.send(sending) {
                Ok(()) => {
                    self.acknowledge(sending);
                    rest = later;
                    full = None;
                    loss = None;
                    continue;
                }
                // A part of the batch may fit, and the frame that is refused shall be known by its number.
                Err(SinkError::Full(_) | SinkError::Refused(_)) if at_once > 1 => {
                    at_once = 1;
                    continue;
                }
                Err(error @ SinkError::Full(_)) => self.await_room(&mut full, &error),
                Err(error @ SinkError::Lost(_)) => self.await_connection(&mut loss, first.number, error)?,
                Err(error) => return Err(FeedError::Refused { number: first.number, error }),
            }
            if self.clock.stopped() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn acknowledge(&mut self, frames: &[Frame]) {
        let bytes = frames.iter().map(|frame| frame.image.len() as u64).sum();
        self.volume.frames += frames.len() as u64;
        self.volume.bytes += bytes;
        self.progress.acknowledged(frames.len() as u64, bytes);
    }

    /// A full queue is no fault: it is waited for as long as it takes.
    fn await_room(&mut self, waiting: &mut Option<Waiting>, error: &SinkError) {
        let now = self.clock.elapsed();
        let waiting = waiting.get_or_insert_with(|| Waiting::new(now, ROOM_DELAYS));
        if !waiting.told && waiting.waited(now) >= LONG_WAIT {
            waiting.told = true;
            self.progress.note(&format!("waiting for room in the queue: {error}"));
        }
        self.clock.sleep(waiting.next_delay());
    }

    fn await_connection(
        &mut self,
        waiting: &mut Option<Waiting>,
        number: i64,
        error: SinkError,
    ) -> Result<(), FeedError> {
        let now = self.clock.elapsed();
        let waiting = waiting.get_or_insert_with(|| Waiting::new(now, CONNECTION_DELAYS));
        let waited = waiting.waited(now);
        if waited >= self.options.retry_for {
            return Err(FeedError::Lost { number, waited, error });
        }
        let delay = waiting.next_delay().min(self.options.retry_for - waited);
        self.progress.note(&format!("{error}; trying frame {number} again in {:.1} s", delay.as_secs_f64()));
        self.clock.sleep(delay);
        Ok(())
    }

    fn tell_remark(&mut self, source: &mut dyn Source) {
        if let Some(remark) = source.take_remark() {
            self.progress.note(&remark);
        }
    }
}

/// One wait for the sink, from its first failure to the next success.
struct Waiting {
    since: Duration,
    delays: ExponentialBackoff,
    told: bool,
}

impl Waiting {
    /// Starts now, with ever longer delays with jitter from the first to the second, without end.
    fn new(now: Duration, (least, most): (Duration, Duration)) -> Self {
        let delays = ExponentialBuilder::default().with_min_delay(least).with_max_delay(most);
        Self { since: now, delays: delays.with_jitter().without_max_times().build(), told: false }
    }

    fn waited(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since)
    }

    fn next_delay(&mut self) -> Duration {
        self.delays.next().unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
