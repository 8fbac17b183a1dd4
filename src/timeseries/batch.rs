//! Many values in one call.

use std::borrow::Cow;
use std::collections::BTreeMap;

use camcount_jsonb::Value;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::record::{UNIT_LENGTH, score, tags_size};
use super::units;
use crate::arguments::{moment, name, required, text as short_text};
use crate::database;
use crate::error::{Error, Result};
use crate::fields::{id, refused, text, timestamp};
use crate::jsonb::{Jsonb, unreadable};

const PARAMETER: &str = "p_metrics";
/// Values of one call at most.
const MOST: usize = 100_000;
/// A number's digits before the point are fewer than the table takes.
const MOST_DIGITS: usize = 100;

/// Writes many values: a JSON array of objects with `camera_id`, `metric_name`, `metric_timestamp` and `metric_value`,
/// and, where they are known, `metric_unit`, `metric_tags`, `confidence_score` and `data_quality_score`. All are
/// written, or none and the one that is refused is named. Returns how many they are.
#[pg_extern]
fn record_metrics(p_metrics: Option<Jsonb>) -> Result<i32, ErrorReport> {
    let metrics = required(p_metrics, PARAMETER)?.fetched();
    let Value::Array(array) = metrics.value(PARAMETER)? else {
        return Err(Error::invalid(PARAMETER, "must be a JSON array of objects").into());
    };
    if array.len() > MOST {
        let reason = format!("has {} elements; {MOST} is the most", array.len());
        return Err(Error::invalid(PARAMETER, reason).into());
    }
    let mut columns = Columns::default();
    let mut given = BTreeMap::new();
    for (index, element) in array.iter().enumerate() {
        let metric = element.map_err(unreadable(PARAMETER)).and_then(Metric::read);
        let at = |source| Error::Element { parameter: PARAMETER, index, source: Box::new(source) };
        let metric = metric.map_err(at)?;
        if let Some(unit) = &metric.unit {
            let found: &mut Vec<(String, usize)> =
                given.entry((metric.camera.to_string(), metric.name.to_string())).or_default();
            if found.iter().all(|(known, _)| known != unit) {
                found.push((unit.to_string(), index));
            }
        }
        columns.push(metric);
    }
    // One series after the other in one order, so that two calls do not wait for each other.
    for ((camera, metric), found) in &given {
        for (unit, index) in found {
            let at =
                |source| Error::Element { parameter: PARAMETER, index: *index, source: Box::new(source) };
            units::settle(camera, metric, unit).map_err(at)?;
        }
    }
    Ok(columns.write(metrics)? as i32)
}

struct Metric<'a> {
    camera: Cow<'a, str>,
    name: Cow<'a, str>,
    at: Option<TimestampWithTimeZone>,
    value: String,
    unit: Option<Cow<'a, str>>,
    has_tags: bool,
    confidence: Option<f64>,
    quality: Option<f64>,
}

impl<'a> Metric<'a> {
    fn read(element: Value<'a>) -> Result<Self> {
        const KEYS: [&str; 8] = [
            "camera_id",
            "metric_name",
            "metric_timestamp",
            "metric_value",
            "metric_unit",
            "metric_tags",
            "confidence_score",
            "data_quality_score",
        ];
        let Value::Object(object) = element else {
            return Err(Error::invalid("the element", "must be an object"));
        };
        let unreadable = unreadable("the element");
        let field = |key| object.get(key).map(|value| value.unwrap_or(Value::Null)).map_err(&unreadable);
        let known = KEYS.iter().map(|key| object.get(key)).filter(|value| !matches!(value, Ok(None))).count();
        if known < object.len() {
            return Err(Error::invalid("the element", format!("has other keys than {}", KEYS.join(", "))));
        }
        let camera = id(field("camera_id")?, "p_camera_id")?;
        let metric = text(field("metric_name")?, "p_metric_name")?;
        name(camera.as_deref(), "p_camera_id")?;
        name(metric.as_deref(), "p_metric_name")?;
        let at = timestamp(field("metric_timestamp")?, "p_metric_timestamp")?;
        moment(at, "p_metric_timestamp")?;
        let unit = text(field("metric_unit")?, "p_metric_unit")?;
        if unit.is_some() {
            short_text(unit.as_deref(), "p_metric_unit", UNIT_LENGTH)?;
        }
        Ok(Self {
            camera: required(camera, "p_camera_id")?,
            name: required(metric, "p_metric_name")?,
            at,
            value: number(field("metric_value")?)?,
            unit,
            has_tags: tags(field("metric_tags")?)?,
            confidence: share(field("confidence_score")?, "p_confidence_score")?,
            quality: share(field("data_quality_score")?, "p_data_quality_score")?,
        })
    }
}

/// The number's digits, exactly as they were written.
fn number(value: Value<'_>) -> Result<String> {
    const PARAMETER: &str = "p_metric_value";
    match value {
        Value::Null => Err(Error::Null { parameter: PARAMETER }),
        Value::Number(number) => {
            let text = number.to_string();
            let whole = text.trim_start_matches('-').split('.').next().map_or(0, str::len);
            if whole > MOST_DIGITS {
                return Err(Error::invalid(PARAMETER, "must be a finite number below 1e100"));
            }
            Ok(text)
        }
        other => Err(refused(PARAMETER, "must be a number", other)),
    }
}

/// Whether there are any.
fn tags(value: Value<'_>) -> Result<bool> {
    let size = match value {
        Value::Null => return Ok(false),
        Value::Array(list) => list.bytes().len(),
        Value::Object(object) => object.bytes().len(),
        Value::String(text) => text.len(),
        _ => 0,
    };
    tags_size(size)?;
    Ok(true)
}

fn share(value: Value<'_>, parameter: &'static str) -> Result<Option<f64>> {
    let share = match value {
        Value::Null => None,
        Value::Number(number) => Some(number.to_f64().map_err(unreadable(parameter))?),
        other => return Err(refused(parameter, "must be a number", other)),
    };
    score(share, parameter)?;
    Ok(share)
}

/// The values, column by column.
#[derive(Default)]
struct Columns {
    cameras: Vec<String>,
    names: Vec<String>,
    times: Vec<Option<TimestampWithTimeZone>>,
    values: Vec<String>,
    units: Vec<Option<String>>,
    has_tags: bool,
    confidences: Vec<Option<f64>>,
    qualities: Vec<Option<f64>>,
}

impl Columns {
    fn push(&mut self, metric: Metric<'_>) {
        self.cameras.push(metric.camera.into_owned());
        self.names.push(metric.name.into_owned());
        self.times.push(metric.at);
        self.values.push(metric.value);
        self.units.push(metric.unit.map(Cow::into_owned));
        self.has_tags |= metric.has_tags;
        self.confidences.push(metric.confidence);
        self.qualities.push(metric.quality);
    }

    /// Tags are taken out of the argument as they are.
    fn write(self, metrics: Jsonb) -> Result<usize> {
        const RECORD: &str = "INSERT INTO camcount.timeseries_data
            (camera_id, metric_name, metric_timestamp, metric_value, metric_unit, metric_tags, confidence_score,
             data_quality_score)
            SELECT camera, name, at, value::numeric, unit,
                   CASE WHEN $8 THEN nullif($9 -> (number - 1)::integer -> 'metric_tags', 'null') END,
                   confidence, quality
            FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
                AS given (camera, name, at, value, unit, confidence, quality, number)";
        let count = self.values.len();
        let arguments = [
            self.cameras.into(),
            self.names.into(),
            self.times.into(),
            self.values.into(),
            self.units.into(),
            self.confidences.into(),
            self.qualities.into(),
            self.has_tags.into(),
            metrics.into(),
        ];
        database::run(RECORD, &arguments)?;
        Ok(count)
    }
}
