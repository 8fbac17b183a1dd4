//! A token bucket: so many items a second, and as many at once after a pause.

/// Tokens that are left, and when they were counted. Full where it is new.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    tokens: f64,
    counted_at: i64,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { tokens: f64::INFINITY, counted_at: i64::MIN }
    }
}

impl Bucket {
    /// Takes up to `wanted` tokens of a bucket that fills with `rate` a second and holds those of one second, and returns
    /// how many. `now` is in microseconds; a clock that goes back adds none.
    pub fn take(&mut self, wanted: usize, rate: f64, now: i64) -> usize {
        let elapsed = now.saturating_sub(self.counted_at).max(0) as f64 / 1e6;
        self.tokens = (self.tokens + elapsed * rate).min(rate.max(1.0));
        self.counted_at = now;
        let taken = (self.tokens.max(0.0) as usize).min(wanted);
        self.tokens -= taken as f64;
        taken
    }

    /// Puts back what was taken and not used.
    pub fn put_back(&mut self, tokens: usize) {
        self.tokens += tokens as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn gives_a_second_at_once_and_then_the_rate() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(100, 10.0, 0), 10);
        assert_eq!(bucket.take(100, 10.0, 0), 0);
        assert_eq!(bucket.take(100, 10.0, SECOND / 2), 5);
        assert_eq!(bucket.take(100, 10.0, 60 * SECOND), 10);
    }

    #[test]
    fn what_was_not_used_can_be_had_again() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(4, 4.0, 0), 4);
        bucket.put_back(3);
        assert_eq!(bucket.take(4, 4.0, 0), 3);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::default();
        bucket.take(10, 10.0, 10 * SECOND);
        assert_eq!(bucket.take(10, 10.0, 0), 0);
    }

    proptest! {
        #[test]
        fn never_gives_more_than_the_rate_and_one_second(
            rate in 1u32..1000, steps in prop::collection::vec((0i64..2 * SECOND, 0usize..2000), 1..50)
        ) {
            let (mut bucket, mut now, mut taken) = (Bucket::default(), 0, 0);
            for (pause, wanted) in steps {
                now += pause;
                taken += bucket.take(wanted, f64::from(rate), now);
            }
            let most = f64::from(rate) * (1.0 + now as f64 / 1e6);
            prop_assert!(taken as f64 <= most + 1e-6);
        }
    }
}
