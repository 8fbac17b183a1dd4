//! What series amount to: totals and buckets by minute, hour, day, week and month, and the points themselves.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, get, holds, list, run};
    use pgrx::prelude::*;

    /// Values of the metric `people` of the camera `gate`.
    fn write(values: &str) {
        run(&format!(
            "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)
             SELECT 'gate', 'people', at::timestamptz, value FROM (VALUES {values}) AS v (at, value)"
        ));
    }

    fn set_time_zone(zone: &str) {
        run(&format!("INSERT INTO camcount.cameras (camera_id, time_zone) VALUES ('gate', '{zone}')"));
    }

    fn aggregate(kind: &str, from: &str, to: &str) -> String {
        format!("camcount.aggregate_timeseries_data('gate', 'people', '{kind}', '{from}', '{to}')")
    }

    /// Rolled up and compressed, the values are all that they were.
    fn in_each_form(check: impl Fn()) {
        check();
        run("SELECT camcount.roll_up_timeseries()");
        check();
        run("SELECT camcount.compress_timeseries_data('gate', 'people', 1)");
        assert!(holds("SELECT count(*) = 0 FROM camcount.timeseries_data WHERE camera_id = 'gate'"));
        check();
    }

    /// Resolutions 28 to 32.
    #[pg_test]
    fn totals_and_buckets_are_those_of_the_values_in_a_half_open_range() {
        write(
            "('2026-01-05 08:00+00', 4), ('2026-01-05 08:59:59.999999+00', 1.5), ('2026-01-05 08:30+00', NULL),
             ('2026-01-05 09:00+00', 10), ('2026-01-05 10:00+00', 99)",
        );
        let call = aggregate("hour", "2026-01-05 08:00+00", "2026-01-05 10:00+00");
        in_each_form(|| {
            assert!(holds(&format!(
                "SELECT a @> '{{\"camera_id\": \"gate\", \"metric_name\": \"people\", \"aggregation_type\": \"hour\",
                               \"count\": 3, \"sum\": 15.5, \"min\": 1.5, \"max\": 10, \"unit\": null,
                               \"first_value\": 4, \"last_value\": 10}}'
                     AND round((a ->> 'avg')::numeric, 9) = 5.166666667
                     AND round((a ->> 'std_dev')::numeric, 9) = 4.368447474
                     AND jsonb_array_length(a -> 'buckets') = 2
                     AND a #> '{{buckets, 0}}' @> '{{\"count\": 2, \"sum\": 5.5, \"min\": 1.5, \"max\": 4,
                                                    \"first_value\": 4, \"last_value\": 1.5}}'
                     AND (a #>> '{{buckets, 0, start}}')::timestamptz = '2026-01-05 08:00+00'
                     AND a #> '{{buckets, 1}}' @> '{{\"count\": 1, \"avg\": 10, \"std_dev\": null}}'
                 FROM {call} AS a"
            )));
        });
    }

    #[pg_test]
    fn a_range_without_values_has_a_count_of_zero_and_no_bucket() {
        let call = aggregate("day", "2026-01-05", "2026-01-06");
        assert!(holds(&format!(
            "SELECT a @> '{{\"count\": 0, \"sum\": null, \"avg\": null, \"first_value\": null, \"buckets\": []}}'
             FROM {call} AS a"
        )));
    }

    #[pg_test]
    fn of_values_at_one_time_the_smallest_is_first_and_the_largest_last() {
        write("('2026-01-05 08:00+00', 7), ('2026-01-05 08:00+00', 3), ('2026-01-05 08:00+00', 5)");
        in_each_form(|| {
            let call = aggregate("hour", "2026-01-05", "2026-01-06");
            assert!(holds(&format!("SELECT {call} @> '{{\"first_value\": 3, \"last_value\": 7}}'")));
        });
    }

    /// Resolution 39: whatever the session's time zone is.
    #[pg_test]
    fn days_weeks_and_months_begin_in_the_time_zone_of_the_camera() {
        set_time_zone("Europe/Berlin");
        run("SET LOCAL timezone = 'America/New_York'");
        write(
            "('2026-03-28 22:59:59+00', 1), ('2026-03-28 23:00+00', 1), ('2026-03-29 21:59:59+00', 1),
             ('2026-03-29 22:00+00', 1), ('2026-03-31 22:00+00', 1), ('2025-10-25 22:00+00', 1),
             ('2025-10-26 22:59:59+00', 1), ('2025-10-26 23:00+00', 1)",
        );
        in_each_form(|| {
            for (kind, starts) in [
                (
                    "day",
                    "2025-10-25 22:00, 2025-10-26 23:00, 2026-03-27 23:00, 2026-03-28 23:00, 2026-03-29 22:00, \
                     2026-03-31 22:00",
                ),
                ("week", "2025-10-19 22:00, 2025-10-26 23:00, 2026-03-22 23:00, 2026-03-29 22:00"),
                ("month", "2025-09-30 22:00, 2026-02-28 23:00, 2026-03-31 22:00"),
            ] {
                let call = aggregate(kind, "2025-01-01", "2027-01-01");
                let query = format!(
                    "SELECT to_char((bucket ->> 'start')::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
                     FROM jsonb_array_elements({call} -> 'buckets') AS buckets (bucket)"
                );
                assert_eq!(list(&query), starts, "{kind}");
            }
        });
    }

    #[pg_test]
    fn hours_begin_where_the_time_zone_has_full_hours() {
        set_time_zone("Asia/Kathmandu");
        write("('2026-01-05 08:14+00', 1), ('2026-01-05 08:15+00', 1), ('2026-01-05 09:14+00', 1)");
        in_each_form(|| {
            let call = aggregate("hour", "2026-01-05", "2026-01-06");
            assert!(holds(&format!(
                "SELECT array_agg((bucket ->> 'start')::timestamptz)
                        = '{{2026-01-05 07:15+00, 2026-01-05 08:15+00}}'::timestamptz[]
                 FROM jsonb_array_elements({call} -> 'buckets') AS buckets (bucket)"
            )));
        });
    }

    /// The full hours of these time zones have moved by half an hour since 2000.
    #[pg_test]
    fn days_begin_at_midnight_where_full_hours_have_moved() {
        for (camera, zone) in [("south", "Asia/Colombo"), ("island", "Pacific/Norfolk")] {
            run(&format!(
                "INSERT INTO camcount.cameras (camera_id, time_zone) VALUES ('{camera}', '{zone}');
                 INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)
                 SELECT '{camera}', 'people', at, 1
                 FROM generate_series(timestamptz '2026-06-01 00:00 {zone}', '2026-06-02 23:45 {zone}', '15 minutes') at"
            ));
            for _ in 0..2 {
                assert!(
                    holds(&format!(
                        "SELECT count(*) = 2 AND min(count_values) = 96 AND max(count_values) = 96
                         FROM camcount.timeseries_buckets('{camera}', 'people', '1 day', '2026-01-01', '2027-01-01')"
                    )),
                    "{zone}"
                );
                run("SELECT camcount.roll_up_timeseries()");
            }
        }
    }

    /// Resolution 41.
    #[pg_test]
    fn a_series_with_several_units_is_refused_and_can_be_read() {
        run(
            "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value, metric_unit)
             VALUES ('gate', 'people', '2026-01-05 08:00+00', 1, 'persons'),
                    ('gate', 'people', '2026-01-05 08:01+00', 2, 'dozens')",
        );
        let call = aggregate("hour", "2026-01-05", "2026-01-06");
        in_each_form(|| {
            assert_refused(&format!("SELECT {call}"), "22023", "p_metric_name");
            assert_refused(&format!("SELECT {call}"), "22023", "dozens, persons");
            for fill in ["none", "linear"] {
                let buckets = format!(
                    "SELECT * FROM camcount.timeseries_buckets('gate', 'people', '1 hour', '2026-01-05', '2026-01-06', '{fill}')"
                );
                assert_refused(&buckets, "22023", "dozens, persons");
            }
            assert_eq!(
                list(
                    "SELECT metric_unit FROM camcount.timeseries_points('gate', 'people', '-infinity', 'infinity')"
                ),
                "dozens, persons"
            );
        });
    }

    #[pg_test]
    fn the_unit_of_a_series_is_in_its_aggregate() {
        run(
            "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value, metric_unit)
             VALUES ('gate', 'people', '2026-01-05 08:00+00', 1, 'persons'),
                    ('gate', 'people', '2026-01-05 08:01+00', 2, NULL)",
        );
        in_each_form(|| {
            let call = aggregate("hour", "2026-01-05", "2026-01-06");
            assert_eq!(get::<String>(&format!("SELECT {call} ->> 'unit'")), "persons");
        });
    }

    /// Resolution 34.
    #[pg_test]
    fn a_late_value_adds_to_the_rollup_of_its_hour() {
        run("INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)
             SELECT 'gate', 'people', timestamptz '2026-01-05 08:00+00' + minute * interval '1 minute', minute
             FROM generate_series(0, 59) AS minute");
        run("SELECT camcount.compress_timeseries_data('gate', 'people', 1)");
        write("('2026-01-05 08:30:30+00', 1000)");
        in_each_form(|| {
            let call = aggregate("hour", "2026-01-05", "2026-01-06");
            assert!(holds(&format!(
                "SELECT {call} @> '{{\"count\": 61, \"sum\": 2770, \"min\": 0, \"max\": 1000, \"first_value\": 0,
                                    \"last_value\": 59}}'"
            )));
        });
        assert!(holds(
            "SELECT count_values = 61 AND sum_value = 2770 AND first_value = 0 AND last_value = 59 AND value_range = 1000
                AND first_timestamp = '2026-01-05 08:00+00' AND last_timestamp = '2026-01-05 08:59+00'
             FROM camcount.timeseries_aggregations WHERE camera_id = 'gate' AND aggregation_type = 'hour'"
        ));
    }

    #[pg_test]
    fn an_aggregate_of_too_many_buckets_is_refused() {
        run("INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)
             SELECT 'gate', 'people', timestamptz '2026-01-01 00:00+00' + minute * interval '1 minute', 1
             FROM generate_series(0, 100000) AS minute");
        let call = format!("SELECT {}", aggregate("minute", "2026-01-01 00:00+00", "2027-01-01"));
        assert_refused(&call, "54000", "100000 buckets");
        let call = aggregate("minute", "2026-01-01 00:01+00", "2027-01-01");
        assert!(holds(&format!("SELECT jsonb_array_length({call} -> 'buckets') = 100000")));
    }

    #[pg_test]
    fn wrong_arguments_of_aggregate_timeseries_data_are_named() {
        for (index, argument, code, parameter) in [
            (0, "NULL", "22004", "p_camera_id"),
            (0, "''", "22023", "p_camera_id"),
            (1, "NULL", "22004", "p_metric_name"),
            (1, "repeat('m', 101)", "22023", "p_metric_name"),
            (2, "NULL", "22004", "p_aggregation_type"),
            (2, "'fortnight'", "22023", "p_aggregation_type"),
            (2, "'HOUR'", "22023", "p_aggregation_type"),
            (3, "NULL", "22004", "p_start_timestamp"),
            (3, "'-infinity'", "22023", "p_start_timestamp"),
            (3, "'2026-01-07'", "22023", "p_start_timestamp must not be after p_end_timestamp"),
            (4, "NULL", "22004", "p_end_timestamp"),
            (4, "'infinity'", "22023", "p_end_timestamp"),
        ] {
            let mut arguments = ["'gate'", "'people'", "'hour'", "'2026-01-05'", "'2026-01-06'"];
            arguments[index] = argument;
            let call = format!("SELECT camcount.aggregate_timeseries_data({})", arguments.join(", "));
            assert_refused(&call, code, parameter);
        }
    }

    #[pg_test]
    fn wrong_arguments_of_timeseries_points_are_named() {
        for (index, argument, code, parameter) in [
            (0, "NULL", "22004", "p_camera_id"),
            (0, "repeat('c', 101)", "22023", "p_camera_id"),
            (1, "NULL", "22004", "p_metric_name"),
            (1, "''", "22023", "p_metric_name"),
            (2, "NULL", "22004", "p_from"),
            (2, "'2026-01-07'", "22023", "p_from must not be after p_to"),
            (3, "NULL", "22004", "p_to"),
        ] {
            let mut arguments = ["'gate'", "'people'", "'2026-01-05'", "'2026-01-06'"];
            arguments[index] = argument;
            let call = format!("SELECT * FROM camcount.timeseries_points({})", arguments.join(", "));
            assert_refused(&call, code, parameter);
        }
    }

    /// One row that rollups cannot place would stop those of all series.
    #[pg_test]
    fn a_time_that_has_no_bucket_is_refused_by_the_table() {
        for time in ["4714-11-24 00:00+00 BC", "294276-12-31 23:59:59+00", "10000-01-01 00:00+00", "infinity"]
        {
            assert_refused(
                &format!(
                    "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, metric_value)
                     VALUES ('gate', 'people', '{time}', 1)"
                ),
                "23514",
                "timeseries_data_metric_timestamp",
            );
        }
    }
}
