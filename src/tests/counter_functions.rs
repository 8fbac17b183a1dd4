//! What is done with counters beside incrementing one, and what is refused (resolutions 47 to 51).

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, get, holds, list, run};
    use pgrx::prelude::*;

    const LONG: &str = "repeat('x', 101)";

    fn increment(camera: &str, by: i32) -> i32 {
        get(&format!("SELECT camcount.increment_realtime_counter('{camera}', 'door.in', {by})"))
    }

    /// `current total reset hourly daily weekly monthly` of a counter, as it is now.
    fn counts(camera: &str) -> String {
        get(&format!(
            "SELECT concat_ws(' ', current_count, total_count, reset_count, hourly_count, daily_count, weekly_count,
                 monthly_count) FROM camcount.get_realtime_counter('{camera}', 'door.in')"
        ))
    }

    fn bulk(increments: &str) -> i32 {
        get(&format!("SELECT camcount.increment_realtime_counters('{increments}')"))
    }

    /// Each of both modes counts alike.
    fn in_both_modes(test: impl Fn(&str)) {
        for mode in ["durable", "buffered"] {
            run(&format!(
                r#"SELECT camcount.configure_realtime_counter('{mode}', 'door.in', '{{"mode": "{mode}"}}')"#
            ));
            test(mode);
        }
    }

    /// Resolution 50.
    #[pg_test]
    fn a_reset_returns_what_was_counted_and_leaves_the_totals() {
        in_both_modes(|camera| {
            increment(camera, 5);
            assert_eq!(
                get::<i64>(&format!("SELECT camcount.reset_realtime_counter('{camera}', 'door.in')")),
                5
            );
            assert_eq!(counts(camera), "0 5 1 5 5 5 5");
            assert_eq!(increment(camera, 2), 2);
            assert_eq!(counts(camera), "2 7 1 7 7 7 7");
            assert!(holds(&format!(
                "SELECT last_reset_at > now() FROM camcount.get_realtime_counter('{camera}', 'door.in')"
            )));
        });
    }

    #[pg_test]
    fn a_reset_that_is_rolled_back_was_none() {
        in_both_modes(|camera| {
            increment(camera, 5);
            run(&format!(
                "DO $$
                 BEGIN
                     PERFORM camcount.increment_realtime_counter('{camera}', 'door.in', 100);
                     PERFORM camcount.reset_realtime_counter('{camera}', 'door.in');
                     PERFORM camcount.increment_realtime_counter('{camera}', 'door.in', 10);
                     RAISE EXCEPTION 'no';
                 EXCEPTION WHEN raise_exception THEN NULL;
                 END $$"
            ));
            assert_eq!(counts(camera), "5 5 0 5 5 5 5");
        });
    }

    #[pg_test]
    fn both_modes_count_alike() {
        in_both_modes(|camera| {
            let seen: Vec<i32> = [3, -1, 4, -100, 2, 0].map(|by| increment(camera, by)).to_vec();
            assert_eq!(seen, [3, 2, 6, 0, 2, 2], "{camera}");
            assert_eq!(counts(camera), "2 9 0 9 9 9 9");
        });
    }

    #[pg_test]
    fn a_count_beyond_integer_is_refused_in_both_modes() {
        in_both_modes(|camera| {
            increment(camera, i32::MAX);
            let one_more = format!("SELECT camcount.increment_realtime_counter('{camera}', 'door.in')");
            assert_refused(&one_more, "22003", "door.in");
            assert_eq!(counts(camera), "2147483647 2147483647 0 2147483647 2147483647 2147483647 2147483647");
            run("UPDATE camcount.realtime_counters SET total_count = 9223372036854775807");
            assert_refused(
                &format!(
                    "SELECT camcount.increment_realtime_counter('{camera}', 'door.in', -1),
                     camcount.increment_realtime_counter('{camera}', 'door.in', 1),
                     count(*) FROM camcount.get_realtime_counter('{camera}', 'door.in')"
                ),
                "22003",
                "door.in",
            );
        });
    }

    /// Resolution 47, on read.
    #[pg_test]
    fn periods_that_are_over_read_as_0() {
        for (column, period, expected) in [
            ("hour_start", "1 hour", "10 10 0 0 10 10 10"),
            ("day_start", "1 day", "10 10 0 10 0 10 10"),
            ("week_start", "7 days", "10 10 0 10 10 0 10"),
            ("month_start", "1 month", "10 10 0 10 10 10 0"),
        ] {
            run("DELETE FROM camcount.realtime_counters");
            increment("gate", 10);
            run(&format!("UPDATE camcount.realtime_counters SET {column} = {column} - interval '{period}'"));
            assert_eq!(counts("gate"), expected, "{column}");
        }
        assert!(holds(
            "SELECT hour_start = date_trunc('hour', clock_timestamp(), 'UTC')
             FROM camcount.get_realtime_counter('gate', 'door.in')"
        ));
    }

    #[pg_test]
    fn a_changed_time_zone_holds_at_once() {
        increment("gate", 1);
        for zone in ["Asia/Kathmandu", "America/New_York"] {
            run(&format!(
                "INSERT INTO camcount.cameras (camera_id, time_zone) VALUES ('gate', '{zone}')
                 ON CONFLICT (camera_id) DO UPDATE SET time_zone = excluded.time_zone"
            ));
            increment("gate", 1);
            assert!(holds(&format!(
                "SELECT day_start = date_trunc('day', last_increment_at, '{zone}') FROM camcount.realtime_counters"
            )));
        }
        run("DELETE FROM camcount.cameras WHERE camera_id = 'gate'");
        increment("gate", 1);
        assert!(holds(
            "SELECT day_start = date_trunc('day', last_increment_at, 'UTC') FROM camcount.realtime_counters"
        ));
    }

    #[pg_test]
    fn counters_are_listed_by_name_and_camera() {
        run("SELECT camcount.increment_realtime_counter(camera, counter)
             FROM (VALUES ('b', 'x'), ('a', 'y'), ('a', 'x')) AS v (camera, counter)");
        let listed = |camera: &str| {
            get::<String>(&format!(
                "SELECT string_agg(camera_id || counter_name || current_count, ' ')
                 FROM camcount.get_realtime_counters({camera})"
            ))
        };
        assert_eq!((listed(""), listed("'a'")), ("ax1 ay1 bx1".into(), "ax1 ay1".into()));
        assert_eq!(list("SELECT counter_name FROM camcount.get_realtime_counters('c')"), "");
        assert_eq!(list("SELECT counter_name FROM camcount.get_realtime_counter('c', 'x')"), "");
    }

    #[pg_test]
    fn a_bulk_call_is_as_many_single_ones() {
        let taken = bulk(
            r#"[{"camera_id": "b", "counter_name": "door.in", "increment": 5},
                {"camera_id": "a", "counter_name": "door.in"},
                {"camera_id": "b", "counter_name": "door.in", "increment": -7},
                {"camera_id": "b", "counter_name": "door.in", "increment": 2},
                {"camera_id": "b", "counter_name": "door.in", "increment": 2147483647}]"#,
        );
        assert_eq!(taken, 5);
        assert_eq!(counts("a"), "1 1 0 1 1 1 1");
        assert!(counts("b").starts_with("2147483649 2147483654 0"), "{}", counts("b"));
        assert_eq!(bulk("[]"), 0);
        // One after the other, also where there are many: the first lowers 1 by 2, to 0.
        let many =
            "SELECT camcount.increment_realtime_counters(jsonb_agg(jsonb_build_object('camera_id', 'a',
            'counter_name', 'door.in', 'increment', CASE WHEN n % 2 = 0 THEN 3 ELSE -2 END) ORDER BY n))
            FROM generate_series(1, 50000) AS n";
        assert_eq!(get::<i32>(many), 50000);
        assert_eq!(counts("a"), "25002 75001 0 75001 75001 75001 75001");
    }

    #[pg_test]
    fn a_bulk_call_is_taken_whole_or_not_at_all() {
        for (element, code, named) in [
            ("null", "22023", "p_increments[1]"),
            (r#"{"counter_name": "n"}"#, "22004", "p_increments[1]: camera_id"),
            (r#"{"camera_id": "a"}"#, "22004", "p_increments[1]: counter_name"),
            (r#"{"camera_id": "", "counter_name": "n"}"#, "22023", "p_increments[1]: camera_id"),
            (r#"{"camera_id": 7, "counter_name": "n"}"#, "22023", "p_increments[1]"),
            (
                r#"{"camera_id": "a", "counter_name": "n", "increment": null}"#,
                "22004",
                "p_increments[1]: increment",
            ),
            (
                r#"{"camera_id": "a", "counter_name": "n", "increment": 2147483648}"#,
                "22023",
                "p_increments[1]",
            ),
            (r#"{"camera_id": "a", "counter_name": "n", "increment": 1.5}"#, "22023", "p_increments[1]"),
            (r#"{"camera_id": "a", "counter_name": "n", "by": 1}"#, "22023", "unknown field `by`"),
        ] {
            let batch = format!(r#"[{{"camera_id": "a", "counter_name": "n"}}, {element}]"#);
            assert_refused(&format!("SELECT camcount.increment_realtime_counters('{batch}')"), code, named);
        }
        run("INSERT INTO camcount.realtime_counters (camera_id, counter_name, total_count)
             VALUES ('full', 'n', 9223372036854775806)");
        assert_refused(
            r#"SELECT camcount.increment_realtime_counters('[{"camera_id": "full", "counter_name": "n"},
                {"camera_id": "a", "counter_name": "n"}, {"camera_id": "full", "counter_name": "n"}]')"#,
            "22003",
            "p_increments[2]",
        );
        assert_eq!(list("SELECT camera_id FROM camcount.realtime_counters"), "full");
        for (argument, code) in [("NULL", "22004"), ("'{}'", "22023"), ("'7'", "22023")] {
            assert_refused(
                &format!("SELECT camcount.increment_realtime_counters({argument})"),
                code,
                "p_increments",
            );
        }
        assert_refused(
            "SELECT camcount.increment_realtime_counters((SELECT jsonb_agg('{}'::jsonb) FROM generate_series(0, 100000)))",
            "22023",
            "p_increments has 100001 elements",
        );
    }

    #[pg_test]
    fn wrong_names_of_counters_are_refused() {
        for (function, rest) in [
            ("reset_realtime_counter", ""),
            ("get_realtime_counter", ""),
            ("configure_realtime_counter", ", '{}'"),
        ] {
            for (arguments, code, parameter) in [
                ("NULL, 'n'".to_owned(), "22004", "p_camera_id"),
                ("'a', NULL".to_owned(), "22004", "p_counter_name"),
                ("'', 'n'".to_owned(), "22023", "p_camera_id"),
                (format!("'a', {LONG}"), "22023", "p_counter_name"),
                (format!("{LONG}, 'n'"), "22023", "p_camera_id"),
            ] {
                assert_refused(&format!("SELECT camcount.{function}({arguments}{rest})"), code, parameter);
            }
        }
        assert_refused(&format!("SELECT camcount.get_realtime_counters({LONG})"), "22023", "p_camera_id");
        assert_refused("SELECT camcount.reset_realtime_counter('a', 'n')", "42704", "\"n\" of camera \"a\"");
    }

    #[pg_test]
    fn wrong_configurations_of_counters_are_refused() {
        for (config, code, named) in [
            ("NULL", "22004", "config"),
            ("'[]'", "22023", "must be a JSON object"),
            (r#"'{"mode": "fast"}'"#, "22023", "unknown variant `fast`"),
            (r#"'{"mode": null}'"#, "22023", "config"),
            (r#"'{"mood": "buffered"}'"#, "42P02", "unknown field `mood`"),
        ] {
            let call = format!("SELECT camcount.configure_realtime_counter('a', 'n', {config})");
            assert_refused(&call, code, named);
            let row = format!(
                "INSERT INTO camcount.realtime_counters (camera_id, counter_name, counter_config)
                 VALUES ('a', 'n', {config})"
            );
            if config != "NULL" {
                assert_refused(&row, code, named);
            }
        }
    }

    #[pg_test]
    fn a_counter_can_be_configured_again_and_again() {
        for (round, mode) in ["buffered", "durable", "buffered"].into_iter().enumerate() {
            run(&format!(
                r#"SELECT camcount.configure_realtime_counter('gate', 'door.in', '{{"mode": "{mode}"}}')"#
            ));
            assert_eq!(increment("gate", 1), round as i32 + 1);
        }
        assert_eq!(counts("gate"), "3 3 0 3 3 3 3");
        assert!(holds("SELECT is_buffered FROM camcount.get_realtime_counter('gate', 'door.in')"));
    }

    #[pg_test]
    fn nothing_is_counted_in_a_read_only_transaction() {
        in_both_modes(|camera| {
            increment(camera, 1);
        });
        run("SET LOCAL transaction_read_only = on");
        for camera in ["durable", "buffered", "new"] {
            for call in [
                format!("increment_realtime_counter('{camera}', 'door.in')"),
                format!("reset_realtime_counter('{camera}', 'door.in')"),
                format!(
                    r#"increment_realtime_counters('[{{"camera_id": "{camera}", "counter_name": "door.in"}}]')"#
                ),
                format!("configure_realtime_counter('{camera}', 'door.in', '{{}}')"),
            ] {
                run(&format!(
                    "DO $$
                     BEGIN
                         PERFORM camcount.{call};
                         RAISE 'was not refused';
                     EXCEPTION WHEN read_only_sql_transaction THEN NULL;
                     END $$"
                ));
            }
        }
        assert_eq!(counts("durable"), "1 1 0 1 1 1 1");
    }

    #[pg_test]
    fn roles_need_rights_to_the_table() {
        run("CREATE ROLE camcount_test_counter;
             GRANT USAGE ON SCHEMA camcount TO camcount_test_counter;
             GRANT SELECT ON camcount.cameras TO camcount_test_counter");
        in_both_modes(|camera| {
            increment(camera, 1);
            run("SET LOCAL ROLE camcount_test_counter");
            for call in ["increment_realtime_counter", "reset_realtime_counter", "get_realtime_counter"] {
                let call = format!("SELECT camcount.{call}('{camera}', 'door.in')");
                assert_refused(&call, "42501", "realtime_counters");
            }
            run("RESET ROLE");
        });
        run("GRANT SELECT, INSERT, UPDATE ON camcount.realtime_counters TO camcount_test_counter;
             SET LOCAL ROLE camcount_test_counter");
        assert_eq!(increment("durable", 1), 2);
        assert_eq!(increment("buffered", 1), 2);
        run("RESET ROLE");
    }

    /// Where only the executor can write the table.
    #[pg_test]
    fn a_users_trigger_sees_each_change() {
        run("CREATE TABLE pg_temp.seen (current_count bigint);
             CREATE FUNCTION pg_temp.see() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO pg_temp.seen VALUES (NEW.current_count); RETURN NEW; END $$;
             CREATE TRIGGER see BEFORE INSERT OR UPDATE ON camcount.realtime_counters
             FOR EACH ROW EXECUTE FUNCTION pg_temp.see()");
        in_both_modes(|camera| {
            assert_eq!([5, -2, 4].map(|by| increment(camera, by)), [5, 3, 7]);
            run("UPDATE camcount.realtime_counters SET hour_start = hour_start - interval '1 hour'");
            assert_eq!(increment(camera, 1), 8);
            assert_eq!(counts(camera), "8 10 0 1 10 10 10");
            assert_eq!(
                get::<i64>(&format!("SELECT camcount.reset_realtime_counter('{camera}', 'door.in')")),
                8
            );
            assert_eq!(counts(camera), "0 10 1 1 10 10 10");
            assert!(holds("SELECT count(*) >= 6 FROM pg_temp.seen"));
        });
    }

    /// Resolution 47: the 25 hours of a day on which the clocks are put back are a day.
    #[pg_test]
    fn a_day_of_25_hours_is_a_day() {
        use camcount_counter::counts::Counts;

        const HOUR: i64 = 3_600_000_000;
        crate::tests::alone();
        let midnight: i64 =
            TimestampWithTimeZone::with_timezone(2026, 10, 25, 0, 0, 0.0, "Europe/Berlin").unwrap().into();
        let mut counts = Counts::default();
        for hour in 0..25 {
            for at in [midnight + hour * HOUR, midnight + (hour + 1) * HOUR - 1] {
                let starts = crate::realtime::periods::starts_in("Europe/Berlin", at).unwrap();
                assert_eq!(starts[..2], [midnight + hour * HOUR, midnight]);
                counts.add(1, at, &starts).unwrap();
            }
            assert_eq!(counts.periods.map(|period| period.count)[..2], [2, 2 * (hour + 1)]);
        }
        let next = crate::realtime::periods::starts_in("Europe/Berlin", midnight + 25 * HOUR).unwrap();
        assert_eq!(next[1], midnight + 25 * HOUR);
        // Monday begins an hour later than seven times 24 hours after the last.
        assert_eq!(counts.at(&next).periods.map(|period| period.count), [0, 0, 0, 50]);
    }
}
