//! The tables: one test for each row of the section Schema of the resolutions that needs no running queue.

#[pgrx::pg_schema]
mod tests {
    use crate::tests::{assert_refused, holds, list, run};
    use pgrx::prelude::*;

    /// Columns of the tables of the extension, those of partitions left out; `a` is the column, `c` its table.
    const COLUMNS: &str = "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'camcount'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND a.attnum > 0 AND NOT a.attisdropped";

    fn columns(condition: &str) -> String {
        list(&format!("SELECT c.relname || '.' || a.attname {COLUMNS} AND {condition}"))
    }

    /// Resolution 1: what becomes of an event whose user goes is tested with the events.
    #[pg_test]
    fn the_table_of_users_is_shipped_and_referred_to() {
        assert!(holds(
            "SELECT confrelid = 'camcount.users'::regclass AND confdeltype = 'n' FROM pg_constraint
             WHERE conname = 'event_store_user_id_fkey'"
        ));
        assert_refused("INSERT INTO camcount.users (name) VALUES (NULL)", "23502", "name");
        assert_refused("INSERT INTO camcount.users (name) VALUES ('')", "23514", "users_name_length");
    }

    /// Resolution 2: keys are made on the partitions, as copies of those of the default partition.
    #[pg_test]
    fn every_partitioned_table_has_a_key_with_camera_and_time() {
        let lacking = "SELECT p.relname || '.' || wanted.name
            FROM pg_partitioned_table t JOIN pg_class p ON p.oid = t.partrelid
            CROSS JOIN LATERAL (VALUES (camcount.partition_column(p.relname::text)::text), ('camera_id')) AS wanted (name)
            WHERE p.relnamespace = 'camcount'::regnamespace
              AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = p.oid AND a.attname = wanted.name)
              AND NOT EXISTS (
                SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                WHERE i.indrelid = to_regclass(format('camcount.%I', p.relname || '_default'))
                  AND i.indisprimary AND a.attname = wanted.name)";
        assert_eq!(list(lacking), "");
        assert!(holds(
            "SELECT count(*) = 13 FROM pg_partitioned_table t JOIN pg_class p ON p.oid = t.partrelid
             WHERE p.relnamespace = 'camcount'::regnamespace"
        ));
    }

    /// Resolution 3.
    #[pg_test]
    fn no_index_is_made_twice() {
        let twice =
            "SELECT min(indexrelid::regclass::text) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
            JOIN pg_class x ON x.oid = i.indexrelid
            WHERE c.relnamespace = 'camcount'::regnamespace
            GROUP BY indrelid, x.relam, indkey::text, indclass::text, indoption::text,
                     pg_get_expr(indpred, indrelid), pg_get_expr(indexprs, indrelid)
            HAVING count(*) > 1";
        assert_eq!(list(twice), "");
    }

    /// Resolution 4: that partitions are made ahead is tested with the partitions.
    #[pg_test]
    fn the_documented_partitioned_table_is_a_view_of_the_one_in_use() {
        run("INSERT INTO camcount.timeseries_data_partitioned (camera_id, metric_name, metric_timestamp, metric_value)
             VALUES ('gate', 'people', now(), 4)");
        run("SELECT camcount.record_metric('gate', 'people', now(), 5)");
        for name in ["timeseries_data", "timeseries_data_partitioned"] {
            assert!(
                holds(&format!("SELECT sum(metric_value) = 9 FROM camcount.{name} WHERE camera_id = 'gate'")),
                "{name}"
            );
        }
        assert!(holds("SELECT relkind = 'p' FROM pg_class WHERE oid = 'camcount.timeseries_data'::regclass"));
    }

    /// Resolution 5: users, of whom there are few and whose id is documented as INTEGER, are the exception.
    #[pg_test]
    fn ids_do_not_overflow() {
        assert_eq!(columns("a.attname = 'id' AND a.atttypid <> 'bigint'::regtype"), "users.id");
        // But for those that repeat a message's id.
        assert_eq!(
            columns("a.attname = 'id' AND a.attidentity = ''"),
            "failed_items.id, queue_retries.id, stream_items.id, waiting_entries.id"
        );
        assert_eq!(
            columns(
                "a.atthasdef AND a.attidentity = '' AND a.atttypid = 'integer'::regtype AND EXISTS (
            SELECT FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum
                AND pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval%')"
            ),
            ""
        );
    }

    /// Resolution 6.
    #[pg_test]
    fn writers_and_readers_in_two_time_zones_agree() {
        assert_eq!(columns("a.atttypid = 'timestamp'::regtype"), "");
        run("SET LOCAL TimeZone = 'Asia/Ho_Chi_Minh'");
        run("SELECT camcount.record_metric('gate', 'people', clock_timestamp(), 1)");
        run("SET LOCAL TimeZone = 'America/New_York'");
        assert!(holds(
            "SELECT metric_timestamp > clock_timestamp() - interval '1 minute' AND created_at >= metric_timestamp
             FROM camcount.timeseries_data WHERE camera_id = 'gate'"
        ));
    }

    /// Resolution 7.
    #[pg_test]
    fn columns_with_defaults_are_never_null() {
        assert_eq!(columns("a.atthasdef AND a.attgenerated = '' AND NOT a.attnotnull"), "");
    }

    /// Resolution 7.
    #[pg_test]
    fn states_types_and_ranges_are_checked() {
        run("SELECT camcount.create_pipeline('p', 'P', 'counting', '{}')");
        run("SELECT camcount.ingest_realtime_data('gate', 'main', now(), 1, 'counting', '[]')");
        run("SELECT camcount.increment_realtime_counter('gate', 'in')");
        for (statement, constraint) in [
            ("UPDATE camcount.ingestion_queue SET overflow_policy = 'wait'", "overflow_policy_known"),
            (
                "UPDATE camcount.realtime_data_ingestion SET processing_status = 'lost'",
                "processing_status_known",
            ),
            ("UPDATE camcount.realtime_data_ingestion SET data_type = 'gossip'", "data_type_known"),
            ("UPDATE camcount.realtime_data_ingestion SET data_size_bytes = -1", "data_size_range"),
            ("UPDATE camcount.ingestion_queue SET queue_type = 'urgent'", "queue_type_known"),
            ("UPDATE camcount.ingestion_queue SET max_size = 0", "max_size_range"),
            (
                "UPDATE camcount.stream_processing_pipeline SET pipeline_type = 'baking'",
                "pipeline_type_known",
            ),
            ("UPDATE camcount.realtime_counters SET total_count = -1", "total_count_range"),
            (
                "UPDATE camcount.retention_policies SET partition_interval = '5 minutes'",
                "partition_interval_known",
            ),
            ("UPDATE camcount.retention_policies SET retention = '0 days'", "retention_positive"),
            ("UPDATE camcount.cameras SET latitude = 91", "cameras_latitude_range"),
            (
                "INSERT INTO camcount.event_handlers (handler_name, handler_type, event_types) VALUES ('h', 'spy', '{*}')",
                "handler_type_known",
            ),
            (
                "INSERT INTO camcount.timeseries_aggregations (camera_id, metric_name, aggregation_type,
                 aggregation_timestamp, count_values, sum_value, sum_of_squares, min_value, max_value, first_value,
                 first_timestamp, last_value, last_timestamp)
                 VALUES ('gate', 'people', 'decade', now(), 1, 2, 4, 2, 2, 2, now(), 2, now())",
                "aggregation_type_known",
            ),
        ] {
            assert_refused(statement, "23514", constraint);
        }
        assert_refused("UPDATE camcount.cameras SET time_zone = 'Mars/Olympus'", "22023", "Mars/Olympus");
        assert_refused(
            "UPDATE camcount.realtime_data_ingestion SET processing_status = NULL",
            "23502",
            "processing_status",
        );
    }

    /// Resolution 8.
    #[pg_test]
    fn percentages_and_values_do_not_overflow_their_columns() {
        assert_eq!(columns("a.atttypid = 'numeric'::regtype AND a.atttypmod <> -1"), "");
        run(
            "INSERT INTO camcount.realtime_performance_metrics (cpu_usage_percent, ingestion_throughput_mbps)
             VALUES (100, 1e12)",
        );
        run("INSERT INTO camcount.realtime_aggregations (camera_id, aggregation_key, aggregation_timestamp, change_percent)
             VALUES ('gate', 'count_in_1min', now(), 1000000)");
        assert_refused(
            "INSERT INTO camcount.realtime_performance_metrics (cpu_usage_percent) VALUES (100.1)",
            "23514",
            "cpu_usage_percent_range",
        );
        assert_refused(
            "INSERT INTO camcount.timeseries_data (camera_id, metric_name, metric_timestamp, confidence_score)
             VALUES ('gate', 'people', now(), 1.01)",
            "23514",
            "confidence_score_range",
        );
    }

    /// Resolution 9: lengths are checked, not cut. That ids fit is tested with the ingestion.
    #[pg_test]
    fn names_of_100_characters_fit_and_longer_ones_are_refused() {
        assert_eq!(columns("a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype)"), "");
        run("SELECT camcount.increment_realtime_counter(repeat('ộ', 100), repeat('ộ', 100))");
        run("SELECT camcount.record_metric(repeat('ộ', 100), repeat('ộ', 100), now(), 1)");
        run("SELECT camcount.create_pipeline(repeat('ộ', 100), repeat('ộ', 200), 'counting')");
        for (statement, parameter) in [
            ("SELECT camcount.increment_realtime_counter('gate', repeat('ộ', 101))", "p_counter_name"),
            ("SELECT camcount.record_metric(repeat('ộ', 101), 'people', now(), 1)", "p_camera_id"),
            ("SELECT camcount.create_pipeline(repeat('ộ', 101), 'P', 'counting')", "p_pipeline_id"),
        ] {
            assert_refused(statement, "22023", parameter);
        }
        assert_refused(
            "INSERT INTO camcount.cameras (camera_id) VALUES (repeat('c', 101))",
            "23514",
            "camera_id_length",
        );
    }

    /// Resolution 10.
    #[pg_test]
    fn foreign_keys_are_indexed() {
        let bare = "SELECT c.conname::text FROM pg_constraint c
            WHERE c.contype = 'f' AND c.connamespace = 'camcount'::regnamespace
              AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid
                              AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)";
        assert_eq!(list(bare), "");
        assert!(holds(
            "SELECT count(*) > 5 FROM pg_constraint WHERE contype = 'f' AND connamespace = 'camcount'::regnamespace"
        ));
    }

    /// Resolution 10: an insert that locks a queue's, camera's or pipeline's row makes others wait for it.
    #[pg_test]
    fn tables_written_with_every_frame_have_no_foreign_keys() {
        let tables = "SELECT DISTINCT conrelid::regclass::text FROM pg_constraint
            WHERE contype = 'f' AND conrelid IN (
                'camcount.realtime_data_ingestion'::regclass, 'camcount.frames'::regclass,
                'camcount.waiting_entries'::regclass, 'camcount.processing_results'::regclass,
                'camcount.tracks'::regclass, 'camcount.line_crossings'::regclass, 'camcount.zone_visits'::regclass,
                'camcount.density_cells'::regclass, 'camcount.timeseries_data'::regclass)";
        assert_eq!(list(tables), "");
    }

    /// Resolution 11.
    #[pg_test]
    fn indexes_on_states_hold_only_what_is_still_to_do() {
        let indexed = |condition: &str| {
            list(&format!(
                "SELECT DISTINCT i.indexrelid::regclass::text FROM pg_index i
                 JOIN pg_class c ON c.oid = i.indrelid
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
                 WHERE c.relnamespace = 'camcount'::regnamespace AND a.attname LIKE '%status' AND {condition}"
            ))
        };
        assert_eq!(indexed("i.indpred IS NULL"), "");
        // A message's status is in none at all: its row changes in its place.
        assert_eq!(indexed("c.relname LIKE 'realtime_data_ingestion%'"), "");
    }

    /// Resolution 12: by a trigger, or, where rows are written all the time, by the statements that write them.
    #[pg_test]
    fn updated_at_is_set_by_every_write() {
        let by_statement = columns(
            "a.attname = 'updated_at' AND NOT EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
             WHERE t.tgrelid = c.oid AND p.proname = 'set_updated_at')",
        );
        assert_eq!(
            by_statement,
            "realtime_aggregations.updated_at, realtime_counters.updated_at, stream_state.updated_at, tracker_state.updated_at, tracks.updated_at, \
             worker_status.updated_at, zone_state.updated_at"
        );
        run("INSERT INTO camcount.cameras (camera_id, updated_at) VALUES ('gate', '2020-01-01')");
        run("UPDATE camcount.cameras SET location = 'by the river' WHERE camera_id = 'gate'");
        run("SELECT camcount.increment_realtime_counter('gate', 'in')");
        run("UPDATE camcount.realtime_counters SET updated_at = '2020-01-01' WHERE camera_id = 'gate'");
        run("SELECT camcount.increment_realtime_counter('gate', 'in')");
        for table in ["cameras", "realtime_counters"] {
            assert!(
                holds(&format!("SELECT updated_at >= now() FROM camcount.{table} WHERE camera_id = 'gate'")),
                "{table}"
            );
        }
    }

    /// The ON CONFLICT clauses of the documented functions need them (resolutions 33 and 42).
    #[pg_test]
    fn rollups_and_aggregations_have_one_row_a_bucket() {
        for (table, columns) in [
            (
                "timeseries_aggregations",
                "(camera_id, metric_name, aggregation_type, aggregation_timestamp, count_values, sum_value,
                 sum_of_squares, min_value, max_value, first_value, first_timestamp, last_value, last_timestamp)
                VALUES ('gate', 'people', 'hour', '2026-01-05 08:00:00+00', 1, 2, 4, 2, 2, 2, now(), 2, now())",
            ),
            (
                "realtime_aggregations",
                "(camera_id, aggregation_key, aggregation_timestamp)
                VALUES ('gate', 'count_in_1min', '2026-01-05 08:00:00+00')",
            ),
        ] {
            let insert = format!("INSERT INTO camcount.{table} {columns}");
            run(&insert);
            assert_refused(&insert, "23505", table);
        }
    }

    #[pg_test]
    fn every_table_view_column_and_function_is_described() {
        assert_eq!(columns("col_description(c.oid, a.attnum) IS NULL"), "");
        let tables = "SELECT relname::text FROM pg_class c WHERE relnamespace = 'camcount'::regnamespace
            AND relkind IN ('r', 'p', 'v') AND NOT relispartition AND obj_description(oid, 'pg_class') IS NULL";
        assert_eq!(list(tables), "");
    }
}
