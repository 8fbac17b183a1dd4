-- What pg_dump takes along: every table of the extension but worker_status, whose workers do not outlive their server,
-- and cache_identity, which is another one in each database; and every sequence, so that ids go on where they stopped.
-- Partitions dump themselves (see partitions.sql).

-- Two tables come with rows, and a restore finds these when it brings its own. A shipped row is dumped once it has been
-- changed, and then takes the place of the one that CREATE EXTENSION has just made.
ALTER TABLE ingestion_queue ADD COLUMN is_default boolean NOT NULL DEFAULT true;
ALTER TABLE ingestion_queue ALTER COLUMN is_default SET DEFAULT false;
COMMENT ON COLUMN ingestion_queue.is_default IS 'The row is as shipped. It clears itself with the first change.';

CREATE FUNCTION clear_is_default() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    NEW.is_default := false;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clear_is_default() IS 'Trigger function: a row that is written is no longer as shipped.';

CREATE FUNCTION replace_default() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('DELETE FROM camcount.%1$I WHERE %2$I = ($1).%2$I AND is_default', TG_TABLE_NAME, TG_ARGV[0])
    USING NEW;
    NEW.is_default := false;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION replace_default() IS
    'Trigger function: a row takes the place of one as shipped; the argument is the column that identifies it.';

CREATE TRIGGER ingestion_queue_clear_is_default
    BEFORE UPDATE OF queue_type, max_size, processing_rate, is_active, is_paused, overflow_policy, max_attempts
    ON ingestion_queue
    FOR EACH ROW WHEN (OLD.is_default) EXECUTE FUNCTION clear_is_default();
CREATE TRIGGER ingestion_queue_replace_default BEFORE INSERT ON ingestion_queue
    FOR EACH ROW EXECUTE FUNCTION replace_default('queue_id');
CREATE TRIGGER retention_policies_clear_is_default BEFORE UPDATE ON retention_policies
    FOR EACH ROW WHEN (OLD.is_default) EXECUTE FUNCTION clear_is_default();
CREATE TRIGGER retention_policies_replace_default BEFORE INSERT ON retention_policies
    FOR EACH ROW EXECUTE FUNCTION replace_default('table_name');

DO $$
DECLARE
    v_relation record;
BEGIN
    FOR v_relation IN
        SELECT c.oid, CASE WHEN c.relname IN ('ingestion_queue', 'retention_policies') THEN 'WHERE NOT is_default'
                           ELSE '' END AS condition
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
        JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid
        WHERE d.deptype = 'e' AND e.extname = 'camcount'
          AND c.relkind IN ('r', 'S') AND c.relname NOT IN ('worker_status', 'cache_identity')
        ORDER BY c.oid
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump(v_relation.oid, v_relation.condition);
    END LOOP;
END
$$;
