//! Writing time series.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, get, holds, run};
    use pgrx::prelude::*;

    fn record_with(index: usize, argument: &str) -> String {
        let mut arguments = ["'gate'", "'people'", "now()", "1", "'persons'", "'{}'", "0.5"];
        arguments[index] = argument;
        format!("SELECT camcount.record_metric({})", arguments.join(", "))
    }

    #[pg_test]
    fn a_value_is_stored_exactly_with_unit_tags_and_confidence() {
        run("SELECT camcount.record_metric('gate', 'people', '2026-01-05 15:00:00+07', 12345678901234567890.123456789,
                                           'persons', '{\"zone\": \"hall\"}', 0.75)");
        assert!(holds(
            "SELECT metric_value = 12345678901234567890.123456789 AND metric_timestamp = '2026-01-05 08:00:00+00'
                AND metric_unit = 'persons' AND metric_tags = '{\"zone\": \"hall\"}' AND confidence_score = 0.75
             FROM camcount.timeseries_data WHERE camera_id = 'gate'"
        ));
    }

    #[pg_test]
    fn unit_tags_and_confidence_may_be_left_out() {
        run("SELECT camcount.record_metric('gate', 'people', now(), 3)");
        assert!(holds(
            "SELECT metric_unit IS NULL AND metric_tags IS NULL AND confidence_score IS NULL
             FROM camcount.timeseries_data WHERE camera_id = 'gate'"
        ));
    }

    /// Resolution 31.
    #[pg_test]
    fn a_value_that_is_not_finite_is_refused_by_function_and_table() {
        for value in ["'NaN'", "'Infinity'", "'-Infinity'"] {
            assert_refused(&record_with(3, value), "22023", "p_metric_value");
            assert_refused(
                &format!(
                    "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)
                     VALUES ('gate', 'people', now(), {value})"
                ),
                "23514",
                "timeseries_data_metric_value_finite",
            );
        }
    }

    /// Resolution 31: a gap is a row without a value, and no value.
    #[pg_test]
    fn a_gap_is_kept_in_the_table_and_does_not_count_as_a_value() {
        run("SELECT camcount.record_metric('gate', 'people', now(), 3)");
        run(
            "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp) VALUES ('gate', 'people', now())",
        );
        assert_eq!(
            get::<i64>("SELECT count(metric_value) FROM camcount.timeseries_data WHERE camera_id = 'gate'"),
            1
        );
    }

    #[pg_test]
    fn wrong_arguments_of_record_metric_are_named() {
        for (index, argument, code, parameter) in [
            (0, "NULL", "22004", "p_camera_id"),
            (0, "repeat('c', 101)", "22023", "p_camera_id"),
            (1, "NULL", "22004", "p_metric_name"),
            (1, "''", "22023", "p_metric_name"),
            (2, "NULL", "22004", "p_metric_timestamp"),
            (2, "'infinity'", "22023", "p_metric_timestamp"),
            (2, "'4713-01-01 00:00:00+00 BC'", "22023", "p_metric_timestamp"),
            (3, "NULL", "22004", "p_metric_value"),
            (4, "repeat('u', 21)", "22023", "p_metric_unit"),
            (4, "''", "22023", "p_metric_unit"),
            (3, "1e100", "22023", "p_metric_value"),
            (5, "jsonb_build_array(repeat('t', 8000))", "22023", "p_metric_tags"),
            (6, "1.01", "22023", "p_confidence_score"),
            (6, "-0.01", "22023", "p_confidence_score"),
            (6, "'NaN'", "22023", "p_confidence_score"),
        ] {
            assert_refused(&record_with(index, argument), code, parameter);
        }
    }

    fn record_all(metrics: &str) -> String {
        format!("SELECT camcount.record_metrics('{metrics}')")
    }

    #[pg_test]
    fn many_values_are_stored_as_one_by_one() {
        run(&record_all(
            r#"[{"camera_id": "gate", "metric_name": "people", "metric_timestamp": "2026-01-05T15:00:00+07:00",
                 "metric_value": 12345678901234567890.1234567890, "metric_unit": "persons",
                 "metric_tags": {"zone": ["hall", 12345678901234567890]}, "confidence_score": 0.75,
                 "data_quality_score": 0.5},
                {"camera_id": 7, "metric_name": "people", "metric_timestamp": "2026-01-05T15:00:00+07:00",
                 "metric_value": -1, "metric_tags": null}]"#,
        ));
        assert!(holds(
            "SELECT metric_value::text = '12345678901234567890.1234567890'
                AND metric_timestamp = '2026-01-05 08:00:00+00' AND metric_unit = 'persons'
                AND metric_tags = '{\"zone\": [\"hall\", 12345678901234567890]}'
                AND (confidence_score, data_quality_score) = (0.75, 0.5)
             FROM camcount.timeseries_data WHERE camera_id = 'gate'"
        ));
        assert!(holds(
            "SELECT metric_value = -1 AND metric_tags IS NULL FROM camcount.timeseries_data WHERE camera_id = '7'"
        ));
        assert_eq!(get::<i32>(&record_all("[]")), 0);
    }

    #[pg_test]
    fn one_bad_value_of_many_refuses_them_all_and_is_named() {
        let good =
            r#""camera_id": "gate", "metric_name": "people", "metric_timestamp": "2026-01-05T08:00:00Z""#;
        for (bad, code, parameter) in [
            ("1", "22023", "the element"),
            ("{}", "22004", "p_camera_id"),
            (&format!("{{{good}}}"), "22004", "p_metric_value"),
            (&format!("{{{good}, \"metric_value\": \"1\"}}"), "22023", "p_metric_value"),
            (&format!("{{{good}, \"metric_value\": 1e100}}"), "22023", "p_metric_value"),
            (&format!("{{{good}, \"metric_value\": 1, \"value\": 2}}"), "22023", "other keys"),
            (&format!("{{{good}, \"metric_value\": 1, \"metric_unit\": \"\"}}"), "22023", "p_metric_unit"),
            (
                &format!("{{{good}, \"metric_value\": 1, \"confidence_score\": 2}}"),
                "22023",
                "p_confidence_score",
            ),
            (&format!("{{{good}, \"metric_value\": 1, \"metric_unit\": \"ms\"}}"), "22023", "p_metric_unit"),
            (
                &format!("{{{good}, \"metric_value\": 1, \"metric_tags\": [\"{}\"]}}", "t".repeat(8000)),
                "22023",
                "p_metric_tags",
            ),
        ] {
            let first = format!("{{{good}, \"metric_value\": 1, \"metric_unit\": \"persons\"}}");
            let statement = record_all(&format!("[{first}, {bad}]"));
            assert_refused(&statement, code, "p_metrics[1]");
            assert_refused(&statement, code, parameter);
        }
        assert!(holds("SELECT count(*) = 0 FROM camcount.timeseries_data WHERE camera_id = 'gate'"));
        for (metrics, code) in [("'{}'", "22023"), ("'1'", "22023"), ("NULL", "22004")] {
            assert_refused(&format!("SELECT camcount.record_metrics({metrics})"), code, "p_metrics");
        }
    }

    /// Resolution 41.
    #[pg_test]
    fn a_series_has_one_unit() {
        run("SELECT camcount.record_metric('gate', 'people', now(), 1, 'persons')");
        run("SELECT camcount.record_metric('gate', 'people', now(), 1)");
        run("SELECT camcount.record_metric('yard', 'people', now(), 1, 'heads')");
        assert_refused(
            "SELECT camcount.record_metric('gate', 'people', now(), 1, 'heads')",
            "22023",
            "p_metric_unit",
        );
    }

    /// Ids that were given out already would never be rolled up.
    #[pg_test]
    fn a_sequence_that_was_set_back_is_found() {
        run(
            "SELECT camcount.record_metric('gate', 'people', now(), 1); SELECT camcount.roll_up_timeseries();
             UPDATE camcount.timeseries_progress SET rolled_up_id = rolled_up_id + 1000",
        );
        assert_refused("SELECT camcount.roll_up_timeseries()", "55000", "timeseries_data.id");
    }
}
