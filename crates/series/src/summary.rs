//! Count, sum, mean, spread and extremes of numbers, of which parts can be made apart and put together.

use serde::{Deserialize, Serialize};

/// What some numbers amount to, in constant space.
///
/// Adding a number follows Welford ("Note on a Method for Calculating Corrected Sums of Squares and Products",
/// Technometrics 4, 1962); merging follows Chan, Golub and LeVeque ("Updating Formulae and a Pairwise Algorithm for
/// Computing Sample Variances", 1979). Both stay exact where the spread is small beside the mean, which the
/// difference of sums of squares does not.
///
/// Merging is commutative and associative, up to rounding of `mean` and `m2`; the empty summary is its neutral element.
/// So a summary of an hour may be made of its minutes in any order and grouping, however late one of them comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    count: u64,
    sum: f64,
    mean: f64,
    /// Sum of squared distances from the mean, 0 or more.
    m2: f64,
    /// Smallest and largest; `None` where there are no numbers.
    extremes: Option<(f64, f64)>,
}

impl Summary {
    /// The summary of one number.
    pub fn of(value: f64) -> Self {
        Self { count: 1, sum: value, mean: value, m2: 0.0, extremes: Some((value, value)) }
    }

    /// Adds one number. It is expected to be finite: one that is not makes every figure it enters not a number.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.m2 += before * (value - self.mean);
        self.widen(value, value);
    }

    /// Adds all the numbers of another summary.
    pub fn merge(&mut self, other: &Self) {
        let Some((min, max)) = other.extremes else { return };
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (here, there) = (self.count as f64, other.count as f64);
        let distance = other.mean - self.mean;
        self.mean += distance * (there / (here + there));
        self.m2 += other.m2 + distance * distance * (here * there / (here + there));
        self.count += other.count;
        self.sum += other.sum;
        self.widen(min, max);
    }

    fn widen(&mut self, min: f64, max: f64) {
        let (least, most) = self.extremes.unwrap_or((min, max));
        self.extremes = Some((least.min(min), most.max(max)));
    }

    /// How many numbers.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum; 0 where there are none.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Their mean; `None` where there are none.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The smallest; `None` where there are none.
    pub fn min(&self) -> Option<f64> {
        self.extremes.map(|(min, _)| min)
    }

    /// The largest; `None` where there are none.
    pub fn max(&self) -> Option<f64> {
        self.extremes.map(|(_, max)| max)
    }

    /// Sum of squared distances from the mean, 0 or more: with count and mean, all that a merge needs of the spread.
    pub fn m2(&self) -> f64 {
        self.m2
    }

    /// Sample variance, with `count - 1` below the line; `None` below two numbers.
    pub fn variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.m2 / (self.count - 1) as f64)
    }

    /// Sample standard deviation; `None` below two numbers.
    pub fn standard_deviation(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }
}

impl FromIterator<f64> for Summary {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut summary = Self::default();
        summary.extend(values);
        summary
    }
}

impl Extend<f64> for Summary {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.add(value));
    }
}
