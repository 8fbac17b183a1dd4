//! Many messages in one call (resolutions 25 and 26).

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{FRAME, PIXEL, assert_refused, get, get_with, holds, list, run};
    use pgrx::prelude::*;

    /// An element of a batch; `fields` come last and so replace what is there.
    fn element(number: i64, fields: &str) -> String {
        let separator = if fields.is_empty() { "" } else { ", " };
        format!(
            r#"{{"camera_id": "gate", "stream_id": "main", "frame_timestamp": "2026-01-05T08:00:00+00:00",
                 "frame_number": {number}, "data_type": "counting", "data_payload": []{separator}{fields}}}"#
        )
    }

    fn call(elements: &[String], rest: &str) -> String {
        format!("SELECT camcount.batch_ingest_data('[{}]'{rest})", elements.join(", "))
    }

    fn messages() -> i64 {
        get("SELECT count(*) FROM camcount.realtime_data_ingestion")
    }

    #[pg_test]
    fn a_batch_is_taken_with_all_its_types() {
        let detections = r#""data_type": "detection",
            "data_payload": {"width": 100, "height": 50, "detections": []}"#;
        let tracks = detections.replace("detection\"", "tracking\"");
        let frame = format!(r#""data_type": "frame", "data_payload": {{"image": "{PIXEL}", "zoom": 2}}"#);
        let batch = [element(1, ""), element(2, detections), element(3, &tracks), element(4, &frame)];
        assert_eq!(get::<i32>(&call(&batch, "")), 4);
        assert_eq!(
            list(
                "SELECT data_type || ' ' || item_priority FROM camcount.queue_items WHERE queue_id = 'batch'"
            ),
            "counting 9, detection 10, frame 5, tracking 8"
        );
        assert!(holds(
            "SELECT f.width = 1 AND m.data_payload = '{\"zoom\": 2}' AND m.data_size_bytes = octet_length(f.image)
             FROM camcount.frames f JOIN camcount.realtime_data_ingestion m USING (ingestion_id)"
        ));
        assert!(holds("SELECT count(*) = 1 FROM camcount.stream_state"));
    }

    #[pg_test]
    fn a_message_has_one_id_however_it_comes() {
        let single: String = get(
            "SELECT camcount.ingest_realtime_data('gate', 'main', '2026-01-05 08:00:00+00', 1, 'counting', '[]')",
        );
        assert_eq!(get::<i32>(&call(&[element(1, ""), element(2, ""), element(2, "")], "")), 3);
        assert_eq!(get::<i32>(&call(&[element(1, ""), element(2, "")], "")), 2);
        assert_eq!(messages(), 2);
        assert!(holds("SELECT count(*) = 2 FROM camcount.queue_items"));
        assert!(holds(&format!(
            "SELECT count(*) = 1 FROM camcount.realtime_data_ingestion WHERE ingestion_id = '{single}'"
        )));
    }

    #[pg_test]
    fn of_a_frame_that_a_batch_holds_twice_the_first_stays() {
        let other: String = get_with("SELECT encode($1, 'base64')", &[FRAME.into()]);
        let frames = [PIXEL, &other.replace('\n', "")].map(|image| {
            element(1, &format!(r#""data_type": "frame", "data_payload": {{"image": "{image}"}}"#))
        });
        assert_eq!(get::<i32>(&call(&frames, "")), 2);
        assert!(holds("SELECT count(*) = 1 AND max(width) = 1 FROM camcount.frames"));
    }

    #[pg_test]
    fn an_empty_batch_is_none() {
        assert_eq!(get::<i32>(&call(&[], "")), 0);
    }

    #[pg_test]
    fn one_bad_element_refuses_the_batch_and_is_named() {
        for (fields, code, named) in [
            (r#""camera_id": null"#, "22004", "p_data_batch[1]: p_camera_id"),
            (r#""camera_id": 1.5"#, "22023", "p_data_batch[1]: p_camera_id must be text, got 1.5"),
            (r#""data_type": ["frame"]"#, "22023", "p_data_batch[1]: p_data_type must be text"),
            (r#""stream_id": """#, "22023", "p_data_batch[1]: p_stream_id"),
            (r#""frame_number": -1"#, "22023", "p_data_batch[1]: p_frame_number"),
            (
                r#""frame_number": 1.5"#,
                "22023",
                "p_data_batch[1]: p_frame_number must be a whole number, got 1.5",
            ),
            (r#""frame_timestamp": null"#, "22004", "p_data_batch[1]: p_frame_timestamp"),
            (r#""frame_timestamp": 7"#, "22023", "p_data_batch[1]: p_frame_timestamp"),
            (r#""frame_timestamp": "noon""#, "22023", "p_data_batch[1]: p_frame_timestamp"),
            (r#""frame_timestamp": "infinity""#, "22023", "p_data_batch[1]: p_frame_timestamp"),
            (r#""data_type": "gossip""#, "22023", "p_data_batch[1]: p_data_type"),
            (r#""data_type": null"#, "22004", "p_data_batch[1]: p_data_type"),
            (r#""camera_id": 20000000000000000000"#, "22023", "p_data_batch[1]: p_camera_id must be text"),
            (r#""data_payload": null"#, "22004", "p_data_batch[1]: p_data_payload"),
            (r#""data_payload": {"counter": 1}"#, "22023", "p_data_batch[1]: p_data_payload"),
            (
                r#""data_type": "frame", "data_payload": {"image": "?"}"#,
                "22023",
                "p_data_batch[1]: p_data_payload",
            ),
            (
                r#""data_type": "frame", "data_payload": {"image": "AAAA"}"#,
                "22P03",
                "p_data_batch[1]: p_data_payload",
            ),
        ] {
            assert_refused(&call(&[element(1, ""), element(2, fields)], ""), code, named);
        }
        assert_refused(&call(&[element(1, ""), "7".into()], ""), "22023", "p_data_batch[1]");
        assert_eq!(messages(), 0);
        assert!(holds("SELECT count(*) = 0 FROM camcount.ingestion_rejects"));
    }

    #[pg_test]
    fn refused_elements_are_kept_with_their_reasons_where_skipping_is_asked_for() {
        let bad = element(2, r#""frame_number": -1"#);
        let batch = [element(1, ""), bad, "null".into(), element(3, ""), "[1]".into()];
        assert_eq!(get::<i32>(&call(&batch, ", 'skip'")), 2);
        assert_eq!(messages(), 2);
        assert_eq!(
            list("SELECT item_index || ' ' || error_code FROM camcount.ingestion_rejects"),
            "1 22023, 2 22023, 4 22023"
        );
        assert!(holds(
            "SELECT camera_id = 'gate' AND item ->> 'frame_number' = '-1'
                AND error_message = 'p_frame_number must be 0 or more, got -1'
             FROM camcount.ingestion_rejects WHERE item_index = 1"
        ));
        assert_eq!(get::<i32>(&call(&["null".into()], ", p_on_error => 'skip'")), 0);
    }

    #[pg_test]
    fn times_are_read_as_postgres_reads_them() {
        run("SET LOCAL TimeZone = 'Asia/Kolkata'");
        let times = [
            "2026-01-05T08:00:00+07:00",
            "2026-01-05 08:00:00",
            "2026-01-05T02:30:00.25Z",
            "2026-01-05T02:30:00.1234567Z",
            "2026-01-05T23:59:60Z",
            "2026-01-05T23:59:59.9999999-15:59",
            "5 Jan 2026 08:00 Europe/Berlin",
        ];
        for (number, time) in (0..).zip(times) {
            let batch = [element(number, &format!(r#""frame_timestamp": "{time}""#))];
            assert_eq!(get::<i32>(&call(&batch, "")), 1);
            assert!(
                holds(&format!(
                    "SELECT frame_timestamp = '{time}' FROM camcount.realtime_data_ingestion
                     WHERE frame_number = {number}"
                )),
                "{time}"
            );
        }
        for time in [
            "2026-01-05T08:00:00+16:00",
            "2026-02-29T08:00:00Z",
            "0000-01-05T08:00:00Z",
            "2026-01-05T08:00:00−01:00",
        ] {
            let batch = [element(9, &format!(r#""frame_timestamp": "{time}""#))];
            assert_refused(&call(&batch, ""), "22023", "p_data_batch[0]: p_frame_timestamp");
        }
    }

    #[pg_test]
    fn ids_and_numbers_are_taken_as_text_gives_them() {
        let batch = [element(1, r#""camera_id": 5, "frame_number": "12""#)];
        assert_eq!(get::<i32>(&call(&batch, "")), 1);
        assert!(holds("SELECT camera_id = '5' AND frame_number = 12 FROM camcount.realtime_data_ingestion"));
    }

    #[pg_test]
    fn what_is_no_batch_is_refused() {
        for (arguments, code, named) in [
            ("NULL", "22004", "p_data_batch"),
            ("'{}'", "22023", "p_data_batch must be a JSON array"),
            ("'7'", "22023", "p_data_batch"),
            ("'null'", "22023", "p_data_batch"),
            ("'[]', NULL", "22004", "p_on_error"),
            ("'[]', 'ignore'", "22023", "p_on_error"),
            ("'[]', 'fail', 'nowhere'", "42704", "queue \"nowhere\""),
            ("'[]', 'fail', ''", "22023", "p_queue_id"),
            ("(SELECT jsonb_agg(i) FROM generate_series(1, 100001) i)", "22023", "100000 is the most"),
        ] {
            assert_refused(&format!("SELECT camcount.batch_ingest_data({arguments})"), code, named);
        }
    }

    #[pg_test]
    fn another_queue_may_be_named() {
        run("INSERT INTO camcount.ingestion_queue (queue_id, queue_type) VALUES ('night', 'batch')");
        run(&call(&[element(1, "")], ", p_queue_id => 'night'"));
        run("SELECT camcount.ingest_realtime_data('gate', 'main', now(), 2, 'counting', '[]', 'night')");
        run(&format!(
            "SELECT camcount.ingest_frame('gate', 'main', now(), 3, decode('{PIXEL}', 'base64'), p_queue_id => 'night')"
        ));
        assert!(holds("SELECT count(*) = 3 FROM camcount.queue_items WHERE queue_id = 'night'"));
        assert_refused(
            "SELECT camcount.ingest_realtime_data('gate', 'main', now(), 4, 'counting', '[]', 'nowhere')",
            "42704",
            "queue \"nowhere\"",
        );
    }

    #[pg_test]
    fn a_payload_that_cannot_be_read_is_refused_by_itself() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for extra in ["1e400", deep.as_str()] {
            let payload = format!(r#"{{"width": 9, "height": 9, "detections": [], "context": {extra}}}"#);
            let bad = element(2, &format!(r#""data_type": "detection", "data_payload": {payload}"#));
            let batch = [element(1, ""), bad];
            assert_refused(
                &call(&batch, ""),
                "22023",
                "p_data_batch[1]: p_data_payload cannot be read as JSON",
            );
            assert_eq!(get::<i32>(&call(&batch, ", 'skip'")), 1);
            // What is not kept is not looked at.
            let other = element(1, &format!(r#""note": {extra}"#));
            assert_eq!(get::<i32>(&call(&[other], "")), 1);
        }
    }

    #[pg_test]
    fn json_that_cannot_be_read_is_refused_and_its_parameter_named() {
        let deep = format!("'{}{}'", "[".repeat(200), "]".repeat(200));
        for value in ["'[1e400]'", deep.as_str()] {
            for (call, parameter) in [
                ("batch_ingest_data($)", "p_data_batch"),
                ("ingest_realtime_data('gate', 'main', now(), 1, 'counting', $)", "p_data_payload"),
                ("ingest_frame('gate', 'main', now(), 1, '', $)", "p_metadata"),
                ("publish_event('gate', 'camera', 'opened', '{}', $)", "p_event_metadata"),
                ("create_pipeline('doors', 'Doors', 'analytics', $)", "p_pipeline_config"),
                ("add_zone('doors', 'hall', $)", "p_polygon"),
                ("add_line('doors', 'door', '{0,0}', '{1,1}', $)", "p_options"),
                ("register_model('m', '', $)", "p_config"),
            ] {
                assert_refused(&format!("SELECT camcount.{}", call.replace('$', value)), "22023", parameter);
            }
        }
    }
}
