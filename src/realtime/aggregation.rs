//! Values as they stand against those before, window by window.

use camcount_series::window::Window;
use pgrx::AnyNumeric;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde::{Deserialize, Deserializer};

use crate::arguments::{finite, name, required, shown, text};
use crate::database;
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;
use crate::settings;

/// Longest `aggregation_key`, in characters.
const KEY_LENGTH: usize = 200;
/// Windows that one call removes at most.
pub const MOST_REMOVED: i64 = 10_000;

/// `aggregation_config`, strictly.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// The window; null for none; where it is left out, the key says.
    #[serde(deserialize_with = "present")]
    window: Option<Option<String>>,
    /// A change of no more than this, in the value's unit, is none.
    dead_band: f64,
    /// A change of no more than this, in percent of the previous value, is none.
    dead_band_percent: f64,
}

/// Tells a null from what is left out.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl Config {
    const PARAMETER: &str = "p_aggregation_config";

    fn read(config: Jsonb) -> Result<Self> {
        let invalid = |reason: String| Error::invalid(Self::PARAMETER, reason);
        let value = config.value(Self::PARAMETER)?;
        if !matches!(value, camcount_jsonb::Value::Object(_)) {
            return Err(invalid("must be a JSON object".into()));
        }
        let config: Self =
            value.to().map_err(|error| invalid(format!("cannot be used: {}", shown(&error.to_string()))))?;
        for (key, band) in [("dead_band", config.dead_band), ("dead_band_percent", config.dead_band_percent)]
        {
            if !(band.is_finite() && band >= 0.0) {
                return Err(invalid(format!("cannot be used: {key} must be 0 or more, got {band}")));
            }
        }
        Ok(config)
    }

    /// The window that holds for a key.
    fn window(&self, key: &str) -> Result<Option<Window>> {
        match &self.window {
            Some(None) => Ok(None),
            Some(Some(window)) => window.parse().map(Some).map_err(|error| {
                let reason = format!("cannot be used: window {:?}: {error}", shown(window));
                Error::invalid(Self::PARAMETER, reason)
            }),
            None => Window::of_name(key).map_err(|error| {
                let reason =
                    format!("ends in what looks like a window, {:?}, and is none: {error}", shown(key));
                Error::invalid("p_aggregation_key", reason)
            }),
        }
    }
}

/// Takes in the value that a camera's key has now, and returns it beside the one before, with change and trend, and with
/// minimum, maximum, mean and number of the values of its window.
///
/// The window is the one that `p_aggregation_config` gives as `window` (`"5 min"`; null for none), else the one that the
/// key ends in (`count_in_1min`); 1 second to 366 days. Windows of whole days, and those that divide a day evenly, begin
/// with the camera's midnight; weeks on Monday; others are counted from 2000-01-01 in UTC. Without a window each value
/// is a row of its own. The change is against the previous value of the key, of whichever window; it is a trend where it
/// is larger than `dead_band`, in the value's unit, and than `dead_band_percent` of that value.
///
/// Values of one key come one after the other: a second session waits until the first one's transaction has ended.
#[pg_extern]
fn update_realtime_aggregation(
    p_camera_id: Option<&str>,
    p_aggregation_key: Option<&str>,
    p_new_value: Option<AnyNumeric>,
    p_aggregation_config: default!(Option<Jsonb>, "'{}'"),
) -> Result<Jsonb, ErrorReport> {
    const UPDATE: &str = include_str!("aggregate.sql");
    let camera = name(p_camera_id, "p_camera_id")?;
    let key = text(p_aggregation_key, "p_aggregation_key", KEY_LENGTH)?;
    let value = finite(required(p_new_value, "p_new_value")?, "p_new_value")?;
    let given = required(p_aggregation_config, Config::PARAMETER)?;
    let config = Config::read(given)?;
    // At most 366 days: it fits.
    let window = config.window(key)?.map(|window| window.seconds() as i32);
    let arguments = [
        camera.into(),
        key.into(),
        value.into(),
        given.into(),
        window.into(),
        config.dead_band.into(),
        config.dead_band_percent.into(),
    ];
    let result = database::value::<Jsonb>(UPDATE, &arguments)?;
    Ok(result.ok_or_else(|| Error::Runtime("the value was not stored".into()))?)
}

/// Removes windows whose last value came in longer ago than `camcount.aggregation_retention`, oldest first, at most
/// 10,000, and returns how many; the maintenance worker does the same. A key goes with its last window.
#[pg_extern]
fn remove_expired_aggregations() -> Result<i64, ErrorReport> {
    Ok(remove_expired()?)
}

/// As [`remove_expired_aggregations`].
pub fn remove_expired() -> Result<i64> {
    const EXPIRE: &str = include_str!("expire.sql");
    let Some(minutes) = settings::aggregation_retention_minutes() else { return Ok(0) };
    Ok(database::value::<i64>(EXPIRE, &[minutes.into(), MOST_REMOVED.into()])?.unwrap_or(0))
}
