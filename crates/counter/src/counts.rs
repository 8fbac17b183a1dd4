//! A counter's counts, in all and by period.

/// Hour, day, week (ISO, from Monday) and month.
pub const PERIODS: usize = 4;

/// When the hour, day, week and month of a moment began, in that order.
pub type Starts = [i64; PERIODS];

/// What was counted in a period, the one that began at `start`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// Positive increments.
    pub count: i64,
    /// `None` before the first increment.
    pub start: Option<i64>,
}

/// All that a counter counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Since the last reset, negative increments taken off; 0 at least.
    pub current: i64,
    /// Positive increments, ever.
    pub total: i64,
    /// In the periods of the last increment: hour, day, week, month.
    pub periods: [Period; PERIODS],
    /// When the last increment was made.
    pub last_at: Option<i64>,
}

/// A count would no longer fit 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl Counts {
    /// Adds an increment that was made at `at`, in the periods that began at `starts`. A negative one lowers the
    /// current count alone, to 0 at most. One that comes late, when its period is over for the counter, counts in all
    /// but in that period.
    ///
    /// # Errors
    /// A count that would no longer fit; nothing is changed then.
    pub fn add(&mut self, value: i64, at: i64, starts: &Starts) -> Result<(), TooLarge> {
        let added = value.max(0);
        let mut new = *self;
        new.current = self.current.checked_add(value).ok_or(TooLarge)?.max(0);
        new.total = self.total.checked_add(added).ok_or(TooLarge)?;
        let is_late = self.last_at.is_some_and(|last| at < last);
        for (period, &start) in new.periods.iter_mut().zip(starts) {
            if period.start == Some(start) {
                period.count = period.count.checked_add(added).ok_or(TooLarge)?;
            } else if !is_late || period.start.is_none() {
                *period = Period { count: added, start: Some(start) };
            }
        }
        new.last_at = self.last_at.max(Some(at));
        *self = new;
        Ok(())
    }

    /// The counts at a moment whose periods began at `starts`: those of periods that are over are 0.
    #[must_use]
    pub fn at(&self, starts: &Starts) -> Self {
        let mut now = *self;
        for (period, &start) in now.periods.iter_mut().zip(starts) {
            if period.start != Some(start) {
                *period = Period { count: 0, start: Some(start) };
            }
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &Counts) -> [i64; 6] {
        let [hour, day, week, month] = counts.periods.map(|period| period.count);
        [counts.current, counts.total, hour, day, week, month]
    }

    #[test]
    fn each_period_begins_anew_by_itself() {
        let mut counter = Counts::default();
        counter.add(10, 0, &[0, 0, 0, 0]).unwrap();
        counter.add(1, 3600, &[3600, 0, 0, 0]).unwrap();
        assert_eq!(counts(&counter), [11, 11, 1, 11, 11, 11]);
        counter.add(1, 7200, &[7200, 7200, 7200, 0]).unwrap();
        assert_eq!(counts(&counter), [12, 12, 1, 1, 1, 12]);
        assert_eq!(counts(&counter.at(&[9000, 7200, 7200, 9000])), [12, 12, 0, 1, 1, 0]);
    }

    #[test]
    fn negative_increments_lower_the_current_count_alone() {
        let mut counter = Counts::default();
        counter.add(5, 0, &[0; 4]).unwrap();
        counter.add(-2, 0, &[0; 4]).unwrap();
        assert_eq!(counts(&counter), [3, 5, 5, 5, 5, 5]);
        counter.add(i64::from(i32::MIN), 0, &[0; 4]).unwrap();
        assert_eq!(counts(&counter), [0, 5, 5, 5, 5, 5]);
    }

    #[test]
    fn a_late_increment_leaves_the_periods_that_have_begun_since() {
        let mut counter = Counts::default();
        counter.add(1, 3600, &[3600, 0, 0, 0]).unwrap();
        counter.add(10, 3599, &[0, 0, 0, 0]).unwrap();
        assert_eq!(counts(&counter), [11, 11, 1, 11, 11, 11]);
        assert_eq!(counter.last_at, Some(3600));
    }

    /// As where the camera's time zone is changed.
    #[test]
    fn a_period_may_begin_earlier_than_the_last_did() {
        let mut counter = Counts::default();
        counter.add(10, 3600, &[3600, 3600, 3600, 3600]).unwrap();
        counter.add(1, 3601, &[1800, 0, 0, 0]).unwrap();
        assert_eq!(counts(&counter), [11, 11, 1, 1, 1, 1]);
    }

    #[test]
    fn a_count_that_does_not_fit_changes_nothing() {
        let mut counter = Counts { total: i64::MAX, ..Counts::default() };
        let before = counter;
        assert_eq!(counter.add(1, 0, &[0; 4]), Err(TooLarge));
        assert_eq!(counter, before);
    }
}
