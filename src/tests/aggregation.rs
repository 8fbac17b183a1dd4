//! Values against those before, window by window (resolutions 42 to 46).

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, get, get_with, holds, run};
    use pgrx::JsonB;
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    fn update(arguments: &str) -> Value {
        get::<JsonB>(&format!("SELECT camcount.update_realtime_aggregation({arguments})")).0
    }

    /// `keys` of what the call returns.
    fn updated(arguments: &str, keys: &[&str]) -> Vec<Value> {
        let result = update(arguments);
        keys.iter()
            .map(|&key| result.get(key).unwrap_or_else(|| panic!("no {key} in {result}")).clone())
            .collect()
    }

    fn trend(arguments: &str) -> (Value, Value, Value) {
        let result = update(arguments);
        (
            result["change_percent"].clone(),
            result["trend_direction"].clone(),
            result["trend_strength"].clone(),
        )
    }

    /// Puts what is known of all keys so much into the past.
    fn age(interval: &str) {
        run(&format!(
            "UPDATE camcount.realtime_aggregations SET aggregation_timestamp = aggregation_timestamp - interval '{interval}',
                 window_start = window_start - interval '{interval}', last_updated = last_updated - interval '{interval}';
             UPDATE camcount.realtime_aggregation_keys SET observed_at = observed_at - interval '{interval}'"
        ));
    }

    fn windows() -> i64 {
        get("SELECT count(*) FROM camcount.realtime_aggregations WHERE camera_id = 'gate'")
    }

    #[pg_test]
    fn the_result_has_the_documented_keys_and_the_windows_figures() {
        let result = update("'gate', 'count_in_5min', 10");
        let mut keys: Vec<_> = result.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(
            keys.join(" "),
            "aggregation_key aggregation_timestamp avg_value camera_id change_percent change_value count_values \
             current_value last_updated max_value min_value previous_value trend_direction trend_strength \
             window_seconds window_start"
        );
        assert_eq!(result["camera_id"], "gate");
        assert_eq!(result["aggregation_key"], "count_in_5min");
        assert_eq!(result["window_seconds"], 300);
        assert_eq!(result["aggregation_timestamp"], result["window_start"]);
    }

    /// Resolutions 42 and 43.
    #[pg_test]
    fn a_window_is_one_row_with_minimum_maximum_mean_and_count() {
        // A window that does not end during the test.
        for value in ["4", "1.5", "9", "0"] {
            update(&format!("'gate', 'count_in_366d', {value}"));
        }
        let keys = ["current_value", "previous_value", "min_value", "max_value", "avg_value", "count_values"];
        let expected = [json!(3), json!(0), json!(0), json!(9), json!(3.5), json!(5)];
        assert_eq!(updated("'gate', 'count_in_366d', 3", &keys), expected);
        assert!(holds(
            "SELECT count(*) = 1 AND min(sum_value) = 17.5 AND min(avg_value) = 3.5 AND min(count_values) = 5
             FROM camcount.realtime_aggregations WHERE camera_id = 'gate'"
        ));
    }

    #[pg_test]
    fn a_new_window_begins_anew_and_knows_the_value_before() {
        update("'gate', 'count_in_1min', 4");
        age("1 hour");
        let keys = ["previous_value", "change_value", "min_value", "max_value", "count_values"];
        assert_eq!(
            updated("'gate', 'count_in_1min', 7", &keys),
            [json!(4), json!(3), json!(7), json!(7), json!(1)]
        );
        assert_eq!(windows(), 2);
    }

    /// Decimals beyond a double, and sums of what is rounded.
    #[pg_test]
    fn values_are_exact() {
        run("SELECT camcount.update_realtime_aggregation('gate', 'p_366d', 12345678901234567890.123456789)");
        assert!(holds(
            "SELECT r ->> 'change_value' = '-0.000000001' AND r ->> 'previous_value' = '12345678901234567890.123456789'
             FROM camcount.update_realtime_aggregation('gate', 'p_366d', 12345678901234567890.123456788) AS r"
        ));
        for _ in 0..3 {
            update("'gate', 'thirds_366d', 1");
        }
        assert_eq!(update("'gate', 'thirds_366d', 0")["avg_value"], json!(0.75));
    }

    #[pg_test]
    fn keys_and_cameras_are_apart() {
        update("'gate', 'count_in_1min', 4");
        for other in ["'gate', 'count_out_1min'", "'yard', 'count_in_1min'"] {
            assert_eq!(update(&format!("{other}, 5"))["previous_value"], Value::Null);
        }
    }

    /// Resolution 43: the window is the configuration's, else the key's.
    #[pg_test]
    fn the_window_is_parsed_from_the_configuration_or_the_key() {
        for (key, config, seconds) in [
            ("density_5min", "{}", json!(300)),
            ("density", r#"{"window": "10 s"}"#, json!(10)),
            ("density_5min", r#"{"window": "1 hour"}"#, json!(3600)),
            ("density_5min", r#"{"window": null}"#, Value::Null),
            ("density_0min", r#"{"window": "2 weeks"}"#, json!(1_209_600)),
            ("density", "{}", Value::Null),
        ] {
            let result = update(&format!("'gate', '{key}', 1, '{config}'"));
            assert_eq!(result["window_seconds"], seconds, "{key} {config}");
            assert_eq!(result["window_start"].is_null(), seconds.is_null(), "{key} {config}");
        }
        assert!(holds(
            r#"SELECT aggregation_config = '{"window": "10 s"}' FROM camcount.realtime_aggregations
               WHERE window_seconds = 10"#
        ));
    }

    /// Resolution 46: clock time, so that two calls in one transaction are two values.
    #[pg_test]
    fn without_a_window_each_value_is_a_row() {
        for value in 1..=50 {
            update(&format!("'gate', 'people', {value}"));
        }
        assert!(holds(
            "SELECT count(*) = 50 AND count(DISTINCT last_updated) = 50 AND bool_and(aggregation_timestamp = last_updated)
                 AND bool_and(previous_value IS NOT DISTINCT FROM nullif(current_value - 1, 0))
                 AND bool_and(count_values = 1 AND min_value = current_value AND window_start IS NULL)
             FROM camcount.realtime_aggregations WHERE camera_id = 'gate'"
        ));
    }

    /// A clock that is set back takes no value away.
    #[pg_test]
    fn a_value_is_never_before_the_previous_one() {
        update("'gate', 'people', 1");
        age("-1 hour");
        update("'gate', 'people', 2");
        assert_eq!(windows(), 2);
        assert!(holds(
            "SELECT (array_agg(current_value ORDER BY aggregation_timestamp DESC))[1] = 2
             FROM camcount.realtime_aggregations WHERE camera_id = 'gate'"
        ));
    }

    /// Resolution 45.
    #[pg_test]
    fn without_a_previous_value_there_is_no_percentage_and_no_trend() {
        let first = update("'gate', 'people', 10");
        assert_eq!(first["previous_value"], Value::Null);
        assert_eq!(first["change_value"], Value::Null);
        assert_eq!(first["change_percent"], Value::Null);
        assert_eq!((&first["trend_direction"], &first["trend_strength"]), (&json!("stable"), &json!(0)));
    }

    /// Resolutions 44 and 45.
    #[pg_test]
    fn a_change_is_in_percent_of_the_size_of_the_value_before() {
        let table = [
            ("10", Value::Null, "stable", json!(0)),
            ("110", json!(1000.0), "increasing", json!(1)),
            ("55", json!(-50.0), "decreasing", json!(0.5)),
            ("55", json!(0.0), "stable", json!(0)),
            ("0", json!(-100.0), "decreasing", json!(1)),
            ("-20", Value::Null, "decreasing", json!(1)),
            ("-10", json!(50.0), "increasing", json!(0.5)),
            ("-40", json!(-300.0), "decreasing", json!(1)),
            ("0", json!(100.0), "increasing", json!(1)),
            ("0", Value::Null, "stable", json!(0)),
        ];
        for (index, (value, percent, direction, strength)) in table.into_iter().enumerate() {
            let found = trend(&format!("'gate', 'balance', {value}"));
            let numbers = |value: &Value| value.as_f64();
            assert_eq!(numbers(&found.0), numbers(&percent), "{index}: {value}");
            assert_eq!(found.1, direction, "{index}: {value}");
            assert_eq!(numbers(&found.2), numbers(&strength), "{index}: {value}");
        }
    }

    /// Resolution 45.
    #[pg_test]
    fn changes_within_the_dead_band_are_no_trend() {
        for (config, value, direction) in [
            (r#"{"dead_band_percent": 2}"#, "102", "stable"),
            (r#"{"dead_band_percent": 2}"#, "98", "stable"),
            (r#"{"dead_band_percent": 2}"#, "102.01", "increasing"),
            (r#"{"dead_band_percent": 2}"#, "97.99", "decreasing"),
            (r#"{"dead_band": 3}"#, "103", "stable"),
            (r#"{"dead_band": 3}"#, "96.9", "decreasing"),
            (r#"{"dead_band": 3, "dead_band_percent": 5}"#, "104", "stable"),
        ] {
            update("'gate', 'people', 100");
            let (_, found, strength) = trend(&format!("'gate', 'people', {value}, '{config}'"));
            assert_eq!((found, strength == 0), (json!(direction), direction == "stable"), "{config} {value}");
        }
    }

    /// The start of the window that holds a time, for a camera of that zone. The clock is the server's: the statement is
    /// asked with another one.
    fn start(zone: &str, seconds: i32, time: &str) -> String {
        const STATEMENT: &str = include_str!("../realtime/aggregate.sql");
        run(&format!(
            "INSERT INTO camcount.cameras (camera_id, time_zone) VALUES ('{zone}', '{zone}') ON CONFLICT DO NOTHING"
        ));
        let statement = STATEMENT.replace("clock_timestamp()", &format!("timestamptz '{time}'"));
        let found = get_with::<JsonB>(
            &statement,
            &[
                zone.into(),
                format!("{seconds} {time}").as_str().into(),
                AnyNumeric::from(1).into(),
                JsonB(json!({})).into(),
                seconds.into(),
                0.0.into(),
                0.0.into(),
            ],
        );
        get_with(
            "SELECT to_char(($1 ->> 'window_start')::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')",
            &[found.into()],
        )
    }

    #[pg_test]
    fn windows_are_aligned_in_the_time_zone_of_the_camera() {
        for (zone, seconds, time, expected) in [
            ("UTC", 60, "2026-01-05 08:31:59.999999+00", "2026-01-05 08:31:00"),
            // 5:45 east of Greenwich.
            ("Asia/Kathmandu", 3600, "2026-01-05 08:31:00+00", "2026-01-05 08:15:00"),
            ("Asia/Kathmandu", 21_600, "2026-01-05 08:31:00+00", "2026-01-05 06:15:00"),
            ("Asia/Kathmandu", 86_400, "2026-01-05 19:00:00+00", "2026-01-05 18:15:00"),
            // A week from Monday, 5 January.
            ("America/New_York", 604_800, "2026-01-12 04:59:59+00", "2026-01-05 05:00:00"),
            ("America/New_York", 604_800, "2026-01-12 05:00:00+00", "2026-01-12 05:00:00"),
            // Neither divides a day nor is a number of days.
            ("Asia/Kathmandu", 420, "2000-01-01 00:06:59+00", "2000-01-01 00:00:00"),
            ("Asia/Kathmandu", 420, "2000-01-01 00:07:00+00", "2000-01-01 00:07:00"),
        ] {
            assert_eq!(start(zone, seconds, time), expected, "{zone} {seconds} {time}");
        }
    }

    /// The clocks of New York: on 8 March 2026, 2:00 becomes 3:00; on 1 November 2:00 becomes 1:00.
    #[pg_test]
    fn days_on_which_clocks_change_have_whole_windows() {
        for (seconds, time, expected) in [
            (86_400, "2026-03-09 03:59:59+00", "2026-03-08 05:00:00"),
            (86_400, "2026-03-09 04:00:00+00", "2026-03-09 04:00:00"),
            (3600, "2026-03-08 07:30:00+00", "2026-03-08 07:00:00"),
            // The hour from 1:00 comes twice.
            (3600, "2026-11-01 05:30:00+00", "2026-11-01 05:00:00"),
            (3600, "2026-11-01 06:30:00+00", "2026-11-01 06:00:00"),
            (86_400, "2026-11-02 04:59:59+00", "2026-11-01 04:00:00"),
            // Six hours each from midnight, and the one that is left over.
            (21_600, "2026-11-02 04:59:59+00", "2026-11-02 04:00:00"),
            (21_600, "2026-11-02 05:00:00+00", "2026-11-02 05:00:00"),
        ] {
            assert_eq!(start("America/New_York", seconds, time), expected, "{seconds} {time}");
        }
    }

    #[pg_test]
    fn wrong_arguments_are_refused() {
        for (arguments, code, parameter) in [
            ("NULL, 'k', 1", "22004", "p_camera_id"),
            ("'gate', NULL, 1", "22004", "p_aggregation_key"),
            ("'gate', 'k', NULL", "22004", "p_new_value"),
            ("'gate', 'k', 1, NULL", "22004", "p_aggregation_config"),
            ("'', 'k', 1", "22023", "p_camera_id"),
            ("repeat('x', 101), 'k', 1", "22023", "p_camera_id"),
            ("'gate', '', 1", "22023", "p_aggregation_key"),
            ("'gate', repeat('x', 201), 1", "22023", "p_aggregation_key"),
            ("'gate', 'k', 'NaN'", "22023", "p_new_value"),
            ("'gate', 'k', 'Infinity'", "22023", "p_new_value"),
            ("'gate', 'k', '-Infinity'", "22023", "p_new_value"),
            ("'gate', 'count_0min', 1", "22023", "p_aggregation_key"),
            ("'gate', 'count_99999999999h', 1", "22023", "p_aggregation_key"),
            ("'gate', 'count_1month', 1", "22023", "p_aggregation_key"),
            ("'gate', 'count_1.5min', 1", "22023", "p_aggregation_key"),
        ] {
            assert_refused(
                &format!("SELECT camcount.update_realtime_aggregation({arguments})"),
                code,
                parameter,
            );
        }
        assert_eq!(windows(), 0);
    }

    #[pg_test]
    fn wrong_configurations_are_refused() {
        for (config, named) in [
            ("[]", "must be a JSON object"),
            ("[\"5 min\"]", "must be a JSON object"),
            ("5", "must be a JSON object"),
            ("null", "must be a JSON object"),
            ("{\"windows\": \"5 min\"}", "windows"),
            ("{\"window\": 5}", "expected a string"),
            ("{\"window\": \"\"}", "window"),
            ("{\"window\": \"0 min\"}", "at least 1 second"),
            ("{\"window\": \"-5 min\"}", "window"),
            ("{\"window\": \"99999999999 h\"}", "at most 366 days"),
            ("{\"window\": \"1 month\"}", "months"),
            ("{\"dead_band\": -1}", "dead_band"),
            ("{\"dead_band_percent\": -0.1}", "dead_band_percent"),
            ("{\"dead_band_percent\": \"2\"}", "invalid type"),
            ("{\"dead_band_percent\": null}", "invalid type"),
            ("{\"dead_band_percent\": 1e400}", "out of range"),
        ] {
            let statement =
                format!("SELECT camcount.update_realtime_aggregation('gate', 'k', 1, '{config}')");
            assert_refused(&statement, "22023", "p_aggregation_config");
            assert_refused(&statement, "22023", named);
        }
    }

    #[pg_test]
    fn a_message_does_not_repeat_a_long_configuration() {
        let (_, message) = crate::tests::refusal(
            "SELECT camcount.update_realtime_aggregation('gate', 'k', 1,
                 jsonb_build_object(repeat('x', 1000000), 1))",
        );
        assert!(message.len() < 500, "{} octets", message.len());
        let (_, message) = crate::tests::refusal(
            "SELECT camcount.update_realtime_aggregation('gate', 'k', 1,
                 jsonb_build_object('window', repeat('x', 1000000)))",
        );
        assert!(message.len() < 500, "{} octets", message.len());
    }

    #[pg_test]
    fn values_too_large_to_be_calculated_with_are_refused() {
        run("SELECT camcount.update_realtime_aggregation('gate', 'k_366d', 9e99)");
        for value in ["1e100", "-1e100", "9e131071"] {
            let update = format!("SELECT camcount.update_realtime_aggregation('gate', 'k_366d', {value})");
            assert_refused(&update, "22023", "p_new_value");
        }
    }

    #[pg_test]
    fn windows_go_after_their_retention_and_keys_with_their_last() {
        update("'gate', 'people', 1");
        age("40 days");
        update("'gate', 'people', 2");
        age("20 days");
        update("'gate', 'cars', 1");
        age("11 days");
        update("'gate', 'dogs', 1");
        // Its window began long ago and still lasts.
        update("'gate', 'count_in_366d', 1");
        run("UPDATE camcount.realtime_aggregations SET aggregation_timestamp = now() - interval '300 days'
             WHERE aggregation_key = 'count_in_366d'");
        assert_eq!(get::<i64>("SELECT camcount.remove_expired_aggregations()"), 2);
        assert_eq!(get::<i64>("SELECT camcount.remove_expired_aggregations()"), 0);
        let left = "SELECT aggregation_key FROM camcount.";
        for table in ["realtime_aggregations", "realtime_aggregation_keys"] {
            assert_eq!(crate::tests::list(&format!("{left}{table}")), "cars, count_in_366d, dogs", "{table}");
        }
        assert_eq!(update("'gate', 'people', 5")["previous_value"], Value::Null);
    }
}
