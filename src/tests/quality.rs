//! How well cameras send.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{get, holds, run};
    use pgrx::prelude::*;

    /// Messages of a stream that came in at these seconds after noon, each taken `latency` seconds before.
    fn arrivals(camera: &str, stream: &str, messages: &[(f64, i64, f64)]) {
        for (arrived, number, latency) in messages {
            run(&format!(
                "INSERT INTO camcount.cameras (camera_id) VALUES ('{camera}') ON CONFLICT DO NOTHING;
                 INSERT INTO camcount.stream_state (camera_id, stream_id) VALUES ('{camera}', '{stream}')
                     ON CONFLICT DO NOTHING;
                 INSERT INTO camcount.realtime_data_ingestion
                     (ingestion_id, camera_id, stream_id, ingestion_timestamp, frame_timestamp, frame_number, data_type,
                      data_payload, data_size_bytes, ingestion_latency_ms)
                 SELECT '{camera} {stream} {number} {arrived}', '{camera}', '{stream}', at, at - {latency} * interval '1 s',
                        {number}, 'frame', '{{}}', 125000, {latency} * 1000
                 FROM (SELECT timestamptz '2026-01-05 12:00:00+00' + {arrived} * interval '1 s') AS arrival (at)"
            ));
        }
    }

    fn sample(from: i32, to: i32) -> i64 {
        get(&format!(
            "SELECT camcount.sample_ingestion('2026-01-05 12:00:00+00'::timestamptz + {from} * interval '1 s',
                                              '2026-01-05 12:00:00+00'::timestamptz + {to} * interval '1 s')"
        ))
    }

    #[pg_test]
    fn a_sample_has_rate_bitrate_latency_and_lost_frames_of_its_stretch() {
        arrivals(
            "gate",
            "main",
            &[(59.0, 1, 0.1), (60.0, 2, 0.1), (61.0, 5, 0.3), (62.0, 4, 1.4), (70.0, 6, 0.1)],
        );
        assert_eq!(sample(60, 70), 1);
        assert!(holds(
            "SELECT abs(fps - 0.3) < 1e-9 AND abs(bitrate_mbps - 0.3) < 1e-9 AND abs(latency_ms - 600) < 1e-9
                AND lost_frames = 1 AND image_quality_score IS NULL
                AND measured_at = '2026-01-05 12:01:10+00'
             FROM camcount.camera_quality WHERE camera_id = 'gate'"
        ));
    }

    #[pg_test]
    fn jitter_is_that_of_rfc_3550() {
        // Transit times 100, 260, 100 ms: J = 160/16 = 10, then 10 + (160 - 10)/16.
        arrivals("gate", "main", &[(1.0, 1, 0.1), (2.0, 2, 0.26), (3.0, 3, 0.1)]);
        // One message has no jitter.
        arrivals("gate", "side", &[(4.0, 1, 5.0)]);
        sample(0, 10);
        assert!(holds("SELECT abs(jitter_ms - 19.375) < 1e-6 FROM camcount.camera_quality"));
        arrivals("door", "main", &[(4.0, 1, 5.0)]);
        sample(0, 11);
        assert!(holds("SELECT jitter_ms IS NULL FROM camcount.camera_quality WHERE camera_id = 'door'"));
    }

    #[pg_test]
    fn a_camera_that_falls_silent_has_one_row_that_says_so() {
        arrivals("gate", "main", &[(1.0, 1, 0.1)]);
        assert_eq!([sample(0, 10), sample(10, 20), sample(20, 30)], [1, 1, 0]);
        assert!(holds(
            "SELECT fps = 0 AND measured_at = '2026-01-05 12:00:20+00' FROM camcount.camera_quality"
        ));
    }

    #[pg_test]
    fn the_worst_stream_tells_how_good_a_cameras_pictures_are() {
        arrivals("gate", "main", &[(1.0, 1, 0.1)]);
        arrivals("gate", "side", &[(1.0, 1, 0.1)]);
        run("UPDATE camcount.stream_state SET image_quality_score = 90, sharpness = 700, brightness = 0.4,
                is_frozen = false, picture_seen_at = '2026-01-05 12:00:02+00'");
        sample(0, 10);
        assert!(holds("SELECT image_quality_score = 90 AND NOT is_frozen FROM camcount.camera_quality"));
        run("UPDATE camcount.stream_state SET is_frozen = true, sharpness = 650 WHERE stream_id = 'side'");
        sample(0, 11);
        assert!(holds(
            "SELECT image_quality_score = 0 AND is_frozen AND sharpness = 650 FROM camcount.camera_quality"
        ));
    }

    #[pg_test]
    fn an_empty_database_has_no_samples() {
        assert_eq!(sample(0, 10), 0);
    }
}
