//! The SQL aggregates over values and their times.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, holds};
    use pgrx::prelude::*;

    #[pg_test]
    fn first_and_last_go_by_time_and_then_by_value() {
        assert!(holds(
            "SELECT camcount.first(value, at) = 'b' AND camcount.last(value, at) = 'y'
             FROM (VALUES ('c', timestamptz '2026-01-05 08:00+00'), ('b', '2026-01-05 08:00+00'),
                          ('x', '2026-01-05 09:00+00'), ('y', '2026-01-05 09:00+00'), ('a', '2026-01-05 08:30+00'),
                          (NULL, '2026-01-05 07:00+00'), ('z', NULL)) AS v (value, at)"
        ));
        assert!(holds(
            "SELECT camcount.first(value, at) = 3.50 AND camcount.last(value, at)::text = '12345678901234567890.5'
             FROM (VALUES (3.50, timestamptz '2026-01-05 08:00+00'), (12345678901234567890.5, '2026-01-05 08:01+00'))
                  AS v (value, at)"
        ));
        // Integers of four octets, and an array.
        assert!(holds(
            "SELECT camcount.first(n, now() + n * interval '1 s') = 1 AND camcount.last(n, now() + n * interval '1 s') = 9
                AND camcount.last(ARRAY[n, n], now() + n * interval '1 s') = '{9,9}'
             FROM generate_series(1, 9) AS n"
        ));
    }

    #[pg_test]
    fn first_and_last_of_nothing_are_null() {
        for function in ["first", "last"] {
            assert!(holds(&format!(
                "SELECT camcount.{function}(1, now()) FILTER (WHERE false) IS NULL
                    AND camcount.{function}(NULL::numeric, now()) IS NULL"
            )));
        }
    }

    #[pg_test]
    fn first_and_last_are_kept_apart_by_group_and_window() {
        assert!(holds(
            "SELECT array_agg(last ORDER BY camera) = '{c2,d9}'
             FROM (SELECT camera, camcount.last(camera || n, now() + n * interval '1 s') AS last
                   FROM (VALUES ('c', 1), ('d', 9), ('c', 2), ('d', 3)) AS v (camera, n) GROUP BY camera) AS groups"
        ));
        assert!(holds(
            "SELECT array_agg(so_far ORDER BY n) = '{a9,a9,a9,a9}'
             FROM (SELECT n, camcount.first('a' || 10 - n, now() + n * interval '1 s') OVER (ORDER BY n) AS so_far
                   FROM generate_series(1, 4) AS n) AS windows"
        ));
    }

    #[pg_test]
    fn a_time_weighted_average_weighs_values_by_how_long_they_held() {
        assert!(holds(
            "SELECT camcount.time_weighted_average(value, at ORDER BY at) = 2.5
             FROM (VALUES (1, timestamptz '2026-01-05 08:00+00'), (4, '2026-01-05 08:01+00'),
                          (100, '2026-01-05 08:02+00'), (NULL, '2026-01-05 08:01:30+00'), (7, NULL)) AS v (value, at)"
        ));
        assert!(holds(
            "SELECT camcount.time_weighted_average(3, now()) = 3
                AND camcount.time_weighted_average(3, now()) FILTER (WHERE false) IS NULL"
        ));
    }

    #[pg_test]
    fn a_time_weighted_average_refuses_rows_out_of_order_and_values_that_are_not_finite() {
        let over = |rows: &str| {
            format!("SELECT camcount.time_weighted_average(value, at) FROM (VALUES {rows}) AS v (value, at)")
        };
        let back = over("(1, timestamptz '2026-01-05 08:01+00'), (2, '2026-01-05 08:00+00')");
        assert_refused(&back, "22023", "ORDER BY at");
        for value in ["NaN", "Infinity", "-Infinity"] {
            assert_refused(&over(&format!("(float8 '{value}', now())")), "22023", "value must be");
        }
    }

    #[pg_test]
    fn percentiles_are_within_one_percent_however_sketches_are_put_together() {
        assert!(holds(
            "WITH numbers AS (SELECT n, (n * 7919 % 10007)::float8 / 100 + 0.01 AS value FROM generate_series(1, 20000) n),
             parts AS (SELECT camcount.percentile_sketch(value) AS part FROM numbers GROUP BY n % 13),
             whole AS (SELECT camcount.merge_percentile_sketches(part) AS whole FROM parts)
             SELECT bool_and(abs(found - exact) <= 0.0101 * exact)
             FROM unnest('{0,0.01,0.5,0.9,0.95,0.99,1}'::float8[]) AS fractions (fraction)
             CROSS JOIN LATERAL (SELECT camcount.sketch_percentile(whole, fraction) AS found FROM whole) f
             CROSS JOIN LATERAL (SELECT percentile_disc(fraction) WITHIN GROUP (ORDER BY value) AS exact FROM numbers) e"
        ));
    }

    #[pg_test]
    fn the_percentile_of_nothing_is_null() {
        assert!(holds(
            "SELECT camcount.percentile_sketch(NULL) IS NULL AND camcount.merge_percentile_sketches(NULL) IS NULL
                AND camcount.sketch_percentile(NULL, 0.5) IS NULL"
        ));
    }

    #[pg_test]
    fn wrong_arguments_of_percentiles_are_named() {
        for (call, code, parameter) in [
            ("percentile_sketch('NaN')", "22023", "value"),
            ("percentile_sketch('Infinity')", "22023", "value"),
            ("merge_percentile_sketches('abc')", "22023", "sketch"),
            ("sketch_percentile('abc', 0.5)", "22023", "p_sketch"),
            ("sketch_percentile('', 0.5)", "22023", "p_sketch"),
            ("sketch_percentile(NULL, NULL)", "22004", "p_fraction"),
            ("sketch_percentile(NULL, 1.01)", "22023", "p_fraction"),
            ("sketch_percentile(NULL, -0.01)", "22023", "p_fraction"),
            ("sketch_percentile(NULL, 'NaN')", "22023", "p_fraction"),
        ] {
            assert_refused(&format!("SELECT camcount.{call}"), code, parameter);
        }
    }
}
