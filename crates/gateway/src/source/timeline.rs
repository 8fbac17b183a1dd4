//! Frame rates as exact fractions, and the times that follow from them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::SourceError;

const MICROS_PER_SECOND: u128 = 1_000_000;

/// Frames per second as a fraction, so that 30000/1001 does not drift over a day; 0.001 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    frames: u64,
    seconds: u64,
}

/// The text is no frame rate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no frame rate; give 0.001 to 1000 frames a second, such as 25, 12.5 or 30000/1001")]
pub struct RateError(String);

impl FrameRate {
    /// The rate of common surveillance recordings, 10 frames a second: for sources that do not state theirs.
    pub const COMMON: Self = Self { frames: 10, seconds: 1 };

    /// `frames` in every `seconds`; `None` outside 0.001 to 1000 frames a second.
    pub fn new(frames: u64, seconds: u64) -> Option<Self> {
        let fits = frames > 0
            && seconds > 0
            && u128::from(frames) <= 1000 * u128::from(seconds)
            && u128::from(seconds) <= 1000 * u128::from(frames);
        fits.then_some(Self { frames, seconds })
    }

    /// Frames per second, rounded to a float.
    pub fn per_second(self) -> f64 {
        self.frames as f64 / self.seconds as f64
    }

    /// The time from the first frame to the one that comes `index` frames later, to the microsecond below.
    pub fn offset(self, index: u64) -> Duration {
        let micros =
            u128::from(index) * u128::from(self.seconds) * MICROS_PER_SECOND / u128::from(self.frames);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = (self.per_second() * 1000.0).round() / 1000.0;
        write!(f, "{rounded} fps")
    }
}

impl FromStr for FrameRate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let parsed = match text.split_once('/') {
            Some((frames, seconds)) => frames.parse().ok().zip(seconds.parse().ok()),
            None => text.parse().ok().filter(|rate: &f64| *rate > 0.0 && *rate <= 1000.0).map(decimal),
        };
        parsed.and_then(|(frames, seconds)| Self::new(frames, seconds)).ok_or_else(|| RateError(text.into()))
    }
}

/// A decimal rate as a fraction with six decimals.
fn decimal(rate: f64) -> (u64, u64) {
    ((rate * 1e6).round() as u64, 1_000_000)
}

/// Gives each frame number its time: `start + (number - 1) / rate`.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    start: DateTime<Utc>,
    rate: FrameRate,
}

impl Timeline {
    /// Frame 1 is taken at `start`.
    pub fn new(start: DateTime<Utc>, rate: FrameRate) -> Self {
        Self { start, rate }
    }

    /// The rate that spaces the frames.
    pub fn rate(&self) -> FrameRate {
        self.rate
    }

    /// When the frame with this number (from 1) was taken.
    ///
    /// # Errors
    /// When that lies beyond the range of timestamps.
    pub fn at(&self, number: i64) -> Result<DateTime<Utc>, SourceError> {
        let index = u64::try_from(number - 1).unwrap_or(0);
        TimeDelta::from_std(self.rate.offset(index))
            .ok()
            .and_then(|offset| self.start.checked_add_signed(offset))
            .ok_or(SourceError::TimeRange(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_decimal_and_fractional_rates() {
        assert_eq!("25".parse(), Ok(FrameRate { frames: 25_000_000, seconds: 1_000_000 }));
        assert_eq!("30000/1001".parse(), Ok(FrameRate { frames: 30_000, seconds: 1001 }));
        assert_eq!("12.5".parse::<FrameRate>().unwrap().per_second(), 12.5);
    }

    #[test]
    fn refuses_what_is_no_rate() {
        for text in ["0", "-5", "nan", "inf", "1e9", "1/0", "0/1", "0/0", "ten", "", "30/", "1/5000"] {
            assert_eq!(text.parse::<FrameRate>(), Err(RateError(text.into())), "{text}");
        }
    }

    #[test]
    fn a_day_at_ntsc_rate_does_not_drift() {
        let start = DateTime::from_timestamp(0, 0).unwrap();
        let timeline = Timeline::new(start, FrameRate::new(30_000, 1001).unwrap());
        assert_eq!(timeline.at(1).unwrap(), start);
        assert_eq!(timeline.at(2).unwrap().timestamp_micros(), 33_366);
        assert_eq!(timeline.at(30_000 * 86 + 1).unwrap().timestamp_micros(), 1001 * 86 * 1_000_000);
    }

    #[test]
    fn a_time_out_of_range_is_an_error() {
        let timeline = Timeline::new(DateTime::<Utc>::MAX_UTC, FrameRate::new(1, 1).unwrap());
        assert!(matches!(timeline.at(2), Err(SourceError::TimeRange(2))));
        assert!(matches!(timeline.at(i64::MAX), Err(SourceError::TimeRange(_))));
    }
}
