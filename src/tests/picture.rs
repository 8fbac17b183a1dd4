//! Annotated frames and heat maps.

#[pgrx::pg_schema]
mod tests {
    use camcount_vision::decode::{Limits, Picture, PictureFormat, decode, probe};

    use crate::tests::{FRAME, assert_refused, get, keep, run};
    use pgrx::prelude::*;

    /// Where the test's track is, in pixels of the frame: left, top, right, bottom.
    const BOX: [u32; 4] = [192, 144, 384, 432];

    /// A frame, and what a pipeline found in it. Returns the frame's id.
    fn processed_frame() -> String {
        keep("frame", FRAME);
        run("SELECT camcount.create_pipeline('plaza', 'The plaza', 'counting',
                 '{\"lines\": [{\"name\": \"door\", \"from\": [0.1, 0.9], \"to\": [0.9, 0.9]}]}')");
        let id: String = get(
            "SELECT camcount.ingest_frame('gate', 'main', '2026-01-05 08:00:00+00', 1, pg_temp.bytes('frame'))",
        );
        run(&format!(
            "INSERT INTO camcount.processing_results (pipeline_id, ingestion_id, camera_id, stream_id, frame_timestamp,
                 frame_number, step_name, result_data)
             VALUES ('plaza', '{id}', 'gate', 'main', '2026-01-05 08:00:00+00', 1, 'track',
                 '{{\"width\": 768, \"height\": 576, \"tracks\": [{{\"track_id\": 7, \"class\": \"person\",
                   \"confidence\": 0.9, \"bbox\": [0.25, 0.25, 0.25, 0.5], \"seen\": true}}], \"occupancy\": {{}}}}')"
        ));
        id
    }

    fn annotated(id: &str) -> Vec<u8> {
        get(&format!("SELECT camcount.annotate_frame('{id}')"))
    }

    fn pixels(file: &[u8]) -> Picture {
        decode(file, &Limits::default()).unwrap()
    }

    /// Mean difference of two pictures' channels over a rectangle.
    fn difference(one: &Picture, other: &Picture, [left, top, right, bottom]: [u32; 4]) -> f64 {
        let mut sum = 0.0;
        for y in top..bottom {
            for x in left * 3..right * 3 {
                let index = (y * one.width * 3 + x) as usize;
                sum += f64::from(one.rgb[index].abs_diff(other.rgb[index]));
            }
        }
        sum / f64::from((right - left) * 3 * (bottom - top))
    }

    #[pg_test]
    fn a_frame_is_annotated_where_its_track_and_its_line_are() {
        let picture = annotated(&processed_frame());
        let info = probe(&picture, &Limits::default()).unwrap();
        assert_eq!((info.format, info.width, info.height), (PictureFormat::Jpeg, 768, 576));
        let (plain, drawn) = (pixels(FRAME), pixels(&picture));
        let [left, top, right, bottom] = BOX;
        let edge = difference(&plain, &drawn, [left - 1, top + 20, left + 1, bottom - 20]);
        let line = difference(&plain, &drawn, [300, 517, 460, 520]);
        let elsewhere = difference(&plain, &drawn, [right + 60, 200, 760, 400]);
        assert!(
            edge > 20.0 && line > 20.0 && elsewhere < 5.0,
            "edge {edge}, line {line}, elsewhere {elsewhere}"
        );
    }

    #[pg_test]
    fn crossings_up_to_the_frame_are_shown_with_the_line() {
        let id = processed_frame();
        let before = annotated(&id);
        let crossing = |time: &str| {
            run(&format!(
                "INSERT INTO camcount.line_crossings (camera_id, stream_id, pipeline_id, line_name, track_id, sequence,
                     direction, label, class, x, y, crossed_at, ingestion_id)
                 VALUES ('gate', 'main', 'plaza', 'door', 7, 1, 'in', 'in', 'person', 0.5, 0.9, '{time}', '{id}')"
            ));
        };
        crossing("2026-01-05 08:00:01+00");
        assert!(annotated(&id) == before, "a later crossing is shown");
        crossing("2026-01-05 07:59:59+00");
        assert!(annotated(&id) != before, "an earlier crossing is not shown");
    }

    #[pg_test]
    fn a_frame_without_results_is_shown_with_its_caption() {
        keep("frame", FRAME);
        let id: String =
            get("SELECT camcount.ingest_frame('gate', 'main', now(), 1, pg_temp.bytes('frame'))");
        assert_eq!(pixels(&annotated(&id)).width, 768);
    }

    #[pg_test]
    fn frames_that_are_not_kept_are_named() {
        assert_refused("SELECT camcount.annotate_frame('gone')", "42704", "gone");
        assert_refused("SELECT camcount.annotate_frame(NULL)", "22004", "p_ingestion_id");
    }

    fn density_cell(minute: &str, x: u32, seconds: f64) {
        run(&format!(
            "INSERT INTO camcount.density_cells (camera_id, stream_id, pipeline_id, bucket_start, grid_columns, grid_rows,
                 cell_x, cell_y, person_seconds, heat)
             VALUES ('gate', 'main', 'plaza', '2026-01-05 {minute}+00', 4, 3, {x}, 1, {seconds}, {seconds})"
        ));
    }

    fn density(from: &str, to: &str) -> Vec<u8> {
        get(&format!("SELECT camcount.density_image('gate', '2026-01-05 {from}+00', '2026-01-05 {to}+00')"))
    }

    #[pg_test]
    fn density_is_a_png_of_its_own_size_where_no_frame_is_kept() {
        density_cell("08:00", 1, 30.0);
        let info = probe(&density("08:00", "09:00"), &Limits::default()).unwrap();
        assert_eq!((info.format, info.width, info.height), (PictureFormat::Png, 960, 720));
    }

    #[pg_test]
    fn density_is_drawn_over_the_latest_frame() {
        processed_frame();
        let plain = pixels(FRAME);
        density_cell("08:00", 1, 30.0);
        let drawn = pixels(&density("08:00", "09:00"));
        assert_eq!((drawn.width, drawn.height), (768, 576));
        let (hot, cold) = (
            difference(&plain, &drawn, [260, 260, 310, 310]),
            difference(&plain, &drawn, [700, 10, 760, 60]),
        );
        assert!(hot > cold + 20.0, "hot {hot}, cold {cold}");
    }

    #[pg_test]
    fn density_takes_minutes_from_the_first_up_to_the_last_exclusive() {
        density_cell("08:00", 0, 10.0);
        density_cell("08:10", 2, 20.0);
        let first = density("08:00", "08:10");
        assert!(
            first == density("07:00", "08:10") && first == density("08:00:30", "08:10"),
            "the first minute is missing"
        );
        assert!(first != density("08:00", "08:11"), "the last minute is missing");
        assert!(density("09:00", "10:00") != first, "a quiet hour is not empty");
    }

    #[pg_test]
    fn wrong_arguments_of_density_image_are_named() {
        for (arguments, code, named) in [
            ("NULL, now(), now()", "22004", "p_camera_id"),
            ("'gate', NULL, now()", "22004", "p_from"),
            ("'gate', now(), NULL", "22004", "p_to"),
            ("'gate', now(), now()", "22023", "p_to"),
            ("'gate', '-infinity', now()", "22023", "p_from"),
        ] {
            assert_refused(&format!("SELECT camcount.density_image({arguments})"), code, named);
        }
    }
}
