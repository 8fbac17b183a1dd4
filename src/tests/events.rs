//! The event store: ids, versions, handlers, and that it only grows (resolutions 53, 54, 57 and 58).

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{alone, assert_refused, get, holds, list, run};
    use pgrx::prelude::*;

    fn publish(aggregate: &str, kind: &str, event_type: &str) -> String {
        get(&format!(
            "SELECT camcount.publish_event('{aggregate}', '{kind}', '{event_type}', '{{\"n\": 1}}')"
        ))
    }

    fn versions(aggregate: &str, kind: &str) -> String {
        get(&format!(
            "SELECT string_agg(event_version || '=' || event_sequence, ' ' ORDER BY event_version)
             FROM camcount.event_store WHERE (aggregate_id, aggregate_type) = ('{aggregate}', '{kind}')"
        ))
    }

    #[pg_test]
    fn an_event_is_stored_as_it_was_published() {
        let id: String = get(
            "SELECT camcount.publish_event('gate', 'camera', 'moved', '{\"by\": 3}', '{\"why\": \"wind\"}', 'edge')",
        );
        assert!(holds(&format!(
            "SELECT (aggregate_id, aggregate_type, event_type, event_version, event_sequence, source_system)
                    = ('gate', 'camera', 'moved', 1, 1, 'edge')
                AND event_data = '{{\"by\": 3}}' AND event_metadata = '{{\"why\": \"wind\"}}' AND user_id IS NULL
                AND transaction_id = pg_current_xact_id()
             FROM camcount.event_store WHERE event_id = '{id}'"
        )));
    }

    #[pg_test]
    fn what_is_left_out_has_the_documented_defaults() {
        let id = publish("gate", "camera", "moved");
        assert!(holds(&format!(
            "SELECT event_metadata = '{{}}' AND source_system = 'database' AND user_id IS NULL
             FROM camcount.event_store WHERE event_id = '{id}'"
        )));
    }

    /// Resolution 53.
    #[pg_test]
    fn ids_of_one_transaction_differ_fit_and_sort_by_time() {
        run("CREATE TEMP TABLE published ON COMMIT DROP AS
             SELECT n, camcount.publish_event(repeat('a', 100), repeat('t', 100), 'noted', '{}') AS event_id
             FROM generate_series(1, 500) AS n");
        assert!(holds(
            "SELECT count(DISTINCT event_id) = 500 AND max(length(event_id)) <= 100 FROM published"
        ));
        assert!(holds(
            "SELECT bool_and(later) FROM (SELECT event_id > lag(event_id) OVER (ORDER BY n) AS later FROM published) AS pairs
             WHERE later IS NOT NULL"
        ));
    }

    /// Resolution 54.
    #[pg_test]
    fn versions_count_each_type_and_aggregate_by_itself() {
        for (aggregate, kind) in [
            ("gate", "camera"),
            ("gate", "camera"),
            ("gate", "counting"),
            ("yard", "camera"),
            ("gate", "camera"),
        ] {
            publish(aggregate, kind, "noted");
        }
        assert_eq!(versions("gate", "camera"), "1=1 2=2 3=3");
        assert_eq!(versions("gate", "counting"), "1=1");
        assert_eq!(versions("yard", "camera"), "1=1");
    }

    /// Resolution 54.
    #[pg_test]
    fn an_event_that_is_rolled_back_leaves_no_gap() {
        publish("gate", "camera", "noted");
        run("DO $$ BEGIN
                 PERFORM camcount.publish_event('gate', 'camera', 'lost', '{}');
                 RAISE EXCEPTION 'undo';
             EXCEPTION WHEN raise_exception THEN NULL; END $$");
        publish("gate", "camera", "noted");
        assert_eq!(versions("gate", "camera"), "1=1 2=2");
    }

    /// Resolution 54.
    #[pg_test]
    fn the_store_refuses_a_version_twice() {
        publish("gate", "camera", "noted");
        assert_refused(
            "INSERT INTO camcount.event_store (event_id, aggregate_id, aggregate_type, event_type, event_version,
                                               event_data, event_timestamp, event_sequence)
             VALUES ('other', 'gate', 'camera', 'noted', 1, '{}', now(), 1)",
            "23505",
            "event_store_version_key",
        );
    }

    #[pg_test]
    fn the_global_position_grows_over_all_aggregates() {
        for aggregate in ["c", "a", "b"] {
            publish(aggregate, "camera", "noted");
        }
        let order: String =
            get("SELECT string_agg(aggregate_id, '' ORDER BY global_position) FROM camcount.event_store
             WHERE aggregate_type = 'camera' AND aggregate_id IN ('a', 'b', 'c')");
        assert_eq!(order, "cab");
    }

    /// Resolution 57.
    #[pg_test]
    fn handlers_get_exact_types_prefixes_and_everything() {
        run("INSERT INTO camcount.event_handlers (handler_name, handler_type, event_types) VALUES
             ('all', 'notifier', '{*}'), ('exact', 'processor', '{line.crossed}'), ('prefix', 'projector', '{line.*}'),
             ('nested', 'notifier', '{line.crossed.*}'), ('other', 'notifier', '{zone.*,lines.*,crossed}'),
             ('twice', 'notifier', '{line.*,*}')");
        let handlers = |event_type: &str| {
            let id = publish("gate", "camera", event_type);
            list(&format!("SELECT handler_name FROM camcount.event_processing_queue WHERE event_id = '{id}'"))
        };
        assert_eq!(handlers("line.crossed"), "all, exact, prefix, twice");
        assert_eq!(handlers("line.crossed.back"), "all, nested, prefix, twice");
        assert_eq!(handlers("line"), "all, twice");
        assert_eq!(handlers("liner.crossed"), "all, twice");
    }

    #[pg_test]
    fn active_handlers_queue_with_the_documented_priorities() {
        run("INSERT INTO camcount.event_handlers (handler_name, handler_type, event_types, is_active) VALUES
             ('does', 'processor', '{*}', true), ('projects', 'projector', '{*}', true),
             ('notifies', 'notifier', '{*}', true), ('sleeps', 'processor', '{*}', false)");
        let id = publish("gate", "camera", "noted");
        let queued = format!(
            "SELECT handler_name || ' ' || processing_priority || ' ' || processing_status
             FROM camcount.event_processing_queue WHERE event_id = '{id}'"
        );
        assert_eq!(list(&queued), "does 10 pending, notifies 1 pending, projects 5 pending");
    }

    /// Resolution 1.
    #[pg_test]
    fn an_event_outlives_its_user() {
        run("INSERT INTO camcount.users (name) VALUES ('Mai')");
        let id: String = get("SELECT camcount.publish_event('gate', 'camera', 'noted', '{}', '{}', 'app',
                                           (SELECT id FROM camcount.users WHERE name = 'Mai'))");
        assert!(holds(&format!(
            "SELECT user_id IS NOT NULL FROM camcount.event_store WHERE event_id = '{id}'"
        )));
        run("DELETE FROM camcount.users WHERE name = 'Mai'");
        assert!(holds(&format!("SELECT user_id IS NULL FROM camcount.event_store WHERE event_id = '{id}'")));
    }

    /// Resolution 58.
    #[pg_test]
    fn the_store_is_append_only() {
        alone(); // TRUNCATE locks the table
        publish("gate", "camera", "noted");
        for statement in [
            "UPDATE camcount.event_store SET event_data = '{\"n\": 2}'",
            "DELETE FROM camcount.event_store",
            "TRUNCATE camcount.event_store CASCADE",
        ] {
            assert_refused(statement, "23001", "append-only");
        }
    }

    #[pg_test]
    fn wrong_arguments_of_publish_event_are_named() {
        for (arguments, code, named) in [
            ("NULL, 'camera', 'noted', '{}'", "22004", "p_aggregate_id"),
            ("'gate', NULL, 'noted', '{}'", "22004", "p_aggregate_type"),
            ("'gate', 'camera', NULL, '{}'", "22004", "p_event_type"),
            ("'gate', 'camera', 'noted', NULL", "22004", "p_event_data"),
            ("repeat('g', 101), 'camera', 'noted', '{}'", "22023", "p_aggregate_id"),
            ("'gate', '', 'noted', '{}'", "22023", "p_aggregate_type"),
            ("'gate', 'camera', repeat('e', 101), '{}'", "22023", "p_event_type"),
            ("'gate', 'camera', 'noted', '{}', '{}', ''", "22023", "p_source_system"),
            ("'gate', 'camera', 'noted', '{}', '{}', 'app', 2147483647", "23503", "event_store_user_id_fkey"),
        ] {
            assert_refused(&format!("SELECT camcount.publish_event({arguments})"), code, named);
        }
    }
}
