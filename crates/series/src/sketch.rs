//! Percentiles of numbers in little space, of which parts can be made apart and put together.

use std::panic;

use sketches_ddsketch::{Config, DDSketch};

/// Relative error of a percentile, of the value itself.
pub const RELATIVE_ERROR: f64 = 0.01;
/// Buckets of positive and of negative numbers each; with so many, the numbers may differ by a factor of 10^17 before
/// the smallest ones are put together.
const BUCKETS: u32 = 2048;
/// Numbers closer to 0 count as 0.
const SMALLEST: f64 = 1e-9;

/// A DDSketch (Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
/// Guarantees", VLDB 12, 2019), kept in the form that DataDog's libraries read.
pub struct Sketch(DDSketch);

/// The octets are no sketch of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a percentile sketch")]
pub struct Malformed;

impl Default for Sketch {
    fn default() -> Self {
        Self(DDSketch::new(Self::config()))
    }
}

impl Sketch {
    fn config() -> Config {
        Config::new(RELATIVE_ERROR, BUCKETS, SMALLEST)
    }

    /// Adds one number. Infinities and NaN are left out.
    pub fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.0.add(value);
        }
    }

    /// Adds all that another sketch has.
    pub fn merge(&mut self, other: &Self) {
        // Both are of one configuration, which is all that it fails for.
        let _ = self.0.merge(&other.0);
    }

    /// The number below which a fraction of them lies, 0 to 1, within 1 percent; `None` where there are none.
    pub fn percentile(&self, fraction: f64) -> Option<f64> {
        self.0.quantile(fraction).ok().flatten()
    }

    /// How many numbers.
    pub fn count(&self) -> usize {
        self.0.count()
    }

    /// The sketch in octets.
    pub fn to_octets(&self) -> Vec<u8> {
        self.0.to_java_bytes()
    }

    /// Reads what [`Sketch::to_octets`] made.
    ///
    /// # Errors
    /// [`Malformed`] for any other octets.
    pub fn from_octets(octets: &[u8]) -> Result<Self, Malformed> {
        // The library trusts what it reads: it calculates with indexes that may overflow.
        let read = panic::catch_unwind(|| {
            let read = DDSketch::from_java_bytes(octets).ok()?;
            let mut whole = Self::default();
            whole.0.merge(&read).ok()?;
            for fraction in [0.0, 0.5, 1.0] {
                whole.0.quantile(fraction).ok()?.filter(|found| found.is_finite())?;
            }
            Some(whole)
        });
        match read {
            Ok(Some(sketch)) => Ok(sketch),
            Ok(None) if octets == Self::default().to_octets() => Ok(Self::default()),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|&value| sketch.add(value));
        sketch
    }

    proptest! {
        #[test]
        fn a_percentile_is_within_the_relative_error(
            mut values in prop::collection::vec(prop_oneof![-1e6..-1e-3, 1e-3..1e6], 1..300), fraction in 0.0..=1.0
        ) {
            let found = sketch(&values).percentile(fraction).unwrap();
            values.sort_by(f64::total_cmp);
            let exact = values[(fraction * (values.len() - 1) as f64) as usize];
            prop_assert!((found - exact).abs() <= exact.abs() * RELATIVE_ERROR * 1.0001, "{found} for {exact}");
        }

        #[test]
        fn parts_put_together_are_the_whole(
            values in prop::collection::vec(-1e6..1e6, 2..200), cut in 0usize..200, fraction in 0.0..=1.0
        ) {
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut whole = Sketch::from_octets(&sketch(left).to_octets()).unwrap();
            whole.merge(&sketch(right));
            prop_assert_eq!(whole.count(), values.len());
            prop_assert_eq!(whole.percentile(fraction), sketch(&values).percentile(fraction));
        }

        #[test]
        fn any_octets_are_a_sketch_or_refused(
            values in prop::collection::vec(-1e6..1e6, 0..50), octets in prop::collection::vec(any::<u8>(), 0..80),
            at in any::<prop::sample::Index>(), change in any::<u8>()
        ) {
            let _ = Sketch::from_octets(&octets);
            let mut changed = sketch(&values).to_octets();
            if !changed.is_empty() {
                let at = at.index(changed.len());
                changed[at] ^= change;
                if let Ok(found) = Sketch::from_octets(&changed) {
                    let mut whole = sketch(&values);
                    whole.merge(&found);
                    whole.percentile(0.5);
                }
            }
        }
    }

    #[test]
    fn an_empty_sketch_has_no_percentile_and_survives() {
        let empty = Sketch::from_octets(&Sketch::default().to_octets()).unwrap();
        assert_eq!((empty.percentile(0.5), empty.count()), (None, 0));
    }
}
