//! Points that own their texts, and how to come by all kinds of them.

use camcount_series::block::{Block, Builder, Number, Point};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;

#[derive(Clone, Debug)]
pub enum Value {
    Decimal(i64, u16),
    Text(String),
}

#[derive(Clone, Debug, Default)]
pub struct Row {
    pub at: i64,
    pub value: Option<Value>,
    pub confidence: Option<f64>,
    pub quality: Option<f64>,
    pub unit: Option<String>,
    pub tags: Option<String>,
}

impl Row {
    pub fn point(&self) -> Point<'_> {
        let value = self.value.as_ref().map(|value| match value {
            Value::Decimal(mantissa, scale) => Number::Decimal { mantissa: *mantissa, scale: *scale },
            Value::Text(text) => Number::Text(text),
        });
        Point {
            at: self.at,
            value,
            confidence: self.confidence,
            quality: self.quality,
            unit: self.unit.as_deref(),
            tags: self.tags.as_deref(),
        }
    }
}

pub fn block_of(rows: &[Row]) -> Vec<u8> {
    let mut builder = Builder::new();
    rows.iter().for_each(|row| builder.push(&row.point()).unwrap());
    builder.finish()
}

/// A point with its doubles as the bits that they are, so that it equals itself.
pub fn exact(point: Point<'_>) -> impl PartialEq + std::fmt::Debug {
    let [confidence, quality] = [point.confidence, point.quality].map(|double| double.map(f64::to_bits));
    (point.at, point.value, confidence, quality, point.unit, point.tags)
}

pub fn assert_holds(block: &[u8], rows: &[Row]) {
    let block = Block::read(block).unwrap();
    assert_eq!((block.len(), block.is_empty()), (rows.len(), rows.is_empty()));
    assert!(block.points().map(exact).eq(rows.iter().map(|row| exact(row.point()))));
    assert!(block.times().iter().eq(rows.iter().map(|row| &row.at)));
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(block.get(index).map(exact), Some(exact(row.point())), "point {index}");
        assert_eq!(block.value(index), row.point().value, "value {index}");
    }
    assert!(block.get(rows.len()).is_none() && block.value(rows.len()).is_none());
    assert_decimals_agree(&block);
}

/// Whole numbers of one scale say what the points say.
fn assert_decimals_agree(block: &Block) {
    let Some(decimals) = block.decimals() else { return };
    assert_eq!(decimals.mantissas.len(), block.len());
    for (index, point) in block.points().enumerate() {
        let is_present = decimals.present.is_none_or(|present| present[index]);
        let expected = match point.value {
            Some(Number::Decimal { mantissa, scale }) => {
                assert!(is_present);
                let digits = u32::from(decimals.scale - scale);
                if mantissa == 0 { 0 } else { mantissa * 10_i64.pow(digits) }
            }
            None => {
                assert!(!is_present);
                0
            }
            Some(Number::Text(_)) => panic!("a text among decimals"),
        };
        assert_eq!(decimals.mantissas[index], expected);
    }
}

type Column<T> = BoxedStrategy<Vec<Option<T>>>;

/// So many of one kind; or with gaps; or none.
fn column<T: Clone + std::fmt::Debug + 'static>(kinds: Vec<BoxedStrategy<T>>, count: usize) -> Column<T> {
    let any_kind = Union::new(kinds.clone()).boxed();
    let one_of = |kind: BoxedStrategy<T>| {
        let with_gaps = vec(prop::option::of(kind.clone()), count).boxed();
        Union::new([vec(kind.prop_map(Some), count).boxed(), with_gaps]).boxed()
    };
    let mut columns: Vec<_> = kinds.into_iter().map(one_of).collect();
    columns.extend([one_of(any_kind), Just(vec![None; count]).boxed()]);
    Union::new(columns).boxed()
}

fn values(count: usize) -> Column<Value> {
    let decimals = |mantissas: BoxedStrategy<i64>, scales: BoxedStrategy<u16>| {
        (mantissas, scales).prop_map(|(mantissa, scale)| Value::Decimal(mantissa, scale)).boxed()
    };
    let kinds = vec![
        decimals(Just(1250).boxed(), Just(2).boxed()),
        decimals((-9..40_i64).boxed(), Just(0).boxed()),
        decimals((0..400_i64).prop_map(|n| 1_000_000_007 + n * 25).boxed(), Just(3).boxed()),
        decimals((-99_999..99_999_i64).boxed(), (0..6_u16).boxed()),
        decimals(any::<i64>().boxed(), Just(1).boxed()),
        decimals(Union::new([any::<i64>().boxed(), (-1..2_i64).boxed()]).boxed(), any::<u16>().boxed()),
        decimals(prop::sample::select(vec![i64::MIN, -1, 0, 1, i64::MAX]).boxed(), (0..25_u16).boxed()),
        prop::sample::select(vec!["NaN", "Infinity", "-Infinity", "1e400", "99999999999999999999.5"])
            .prop_map(|text| Value::Text(text.into()))
            .boxed(),
        "-?[0-9]{20,40}\\.[0-9]{0,9}".prop_map(Value::Text).boxed(),
    ];
    column(kinds, count)
}

fn doubles(count: usize) -> Column<f64> {
    let odd =
        vec![0.0, -0.0, f64::MIN_POSITIVE, 5e-324, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 0.1 + 0.2];
    let kinds = vec![
        Just(0.87).boxed(),
        (0..=100_u8).prop_map(|percent| f64::from(percent) / 100.0).boxed(),
        (0.0..1.0_f32).prop_map(f64::from).boxed(),
        (-1e6..1e6_f64).boxed(),
        prop::sample::select(odd).boxed(),
        any::<u64>().prop_map(f64::from_bits).boxed(),
        // Not a number, each with a payload of its own, quiet and signalling.
        any::<u64>().prop_map(|bits| f64::from_bits(bits | 0x7FF0 << 48)).boxed(),
    ];
    column(kinds, count)
}

fn texts(count: usize) -> Column<String> {
    let some = vec!["", "people", "ms", "人", "{\"lane\": 1}", "{\"lane\": 2}"];
    let kinds = vec![
        Just("people".into()).boxed(),
        prop::sample::select(some).prop_map(String::from).boxed(),
        (0..9999_u16).prop_map(|frame| format!("{{\"frame\": {frame}, \"zone\": \"entrance\"}}")).boxed(),
        ".{0,12}".boxed(),
    ];
    column(kinds, count)
}

fn times(count: usize) -> BoxedStrategy<Vec<i64>> {
    let from = |steps: BoxedStrategy<Vec<i64>>| {
        (any::<i32>(), steps).prop_map(|(start, steps)| {
            let start = i64::from(start) << 20;
            steps.into_iter().scan(start, |at, step| Some(std::mem::replace(at, *at + step))).collect()
        })
    };
    let second = 1_000_000;
    let jitter = (-5..=5_i64).prop_map(move |ms| second + ms * 1000).boxed();
    let ends = prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX]).boxed();
    let sorted = |mut times: Vec<i64>| {
        times.sort_unstable();
        times
    };
    Union::new([
        from(Just(vec![second; count]).boxed()).boxed(),
        from(vec(jitter, count).boxed()).boxed(),
        from(vec(prop_oneof![Just(0), Just(1), 0..1_i64 << 40], count).boxed()).boxed(),
        vec(any::<i64>(), count).prop_map(sorted).boxed(),
        vec(ends, count).prop_map(sorted).boxed(),
    ])
    .boxed()
}

/// Up to so many points.
pub fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    prop_oneof![0..9_usize, 0..=most].prop_flat_map(|count| {
        let columns =
            (times(count), values(count), doubles(count), doubles(count), texts(count), texts(count));
        columns.prop_map(|(times, values, confidences, qualities, units, tags)| {
            let doubles = confidences.into_iter().zip(qualities);
            let texts = units.into_iter().zip(tags);
            let rows = times.into_iter().zip(values).zip(doubles).zip(texts);
            let row = |(((at, value), (confidence, quality)), (unit, tags))| Row {
                at,
                value,
                confidence,
                quality,
                unit,
                tags,
            };
            rows.map(row).collect()
        })
    })
}
