//! What is done to a series: any order of writing, rolling up, compressing and reading.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::select;

/// What is done to one series, in order.
#[derive(Clone, Debug)]
pub struct Plan {
    pub time_zone: &'static str,
    pub unit: Option<&'static str>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Write(Way, Vec<Point>),
    /// All in one transaction that does not come to its end.
    RollBack(Vec<Point>, Vec<Step>),
    RollUp,
    /// By the series, of values that are so many days old.
    Compress(i32),
    RemoveMinutes,
    Aggregate(&'static str, Range),
    Buckets(Bucket, &'static str, Range),
    Points(Range),
}

/// How points are written.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    Record,
    Insert,
    View,
}

#[derive(Clone, Debug)]
pub struct Point {
    pub at: DateTime<Utc>,
    pub value: Option<String>,
    /// Whether it is written with the series' unit.
    pub has_unit: bool,
    pub tags: Option<String>,
    pub confidence: Option<f64>,
    pub quality: Option<f64>,
}

/// [from, to).
#[derive(Clone, Debug)]
pub struct Range {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    pub length: &'static str,
    /// Where the bucket of the time `at` begins in `zone`, in plain SQL.
    pub start: Start,
    /// A time from each bucket is found in steps of this.
    pub step: &'static str,
    /// Range of at most so many minutes.
    pub most: i64,
}

#[derive(Clone, Copy, Debug)]
pub enum Start {
    OfDay,
    Days,
    Months(i32),
}

const fn bucket(length: &'static str, start: Start, step: &'static str, most: i64) -> Bucket {
    Bucket { length, start, step, most }
}

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;
const BUCKETS: [Bucket; 16] = [
    bucket("1.5 seconds", Start::OfDay, "0.5 seconds", 10),
    bucket("15 seconds", Start::OfDay, "5 seconds", HOUR),
    bucket("1 minute", Start::OfDay, "30 seconds", 10 * HOUR),
    bucket("7 minutes", Start::OfDay, "1 minute", DAY),
    bucket("15 minutes", Start::OfDay, "5 minutes", 3 * DAY),
    bucket("90 minutes", Start::OfDay, "15 minutes", 10 * DAY),
    bucket("1 hour", Start::OfDay, "15 minutes", 10 * DAY),
    bucket("5 hours", Start::OfDay, "1 hour", 30 * DAY),
    bucket("6 hours", Start::OfDay, "1 hour", 30 * DAY),
    bucket("23 hours", Start::OfDay, "15 minutes", 10 * DAY),
    bucket("1 day", Start::Days, "1 hour", 40 * DAY),
    bucket("3 days", Start::Days, "1 hour", 40 * DAY),
    bucket("7 days", Start::Days, "1 hour", 100 * DAY),
    bucket("1 month", Start::Months(1), "1 day", 1000 * DAY),
    bucket("5 months", Start::Months(5), "1 day", 1000 * DAY),
    bucket("1 year", Start::Months(12), "1 day", 3000 * DAY),
];

const LEVELS: [&str; 5] = ["minute", "hour", "day", "week", "month"];
const FILLS: [&str; 4] = ["none", "null", "previous", "linear"];
const TIME_ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "America/Santiago", "Asia/Colombo"];

/// Changes of daylight saving in Berlin, St. John's and Santiago, and the end of a month in Kathmandu.
const TURNS: [&str; 7] = [
    "2026-03-29T01:00:00Z",
    "2025-10-26T01:00:00Z",
    "2026-03-08T05:30:00Z",
    "2025-11-02T04:30:00Z",
    "2026-04-05T03:00:00Z",
    "2025-09-07T04:00:00Z",
    "2026-06-30T18:15:00Z",
];

pub fn plan() -> impl Strategy<Value = Plan> {
    let turns: Vec<DateTime<Utc>> = TURNS.iter().filter_map(|time| time.parse().ok()).collect();
    let turn = prop_oneof![
        3 => select(turns),
        2 => (0..4i64).prop_map(|days| midnight() - TimeDelta::days(days)),
    ];
    turn.prop_flat_map(|turn| {
        let steps = prop::collection::vec(prop_oneof![8 => step(turn), 1 => rolled_back(turn)], 4..24);
        (select(TIME_ZONES.as_slice()), prop::option::of(Just("persons")), steps)
            .prop_map(|(time_zone, unit, steps)| Plan { time_zone, unit, steps })
    })
}

/// The last one.
fn midnight() -> DateTime<Utc> {
    Utc::now().date_naive().and_time(chrono::NaiveTime::MIN).and_utc()
}

fn step(turn: DateTime<Utc>) -> impl Strategy<Value = Step> {
    let way = select([Way::Record, Way::Insert, Way::View].as_slice());
    prop_oneof![
        5 => (way, points(turn)).prop_map(|(way, points)| Step::Write(way, points)),
        2 => Just(Step::RollUp),
        2 => select([1, 2, 3, 30, 200, 36_500].as_slice()).prop_map(Step::Compress),
        1 => Just(Step::RemoveMinutes),
        4 => (select(LEVELS.as_slice()), range(turn))
            .prop_map(|(level, range)| Step::Aggregate(level, range)),
        5 => (select(BUCKETS.as_slice()), select(FILLS.as_slice()), range(turn))
            .prop_map(|(bucket, fill, range)| Step::Buckets(bucket, fill, range.within(bucket.most))),
        2 => range(turn).prop_map(Step::Points),
    ]
}

fn rolled_back(turn: DateTime<Utc>) -> impl Strategy<Value = Step> {
    (points(turn), prop::collection::vec(step(turn), 1..4))
        .prop_map(|(points, steps)| Step::RollBack(points, steps))
}

impl Range {
    fn within(self, minutes: i64) -> Self {
        Self { to: self.to.min(self.from + TimeDelta::minutes(minutes)), ..self }
    }
}

fn range(turn: DateTime<Utc>) -> impl Strategy<Value = Range> {
    (moment(turn), moment(turn)).prop_map(|(one, other)| Range { from: one.min(other), to: one.max(other) })
}

/// A time about the turn, on the edges of buckets and just beside them, often the same one.
fn moment(turn: DateTime<Utc>) -> impl Strategy<Value = DateTime<Utc>> {
    const SECOND: i64 = 1_000_000;
    const MINUTE: i64 = 60 * SECOND;
    let offset = prop_oneof![
        2 => (-200..200i64).prop_map(|steps| steps * SECOND / 2),
        3 => (-180..180i64).prop_map(|steps| steps * MINUTE),
        3 => (-120..120i64).prop_map(|steps| steps * 15 * MINUTE),
        2 => (-40 * 24..40 * 24i64).prop_map(|steps| steps * 60 * MINUTE),
        1 => -2 * 60 * MINUTE..2 * 60 * MINUTE,
        1 => (-500..500i64).prop_map(|steps| steps * 24 * 60 * MINUTE),
    ];
    (offset, prop_oneof![6 => Just(0), 1 => -1..=1i64])
        .prop_map(move |(offset, beside)| turn + TimeDelta::microseconds(offset + beside))
}

fn points(turn: DateTime<Utc>) -> impl Strategy<Value = Vec<Point>> {
    const TAGS: [&str; 6] = [
        r#"{"zone": "hall"}"#,
        r#"{"zone": "hall", "n": 1.50}"#,
        r#"{"ü": ["\u00e9", null, 1e40]}"#,
        "[]",
        "null",
        "\"only a text\"",
    ];
    let score = prop_oneof![0.0..=1.0, select([-0.0, 0.0, 5e-324, 0.1 + 0.2, 1.0].as_slice())];
    let point = (
        moment(turn),
        value(),
        any::<bool>(),
        prop::option::weighted(0.3, select(TAGS.as_slice())),
        prop::option::of(score.clone()),
        prop::option::weighted(0.2, score),
    );
    let point = point.prop_map(|(at, value, has_unit, tags, confidence, quality)| Point {
        at,
        value,
        has_unit,
        tags: tags.map(str::to_owned),
        confidence,
        quality,
    });
    prop::collection::vec(point, 1..60)
}

/// As text, for its digits.
fn value() -> impl Strategy<Value = Option<String>> {
    const SPECIAL: [&str; 8] =
        ["0", "0.00", "-0.5", "9223372036854775807", "-9223372036854775808", "1e-40", "9.9e99", "-9.9e99"];
    prop_oneof![
        1 => Just(None),
        10 => (-5..50i64).prop_map(|number| Some(number.to_string())),
        6 => "-?[1-9][0-9]{0,4}\\.[0-9]{0,6}".prop_map(Some),
        1 => "-?[1-9][0-9]{39}".prop_map(Some),
        1 => "-?[1-9][0-9]{20}\\.[0-9]{20}".prop_map(Some),
        1 => select(SPECIAL.as_slice()).prop_map(|text| Some(text.to_owned())),
    ]
}
