use std::cell::Cell;
use std::collections::VecDeque;

use chrono::DateTime;
use serde_json::json;

use super::*;
use crate::source::FrameRate;

/// Time that passes only where somebody sleeps.
#[derive(Default)]
struct FakeClock {
    now: Cell<Duration>,
    stops_at: Option<Duration>,
}

impl Clock for FakeClock {
    fn elapsed(&self) -> Duration {
        self.now.get()
    }

    fn sleep(&self, duration: Duration) {
        self.now.set(self.now.get() + duration);
    }

    fn stopped(&self) -> bool {
        self.stops_at.is_some_and(|end| self.now.get() >= end)
    }
}

struct Numbered {
    next: i64,
    last: i64,
    fails_after: Option<i64>,
}

impl Source for Numbered {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        if self.fails_after == Some(self.next - 1) {
            return Err(SourceError::Address);
        }
        let number = self.next;
        self.next += 1;
        let timestamp = DateTime::from_timestamp(number, 0).unwrap();
        Ok((number <= self.last).then(|| Frame {
            number,
            timestamp,
            image: vec![0; 10],
            metadata: json!({}),
        }))
    }

    fn frame_rate(&self) -> FrameRate {
        FrameRate::COMMON
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }

    fn take_remark(&mut self) -> Option<String> {
        None
    }
}

fn frames(last: i64) -> Numbered {
    Numbered { next: 1, last, fails_after: None }
}

/// Stores frame numbers unless the next planned failure says otherwise.
#[derive(Default)]
struct FakeSink {
    stored: Vec<i64>,
    calls: usize,
    failures: VecDeque<Option<SinkError>>,
    refuses: Option<i64>,
}

impl Sink for FakeSink {
    fn send(&mut self, frames: &[Frame]) -> Result<(), SinkError> {
        self.calls += 1;
        if let Some(failure) = self.failures.pop_front().flatten() {
            return Err(failure);
        }
        if frames.iter().any(|frame| Some(frame.number) == self.refuses) {
            return Err(SinkError::Refused("no image".into()));
        }
        self.stored.extend(frames.iter().map(|frame| frame.number));
        Ok(())
    }
}

#[derive(Default)]
struct Notes(Vec<String>);

impl Progress for Notes {
    fn acknowledged(&mut self, _frames: u64, _bytes: u64) {}

    fn note(&mut self, text: &str) {
        self.0.push(text.into());
    }
}

fn options(rate: Rate) -> FeedOptions {
    FeedOptions { rate, limit: None, retry_for: Duration::from_secs(60) }
}

fn lost() -> Option<SinkError> {
    Some(SinkError::Lost("connection closed".into()))
}

fn full() -> Option<SinkError> {
    Some(SinkError::Full("queue is full".into()))
}

#[test]
fn all_frames_arrive_in_order_and_in_few_calls() {
    let mut sink = FakeSink::default();
    let clock = FakeClock::default();
    let summary =
        feed(&mut frames(40), &mut sink, &clock, &mut Notes::default(), options(Rate::Max)).unwrap();
    assert_eq!(sink.stored, (1..=40).collect::<Vec<_>>());
    assert_eq!(sink.calls, 3);
    assert_eq!(summary.volume, Volume { frames: 40, bytes: 400 });
    assert!(!summary.stopped);
}

#[test]
fn a_limit_ends_the_feed_without_reading_further() {
    let mut source = frames(40);
    let mut sink = FakeSink::default();
    let limited = FeedOptions { limit: Some(20), ..options(Rate::Max) };
    feed(&mut source, &mut sink, &FakeClock::default(), &mut Notes::default(), limited).unwrap();
    assert_eq!(sink.stored.len(), 20);
    assert_eq!(source.next, 21);
}

#[test]
fn realtime_takes_the_time_of_the_recording() {
    let clock = FakeClock::default();
    let mut sink = FakeSink::default();
    feed(&mut frames(31), &mut sink, &clock, &mut Notes::default(), options(Rate::Realtime)).unwrap();
    assert_eq!(clock.elapsed(), Duration::from_secs(3));
    assert_eq!(sink.calls, 31);
}

#[test]
fn frames_in_doubt_are_sent_again_until_acknowledged() {
    let mut sink =
        FakeSink { failures: VecDeque::from([None, lost(), lost(), None, lost()]), ..FakeSink::default() };
    let mut notes = Notes::default();
    feed(&mut frames(50), &mut sink, &FakeClock::default(), &mut notes, options(Rate::Max)).unwrap();
    assert_eq!(sink.stored, (1..=50).collect::<Vec<_>>());
    assert_eq!(notes.0.len(), 3);
    assert!(notes.0[0].contains("trying frame 17 again"), "{}", notes.0[0]);
}

#[test]
fn a_connection_that_stays_away_ends_the_feed_in_time() {
    let mut sink = FakeSink { failures: (0..1000).map(|_| lost()).collect(), ..FakeSink::default() };
    let clock = FakeClock::default();
    let error =
        feed(&mut frames(5), &mut sink, &clock, &mut Notes::default(), options(Rate::Max)).unwrap_err();
    assert!(matches!(error, FeedError::Lost { number: 1, .. }), "{error}");
    assert_eq!(clock.elapsed(), Duration::from_secs(60));
}

#[test]
fn a_full_queue_is_waited_for_without_end_and_filled_frame_by_frame() {
    let mut sink = FakeSink { failures: (0..5000).map(|_| full()).collect(), ..FakeSink::default() };
    let clock = FakeClock::default();
    let mut notes = Notes::default();
    feed(&mut frames(20), &mut sink, &clock, &mut notes, options(Rate::Max)).unwrap();
    assert_eq!(sink.stored, (1..=20).collect::<Vec<_>>());
    assert!(clock.elapsed() > Duration::from_secs(600));
    assert_eq!(notes.0, ["waiting for room in the queue: queue is full"]);
}

#[test]
fn a_refused_frame_is_named_and_those_before_it_are_safe() {
    let mut sink = FakeSink { refuses: Some(7), ..FakeSink::default() };
    let clock = FakeClock::default();
    let error =
        feed(&mut frames(20), &mut sink, &clock, &mut Notes::default(), options(Rate::Max)).unwrap_err();
    assert_eq!(error.to_string(), "frame 7 was refused: no image");
    assert_eq!(sink.stored, (1..=6).collect::<Vec<_>>());
}

#[test]
fn a_failing_source_loses_nothing_that_it_gave() {
    let mut sink = FakeSink::default();
    let mut source = Numbered { fails_after: Some(5), ..frames(20) };
    let error =
        feed(&mut source, &mut sink, &FakeClock::default(), &mut Notes::default(), options(Rate::Max))
            .unwrap_err();
    assert!(matches!(error, FeedError::Source(SourceError::Address)));
    assert_eq!(sink.stored, (1..=5).collect::<Vec<_>>());
}

#[test]
fn a_feed_that_is_told_to_stop_does_so_at_once() {
    let clock = FakeClock { stops_at: Some(Duration::from_secs(1)), ..FakeClock::default() };
    let mut sink = FakeSink::default();
    let summary =
        feed(&mut frames(100), &mut sink, &clock, &mut Notes::default(), options(Rate::Realtime)).unwrap();
    assert!(summary.stopped);
    assert_eq!(summary.volume.frames, 10);

    let mut absent = FakeSink { failures: (0..1000).map(|_| lost()).collect(), ..FakeSink::default() };
    let clock = FakeClock { stops_at: Some(Duration::from_secs(1)), ..FakeClock::default() };
    let summary =
        feed(&mut frames(9), &mut absent, &clock, &mut Notes::default(), options(Rate::Max)).unwrap();
    assert!(summary.stopped && summary.volume.frames == 0);
}

#[test]
fn lateness_is_told() {
    /// Takes two seconds for the first frame.
    struct Slow<'a>(&'a FakeClock, bool);
    impl Sink for Slow<'_> {
        fn send(&mut self, _frames: &[Frame]) -> Result<(), SinkError> {
            if !std::mem::replace(&mut self.1, true) {
                self.0.sleep(Duration::from_secs(2));
            }
            Ok(())
        }
    }
    let clock = FakeClock::default();
    let mut notes = Notes::default();
    feed(&mut frames(40), &mut Slow(&clock, false), &clock, &mut notes, options(Rate::Realtime)).unwrap();
    assert_eq!(notes.0.len(), 2, "{:?}", notes.0);
    assert!(notes.0[0].starts_with("1.9 s behind"), "{}", notes.0[0]);
    assert_eq!(clock.elapsed(), Duration::from_millis(3900));
}
