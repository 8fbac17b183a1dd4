//! What goes in comes out, bit for bit; and what it takes.

use camcount_series::block::{Block, Builder, MAX_POINTS, Number, Point};
use proptest::prelude::*;

use crate::rows::{Row, Value, assert_holds, block_of, rows};

const SECOND: i64 = 1_000_000;
/// Header, number of points, time of the first, kinds and bases of columns.
const OVERHEAD: usize = 50;

proptest! {
    #[test]
    fn every_point_comes_back_as_it_was(rows in rows(700)) {
        assert_holds(&block_of(&rows), &rows);
    }
}

/// Rows of a metric on a clock.
fn clocked(count: i64, value: impl Fn(i64) -> Option<Value>) -> Vec<Row> {
    let row = |index| Row { at: index * SECOND, value: value(index), ..Row::default() };
    (0..count).map(row).collect()
}

/// A number that looks like chance (the mix of SplitMix64).
fn noise(index: i64) -> i64 {
    let mixed = (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 1) as i64
}

#[test]
fn the_largest_block_holds() {
    let rows = clocked(MAX_POINTS as i64, |index| match index % 100 {
        0 => None,
        1 => Some(Value::Text(format!("1e{index}"))),
        _ => Some(Value::Decimal(noise(index), (index % 7) as u16)),
    });
    assert_holds(&block_of(&rows), &rows);
}

#[test]
fn nothing_is_a_block_too() {
    let block = Builder::new().finish();
    assert!(block.len() < OVERHEAD);
    assert_holds(&block, &[]);
    assert!(Block::read(&block).unwrap().decimals().is_none());
}

#[test]
fn what_is_regular_costs_next_to_nothing() {
    let mut rows = clocked(10_000, |_| Some(Value::Decimal(1250, 2)));
    for row in &mut rows {
        row.confidence = Some(0.87);
        row.unit = Some("people".into());
    }
    assert!(block_of(&rows).len() < OVERHEAD);
    assert!(block_of(&clocked(10_000, |_| None)).len() < OVERHEAD);
}

#[test]
fn what_varies_costs_what_it_has_to_say() {
    let a_decade = clocked(10_000, |index| Some(Value::Decimal(noise(index) % 10, 0)));
    // log2(10) is 3.33 bits.
    assert!(block_of(&a_decade).len() < 10_000 * 335 / 800 + OVERHEAD);
    // A step that all have in common costs once.
    let in_steps = clocked(10_000, |index| Some(Value::Decimal(7 + noise(index) % 10 * 1_000_000, 0)));
    assert!(block_of(&in_steps).len() < block_of(&a_decade).len() + 10);
    // So does one of doubles, be they hundredths or of single precision.
    let mut doubles = clocked(10_000, |_| None);
    doubles.iter_mut().for_each(|row| row.confidence = Some((noise(row.at) % 10) as f64 / 100.0));
    assert!(block_of(&doubles).len() < block_of(&a_decade).len() + 30);
    doubles.iter_mut().for_each(|row| row.confidence = Some(f64::from(noise(row.at) as f32 / 1e19)));
    assert!(block_of(&doubles).len() < 10_000 * 4);
}

#[test]
fn noise_costs_no_more_than_its_octets() {
    let rows = clocked(10_000, |index| Some(Value::Decimal(noise(index), 0)));
    assert!(block_of(&rows).len() < 10_000 * 8 + OVERHEAD);
}

#[test]
fn texts_that_resemble_each_other_are_deflated() {
    let mut rows = clocked(1000, |_| None);
    for (row, frame) in rows.iter_mut().zip(1_000_000..) {
        row.tags = Some(format!("{{\"frame\": {frame}, \"zone\": \"entrance\", \"lens\": \"wide\"}}"));
    }
    let block = block_of(&rows);
    assert_holds(&block, &rows);
    assert!(block.len() < 1000 * 8, "{}", block.len());
}

#[test]
fn points_of_one_time_keep_their_order() {
    let rows: Vec<_> = clocked(500, |index| Some(Value::Decimal(noise(index), 0)))
        .into_iter()
        .map(|row| Row { at: row.at / (100 * SECOND), ..row })
        .collect();
    assert_holds(&block_of(&rows), &rows);
}

#[test]
fn decimals_are_there_where_all_values_have_a_scale_in_common() {
    let decimal = |mantissa, scale| Some(Number::Decimal { mantissa, scale });
    let read = |values: &[Option<Number<'_>>]| {
        let mut builder = Builder::new();
        values.iter().for_each(|&value| builder.push(&Point { value, ..Point::default() }).unwrap());
        Block::read(&builder.finish()).unwrap()
    };
    let block = read(&[decimal(15, 1), decimal(-150, 2), decimal(0, 0), None]);
    let decimals = block.decimals().unwrap();
    assert_eq!((decimals.scale, decimals.mantissas), (2, &[150, -150, 0, 0][..]));
    assert_eq!(decimals.present, Some(&[true, true, true, false][..]));
    // Nothing at any scale.
    assert_eq!(read(&[decimal(0, 0), decimal(1, 300)]).decimals().unwrap().mantissas, [0, 1]);
    assert!(read(&[decimal(i64::MAX, 0), decimal(1, 1)]).decimals().is_none());
    assert!(read(&[decimal(1, 0), decimal(1, 19)]).decimals().is_none());
    assert!(read(&[decimal(1, 0), Some(Number::Text("NaN"))]).decimals().is_none());
    assert!(read(&[None, None]).decimals().is_none());
    assert!(read(&[decimal(i64::MAX, 7), decimal(i64::MIN, 7)]).decimals().unwrap().present.is_none());
}
