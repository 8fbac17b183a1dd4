//! What people look at.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{get, holds, list, run, take_in};
    use pgrx::prelude::*;

    fn crossing(sequence: u32, direction: &str, time: &str) {
        run(&format!(
            "INSERT INTO camcount.line_crossings (camera_id, stream_id, pipeline_id, line_name, track_id, sequence,
                 direction, label, class, x, y, crossed_at, ingestion_id)
             VALUES ('gate', 'main', 'plaza', 'door', 7, {sequence}, '{direction}', 'x', 'person', 0.5, 0.5, '{time}', 'i')"
        ));
    }

    #[pg_test]
    fn crossings_are_counted_by_line_and_by_the_hour_of_the_camera() {
        run("INSERT INTO camcount.cameras (camera_id, time_zone) VALUES ('gate', 'Asia/Kathmandu')");
        crossing(1, "in", "2026-01-05 08:10:00+00");
        crossing(2, "out", "2026-01-05 08:14:59+00");
        crossing(3, "in", "2026-01-05 08:15:00+00");
        let counts = "SELECT concat_ws(' ', line_name, count_in, count_out) FROM camcount.line_counts WHERE camera_id = 'gate'";
        assert_eq!(list(counts), "door 2 1");
        // Kathmandu is 5:45 ahead: its hours begin at a quarter past.
        let hourly = "SELECT concat_ws(' ', to_char(hour AT TIME ZONE 'UTC', 'HH24:MI'), count_in, count_out)
            FROM camcount.line_counts_hourly WHERE camera_id = 'gate'";
        assert_eq!(list(hourly), "07:15 1 1, 08:15 1 0");
    }

    #[pg_test]
    fn occupancy_is_shown_with_the_visits_of_the_day() {
        run("SELECT camcount.create_pipeline('plaza', 'The plaza', 'counting')");
        run("INSERT INTO camcount.zone_state (camera_id, stream_id, pipeline_id, zone_name, occupancy, is_overcrowded, as_of)
             VALUES ('gate', 'main', 'plaza', 'hall', 3, false, now())");
        run("INSERT INTO camcount.zone_visits (camera_id, stream_id, pipeline_id, zone_name, track_id, sequence, class,
                                               entered_at, exited_at, dwell_seconds)
             VALUES ('gate', 'main', 'plaza', 'hall', 1, 1, 'person', now(), now(), 4),
                    ('gate', 'main', 'plaza', 'hall', 2, 1, 'person', now(), now(), 8),
                    ('gate', 'main', 'plaza', 'hall', 3, 1, 'person', now(), NULL, NULL),
                    ('gate', 'main', 'plaza', 'hall', 4, 1, 'person', now() - interval '1 day', NULL, 90)");
        let shown: String =
            get("SELECT concat_ws(' ', zone_name, occupancy, visits_today, average_dwell_seconds)
             FROM camcount.zone_occupancy WHERE camera_id = 'gate'");
        assert_eq!(shown, "hall 3 3 6");
    }

    #[pg_test]
    fn a_stream_shows_what_waits_and_for_how_long() {
        for number in 1..=2 {
            run(&format!(
                "SELECT camcount.ingest_realtime_data('gate', 'main', now(), {number}, 'counting', '[]')"
            ));
        }
        take_in();
        run("UPDATE camcount.stream_items SET queued_at = queued_at - interval '1 minute'");
        assert!(holds(
            "SELECT queued = 2 AND lag >= interval '1 minute' FROM camcount.streams WHERE camera_id = 'gate'"
        ));
        run("DELETE FROM camcount.stream_items");
        assert!(holds(
            "SELECT queued = 0 AND lag = interval '0' FROM camcount.streams WHERE camera_id = 'gate'"
        ));
    }

    #[pg_test]
    fn tracks_of_a_frame_are_those_seen_in_it() {
        run("INSERT INTO camcount.processing_results (pipeline_id, ingestion_id, camera_id, stream_id, frame_timestamp,
                 frame_number, step_name, result_data)
             VALUES ('plaza', 'i', 'gate', 'main', now(), 1, 'track',
                 '{\"width\": 768, \"height\": 576, \"tracks\": [
                    {\"track_id\": 7, \"class\": \"person\", \"confidence\": 0.9, \"bbox\": [0.1, 0.2, 0.3, 0.4], \"seen\": true},
                    {\"track_id\": 8, \"class\": \"person\", \"confidence\": 0.9, \"bbox\": [0, 0, 1, 1], \"seen\": false}]}')");
        let shown: String = get(
            "SELECT concat_ws(' ', track_id, class, confidence, x, y, w, h, picture_width, picture_height)
             FROM camcount.frame_tracks WHERE camera_id = 'gate'",
        );
        assert_eq!(shown, "7 person 0.9 0.1 0.2 0.3 0.4 768 576");
    }
}
