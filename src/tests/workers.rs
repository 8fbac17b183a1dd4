//! Starting and stopping workers, as far as one transaction can; the rest is tested with whole clusters.

#[pgrx::pg_schema]
mod tests {
    use std::time::{Duration, Instant};

    use crate::tests::{assert_refused, get, list, run};
    use pgrx::prelude::*;

    const SOON: Duration = Duration::from_secs(60);

    /// Workers of this database that are alive and have said so.
    fn workers() -> String {
        run("SELECT pg_stat_clear_snapshot()");
        list("SELECT kind FROM camcount.workers")
    }

    fn await_workers(expected: &str) {
        let deadline = Instant::now() + SOON;
        while workers() != expected {
            assert!(Instant::now() < deadline, "workers are {:?}, not {expected:?}", workers());
            run("SELECT pg_sleep(0.05)");
        }
    }

    /// The one test that touches workers: others would find them stopped. Vision workers are set to none.
    #[pg_test]
    fn workers_run_until_they_are_stopped() {
        await_workers("maintenance");
        run("SELECT camcount.start_workers()");
        assert_eq!(workers(), "maintenance");
        assert_eq!(get::<i64>("SELECT camcount.stop_workers()"), 1);
        await_workers("");
        assert_eq!(get::<i64>("SELECT camcount.stop_workers()"), 0);
    }

    #[pg_test]
    fn a_setting_out_of_range_is_refused() {
        assert_refused("SET camcount.max_image_pixels = 0", "22023", "camcount.max_image_pixels");
    }

    #[pg_test]
    fn an_unknown_setting_of_the_prefix_is_refused() {
        assert_refused("SET camcount.vision_wrokers = 2", "42602", "camcount.vision_wrokers");
    }
}
