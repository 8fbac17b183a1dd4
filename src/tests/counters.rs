//! Counters: their periods, their range, and what lowers them (resolutions 46 to 49).

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, get, holds, run};
    use pgrx::prelude::*;

    fn increment(by: i32) -> i32 {
        get(&format!("SELECT camcount.increment_realtime_counter('gate', 'door.in', {by})"))
    }

    /// `current total hourly daily weekly monthly` of the counter.
    fn counts() -> String {
        get("SELECT concat_ws(' ', current_count, total_count, hourly_count, daily_count, weekly_count, monthly_count)
             FROM camcount.realtime_counters WHERE (camera_id, counter_name) = ('gate', 'door.in')")
    }

    #[pg_test]
    fn increments_in_one_transaction_add_up() {
        assert_eq!(get::<i32>("SELECT camcount.increment_realtime_counter('gate', 'door.in')"), 1);
        assert_eq!(increment(2), 3);
        assert_eq!(counts(), "3 3 3 3 3 3");
    }

    #[pg_test]
    fn counters_of_other_names_and_cameras_are_apart() {
        increment(5);
        assert_eq!(get::<i32>("SELECT camcount.increment_realtime_counter('gate', 'door.out', 1)"), 1);
        assert_eq!(get::<i32>("SELECT camcount.increment_realtime_counter('yard', 'door.in', 1)"), 1);
        assert_eq!(counts(), "5 5 5 5 5 5");
    }

    /// Resolution 47.
    #[pg_test]
    fn each_period_starts_anew_by_itself() {
        for (period, column, expected) in [
            ("1 hour", "hour_start", "11 11 1 11 11 11"),
            ("1 day", "day_start", "11 11 11 1 11 11"),
            ("7 days", "week_start", "11 11 11 11 1 11"),
            ("1 month", "month_start", "11 11 11 11 11 1"),
        ] {
            run("DELETE FROM camcount.realtime_counters WHERE camera_id = 'gate'");
            increment(10);
            run(&format!("UPDATE camcount.realtime_counters SET {column} = {column} - interval '{period}'"));
            increment(1);
            assert_eq!(counts(), expected, "{column}");
        }
    }

    /// Resolution 47, in the camera's time zone.
    #[pg_test]
    fn periods_begin_in_the_time_zone_of_the_camera() {
        run("INSERT INTO camcount.cameras (camera_id, time_zone) VALUES ('gate', 'Asia/Kathmandu')");
        run("SET LOCAL TimeZone = 'America/New_York'");
        increment(1);
        for (column, unit) in
            [("hour_start", "hour"), ("day_start", "day"), ("week_start", "week"), ("month_start", "month")]
        {
            assert!(
                holds(&format!(
                    "SELECT {column} = date_trunc('{unit}', last_increment_at, 'Asia/Kathmandu')
                     FROM camcount.realtime_counters WHERE camera_id = 'gate'"
                )),
                "{column}"
            );
        }
        assert!(holds(
            "SELECT extract(minute FROM hour_start) = 15 FROM camcount.realtime_counters WHERE camera_id = 'gate'"
        ));
    }

    #[pg_test]
    fn a_camera_that_is_not_known_counts_in_utc() {
        increment(1);
        assert!(holds(
            "SELECT day_start = date_trunc('day', last_increment_at, 'UTC') FROM camcount.realtime_counters
             WHERE camera_id = 'gate'"
        ));
    }

    /// Resolution 48.
    #[pg_test]
    fn a_count_beyond_integer_is_stored_but_not_returned() {
        increment(1);
        run("UPDATE camcount.realtime_counters SET current_count = 2147483646, total_count = 5000000000");
        assert_eq!(increment(1), i32::MAX);
        assert!(holds(
            "SELECT total_count = 5000000001 FROM camcount.realtime_counters WHERE camera_id = 'gate'"
        ));
        assert_refused("SELECT camcount.increment_realtime_counter('gate', 'door.in')", "22003", "door.in");
        assert_eq!(increment(-1), i32::MAX - 1);
    }

    /// Resolution 48.
    #[pg_test]
    fn a_null_increment_is_refused_and_changes_nothing() {
        increment(3);
        assert_refused(
            "SELECT camcount.increment_realtime_counter('gate', 'door.in', NULL)",
            "22004",
            "p_increment_value",
        );
        assert_eq!(counts(), "3 3 3 3 3 3");
    }

    /// Resolution 49.
    #[pg_test]
    fn a_negative_increment_lowers_the_current_count_alone() {
        increment(5);
        assert_eq!(increment(-2), 3);
        assert_eq!(counts(), "3 5 5 5 5 5");
        assert_eq!(increment(-100), 0);
        assert_eq!(increment(i32::MIN), 0);
        assert_eq!(counts(), "0 5 5 5 5 5");
    }

    #[pg_test]
    fn a_counter_that_begins_with_a_negative_increment_is_zero() {
        assert_eq!(increment(-4), 0);
        assert_eq!(counts(), "0 0 0 0 0 0");
    }

    #[pg_test]
    fn wrong_names_are_refused() {
        for (arguments, code, parameter) in [
            ("NULL, 'door.in'", "22004", "p_camera_id"),
            ("'gate', NULL", "22004", "p_counter_name"),
            ("'', 'door.in'", "22023", "p_camera_id"),
            ("'gate', repeat('x', 101)", "22023", "p_counter_name"),
        ] {
            assert_refused(
                &format!("SELECT camcount.increment_realtime_counter({arguments})"),
                code,
                parameter,
            );
        }
    }
}
