//! A summary against the definitions, computed from all numbers at once.

use camcount_series::Summary;
use proptest::collection::vec;
use proptest::prelude::*;

/// Numbers as metrics have them, some far from 0 for their spread.
fn values() -> impl Strategy<Value = Vec<f64>> {
    (-1e6..1e6, 1e-3..1e3).prop_flat_map(|(centre, spread)| vec(centre - spread..centre + spread, 0..50))
}

fn summary(values: &[f64]) -> Summary {
    values.iter().copied().collect()
}

fn merged(mut one: Summary, other: &Summary) -> Summary {
    one.merge(other);
    one
}

/// Equal up to rounding: `scale` is the size of the numbers that were added up.
fn assert_near(one: f64, other: f64, scale: f64) {
    assert!((one - other).abs() <= 1e-9 * (1.0 + scale), "{one} and {other} at a scale of {scale}");
}

fn assert_same(one: &Summary, other: &Summary) {
    assert_eq!((one.count(), one.min(), one.max()), (other.count(), other.min(), other.max()));
    let largest = one.min().into_iter().chain(one.max()).fold(0.0, |most: f64, value| most.max(value.abs()));
    assert_near(one.sum(), other.sum(), largest * one.count() as f64);
    assert_near(one.mean().unwrap_or(0.0), other.mean().unwrap_or(0.0), largest);
    // The mean is rounded to its own size, and each number's distance from it with it.
    assert_near(one.m2(), other.m2(), one.m2() + largest * 1e-3);
}

proptest! {
    #[test]
    fn it_is_what_the_definitions_say(values in values()) {
        let found = summary(&values);
        let count = values.len() as f64;
        let sum: f64 = values.iter().sum();
        prop_assert_eq!(found.count(), values.len() as u64);
        prop_assert_eq!(found.sum(), sum);
        prop_assert_eq!(found.min(), values.iter().copied().reduce(f64::min));
        prop_assert_eq!(found.max(), values.iter().copied().reduce(f64::max));
        prop_assert_eq!(found.mean().is_some(), !values.is_empty());
        prop_assert_eq!(found.variance().is_some(), values.len() > 1);
        if let Some(mean) = found.mean() {
            assert_near(mean, sum / count, mean.abs());
        }
        if let Some(variance) = found.variance() {
            let mean = sum / count;
            let expected = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
            assert_near(variance, expected, expected + mean.abs() * 1e-3);
        }
    }

    #[test]
    fn merging_parts_is_summing_the_whole(values in values(), cut in 0.0..1.0) {
        let (left, right) = values.split_at((values.len() as f64 * cut) as usize);
        assert_same(&merged(summary(left), &summary(right)), &summary(&values));
    }

    #[test]
    fn merging_is_associative_and_commutative(one in values(), two in values(), three in values()) {
        let [one, two, three] = [one, two, three].map(|values| summary(&values));
        assert_same(&merged(merged(one, &two), &three), &merged(one, &merged(two, &three)));
        assert_same(&merged(one, &two), &merged(two, &one));
    }

    #[test]
    fn the_empty_summary_changes_nothing(values in values()) {
        let (found, empty) = (summary(&values), Summary::default());
        prop_assert_eq!(merged(found, &empty), found);
        prop_assert_eq!(merged(empty, &found), found);
    }

    #[test]
    fn the_spread_is_never_negative_and_the_mean_never_outside(one in values(), two in values()) {
        let found = merged(summary(&one), &summary(&two));
        prop_assert!(found.m2() >= 0.0);
        if let (Some(min), Some(mean), Some(max)) = (found.min(), found.mean(), found.max()) {
            let rounding = 1e-9 * (1.0 + mean.abs());
            prop_assert!(min - rounding <= mean && mean <= max + rounding);
        }
    }
}

#[test]
fn a_small_spread_far_from_zero_is_not_lost() {
    let found = summary(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]);
    assert_eq!(found.variance(), Some(30.0));
    let halves = merged(summary(&[1e9 + 4.0, 1e9 + 7.0]), &summary(&[1e9 + 13.0, 1e9 + 16.0]));
    assert_eq!(halves.variance(), Some(30.0));
}

/// What the documented roll-up made of a late value: (1, 1000) instead of 61 values.
#[test]
fn a_late_value_joins_the_others() {
    let minutes: Summary = (0..60).map(f64::from).collect();
    let hour = merged(minutes, &Summary::of(1000.0));
    assert_eq!((hour.count(), hour.sum()), (61, 2770.0));
    assert_eq!((hour.min(), hour.max()), (Some(0.0), Some(1000.0)));
}

#[test]
fn nothing_has_no_mean_and_one_number_no_spread() {
    let nothing = Summary::default();
    assert_eq!((nothing.count(), nothing.sum(), nothing.mean(), nothing.min()), (0, 0.0, None, None));
    let one = Summary::of(3.0);
    assert_eq!((one.mean(), one.variance(), one.standard_deviation()), (Some(3.0), None, None));
    assert_eq!(one, summary(&[3.0]));
}
