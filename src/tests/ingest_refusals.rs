//! What ingestion refuses, and how it says so (resolution 24).

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{FRAME, PIXEL, assert_refused, holds, ingest_pixel, keep, run};
    use pgrx::prelude::*;

    /// The call with one argument replaced.
    fn frame_with(index: usize, argument: &str) -> String {
        let image = format!("decode('{PIXEL}', 'base64')");
        let mut arguments = ["'gate'", "'main'", "now()", "1", &image, "'{}'"];
        arguments[index] = argument;
        format!("SELECT camcount.ingest_frame({})", arguments.join(", "))
    }

    fn message_with(index: usize, argument: &str) -> String {
        let mut arguments = ["'gate'", "'main'", "now()", "1", "'counting'", "'[]'"];
        arguments[index] = argument;
        format!("SELECT camcount.ingest_realtime_data({})", arguments.join(", "))
    }

    #[pg_test]
    fn lists_of_a_wrong_length_and_lists_for_objects_are_refused() {
        let detections =
            |detections: &str| format!(r#"'{{"width": 9, "height": 9, "detections": [{detections}]}}'"#);
        for detection in [
            r#"{"class": "a", "confidence": 1, "bbox": [0, 0, 1]}"#,
            r#"{"class": "a", "confidence": 1, "bbox": [0, 0, 1, 1, 7]}"#,
            r#"["a", 1, [0, 0, 1, 1], null]"#,
        ] {
            let call = message_with(5, &detections(detection)).replace("'counting'", "'detection'");
            assert_refused(&call, "22023", "p_data_payload");
        }
        assert_refused(&message_with(5, r#"'[["in", 2]]'"#), "22023", "p_data_payload");
    }

    #[pg_test]
    fn a_null_argument_of_ingest_frame_is_named() {
        let parameters = ["p_camera_id", "p_stream_id", "p_frame_timestamp", "p_frame_number", "p_image"];
        for (index, parameter) in parameters.into_iter().enumerate() {
            assert_refused(&frame_with(index, "NULL"), "22004", parameter);
        }
    }

    #[pg_test]
    fn a_null_argument_of_ingest_realtime_data_is_named() {
        let parameters = [
            "p_camera_id",
            "p_stream_id",
            "p_frame_timestamp",
            "p_frame_number",
            "p_data_type",
            "p_data_payload",
        ];
        for (index, parameter) in parameters.into_iter().enumerate() {
            assert_refused(&message_with(index, "NULL"), "22004", parameter);
        }
    }

    #[pg_test]
    fn wrong_arguments_of_ingestion_are_named() {
        for (index, argument, parameter) in [
            (0, "repeat('c', 101)", "p_camera_id"),
            (0, "''", "p_camera_id"),
            (1, "repeat('s', 101)", "p_stream_id"),
            (1, "''", "p_stream_id"),
            (2, "'infinity'", "p_frame_timestamp"),
            (2, "'-infinity'", "p_frame_timestamp"),
            (3, "-1", "p_frame_number"),
        ] {
            assert_refused(&frame_with(index, argument), "22023", parameter);
            assert_refused(&message_with(index, argument), "22023", parameter);
        }
        assert_refused(&frame_with(5, "'[]'"), "22023", "p_metadata");
        assert_refused(&message_with(4, "'gossip'"), "22023", "p_data_type");
    }

    #[pg_test]
    fn a_time_that_no_partition_could_hold_is_refused() {
        for time in ["'4713-01-01 00:00:00+00 BC'", "'294276-12-31 23:59:59+00'", "'10000-01-01 00:00:00+00'"]
        {
            assert_refused(&frame_with(2, time), "22023", "p_frame_timestamp");
        }
    }

    #[pg_test]
    fn bytes_that_are_no_picture_are_refused() {
        keep("truncated header", &FRAME[..20]);
        for (image, named) in [
            ("''", "empty"),
            ("'this is no image'", "no image"),
            ("'\\xffd8ffe0'", "truncated"),
            ("pg_temp.bytes('truncated header')", "truncated"),
        ] {
            assert_refused(&frame_with(4, image), "22P03", named);
        }
    }

    #[pg_test]
    fn a_picture_of_too_many_pixels_is_refused_by_its_header() {
        let bomb = "'\\x89504e470d0a1a0a0000000d4948445200004e2000004e200800000000c61b19e5'";
        assert_refused(&frame_with(4, bomb), "54000", "20000x20000");
    }

    #[pg_test]
    fn the_largest_picture_is_a_setting() {
        keep("frame", FRAME);
        run("SET LOCAL camcount.max_image_pixels = 442367");
        assert_refused(&frame_with(4, "pg_temp.bytes('frame')"), "54000", "768x576");
        run("SET LOCAL camcount.max_image_pixels = 442368");
        run(&frame_with(4, "pg_temp.bytes('frame')"));
    }

    #[pg_test]
    fn a_frame_message_without_a_base64_image_is_refused() {
        for (payload, code, named) in [
            ("{}", "22023", "image"),
            (r#"{"image": 7}"#, "22023", "image"),
            ("[]", "22023", "image"),
            (r#"{"image": "no base64!"}"#, "22023", "base64"),
            (r#"{"image": "bm8gaW1hZ2U="}"#, "22P03", "no image"),
        ] {
            let statement = message_with(4, "'frame'").replace("'[]'", &format!("'{payload}'"));
            assert_refused(&statement, code, named);
        }
    }

    #[pg_test]
    fn payloads_that_do_not_fit_are_refused_with_the_key() {
        let detection = |detection: &str| format!(r#"{{"width":10,"height":10,"detections":[{detection}]}}"#);
        for (data_type, payload, named) in [
            ("detection", "{}".to_owned(), "width"),
            ("detection", "[]".to_owned(), "p_data_payload"),
            ("detection", r#"{"width":0,"height":1,"detections":[]}"#.to_owned(), "width"),
            (
                "detection",
                detection(r#"{"class":"a","confidence":2,"bbox":[0,0,1,1]}"#),
                "detections[0].confidence",
            ),
            (
                "detection",
                detection(r#"{"class":"a","confidence":1,"bbox":[0,0,-1,1]}"#),
                "detections[0].bbox",
            ),
            (
                "tracking",
                detection(r#"{"class":"a","confidence":1,"bbox":[0,0,1,1]}"#),
                "detections[0].track_id",
            ),
            ("counting", r#"{"counter":"in"}"#.to_owned(), "value"),
            ("counting", r#"[{"counter":"","value":1}]"#.to_owned(), "[0].counter"),
            ("counting", r#"{"counter":"in","value":1,"colour":"red"}"#.to_owned(), "colour"),
            ("counting", r#"{"counter":"in","value":3000000000}"#.to_owned(), "3000000000"),
        ] {
            let statement =
                message_with(4, &format!("'{data_type}'")).replace("'[]'", &format!("'{payload}'"));
            assert_refused(&statement, "22023", named);
        }
    }

    #[pg_test]
    fn a_refused_frame_leaves_nothing_behind() {
        assert_refused(&frame_with(4, "'this is no image'"), "22P03", "image");
        for table in ["cameras", "stream_state", "realtime_data_ingestion", "queue_items", "frames"] {
            assert!(
                holds(&format!("SELECT count(*) = 0 FROM camcount.{table} WHERE camera_id = 'gate'")),
                "{table}"
            );
        }
        ingest_pixel("gate", "main", "now()", 1);
    }
}
