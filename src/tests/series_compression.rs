//! Compression: what it takes, that it keeps everything, and what it refuses.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, get, holds, run};
    use pgrx::prelude::*;

    const POINTS: &str = "camcount.timeseries_points('gate', 'people', '-infinity', 'infinity')";
    const COMPRESS: &str = "SELECT camcount.compress_timeseries_data('gate', 'people', 1)";
    const AGGREGATE: &str = "SELECT camcount.aggregate_timeseries_data('gate', 'people', 'hour', '2026-01-05 08:10+00', '2026-01-05 09:10+00')";

    fn write(at: &str, value: &str) {
        run(&format!(
            "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)
             VALUES ('gate', 'people', {at}, {value})"
        ));
    }

    /// Resolutions 37 and 41.
    #[pg_test]
    fn compressed_values_keep_their_digits_units_tags_and_scores() {
        for value in [
            "1234567890123456789012345678901234567890",
            "-0.1234567890123456789012345678901234567890",
            "1.50",
            "1.5",
            "0.000",
            "9223372036854775807",
            "-9223372036854775808",
            "9.9e99",
            "1e-300",
            "NULL",
        ] {
            write("'2026-01-05 08:30+00'", value);
        }
        run(
            "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value, metric_unit,
                 metric_tags, confidence_score, data_quality_score)
             VALUES ('gate', 'people', '2026-01-05 08:30:00.000001+00', 3, 'persons', '{\"n\": 1.500, \"zone\": \"hall\"}',
                     '-0', 5e-324), ('gate', 'people', '0001-01-01 00:00+00', 1, 'persons', 'null', 1, 0.1)",
        );
        run(&format!(
            "CREATE TEMP TABLE points ON COMMIT DROP AS
             SELECT metric_timestamp, metric_value::text, metric_unit, metric_tags::text, float8send(confidence_score) AS c,
                    float8send(data_quality_score) AS q FROM {POINTS}"
        ));
        assert_eq!(get::<i32>(COMPRESS), 12);
        assert!(holds("SELECT count(*) = 0 FROM camcount.timeseries_data WHERE camera_id = 'gate'"));
        assert!(holds(&format!(
            "WITH found AS (SELECT metric_timestamp, metric_value::text, metric_unit, metric_tags::text,
                                   float8send(confidence_score), float8send(data_quality_score) FROM {POINTS})
             SELECT (SELECT count(*) FROM found) = 12
                AND NOT EXISTS (TABLE found EXCEPT ALL TABLE points) AND NOT EXISTS (TABLE points EXCEPT ALL TABLE found)"
        )));
    }

    #[pg_test]
    fn points_are_read_from_the_beginning_of_time() {
        write("'0001-01-01 00:00+00'", "1");
        for _ in 0..2 {
            for from in ["-infinity", "4714-11-24 00:00+00 BC", "0001-01-01 00:00+00"] {
                assert!(holds(&format!(
                    "SELECT count(*) = 1 FROM camcount.timeseries_points('gate', 'people', '{from}', 'infinity')"
                )));
            }
            run(COMPRESS);
        }
    }

    /// Resolution 39: retention is in whole days of the camera's time zone.
    #[pg_test]
    fn only_values_that_are_old_enough_are_compressed() {
        run("INSERT INTO camcount.cameras (camera_id, time_zone) VALUES ('gate', 'Asia/Kathmandu')");
        let midnight =
            "(date_trunc('day', clock_timestamp() AT TIME ZONE 'Asia/Kathmandu' - interval '3 days')
                         AT TIME ZONE 'Asia/Kathmandu')";
        write(midnight, "2");
        write(&format!("{midnight} - interval '1 microsecond'"), "1");
        assert_eq!(get::<i32>("SELECT camcount.compress_timeseries_data('gate', 'people', 3)"), 1);
        assert!(holds("SELECT count(*) = 1 FROM camcount.timeseries_data WHERE metric_value = 2"));
        assert_eq!(get::<i32>(COMPRESS), 1);
        assert_eq!(get::<i32>(COMPRESS), 0);
    }

    #[pg_test]
    fn thirty_days_are_kept_unless_told_otherwise() {
        write("now() - interval '29 days'", "2");
        write("now() - interval '32 days'", "1");
        assert_eq!(get::<i32>("SELECT camcount.compress_timeseries_data('gate', 'people')"), 1);
    }

    #[pg_test]
    fn late_values_are_merged_into_blocks_in_the_order_of_time() {
        for at in ["08:20", "08:40", "08:30", "08:10", "08:50"] {
            write(&format!("'2026-01-05 {at}+00'"), "1");
            assert_eq!(get::<i32>(COMPRESS), 1);
        }
        assert!(holds(
            "SELECT count(*) = 1 AND min(count_points) = 5 FROM camcount.timeseries_blocks WHERE camera_id = 'gate'"
        ));
        assert!(holds(&format!(
            "SELECT array_agg(extract(minute FROM metric_timestamp)) = '{{10,20,30,40,50}}' FROM {POINTS}"
        )));
    }

    /// Resolution 38.
    #[pg_test]
    fn wrong_arguments_of_compression_are_named_and_nothing_is_lost() {
        write("now() - interval '100 days'", "1");
        for (arguments, code, parameter) in [
            ("NULL, 'people', 30", "22004", "p_camera_id"),
            ("'', 'people', 30", "22023", "p_camera_id"),
            ("'gate', NULL, 30", "22004", "p_metric_name"),
            ("'gate', repeat('m', 101), 30", "22023", "p_metric_name"),
            ("'gate', 'people', NULL", "22004", "p_retention_days"),
            ("'gate', 'people', 0", "22023", "p_retention_days"),
            ("'gate', 'people', -1", "22023", "p_retention_days"),
            ("'gate', 'people', 36501", "22023", "p_retention_days"),
        ] {
            assert_refused(
                &format!("SELECT camcount.compress_timeseries_data({arguments})"),
                code,
                parameter,
            );
        }
        assert!(holds(&format!("SELECT count(*) = 1 FROM {POINTS}")));
    }

    #[pg_test]
    fn a_damaged_block_is_refused_wherever_it_is_read() {
        write("'2026-01-05 08:30+00'", "1");
        run(COMPRESS);
        // What compression has to merge with the block.
        write("'2026-01-05 08:31+00'", "1");
        run("CREATE TEMP TABLE intact ON COMMIT DROP AS SELECT id, points FROM camcount.timeseries_blocks");
        for damage in [
            "set_byte(points, length(points) - 1, get_byte(points, length(points) - 1) # 1)",
            "set_byte(points, 3, 99)",
            "substring(points FROM 1 FOR length(points) - 1)",
            "'abc'::bytea",
            "''::bytea",
        ] {
            run(&format!(
                "UPDATE camcount.timeseries_blocks b SET points = d.points
                 FROM (SELECT id, {damage} AS points FROM intact) d WHERE b.id = d.id"
            ));
            for statement in [&format!("SELECT * FROM {POINTS}"), AGGREGATE, COMPRESS] {
                assert_refused(statement, "XX001", "time series");
            }
        }
    }

    #[pg_test]
    fn the_points_of_a_block_need_block_and_range() {
        for (arguments, parameter) in
            [("NULL, now(), now()", "p_points"), ("'abc', NULL, now()", "time series")]
        {
            let statement = format!("SELECT * FROM camcount.block_points({arguments})");
            let code = if parameter == "p_points" { "22004" } else { "XX001" };
            assert_refused(&statement, code, parameter);
        }
    }
}
