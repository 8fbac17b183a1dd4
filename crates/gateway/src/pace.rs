//! When each frame is due.

use std::str::FromStr;
use std::time::Duration;

use crate::source::{FrameRate, RateError};

/// How far a feed may be behind its schedule before it is worth a word.
const NOTABLE_LAG: Duration = Duration::from_secs(1);

/// How fast to feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As the source's own clock went.
    Realtime,
    /// As fast as the sink takes the frames.
    Max,
    /// So many frames a second.
    Fixed(FrameRate),
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        match text {
            "realtime" => Ok(Self::Realtime),
            "max" => Ok(Self::Max),
            number => number.trim_end_matches("fps").trim_end().parse().map(Self::Fixed),
        }
    }
}

/// What to do before the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send it.
    Now,
    /// Let this time pass first.
    Wait(Duration),
    /// Send it; the feed has just fallen behind by this much.
    FellBehind(Duration),
    /// Send it; the feed had been behind and is not any more.
    CaughtUp,
}

/// Holds frames to a schedule fixed by the first one: a feed that is late hurries until it is on time again, and no
/// frame is dropped.
#[derive(Clone, Debug)]
pub struct Pacer {
    rate: Option<FrameRate>,
    began: Duration,
    behind: bool,
}

impl Pacer {
    /// The first frame is due at `now`. `source` is the source's own rate.
    pub fn new(rate: Rate, source: FrameRate, now: Duration) -> Self {
        let rate = match rate {
            Rate::Realtime => Some(source),
            Rate::Fixed(rate) => Some(rate),
            Rate::Max => None,
        };
        Self { rate, began: now, behind: false }
    }

    /// Whether frames have due times at all.
    pub fn is_paced(&self) -> bool {
        self.rate.is_some()
    }

    /// What to do at `now` about the frame that comes `index` frames after the first.
    pub fn step(&mut self, index: u64, now: Duration) -> Step {
        let Some(rate) = self.rate else { return Step::Now };
        let due = self.began.saturating_add(rate.offset(index));
        let lag = now.saturating_sub(due);
        if lag >= NOTABLE_LAG && !self.behind {
            self.behind = true;
            Step::FellBehind(lag)
        } else if lag.is_zero() && self.behind {
            self.behind = false;
            Step::CaughtUp
        } else if now < due {
            Step::Wait(due - now)
        } else {
            Step::Now
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn five_fps() -> FrameRate {
        FrameRate::new(5, 1).unwrap()
    }

    #[test]
    fn rates_are_read_from_their_names_or_numbers() {
        assert_eq!("realtime".parse(), Ok(Rate::Realtime));
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("5/1".parse(), Ok(Rate::Fixed(five_fps())));
        assert!(matches!("12.5 fps".parse(), Ok(Rate::Fixed(rate)) if rate.per_second() == 12.5));
        assert!("fast".parse::<Rate>().is_err() && "0".parse::<Rate>().is_err());
    }

    #[test]
    fn realtime_keeps_the_wall_clock_without_drift() {
        let mut pacer = Pacer::new(Rate::Realtime, five_fps(), SECOND);
        assert_eq!(pacer.step(0, SECOND), Step::Now);
        // Sent late by 50 ms, the next is still due at its own time.
        assert_eq!(pacer.step(1, SECOND + Duration::from_millis(50)), Step::Wait(Duration::from_millis(150)));
        assert_eq!(pacer.step(50, SECOND * 11), Step::Now);
    }

    #[test]
    fn lateness_is_told_once_and_so_is_its_end() {
        let mut pacer = Pacer::new(Rate::Fixed(five_fps()), FrameRate::COMMON, Duration::ZERO);
        assert_eq!(pacer.step(5, SECOND * 4), Step::FellBehind(SECOND * 3));
        assert_eq!(pacer.step(6, SECOND * 4), Step::Now);
        assert_eq!(pacer.step(20, SECOND * 4), Step::CaughtUp);
        assert_eq!(pacer.step(21, SECOND * 4), Step::Wait(Duration::from_millis(200)));
    }

    #[test]
    fn max_never_waits() {
        let mut pacer = Pacer::new(Rate::Max, five_fps(), Duration::ZERO);
        assert_eq!(pacer.step(1_000_000, Duration::ZERO), Step::Now);
        assert!(!pacer.is_paced());
    }
}
