//! Partitions are made ahead of the data and dropped when they expire (resolutions 4 and 15). Making one locks its
//! table, so these tests run alone.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{alone, assert_refused, get, holds, ingest_pixel, list, run, take_in};
    use pgrx::prelude::*;

    fn create_all() {
        while get::<i32>("SELECT camcount.create_partitions()") > 0 {}
    }

    /// Makes the partition of a table for a time.
    fn make(table: &str, interval: &str, time: &str) {
        assert!(holds(&format!(
            "SELECT camcount.make_partition('{table}', '{interval}', camcount.partition_start('{interval}', {time}))"
        )));
    }

    #[pg_test]
    fn partitions_are_made_for_now_and_ahead() {
        alone();
        create_all();
        let behind = "SELECT p.table_name FROM camcount.retention_policies p JOIN camcount.partition_status s USING (table_name)
            WHERE s.partitions <> p.partitions_ahead + 1
               OR s.covered_until < now() + p.partitions_ahead * p.partition_interval";
        assert_eq!(list(behind), "");
        assert!(holds("SELECT count(*) = 13 FROM camcount.partition_status WHERE partitions > 1"));
    }

    #[pg_test]
    fn a_row_goes_into_its_partition() {
        alone();
        create_all();
        run("SELECT camcount.record_metric('gate', 'people', now(), 1)");
        let partition: String = get(
            "SELECT c.relname::text FROM camcount.timeseries_data d JOIN pg_class c ON c.oid = d.tableoid
             WHERE d.camera_id = 'gate'",
        );
        let expected: String = get(
            "SELECT 'timeseries_data_p' || to_char(camcount.partition_start('7 days', now()) AT TIME ZONE 'UTC', 'YYYYMMDD')",
        );
        assert_eq!(partition, expected);
    }

    #[pg_test]
    fn rows_that_came_before_their_partition_are_moved_into_it() {
        alone();
        ingest_pixel("gate", "main", "now()", 1);
        run("SELECT camcount.record_metric('gate', 'people', now() - interval '30 days', 1)");
        assert!(holds("SELECT count(*) = 3 FROM camcount.partition_status WHERE rows_in_default = 1"));
        create_all();
        assert!(holds("SELECT bool_and(rows_in_default = 0) FROM camcount.partition_status"));
        assert!(holds("SELECT count(*) = 1 FROM camcount.timeseries_data WHERE camera_id = 'gate'"));
        assert!(holds("SELECT count(*) = 1 FROM camcount.queue_items WHERE camera_id = 'gate'"));
    }

    #[pg_test]
    fn a_message_is_not_taken_again_from_a_partition() {
        alone();
        let id = ingest_pixel("gate", "main", "'2026-01-05 08:00:00+00'", 1);
        make("realtime_data_ingestion", "1 day", "'2026-01-05 08:00:00+00'");
        assert_eq!(ingest_pixel("gate", "main", "'2026-01-05 08:00:00+00'", 1), id);
        assert!(holds("SELECT count(*) = 1 FROM camcount.queue_items WHERE camera_id = 'gate'"));
    }

    /// Resolution 2, in a partition.
    #[pg_test]
    fn a_partition_has_the_keys_and_indexes_of_its_table() {
        alone();
        create_all();
        let without = "SELECT l.partition_name FROM camcount.retention_policies p
            CROSS JOIN LATERAL camcount.list_partitions(p.table_name) l
            WHERE NOT camcount.is_restored(p.table_name, l.partition_name)";
        assert_eq!(list(without), "");
        run("INSERT INTO camcount.line_crossings (camera_id, stream_id, pipeline_id, line_name, track_id, sequence,
                 direction, label, class, x, y, crossed_at, ingestion_id)
             VALUES ('gate', 'main', 'p', 'door', 1, 1, 'in', 'in', 'person', 0.5, 0.5, now(), 'i')");
        assert_refused(
            "INSERT INTO camcount.line_crossings (camera_id, stream_id, pipeline_id, line_name, track_id, sequence,
                 direction, label, class, x, y, crossed_at, ingestion_id)
             SELECT camera_id, stream_id, pipeline_id, line_name, track_id, sequence,
                 direction, label, class, x, y, crossed_at, ingestion_id FROM camcount.line_crossings",
            "23505",
            "_pkey",
        );
    }

    #[pg_test]
    fn expired_partitions_are_dropped_and_the_rest_stays() {
        alone();
        for age in ["0 days", "300 days", "6 years"] {
            run(&format!("SELECT camcount.record_metric('gate', 'people', now() - interval '{age}', 1)"));
        }
        make("timeseries_data", "7 days", "now() - interval '6 years'");
        make("timeseries_data", "7 days", "now() - interval '300 days'");
        assert_eq!(get::<i32>("SELECT camcount.drop_expired_partitions()"), 1);
        assert!(holds(
            "SELECT count(*) = 2 AND min(metric_timestamp) > now() - interval '301 days'
             FROM camcount.timeseries_data WHERE camera_id = 'gate'"
        ));
        assert!(holds("SELECT count(*) = 1 FROM camcount.list_partitions('timeseries_data')"));
    }

    #[pg_test]
    fn a_partition_that_holds_one_row_in_time_is_kept() {
        alone();
        make("timeseries_data", "7 days", "now() - interval '1 year'");
        assert_eq!(get::<i32>("SELECT camcount.drop_expired_partitions()"), 0);
    }

    #[pg_test]
    fn expired_rows_without_a_partition_are_deleted_too() {
        alone();
        for age in ["1 day", "6 years"] {
            run(&format!("SELECT camcount.record_metric('gate', 'people', now() - interval '{age}', 1)"));
        }
        run("SELECT camcount.drop_expired_partitions()");
        assert!(holds("SELECT count(*) = 1 FROM camcount.timeseries_data WHERE camera_id = 'gate'"));
    }

    /// Blocks are kept for longer than rows.
    #[pg_test]
    fn values_are_not_dropped_before_they_are_compressed() {
        alone();
        for age in ["2 years", "3 years"] {
            run(&format!("SELECT camcount.record_metric('gate', 'people', now() - interval '{age}', 1)"));
        }
        make("timeseries_data", "7 days", "now() - interval '2 years'");
        assert_eq!(get::<i32>("SELECT camcount.drop_expired_partitions()"), 0);
        assert!(holds("SELECT count(*) = 2 FROM camcount.timeseries_data WHERE camera_id = 'gate'"));
        assert_eq!(get::<i32>("SELECT camcount.compress_timeseries_data('gate', 'people')"), 2);
        assert_eq!(get::<i32>("SELECT camcount.drop_expired_partitions()"), 1);
        assert!(holds(
            "SELECT count(*) = 2 FROM camcount.timeseries_points('gate', 'people', '-infinity', 'infinity')"
        ));
        run("UPDATE camcount.retention_policies SET compress_after = NULL WHERE table_name = 'timeseries_data';
             SELECT camcount.record_metric('gate', 'people', now() - interval '3 years', 1)");
        run("SELECT camcount.drop_expired_partitions()");
        assert!(holds("SELECT count(*) = 0 FROM camcount.timeseries_data WHERE camera_id = 'gate'"));
    }

    #[pg_test]
    fn what_is_not_finished_is_not_dropped() {
        alone();
        let old = "now() - interval '60 days'";
        ingest_pixel("gate", "main", old, 1);
        make("realtime_data_ingestion", "1 day", old);
        assert_eq!(get::<i32>("SELECT camcount.drop_expired_partitions()"), 0);
        run(
            "UPDATE camcount.realtime_data_ingestion SET processing_status = 'completed' WHERE camera_id = 'gate'",
        );
        assert_eq!(get::<i32>("SELECT camcount.drop_expired_partitions()"), 1);
        assert!(holds("SELECT count(*) = 0 FROM camcount.queue_items WHERE camera_id = 'gate'"));
    }

    #[pg_test]
    fn what_a_stream_or_a_retry_waits_for_is_not_dropped() {
        alone();
        let old = "now() - interval '60 days'";
        make("realtime_data_ingestion", "1 day", old);
        run(&format!("SELECT camcount.ingest_realtime_data('gate', 'main', {old}, 1, 'counting', '[]')"));
        take_in();
        run("DELETE FROM camcount.waiting_entries");
        assert_eq!(get::<i32>("SELECT camcount.drop_expired_partitions()"), 0);
        run("INSERT INTO camcount.queue_retries (id, camera_id, queue_id, frame_timestamp, available_at)
             SELECT id, camera_id, queue_id, frame_timestamp, now() FROM camcount.stream_items;
             DELETE FROM camcount.stream_items");
        assert_eq!(get::<i32>("SELECT camcount.drop_expired_partitions()"), 0);
        run("DELETE FROM camcount.queue_retries");
        assert_eq!(get::<i32>("SELECT camcount.drop_expired_partitions()"), 1);
    }

    #[pg_test]
    fn without_a_retention_everything_is_kept() {
        alone();
        run("UPDATE camcount.retention_policies SET retention = NULL WHERE table_name = 'timeseries_data'");
        run("SELECT camcount.record_metric('gate', 'people', now() - interval '50 years', 1)");
        make("timeseries_data", "7 days", "now() - interval '50 years'");
        assert_eq!(get::<i32>("SELECT camcount.drop_expired_partitions()"), 0);
        assert!(holds("SELECT count(*) = 1 FROM camcount.timeseries_data WHERE camera_id = 'gate'"));
    }

    #[pg_test]
    fn partitions_are_cut_in_utc_whatever_the_session_says() {
        alone();
        run("SET LOCAL TimeZone = 'Asia/Ho_Chi_Minh'");
        run("SET LOCAL DateStyle = 'German, DMY'");
        for (interval, start, end) in [
            ("1 hour", "2026-02-28 17:00", "2026-02-28 18:00"),
            ("1 day", "2026-02-28 00:00", "2026-03-01 00:00"),
            ("7 days", "2026-02-23 00:00", "2026-03-02 00:00"),
            ("1 month", "2026-02-01 00:00", "2026-03-01 00:00"),
        ] {
            assert!(
                holds(&format!(
                    "SELECT start = '{start}+00' AND camcount.partition_end('{interval}', start) = '{end}+00'
                     FROM camcount.partition_start('{interval}', '2026-03-01 00:30+07') AS start"
                )),
                "{interval}"
            );
        }
        make("timeseries_data", "7 days", "'2026-03-01 00:30+07'");
        assert!(holds(
            "SELECT (lower_bound, upper_bound) = ('2026-02-23 00:00+00'::timestamptz, '2026-03-02 00:00+00'::timestamptz)
             FROM camcount.list_partitions('timeseries_data')"
        ));
    }
}
