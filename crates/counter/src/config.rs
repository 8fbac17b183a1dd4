//! The settings of one counter, `realtime_counters.counter_config`.

use serde::Deserialize;

/// What becomes of an increment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is in the counter's row when its transaction has been committed.
    #[default]
    Durable,
    /// It is in shared memory then, and in the row a little later.
    Buffered,
}

/// A counter's configuration: a JSON object that may have `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `durable`, the default, or `buffered`.
    #[serde(default)]
    pub mode: Mode,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// What is wrong with it: it begins with `unknown field` where a key is not known.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, String> {
        if !value.is_object() {
            return Err("must be a JSON object".into());
        }
        Self::deserialize(value).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_counter_is_durable_unless_it_says_otherwise() {
        assert_eq!(Config::from_json(&json!({})).unwrap().mode, Mode::Durable);
        assert_eq!(Config::from_json(&json!({"mode": "durable"})).unwrap().mode, Mode::Durable);
        assert_eq!(Config::from_json(&json!({"mode": "buffered"})).unwrap().mode, Mode::Buffered);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(
            Config::from_json(&json!({"mood": "buffered"})).unwrap_err().starts_with("unknown field `mood`")
        );
        assert!(Config::from_json(&json!({"mode": "fast"})).unwrap_err().contains("unknown variant `fast`"));
        assert!(Config::from_json(&json!({"mode": null})).is_err());
        assert!(Config::from_json(&json!([])).unwrap_err().contains("object"));
    }
}
