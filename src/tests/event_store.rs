//! Conditions of publishing, batches, and reading.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::{assert_refused, get, holds, list, run};

    fn publish(metadata: &str) -> String {
        get(&format!("SELECT camcount.publish_event('gate', 'door', 'opened', '{{\"n\": 1}}', '{metadata}')"))
    }

    fn published() -> i64 {
        get("SELECT count(*) FROM camcount.event_store WHERE aggregate_type = 'door'")
    }

    #[pg_test]
    fn an_expected_version_that_is_not_the_latest_is_refused() {
        publish(r#"{"expected_version": 0}"#);
        publish(r#"{"expected_version": 1}"#);
        for expected in [0, 1, 3, 2147483647] {
            assert_refused(
                &format!(
                    "SELECT camcount.publish_event('gate', 'door', 'opened', '{{}}', '{{\"expected_version\": {expected}}}')"
                ),
                "40001",
                &format!("door \"gate\" is at version 2, expected {expected}"),
            );
        }
        assert_eq!(published(), 2);
        assert_refused(
            "SELECT camcount.publish_event('new', 'door', 'opened', '{}', '{\"expected_version\": 1}')",
            "40001",
            "at version 0",
        );
        assert!(holds(
            "SELECT NOT EXISTS (SELECT FROM camcount.event_aggregates WHERE aggregate_id = 'new')"
        ));
    }

    #[pg_test]
    fn a_repetition_returns_the_first_events_id() {
        let first = publish(r#"{"idempotency_key": "k", "expected_version": 0}"#);
        publish("{}");
        assert_eq!(publish(r#"{"idempotency_key": "k", "expected_version": 0}"#), first);
        assert_eq!(published(), 2);
        // Another aggregate's keys are its own.
        run(
            "SELECT camcount.publish_event('yard', 'door', 'opened', '{\"n\": 1}', '{\"idempotency_key\": \"k\"}')",
        );
        assert_eq!(published(), 3);
        for other in [
            "'closed', '{\"n\": 1}', '{\"idempotency_key\": \"k\", \"expected_version\": 0}'",
            "'opened', '{\"n\": 2}', '{\"idempotency_key\": \"k\", \"expected_version\": 0}'",
            "'opened', '{\"n\": 1}', '{\"idempotency_key\": \"k\"}'",
            "'opened', '{\"n\": 1}', '{\"idempotency_key\": \"k\", \"expected_version\": 0}', 'app'",
        ] {
            assert_refused(
                &format!("SELECT camcount.publish_event('gate', 'door', {other})"),
                "23505",
                &first,
            );
        }
    }

    #[pg_test]
    fn metadata_is_kept_and_its_keys_are_checked() {
        let metadata = r#"{"correlation_id": 7, "causation_id": "evt_1", "who": ["me", 1e400]}"#;
        let id = publish(metadata);
        assert!(holds(&format!(
            "SELECT event_metadata = '{metadata}' FROM camcount.event_store WHERE event_id = '{id}'"
        )));
        for (metadata, named) in [
            ("[]", "must be a JSON object"),
            ("null", "must be a JSON object"),
            (r#"{"expected_version": -1}"#, "expected_version"),
            (r#"{"expected_version": 1.5}"#, "expected_version"),
            (r#"{"expected_version": "1"}"#, "expected_version"),
            (r#"{"expected_version": 2147483648}"#, "expected_version"),
            (r#"{"idempotency_key": 1}"#, "idempotency_key"),
            (r#"{"idempotency_key": ""}"#, "idempotency_key"),
            (r#"{"correlation_id": {}}"#, "correlation_id"),
            (r#"{"causation_id": ""}"#, "causation_id"),
        ] {
            assert_refused(
                &format!("SELECT camcount.publish_event('gate', 'door', 'opened', '{{}}', '{metadata}')"),
                "22023",
                named,
            );
            assert_refused(
                &format!("SELECT camcount.publish_event('gate', 'door', 'opened', '{{}}', '{metadata}')"),
                "22023",
                "p_event_metadata",
            );
        }
        // As it would be without.
        publish(r#"{"expected_version": null, "idempotency_key": null, "correlation_id": null}"#);
        publish(r#"{"expected_version": null, "idempotency_key": null, "correlation_id": null}"#);
        assert_eq!(published(), 3);
    }

    const BATCH: &str = r#"[
        {"aggregate_id": "b", "aggregate_type": "door", "event_type": "opened", "event_data": {"n": 1}},
        {"aggregate_id": "a", "aggregate_type": "door", "event_type": "opened", "event_data": null,
         "event_metadata": {"expected_version": 0, "idempotency_key": "k"}, "source_system": "app"},
        {"aggregate_id": "b", "aggregate_type": "door", "event_type": "closed", "event_data": 1e400,
         "event_metadata": {"expected_version": 1}},
        {"aggregate_id": 12, "aggregate_type": "door", "event_type": "opened", "event_data": []},
        {"aggregate_id": "a", "aggregate_type": "door", "event_type": "opened", "event_data": null,
         "event_metadata": {"expected_version": 0, "idempotency_key": "k"}, "source_system": "app"}
    ]"#;

    #[pg_test]
    fn a_batch_is_published_in_its_order() {
        run("INSERT INTO camcount.event_handlers (handler_name, handler_type, event_types)
             VALUES ('hears', 'notifier', '{op*,open.*,closed}')");
        let ids: String = get(&format!("SELECT array_to_string(camcount.publish_events('{BATCH}'), ' ')"));
        let expected = "b 1 opened {\"n\": 1} {} database, a 1 opened null {\"idempotency_key\": \"k\", \
                        \"expected_version\": 0} app, b 2 closed";
        let stored: String = get(
            "SELECT string_agg(concat_ws(' ', aggregate_id, event_version, event_type, event_data, event_metadata,
                                         source_system), ', ' ORDER BY global_position)
             FROM camcount.event_store WHERE aggregate_type = 'door'",
        );
        assert!(stored.starts_with(expected), "{stored}");
        // The last repeats the second.
        let in_order: String =
            get("SELECT concat_ws(' ', string_agg(event_id, ' ' ORDER BY global_position),
                              min(event_id) FILTER (WHERE aggregate_id = 'a'))
             FROM camcount.event_store WHERE aggregate_type = 'door'");
        assert_eq!(ids, in_order);
        assert_eq!(published(), 4);
        assert_eq!(get::<i64>("SELECT count(*) FROM camcount.event_processing_queue"), 1);
        // What has a key is there once, whatever is around it.
        assert!(holds(&format!(
            "SELECT published[1] = (SELECT event_id FROM camcount.event_store
                                    WHERE event_metadata ->> 'idempotency_key' = 'k')
             FROM camcount.publish_events(jsonb_build_array('{BATCH}'::jsonb -> 1)) AS published"
        )));
        assert_eq!(published(), 4);
        assert!(holds("SELECT camcount.publish_events('[]') = '{}'"));
    }

    #[pg_test]
    fn a_batch_is_published_whole_or_not_at_all() {
        let good =
            r#"{"aggregate_id": "a", "aggregate_type": "door", "event_type": "opened", "event_data": 1}"#;
        for (bad, code, named) in [
            ("1", "22023", "p_events[1]: the element must be an object"),
            (r#"{"aggregate_id": "a"}"#, "22004", "event_data"),
            (
                r#"{"aggregate_type": "door", "event_type": "x", "event_data": 1}"#,
                "22004",
                "p_events[1]: aggregate_id",
            ),
            (
                r#"{"aggregate_id": "", "aggregate_type": "door", "event_type": "x", "event_data": 1}"#,
                "22023",
                "aggregate_id must be 1 to 100",
            ),
            (
                r#"{"aggregate_id": "a", "aggregate_type": "door", "event_type": 1, "event_data": 1}"#,
                "22023",
                "event_type must be text",
            ),
            (
                r#"{"aggregate_id": "a", "aggregate_type": "door", "event_type": "x", "event_data": 1, "n": 1}"#,
                "22023",
                "other keys",
            ),
            (
                r#"{"aggregate_id": "a", "aggregate_type": "door", "event_type": "x", "event_data": 1, "user_id": 1.5}"#,
                "22023",
                "user_id",
            ),
            (
                r#"{"aggregate_id": "a", "aggregate_type": "door", "event_type": "x", "event_data": 1,
                    "event_metadata": [1]}"#,
                "22023",
                "event_metadata must be a JSON object",
            ),
            (
                r#"{"aggregate_id": "a", "aggregate_type": "door", "event_type": "x", "event_data": 1,
                    "event_metadata": {"expected_version": 0}}"#,
                "40001",
                "p_events[1]: door \"a\" is at version 1, expected 0",
            ),
        ] {
            assert_refused(&format!("SELECT camcount.publish_events('[{good}, {bad}]')"), code, named);
        }
        let keyed = |data: i32| {
            format!(
                r#"{{"aggregate_id": "a", "aggregate_type": "door", "event_type": "x", "event_data": {data},
                     "event_metadata": {{"idempotency_key": "k"}}}}"#
            )
        };
        assert_refused(
            &format!("SELECT camcount.publish_events('[{}, {}]')", keyed(1), keyed(2)),
            "23505",
            "p_events[0]",
        );
        assert_eq!(published(), 0);
        run(&format!("SELECT camcount.publish_events('[{}]')", keyed(1)));
        assert_refused(
            &format!("SELECT camcount.publish_events('[{good}, {}]')", keyed(2)),
            "23505",
            "p_events[1]",
        );
        for (events, code) in [("NULL", "22004"), ("'{}'", "22023"), ("'1'", "22023")] {
            assert_refused(&format!("SELECT camcount.publish_events({events})"), code, "p_events");
        }
        assert_refused(
            "SELECT camcount.publish_events((SELECT jsonb_agg(n) FROM generate_series(1, 100001) n))",
            "22023",
            "100000 is the most",
        );
    }

    #[pg_test]
    fn a_stream_is_read_from_a_version_on() {
        run(
            "SELECT camcount.publish_event('gate', 'door', 'opened', to_jsonb(n)) FROM generate_series(1, 5) n",
        );
        let read = |arguments: &str| {
            list(&format!("SELECT event_version::text FROM camcount.read_stream('door', 'gate'{arguments})"))
        };
        assert_eq!(read(""), "1, 2, 3, 4, 5");
        assert_eq!(read(", 4"), "4, 5");
        assert_eq!(read(", 2, 2"), "2, 3");
        assert_eq!(read(", 6"), "");
        for (arguments, code, named) in [
            ("NULL, 'gate'", "22004", "p_aggregate_type"),
            ("'door', ''", "22023", "p_aggregate_id"),
            ("'door', 'gate', -1", "22023", "p_from_version"),
            ("'door', 'gate', NULL", "22004", "p_from_version"),
            ("'door', 'gate', 1, 0", "22023", "p_max"),
            ("'door', 'gate', 1, 100001", "22023", "p_max"),
        ] {
            assert_refused(&format!("SELECT * FROM camcount.read_stream({arguments})"), code, named);
        }
    }

    /// This transaction is open, so that none of its events may be read: the next one could take a smaller position.
    #[pg_test]
    fn events_of_an_open_transaction_are_not_read() {
        publish("{}");
        assert!(holds("SELECT count(*) = 0 FROM camcount.read_events(0) WHERE aggregate_type = 'door'"));
        for (arguments, code, named) in [
            ("NULL", "22004", "p_after_position"),
            ("-1", "22023", "p_after_position"),
            ("0, NULL", "22004", "p_max"),
            ("0, 100001", "22023", "p_max"),
            ("0, 10, '{}'", "22023", "p_event_types"),
            ("0, 10, '{NULL}'", "22004", "p_event_types"),
            ("0, 10, ARRAY[repeat('t', 101)]", "22023", "p_event_types"),
        ] {
            assert_refused(&format!("SELECT * FROM camcount.read_events({arguments})"), code, named);
        }
    }
}
