//! Cameras that fall silent, and are heard again.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, get, holds, ingest_pixel, run};
    use pgrx::prelude::*;

    fn note() -> i32 {
        get("SELECT camcount.note_stalled_cameras('1 microsecond')")
    }

    fn events() -> String {
        get("SELECT coalesce(string_agg(event_type, ', ' ORDER BY event_version), '')
             FROM camcount.event_store WHERE (aggregate_type, aggregate_id) = ('camera', 'door')")
    }

    fn is_stalled() -> bool {
        holds("EXISTS (SELECT FROM camcount.stalled_cameras WHERE camera_id = 'door')")
    }

    #[pg_test]
    fn a_silent_camera_is_noted_once_and_once_more_when_it_is_heard_again() {
        run("SELECT camcount.create_pipeline('door', 'The door', 'counting')");
        ingest_pixel("door", "main", "now()", 1);
        assert_eq!((note(), note()), (1, 0));
        assert!(is_stalled());
        ingest_pixel("door", "main", "now()", 2);
        // Heard again, and silent again for a microsecond.
        assert_eq!((note(), note()), (2, 0));
        assert_eq!(events(), "camera_stalled, camera_recovered, camera_stalled");
        assert!(holds(
            "SELECT bool_and(event_data ?& ARRAY['last_message_at', 'silent_seconds']
                             AND (event_data ->> 'silent_seconds')::numeric >= 0)
             FROM camcount.event_store WHERE aggregate_id = 'door'"
        ));
    }

    #[pg_test]
    fn a_camera_that_sent_a_moment_ago_is_not_silent() {
        ingest_pixel("door", "main", "now()", 1);
        let noted: i32 = get("SELECT camcount.note_stalled_cameras('100 years')");
        assert_eq!(noted, 0);
        assert!(!is_stalled());
    }

    #[pg_test]
    fn events_are_published_where_a_pipeline_asks_for_them() {
        run(r#"SELECT camcount.create_pipeline('a', 'Others', 'counting', '{"cameras": ["gate"]}'),
                      camcount.create_pipeline('b', 'No stalls', 'counting', '{"outputs": {"events": ["camera_recovered"]}}')"#);
        ingest_pixel("door", "main", "now()", 1);
        note();
        assert!(is_stalled());
        ingest_pixel("door", "main", "now()", 2);
        note();
        assert_eq!(events(), "camera_recovered");
    }

    #[pg_test]
    fn a_time_that_is_none_is_refused() {
        for after in ["NULL", "interval '0'", "interval '-1 s'"] {
            assert_refused(&format!("SELECT camcount.note_stalled_cameras({after})"), "22023", "p_after");
        }
    }
}
