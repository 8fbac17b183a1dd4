//! The cache (resolution 52). It is not undone by the rollback at the end of a test: each uses keys of its own, and all
//! are of a database that other tests use as well.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, get, holds, list, refusal, run};
    use pgrx::prelude::*;

    /// The key's value as text; `none` where there is none.
    fn cached(key: &str) -> String {
        get(&format!("SELECT coalesce(camcount.cache_get('{key}')::text, 'none')"))
    }

    fn wait_past_expiry(key: &str) {
        run(&format!(
            "DO $$ BEGIN
                 FOR i IN 1 .. 3000 LOOP
                     EXIT WHEN NOT EXISTS (SELECT FROM camcount.realtime_metrics_cache WHERE cache_key = '{key}');
                     PERFORM pg_sleep(0.01);
                 END LOOP;
             END $$"
        ));
    }

    #[pg_test]
    fn a_value_of_any_kind_is_returned_as_it_was_set() {
        for value in [
            "null",
            "true",
            "0",
            "-12345678901234567890.123456789",
            "1e400",
            r#""a text""#,
            r#""""#,
            "[]",
            "{}",
            r#"[1, [2, [3, {"a": null}]]]"#,
            r#"{"đếm": "người", "b": {"c": [1.50, "x"]}}"#,
        ] {
            run(&format!("SELECT camcount.cache_set('any kind', '{value}')"));
            assert!(
                holds(&format!("SELECT camcount.cache_get('any kind')::text = '{value}'::jsonb::text")),
                "{value}"
            );
            assert!(holds(&format!("SELECT camcount.cache_get('any kind') = '{value}'::jsonb")), "{value}");
        }
    }

    #[pg_test]
    fn large_and_compressed_values_come_back_whole() {
        for (name, value) in [
            ("compressed", "SELECT jsonb_agg(repeat('x', 1000)) FROM generate_series(1, 100)"),
            ("random", "SELECT jsonb_agg(gen_random_uuid()) FROM generate_series(1, 10000)"),
        ] {
            run(&format!("CREATE TEMP TABLE large_{name} (value) AS {value}"));
            run(&format!("SELECT camcount.cache_set('large {name}', value) FROM large_{name}"));
            assert!(
                holds(&format!("SELECT camcount.cache_get('large {name}') = value FROM large_{name}")),
                "{name}"
            );
        }
        assert!(holds(
            "SELECT cache_size_bytes > 100000 FROM camcount.realtime_metrics_cache WHERE cache_key = 'large compressed'"
        ));
    }

    #[pg_test]
    fn what_is_not_there_is_null() {
        assert_eq!(cached("never set"), "none");
    }

    #[pg_test]
    fn a_new_value_takes_the_place_of_the_old_one() {
        run("SELECT camcount.cache_set('replaced', '1'); SELECT camcount.cache_set('replaced', '2', 10)");
        assert_eq!(cached("replaced"), "2");
        assert!(holds(
            "SELECT count(*) = 1 AND min(ttl_seconds) = 10 AND min(expires_at - cache_timestamp) = '10 seconds'
                 AND bool_and(created_at < cache_timestamp AND updated_at = cache_timestamp)
             FROM camcount.realtime_metrics_cache WHERE cache_key = 'replaced'"
        ));
    }

    #[pg_test]
    fn values_are_valid_for_five_minutes_where_nothing_else_is_said() {
        run("SELECT camcount.cache_set(p_cache_key => 'five minutes', p_cache_value => '1')");
        assert!(holds(
            "SELECT ttl_seconds = 300 FROM camcount.realtime_metrics_cache WHERE cache_key = 'five minutes'"
        ));
        run("SELECT camcount.cache_set('for long', '1', 2147483647)");
        assert_eq!(cached("for long"), "1");
    }

    #[pg_test]
    fn a_deleted_value_is_gone() {
        run("SELECT camcount.cache_set('deleted', '1')");
        assert!(holds("SELECT camcount.cache_delete('deleted')"));
        assert_eq!(cached("deleted"), "none");
        assert!(holds("SELECT NOT camcount.cache_delete('deleted')"));
    }

    /// Resolution 52: expired entries are never returned.
    #[pg_test]
    fn an_expired_value_is_not_returned_not_shown_and_removed_when_asked() {
        run("SELECT camcount.cache_set('short', '1', 1)");
        assert_eq!(cached("short"), "1");
        wait_past_expiry("short");
        assert_eq!(cached("short"), "none");
        assert!(holds("SELECT NOT camcount.cache_delete('short')"));
        run("SELECT camcount.cache_set('short', '2', 1)");
        wait_past_expiry("short");
        assert_eq!(cached("short"), "none");
        let before: i64 = get("SELECT expirations FROM camcount.cache_statistics");
        assert!(get::<i64>("SELECT camcount.cache_evict_expired()") >= 1);
        assert!(get::<i64>("SELECT expirations FROM camcount.cache_statistics") > before);
        assert_eq!(get::<i64>("SELECT camcount.cache_evict_expired()"), 0);
    }

    #[pg_test]
    fn hits_and_misses_count_by_key_and_in_all() {
        run("SELECT camcount.cache_set('counted', '1', 1)");
        run("CREATE TEMP TABLE before AS SELECT hits, misses FROM camcount.cache_statistics");
        for _ in 0..3 {
            assert_eq!(cached("counted"), "1");
        }
        assert_eq!(cached("not counted by key"), "none");
        wait_past_expiry("counted");
        cached("counted");
        cached("counted");
        run("SELECT camcount.cache_set('counted', '2', 100)");
        assert!(holds(
            "SELECT hit_count = 3 AND miss_count = 2 AND last_accessed >= cache_timestamp AND cache_value = '2'
             FROM camcount.realtime_metrics_cache WHERE cache_key = 'counted'"
        ));
        assert!(holds(
            "SELECT now.hits = before.hits + 3 AND now.misses = before.misses + 3 AND now.hit_ratio BETWEEN 0 AND 1
                 AND now.entries > 0 AND now.used_bytes > 0 AND now.largest_value_bytes BETWEEN 900000 AND 1048576
                 AND now.used_bytes + now.free_bytes BETWEEN 15 * 1024 * 1024 AND 16 * 1024 * 1024
             FROM camcount.cache_statistics AS now, before"
        ));
    }

    #[pg_test]
    fn a_rollback_does_not_undo_what_was_set() {
        run("DO $$ BEGIN
                 PERFORM camcount.cache_set('rolled back', '1');
                 RAISE EXCEPTION 'undone';
             EXCEPTION WHEN raise_exception THEN NULL;
             END $$");
        assert_eq!(cached("rolled back"), "1");
    }

    #[pg_test]
    fn keys_of_200_characters_fit() {
        run("SELECT camcount.cache_set(repeat('ộ', 200), '1')");
        assert!(holds("SELECT camcount.cache_get(repeat('ộ', 200)) = '1'"));
        assert!(holds("SELECT camcount.cache_get(repeat('ộ', 199)) IS NULL"));
    }

    #[pg_test]
    fn wrong_arguments_to_the_cache_are_refused() {
        for (call, code, parameter) in [
            ("cache_get(NULL)", "22004", "p_cache_key"),
            ("cache_get('')", "22023", "p_cache_key"),
            ("cache_get(repeat('x', 201))", "22023", "p_cache_key"),
            ("cache_delete(NULL)", "22004", "p_cache_key"),
            ("cache_delete('')", "22023", "p_cache_key"),
            ("cache_set(NULL, '1')", "22004", "p_cache_key"),
            ("cache_set('', '1')", "22023", "p_cache_key"),
            ("cache_set(repeat('x', 201), '1')", "22023", "p_cache_key"),
            ("cache_set('refused', NULL)", "22004", "p_cache_value"),
            ("cache_set('refused', '1', NULL)", "22004", "p_ttl_seconds"),
            ("cache_set('refused', '1', 0)", "22023", "p_ttl_seconds"),
            ("cache_set('refused', '1', -1)", "22023", "p_ttl_seconds"),
            ("cache_set('refused', to_jsonb(repeat('x', 100000000)))", "54000", "p_cache_value"),
            ("cache_set('refused', to_jsonb(repeat('x', 1048576)))", "54000", "p_cache_value"),
        ] {
            assert_refused(&format!("SELECT camcount.{call}"), code, parameter);
        }
        assert_eq!(cached("refused"), "none");
        let (_, message) = refusal("SELECT camcount.cache_set('refused', to_jsonb(repeat('x', 100000000)))");
        assert!(message.len() < 200 && message.contains("octets"), "{message}");
    }

    /// A value that is refused leaves the one that is there.
    #[pg_test]
    fn the_largest_value_is_taken_and_a_larger_one_changes_nothing() {
        // What is not text of the string: header and entry of the array around it.
        run("SELECT camcount.cache_set('largest', to_jsonb(repeat('x', largest_value_bytes::integer - 8)))
             FROM camcount.cache_statistics");
        let size = "SELECT cache_size_bytes FROM camcount.realtime_metrics_cache WHERE cache_key = 'largest'";
        let largest: i32 = get(size);
        assert_refused(
            "SELECT camcount.cache_set('largest', to_jsonb(repeat('x', largest_value_bytes::integer - 7)))
             FROM camcount.cache_statistics",
            "54000",
            "p_cache_value",
        );
        assert_eq!(get::<i32>(size), largest);
        assert!(holds(&format!("SELECT {largest} = largest_value_bytes FROM camcount.cache_statistics")));
        run("SELECT camcount.cache_delete('largest')");
    }

    #[pg_test]
    fn the_cache_is_for_those_to_whom_it_is_granted() {
        run("SELECT camcount.cache_set('granted', '1')");
        run("CREATE ROLE cache_reader; GRANT USAGE ON SCHEMA camcount TO cache_reader;
             GRANT SELECT ON camcount.realtime_metrics_cache TO cache_reader;
             SET LOCAL ROLE cache_reader");
        for call in [
            "SELECT camcount.cache_get('granted')",
            "SELECT camcount.cache_set('granted', '2')",
            "SELECT camcount.cache_delete('granted')",
            "SELECT camcount.cache_evict_expired()",
            "SELECT FROM camcount.realtime_metrics_cache",
        ] {
            assert_refused(call, "42501", "permission denied");
        }
        run("RESET ROLE; GRANT EXECUTE ON FUNCTION camcount.cache_get, camcount.cache_entries TO cache_reader;
             SET LOCAL ROLE cache_reader");
        assert_eq!(cached("granted"), "1");
        assert_eq!(
            list("SELECT cache_key FROM camcount.realtime_metrics_cache WHERE cache_key = 'granted'"),
            "granted"
        );
        run("RESET ROLE");
    }

    #[pg_test]
    fn columns_are_as_documented() {
        assert_eq!(
            list(
                "SELECT attname || ' ' || atttypid::regtype FROM pg_attribute
                 WHERE attrelid = 'camcount.realtime_metrics_cache'::regclass AND attnum > 0"
            ),
            "cache_key text, cache_size_bytes integer, cache_timestamp timestamp with time zone, cache_value jsonb, \
             created_at timestamp with time zone, expires_at timestamp with time zone, hit_count bigint, id bigint, \
             last_accessed timestamp with time zone, miss_count bigint, ttl_seconds integer, \
             updated_at timestamp with time zone"
        );
    }
}
