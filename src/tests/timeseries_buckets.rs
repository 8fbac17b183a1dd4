//! Buckets of any length, and what becomes of those without values.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, get, holds, run};
    use pgrx::prelude::*;

    const WRITE: &str =
        "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)";

    /// Start, count and mean of each bucket in the time zone UTC.
    fn buckets(length: &str, from: &str, to: &str, fill: &str) -> String {
        run("SET LOCAL timezone = 'UTC'");
        get(&format!(
            "SELECT coalesce(string_agg(format('%s %s %s', to_char(bucket_start, 'DD HH24:MI:SS'), count_values,
                                               coalesce(round(avg_value, 2)::text, '-')), ', ' ORDER BY row), '')
             FROM (SELECT row_number() OVER () AS row, *
                   FROM camcount.timeseries_buckets('gate', 'people', '{length}', '{from}', '{to}', '{fill}')) AS rows"
        ))
    }

    #[pg_test]
    fn gaps_are_left_out_or_filled() {
        run(&format!(
            "{WRITE} VALUES ('gate', 'people', '2026-01-05 08:10+00', 2), ('gate', 'people', '2026-01-05 08:50+00', 4),
                            ('gate', 'people', '2026-01-05 10:30+00', NULL), ('gate', 'people', '2026-01-05 11:00+00', 9)"
        ));
        for _ in 0..2 {
            for (fill, expected) in [
                ("none", "05 08:00:00 2 3.00, 05 11:00:00 1 9.00"),
                (
                    "null",
                    "05 07:00:00 0 -, 05 08:00:00 2 3.00, 05 09:00:00 0 -, 05 10:00:00 0 -, 05 11:00:00 1 9.00, 05 12:00:00 0 -",
                ),
                (
                    "previous",
                    "05 07:00:00 0 -, 05 08:00:00 2 3.00, 05 09:00:00 0 3.00, 05 10:00:00 0 3.00, 05 11:00:00 1 9.00, 05 12:00:00 0 9.00",
                ),
                (
                    "linear",
                    "05 07:00:00 0 -, 05 08:00:00 2 3.00, 05 09:00:00 0 5.00, 05 10:00:00 0 7.00, 05 11:00:00 1 9.00, 05 12:00:00 0 -",
                ),
            ] {
                assert_eq!(
                    buckets("1 hour", "2026-01-05 07:30", "2026-01-05 12:30", fill),
                    expected,
                    "{fill}"
                );
            }
            run("SELECT camcount.compress_timeseries_data('gate', 'people', 1)");
        }
    }

    #[pg_test]
    fn a_bucket_has_all_figures_of_its_values() {
        run(&format!(
            "{WRITE} VALUES ('gate', 'people', '2026-01-05 08:00:01+00', 4), ('gate', 'people', '2026-01-05 08:00:03+00', 1.5),
                            ('gate', 'people', '2026-01-05 08:00:02+00', 2)"
        ));
        for _ in 0..2 {
            assert!(holds(
                "SELECT (bucket_start, count_values, sum_value, avg_value, min_value, max_value, first_value, last_value)
                        = (timestamptz '2026-01-05 08:00+00', 3, 7.5, 2.5, 1.5, 4, 4, 1.5)
                    AND round(std_dev_value, 9) = 1.322875656
                 FROM camcount.timeseries_buckets('gate', 'people', '15 seconds', '2026-01-05', '2026-01-06')"
            ));
            run("SELECT camcount.compress_timeseries_data('gate', 'people', 1)");
        }
    }

    #[pg_test]
    fn days_of_23_and_25_hours_have_as_many_buckets() {
        run("INSERT INTO camcount.cameras (camera_id, time_zone) VALUES ('gate', 'Europe/Berlin')");
        for (from, to, hours) in
            [("2026-03-28 23:00", "2026-03-29 22:00", 23), ("2025-10-25 22:00", "2025-10-26 23:00", 25)]
        {
            run(&format!(
                "{WRITE} SELECT 'gate', 'people', at, 1
                 FROM generate_series('{from}+00'::timestamptz, timestamptz '{to}+00' - interval '1 second', '30 minutes') AS at"
            ));
            let count = |length: &str, expected: i64| {
                assert!(
                    holds(&format!(
                        "SELECT count(*) = {expected} AND sum(count_values) = {hours} * 2 AND min(count_values) > 0
                         FROM camcount.timeseries_buckets('gate', 'people', '{length}', '{from}+00', '{to}+00', 'null')"
                    )),
                    "{length} of {hours} hours"
                );
            };
            count("1 hour", hours);
            count("5 hours", 5);
            count("30 minutes", hours * 2);
            count("1 day", 1);
        }
    }

    #[pg_test]
    fn buckets_of_days_weeks_and_months_begin_in_the_time_zone_of_the_camera() {
        run("INSERT INTO camcount.cameras (camera_id, time_zone) VALUES ('gate', 'Asia/Kathmandu')");
        run(&format!(
            "{WRITE} VALUES ('gate', 'people', '2026-01-31 18:14:59+00', 1), ('gate', 'people', '2026-01-31 18:15+00', 3)"
        ));
        for (length, expected) in [
            ("1 day", "30 18:15:00 1 1.00, 31 18:15:00 1 3.00"),
            ("7 days", "25 18:15:00 2 2.00"),
            ("1 month", "31 18:15:00 1 1.00, 31 18:15:00 1 3.00"),
            ("1 year", "31 18:15:00 2 2.00"),
        ] {
            assert_eq!(buckets(length, "2026-01-01", "2026-03-01", "none"), expected, "{length}");
        }
    }

    #[pg_test]
    fn days_go_on_at_midnight_after_one_that_clocks_skip() {
        run("INSERT INTO camcount.cameras (camera_id, time_zone) VALUES ('gate', 'America/Santiago')");
        run(&format!(
            "{WRITE} SELECT 'gate', 'people', at, 1
             FROM generate_series(timestamptz '2025-09-05 00:00-04', '2025-09-09 23:59-03', '1 hour') AS at"
        ));
        for _ in 0..2 {
            assert_eq!(
                buckets("1 day", "2025-09-05 04:00", "2025-09-10 03:00", "null"),
                "05 04:00:00 24 1.00, 06 04:00:00 24 1.00, 07 04:00:00 23 1.00, 08 03:00:00 24 1.00, 09 03:00:00 24 1.00"
            );
            run("SELECT camcount.roll_up_timeseries()");
        }
    }

    #[pg_test]
    fn an_empty_range_has_no_bucket() {
        for fill in ["none", "null", "previous", "linear"] {
            assert_eq!(buckets("1 hour", "2026-01-05 08:30", "2026-01-05 08:30", fill), "");
        }
    }

    #[pg_test]
    fn too_many_buckets_are_refused() {
        let call = |to: &str| {
            format!(
                "SELECT count(*) FROM camcount.timeseries_buckets('gate', 'people', '1 minute', '2026-01-01', '{to}', 'null')"
            )
        };
        let to = "2026-01-01'::timestamptz + interval '100000 minutes";
        assert_eq!(get::<i64>(&call(to)), 100_000);
        assert_refused(&call(&to.replace("100000", "100001")), "54000", "100000 buckets");
        assert_refused(&call("9999-12-31"), "54000", "100000 buckets");
    }

    #[pg_test]
    fn wrong_arguments_of_timeseries_buckets_are_named() {
        for (index, argument, code, parameter) in [
            (0, "NULL", "22004", "p_camera_id"),
            (0, "''", "22023", "p_camera_id"),
            (1, "NULL", "22004", "p_metric_name"),
            (1, "repeat('m', 101)", "22023", "p_metric_name"),
            (2, "NULL", "22004", "p_bucket"),
            (2, "'0'", "22023", "p_bucket"),
            (2, "'-1 hour'", "22023", "p_bucket"),
            (2, "'-1 day'", "22023", "p_bucket"),
            (2, "'-1 month'", "22023", "p_bucket"),
            (2, "'24 hours'", "22023", "p_bucket"),
            (2, "'1 day 1 hour'", "22023", "p_bucket"),
            (2, "'1 month -1 day'", "22023", "p_bucket"),
            (2, "'178956970 years'", "22023", "p_bucket"),
            (2, "'2147483647 days'", "22023", "p_bucket"),
            (3, "NULL", "22004", "p_from"),
            (3, "'-infinity'", "22023", "p_from"),
            (3, "'2026-01-07'", "22023", "p_from must not be after p_to"),
            (4, "NULL", "22004", "p_to"),
            (4, "'infinity'", "22023", "p_to"),
            (5, "NULL", "22004", "p_fill"),
            (5, "'nothing'", "22023", "p_fill"),
        ] {
            let mut arguments = ["'gate'", "'people'", "'1 hour'", "'2026-01-05'", "'2026-01-06'", "'null'"];
            arguments[index] = argument;
            let call = format!("SELECT * FROM camcount.timeseries_buckets({})", arguments.join(", "));
            assert_refused(&call, code, parameter);
        }
    }
}
