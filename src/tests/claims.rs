//! What a vision worker takes at once.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{get, run, take_in};
    use crate::worker::vision::claim::{Claim, claim};
    use crate::worker::vision::intake::Intake;
    use pgrx::prelude::*;

    const WORKER: i64 = 1_000_000;

    /// Counts of devices, which need no pipeline, one camera after the other.
    fn ingest(cameras: &[&str], messages: i64) {
        send(cameras, messages);
        take_in();
    }

    fn send(cameras: &[&str], messages: i64) {
        for camera in cameras {
            for number in 1..=messages {
                run(&format!(
                    "SELECT camcount.ingest_realtime_data('{camera}', 'main', now(), {number}, 'counting', '[]')"
                ));
            }
        }
    }

    fn attempted(camera: &str) {
        run(&format!(
            "UPDATE camcount.stream_items SET attempts = 1 WHERE camera_id = '{camera}' AND frame_number = 1"
        ));
    }

    /// Cameras with how many items were taken of each.
    fn taken(capacity: usize) -> Vec<(String, usize)> {
        let claims = claim(WORKER, capacity).unwrap();
        let mut taken: Vec<_> =
            claims.into_iter().map(|Claim { camera_id, items, .. }| (camera_id, items.len())).collect();
        taken.sort();
        taken
    }

    fn of(expected: &[(&str, usize)]) -> Vec<(String, usize)> {
        expected.iter().map(|(camera, items)| ((*camera).to_owned(), *items)).collect()
    }

    #[pg_test]
    fn a_stream_with_enough_items_leaves_the_others_to_other_workers() {
        ingest(&["a", "b"], 3);
        assert_eq!(taken(3), of(&[("a", 3)]));
        assert_eq!(taken(3), of(&[("b", 3)]));
        assert_eq!(taken(3), of(&[]));
    }

    #[pg_test]
    fn streams_with_one_item_each_are_taken_until_the_models_are_busy() {
        ingest(&["a", "b", "c", "d"], 1);
        assert_eq!(taken(3), of(&[("a", 1), ("b", 1), ("c", 1)]));
        assert_eq!(taken(3), of(&[("d", 1)]));
    }

    #[pg_test]
    fn an_item_that_was_attempted_before_is_taken_alone() {
        ingest(&["a", "b", "c"], 2);
        attempted("a");
        attempted("c");
        assert_eq!(taken(4), of(&[("a", 1)]));
        assert_eq!(taken(4), of(&[("b", 2)]));
        assert_eq!(taken(4), of(&[("c", 1)]));
    }

    /// What a round took and could not commit is taken by the next.
    #[pg_test]
    fn a_position_moves_only_with_the_commit() {
        let mut intake = Intake::default();
        send(&["a"], 2);
        let waiting = "SELECT count(*) FROM camcount.stream_items";
        let undo = "DELETE FROM camcount.stream_items; UPDATE camcount.realtime_data_ingestion SET is_handed_over = false";
        // As committed by others: what is the session's own is read each time.
        run("UPDATE camcount.waiting_entries SET transaction_id = 3");
        for _ in 0..2 {
            run(undo);
            intake.take(Vec::new()).unwrap();
            assert_eq!(get::<i64>(waiting), 2);
        }
        intake.confirm();
        run(undo);
        intake.take(Vec::new()).unwrap();
        assert_eq!(get::<i64>(waiting), 0);
    }
}
