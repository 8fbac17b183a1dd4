//! What the workers' statements do to an item and its message (resolutions 14 and 21).

#[pgrx::pg_schema]
mod tests {
    use crate::database;
    use crate::tests::{get, holds, run, take_in};
    use pgrx::prelude::*;

    const WORKER: i64 = 4711;

    /// One message that needs no pipeline, claimed.
    fn claimed_message() -> String {
        let id = ingest(1);
        take_in();
        claim(&id);
        id
    }

    fn ingest(number: i64) -> String {
        get(&format!(
            "SELECT camcount.ingest_realtime_data('gate', 'main', '2026-01-05 08:00:00+00', {number}, 'counting', '[]')"
        ))
    }

    fn claim(id: &str) {
        run(&format!(
            "UPDATE camcount.stream_items SET status = 'processing', attempts = attempts + 1, claimed_by = {WORKER},
                    processing_started_at = clock_timestamp() - interval '2 seconds',
                    queued_at = queued_at - interval '3 seconds'
             WHERE ingestion_id = '{id}';
             UPDATE camcount.stream_state SET claimed_by = {WORKER}, lease_until = now() + interval '1 minute'
             WHERE camera_id = 'gate'"
        ));
    }

    fn acknowledge(id: &str, verdict: &str) {
        const ACKNOWLEDGE: &str = include_str!("../worker/vision/write/acknowledge.sql");
        let rows: String = get(&format!(
            "SELECT json_agg(to_jsonb(item) || '{verdict}')::text FROM (
                 SELECT id, frame_timestamp FROM camcount.queue_items WHERE ingestion_id = '{id}'
             ) AS item"
        ));
        database::run(ACKNOWLEDGE, &["gate".into(), "main".into(), rows.as_str().into()]).unwrap();
    }

    fn fail() {
        const FAIL: &str = concat!(
            include_str!("../worker/vision/fail_attempt.sql"),
            include_str!("../worker/vision/after_failure.sql")
        );
        let arguments =
            [WORKER.into(), "gate".into(), "main".into(), "XX000".into(), "out of luck".into(), 1000.into()];
        database::run(FAIL, &arguments).unwrap();
    }

    fn item_and_message(id: &str) -> String {
        get(&format!(
            "SELECT concat_ws(' ', i.status, m.processing_status, i.attempts, m.retry_count, i.error_code, m.error_code)
             FROM camcount.queue_items i JOIN camcount.realtime_data_ingestion m USING (ingestion_id)
             WHERE ingestion_id = '{id}'"
        ))
    }

    /// Resolution 14.
    #[pg_test]
    fn item_and_message_are_completed_together() {
        let id = claimed_message();
        acknowledge(&id, r#"{"status": "completed"}"#);
        assert_eq!(item_and_message(&id), "completed completed 1 0");
        assert!(holds(&format!(
            "SELECT completed_at IS NOT NULL AND claimed_by = '{WORKER}' FROM camcount.queue_items WHERE ingestion_id = '{id}'"
        )));
    }

    /// Resolution 14.
    #[pg_test]
    fn item_and_message_fail_together_with_the_reason() {
        let id = claimed_message();
        acknowledge(&id, r#"{"status": "failed", "error_code": "22P03", "error_message": "no picture"}"#);
        assert_eq!(item_and_message(&id), "failed failed 1 1 22P03 22P03");
        assert!(holds(&format!(
            "SELECT error_message = 'no picture' FROM camcount.dead_letters WHERE ingestion_id = '{id}'"
        )));
    }

    /// Resolution 21.
    #[pg_test]
    fn latencies_are_filled_at_acknowledgement() {
        let id = claimed_message();
        acknowledge(&id, r#"{"status": "completed"}"#);
        assert!(holds(&format!(
            "SELECT processing_latency_ms BETWEEN 2000 AND 62000 AND total_latency_ms BETWEEN 3000 AND 63000
             FROM camcount.realtime_data_ingestion WHERE ingestion_id = '{id}'"
        )));
    }

    #[pg_test]
    fn an_item_that_another_worker_has_finished_is_left_alone() {
        let id = claimed_message();
        acknowledge(&id, r#"{"status": "completed"}"#);
        acknowledge(&id, r#"{"status": "failed", "error_code": "XX000", "error_message": "too late"}"#);
        assert_eq!(item_and_message(&id), "completed completed 1 0");
    }

    #[pg_test]
    fn failed_attempts_wait_longer_and_end_as_a_dead_letter() {
        let id = claimed_message();
        for (seconds, expected) in
            [(1, "queued pending 1 1 XX000 XX000"), (2, "queued pending 2 2 XX000 XX000")]
        {
            fail();
            assert_eq!(item_and_message(&id), expected);
            assert!(holds(&format!(
                "SELECT available_at <= clock_timestamp() + interval '{seconds} seconds'
                    AND available_at > now() + interval '{seconds} seconds' AND claimed_by IS NULL
                 FROM camcount.stream_items WHERE ingestion_id = '{id}'"
            )));
            claim(&id);
        }
        fail();
        assert_eq!(item_and_message(&id), "failed failed 3 3 XX000 XX000");
        assert!(holds(
            "SELECT claimed_by IS NULL AND lease_until IS NULL FROM camcount.stream_state WHERE camera_id = 'gate'"
        ));
    }

    #[pg_test]
    fn the_state_of_each_queue_is_shown() {
        let id = claimed_message();
        ingest(2);
        let shown = "SELECT concat_ws(' ', queued, processing, failed, is_active, is_paused)
             FROM camcount.queue_status WHERE queue_id = 'high_priority'";
        assert_eq!(get::<String>(shown), "1 1 0 t f");
        acknowledge(&id, r#"{"status": "failed", "error_code": "XX000", "error_message": "out of luck"}"#);
        assert_eq!(get::<String>(shown), "1 0 1 t f");
    }
}
