//! What becomes of a frame or a message.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{FRAME, PIXEL, get, get_with, holds, ingest_pixel, keep, list, run};
    use pgrx::prelude::*;

    const DETECTIONS: &str = r#"{"width":100,"height":50,"detections":[]}"#;

    fn ingest(data_type: &str, payload: &str) -> String {
        get(&format!(
            "SELECT camcount.ingest_realtime_data('gate', 'main', '2026-01-05 08:00:00+00', 7, '{data_type}', '{payload}')"
        ))
    }

    #[pg_test]
    fn the_first_frame_needs_no_set_up() {
        assert_eq!(list("SELECT queue_id FROM camcount.ingestion_queue"), "batch, high_priority, normal");
        let id = ingest_pixel("gate", "main", "now()", 1);
        assert!(holds("SELECT count(*) = 1 FROM camcount.cameras WHERE camera_id = 'gate'"));
        assert!(holds(
            "SELECT count(*) = 1 FROM camcount.stream_state WHERE (camera_id, stream_id) = ('gate', 'main')"
        ));
        assert!(holds(&format!(
            "SELECT queue_id = 'normal' AND item_priority = 5 AND status = 'queued' AND data_type = 'frame'
             FROM camcount.queue_items WHERE ingestion_id = '{id}'"
        )));
    }

    #[pg_test]
    fn a_frame_is_kept_byte_for_byte_and_not_in_json() {
        keep("frame", FRAME);
        let id: String = get(
            "SELECT camcount.ingest_frame('gate', 'main', now(), 1, pg_temp.bytes('frame'), '{\"weather\": \"rain\", \"image\": 7}')",
        );
        let image: Vec<u8> =
            get_with("SELECT image FROM camcount.frames WHERE ingestion_id = $1", &[id.as_str().into()]);
        assert!(image == FRAME);
        assert!(holds(&format!(
            "SELECT (format, width, height) = ('jpeg', 768, 576) FROM camcount.frames WHERE ingestion_id = '{id}'"
        )));
        assert!(holds(&format!(
            "SELECT data_payload = '{{\"weather\": \"rain\", \"image\": 7}}' FROM camcount.realtime_data_ingestion
             WHERE ingestion_id = '{id}'"
        )));
    }

    #[pg_test]
    fn frames_can_be_loaded_through_a_view() {
        let rows = format!(
            "SELECT 'gate', 'main', now(), n, decode('{PIXEL}', 'base64') FROM generate_series(1, 3) n"
        );
        run(&format!(
            "INSERT INTO camcount.frame_loader (camera_id, stream_id, frame_timestamp, frame_number, image) {rows}"
        ));
        assert!(holds(
            "SELECT count(*) = 3 AND bool_and(data_payload = '{}') FROM camcount.realtime_data_ingestion
             WHERE camera_id = 'gate' AND queue_id = 'normal'"
        ));
        assert!(holds("SELECT count(*) = 3 FROM camcount.frames WHERE camera_id = 'gate'"));
    }

    #[pg_test]
    fn a_frame_and_its_queue_item_carry_the_same_time() {
        let id = ingest_pixel("gate", "main", "now()", 1);
        assert!(holds(&format!(
            "SELECT f.ingestion_timestamp = q.queued_at AND m.ingestion_timestamp = q.queued_at
             FROM camcount.frames f JOIN camcount.queue_items q USING (ingestion_id)
             JOIN camcount.realtime_data_ingestion m USING (ingestion_id) WHERE ingestion_id = '{id}'"
        )));
    }

    /// The frame as a camera sends it that was held upright: Exif with one entry, orientation 6.
    fn turned_frame() -> Vec<u8> {
        const EXIF: &[u8] =
            b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        [&FRAME[..2], EXIF, &FRAME[2..]].concat()
    }

    #[pg_test]
    fn what_the_camera_wrote_into_a_jpeg_is_kept_and_heeded() {
        keep("turned", &turned_frame());
        for (number, metadata, exif) in
            [(1, "{}", r#"{"orientation": 6}"#), (2, r#"{"exif": "mine"}"#, r#""mine""#)]
        {
            let id: String = get(&format!(
                "SELECT camcount.ingest_frame('gate', 'main', now(), {number}, pg_temp.bytes('turned'), '{metadata}')"
            ));
            assert!(holds(&format!(
                "SELECT m.data_payload = '{{\"exif\": {exif}}}' AND (f.width, f.height) = (576, 768)
                 FROM camcount.realtime_data_ingestion m JOIN camcount.frames f USING (ingestion_id)
                 WHERE ingestion_id = '{id}'"
            )));
        }
    }

    #[pg_test]
    fn a_base64_image_is_stored_as_a_picture_and_the_rest_as_metadata() {
        let id = ingest("frame", &format!(r#"{{"image": "{PIXEL}", "zoom": 2}}"#));
        assert!(holds(&format!(
            "SELECT format = 'png' AND image = decode('{PIXEL}', 'base64') FROM camcount.frames WHERE ingestion_id = '{id}'"
        )));
        assert!(holds(&format!(
            "SELECT data_payload = '{{\"zoom\": 2}}' FROM camcount.realtime_data_ingestion WHERE ingestion_id = '{id}'"
        )));
    }

    #[pg_test]
    fn both_ways_of_sending_a_frame_give_it_the_same_id() {
        let id = ingest_pixel("gate", "main", "'2026-01-05 08:00:00+00'", 7);
        assert_eq!(ingest("frame", &format!(r#"{{"image": "{PIXEL}"}}"#)), id);
        assert!(holds("SELECT count(*) = 1 FROM camcount.frames WHERE camera_id = 'gate'"));
    }

    #[pg_test]
    fn results_have_high_priority_in_the_documented_order() {
        ingest("detection", DETECTIONS);
        ingest("tracking", DETECTIONS);
        ingest("counting", r#"{"counter": "in", "value": 2}"#);
        let queued = "SELECT data_type || ' ' || item_priority FROM camcount.queue_items
            WHERE camera_id = 'gate' AND queue_id = 'high_priority' AND item_type = 'realtime_processing'";
        assert_eq!(list(queued), "counting 9, detection 10, tracking 8");
        assert!(holds(
            "SELECT bool_and(item_data = jsonb_build_object('ingestion_id', ingestion_id, 'camera_id', camera_id,
                                                            'data_type', data_type))
             FROM camcount.queue_items WHERE camera_id = 'gate'"
        ));
    }

    /// Resolution 17.
    #[pg_test]
    fn the_size_is_the_octets_of_the_payload_whatever_its_shape() {
        let object = r#"{"counter":"in","value":2}"#;
        let array = r#"[{"counter":"ngõ","value":2},{"counter":"out","value":3}]"#;
        for (number, payload) in [(1, object), (2, array)] {
            let id: String = get(&format!(
                "SELECT camcount.ingest_realtime_data('gate', 'main', now(), {number}, 'counting', '{payload}')"
            ));
            let size: i64 = get(&format!(
                "SELECT data_size_bytes FROM camcount.realtime_data_ingestion WHERE ingestion_id = '{id}'"
            ));
            assert_eq!(size, payload.len() as i64, "{payload}");
        }
        let id = ingest_pixel("gate", "main", "now()", 3);
        assert!(holds(&format!(
            "SELECT data_size_bytes = octet_length(decode('{PIXEL}', 'base64'))
             FROM camcount.realtime_data_ingestion WHERE ingestion_id = '{id}'"
        )));
    }

    /// Resolution 19.
    #[pg_test]
    fn streams_and_data_types_of_one_frame_do_not_collide() {
        let ids = list(
            "SELECT camcount.ingest_realtime_data('gate', stream, '2026-01-05 08:00:00+00', 7, data_type, payload::jsonb)
             FROM (VALUES ('main'), ('side')) AS streams (stream),
                  (VALUES ('detection', '{\"width\":1,\"height\":1,\"detections\":[]}'),
                          ('tracking', '{\"width\":1,\"height\":1,\"detections\":[]}'),
                          ('counting', '[]')) AS types (data_type, payload)",
        );
        let mut ids: Vec<&str> = ids.split(", ").collect();
        assert!(ids.iter().all(|id| id.starts_with("gate_7_1767600000.000000_")), "{ids:?}");
        ids.dedup();
        assert_eq!(ids.len(), 6);
        assert!(holds("SELECT count(*) = 6 FROM camcount.queue_items WHERE camera_id = 'gate'"));
    }

    /// Resolution 20.
    #[pg_test]
    fn a_retry_returns_the_same_id_and_queues_nothing() {
        let first = ingest_pixel("gate", "main", "'2026-01-05 08:00:00+00'", 7);
        run(
            "UPDATE camcount.realtime_data_ingestion SET processing_status = 'completed' WHERE camera_id = 'gate'",
        );
        assert_eq!(ingest_pixel("gate", "main", "'2026-01-05 08:00:00+00'", 7), first);
        assert_eq!(ingest("counting", "[]"), ingest("counting", r#"{"counter": "in", "value": 1}"#));
        for table in ["realtime_data_ingestion", "queue_items"] {
            assert!(
                holds(&format!("SELECT count(*) = 2 FROM camcount.{table} WHERE camera_id = 'gate'")),
                "{table}"
            );
        }
        assert!(holds("SELECT count(*) = 1 FROM camcount.frames WHERE camera_id = 'gate'"));
        assert!(holds(
            "SELECT sum(cardinality(item_ids)) = 2 FROM camcount.waiting_entries e
             JOIN camcount.realtime_data_ingestion m ON m.id = e.id WHERE m.camera_id = 'gate'"
        ));
        assert!(holds(
            "SELECT status = 'completed' FROM camcount.queue_items WHERE data_type = 'frame' AND camera_id = 'gate'"
        ));
    }

    /// Resolution 21, at arrival.
    #[pg_test]
    fn the_latency_is_from_the_frame_to_its_arrival() {
        let id = ingest_pixel("gate", "main", "clock_timestamp() - interval '5 seconds'", 1);
        assert!(holds(&format!(
            "SELECT ingestion_latency_ms BETWEEN 5000 AND 65000 AND NOT clock_skew
             FROM camcount.realtime_data_ingestion WHERE ingestion_id = '{id}'"
        )));
    }

    /// Resolution 21, for a camera whose clock is ahead.
    #[pg_test]
    fn a_frame_from_the_future_is_flagged_and_has_no_negative_latency() {
        let id = ingest_pixel("gate", "main", "clock_timestamp() + interval '1 hour'", 1);
        assert!(holds(&format!(
            "SELECT ingestion_latency_ms = 0 AND clock_skew
             FROM camcount.realtime_data_ingestion WHERE ingestion_id = '{id}'"
        )));
    }

    /// Resolution 26.
    #[pg_test]
    fn a_time_keeps_its_offset_in_a_session_of_any_time_zone() {
        let id = ingest_pixel("gate", "main", "'2026-01-05 08:00:00+00'", 7);
        run("SET LOCAL TimeZone = 'America/New_York'");
        assert_eq!(ingest_pixel("gate", "main", "'2026-01-05 15:00:00+07:00'", 7), id);
        assert!(holds(&format!(
            "SELECT frame_timestamp = '2026-01-05 08:00:00+00' FROM camcount.queue_items WHERE ingestion_id = '{id}'"
        )));
    }

    /// Resolution 9.
    #[pg_test]
    fn names_of_100_characters_give_ids_that_fit() {
        for letter in ["c", "ộ", "🚌"] {
            let name = letter.repeat(100);
            let id = ingest_pixel(&name, &name, "'9999-12-30 23:59:59.999999+00'", i64::MAX);
            assert!(id.chars().count() <= 100, "{id}");
            assert_eq!(ingest_pixel(&name, &name, "'9999-12-30 23:59:59.999999+00'", i64::MAX), id);
        }
    }

    #[pg_test]
    fn long_names_that_begin_alike_stay_apart() {
        let [left, right] = ["a", "b"].map(|last| format!("{}{last}", "c".repeat(99)));
        assert_ne!(ingest_pixel(&left, "main", "now()", 1), ingest_pixel(&right, "main", "now()", 1));
    }

    #[pg_test]
    fn names_that_run_into_each_other_stay_apart() {
        let [left, right] = [("ab", "c"), ("a", "bc")]
            .map(|(camera, stream)| ingest_pixel(camera, stream, "'2026-01-05 08:00:00+00'", 7));
        assert_ne!(left.rsplit('_').next(), right.rsplit('_').next());
    }

    #[pg_test]
    fn frames_before_1970_are_taken() {
        let id = ingest_pixel("gate", "main", "'1969-12-31 23:59:58.5+00'", 0);
        assert!(id.starts_with("gate_0_-1.500000_"), "{id}");
    }

    #[pg_test]
    fn what_a_device_found_is_kept_with_its_metadata() {
        let payload = r#"{"width": 100, "height": 50, "weather": "rain",
            "detections": [{"class": "person", "confidence": 0.9, "bbox": [1, 2, 3, 4], "track_id": 5}]}"#;
        let id = ingest("tracking", payload);
        assert!(holds(&format!(
            "SELECT data_payload = '{payload}' FROM camcount.realtime_data_ingestion WHERE ingestion_id = '{id}'"
        )));
    }
}
