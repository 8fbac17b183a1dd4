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
            (6, "1.01", "22023", "p_confidence_score"),
            (6, "-0.01", "22023", "p_confidence_score"),
            (6, "'NaN'", "22023", "p_confidence_score"),
        ] {
            assert_refused(&record_with(index, argument), code, parameter);
        }
    }
}
