-- Partitions: made ahead of the data, dropped when they expire. A row that fits none lands in <table>_default and is
-- moved as soon as its partition is made.
--
-- Partitions are ordinary tables, not members of the extension: pg_dump dumps and restores them with their rows. For
-- the same reason keys and indexes are made on the partitions, as copies of those of <table>_default, and not on the
-- partitioned tables: a restore attaches a partition first, which would build every index of the partitioned table,
-- and then fails to build the partition's own beside it. INSERT … ON CONFLICT DO NOTHING works without a conflict
-- target; a key that includes the partition key is as unique as before.

CREATE TABLE retention_policies (
    table_name         text PRIMARY KEY
        CONSTRAINT retention_policies_table_name_length CHECK (length(table_name) BETWEEN 1 AND 50),
    partition_interval interval NOT NULL
        CONSTRAINT retention_policies_partition_interval_known
        CHECK (partition_interval IN (interval '1 hour', interval '1 day', interval '7 days', interval '1 month')),
    retention          interval
        CONSTRAINT retention_policies_retention_positive CHECK (retention > interval '0'),
    compress_after     interval
        CONSTRAINT retention_policies_compress_after_range CHECK (compress_after >= interval '1 day')
        CONSTRAINT retention_policies_compress_after_table
        CHECK (compress_after IS NULL OR table_name = 'timeseries_data'),
    partitions_ahead   integer NOT NULL
        CONSTRAINT retention_policies_partitions_ahead_range CHECK (partitions_ahead BETWEEN 0 AND 100),
    is_active          boolean NOT NULL DEFAULT true,
    is_default         boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE retention_policies IS 'How each partitioned table is cut, and how long its rows are kept.';
COMMENT ON COLUMN retention_policies.table_name IS 'The partitioned table, in the schema camcount.';
COMMENT ON COLUMN retention_policies.partition_interval IS
    'Time in one partition: 1 hour, 1 day, 7 days or 1 month, in UTC. A change holds for partitions made from then on.';
COMMENT ON COLUMN retention_policies.retention IS
    'A partition is dropped when all its rows are older, by the column that cuts the table; NULL keeps them.';
COMMENT ON COLUMN retention_policies.compress_after IS
    'Of timeseries_data: values older than this go into timeseries_blocks, and rollups by the minute go; NULL: never.';
COMMENT ON COLUMN retention_policies.partitions_ahead IS 'Partitions made beyond the current one.';
COMMENT ON COLUMN retention_policies.is_active IS 'Whether partitions of the table are made and dropped at all.';
COMMENT ON COLUMN retention_policies.is_default IS 'The row is as shipped. It clears itself with the first change.';

INSERT INTO retention_policies (table_name, partition_interval, retention, partitions_ahead, is_default) VALUES
    ('realtime_data_ingestion', '1 day', '30 days', 3, true),
    ('frames', '1 hour', '2 hours', 3, true),
    ('processing_results', '1 day', '30 days', 3, true),
    ('ingestion_rejects', '1 day', '30 days', 3, true),
    ('tracks', '1 month', '5 years', 1, true),
    ('line_crossings', '1 month', '5 years', 1, true),
    ('zone_visits', '1 month', '5 years', 1, true),
    ('density_cells', '1 month', '5 years', 1, true),
    ('timeseries_data', '7 days', '1 year', 1, true),
    ('timeseries_blocks', '1 month', '5 years', 1, true),
    ('realtime_performance_metrics', '7 days', '30 days', 1, true),
    ('ingestion_monitoring', '7 days', '30 days', 1, true),
    ('stream_processing_monitoring', '7 days', '30 days', 1, true);
UPDATE retention_policies SET compress_after = '30 days' WHERE table_name = 'timeseries_data';

CREATE FUNCTION partition_start(p_interval interval, p_at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- Weeks begin on Monday. The interval of 30 days is how '1 month' compares.
    SELECT CASE WHEN p_interval = interval '1 month' THEN pg_catalog.date_trunc('month', p_at, 'UTC')
                ELSE pg_catalog.date_bin(p_interval, p_at, timestamptz '2001-01-01 00:00:00+00') END
$$;
COMMENT ON FUNCTION partition_start(interval, timestamptz) IS
    'Where the partition begins that a time belongs to, in UTC.';

CREATE FUNCTION partition_end(p_interval interval, p_start timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (p_start AT TIME ZONE 'UTC' + p_interval) AT TIME ZONE 'UTC'
$$;
COMMENT ON FUNCTION partition_end(interval, timestamptz) IS 'Where the partition ends that begins at p_start.';

CREATE FUNCTION partition_name(p_table text, p_interval interval, p_start timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT p_table || '_p' || pg_catalog.to_char(
        p_start AT TIME ZONE 'UTC', CASE WHEN p_interval < interval '1 day' THEN 'YYYYMMDDHH24' ELSE 'YYYYMMDD' END)
$$;
COMMENT ON FUNCTION partition_name(text, interval, timestamptz) IS
    'Name of the partition that begins at p_start: <table>_pYYYYMMDD, or _pYYYYMMDDHH by the hour.';

CREATE FUNCTION partition_column(p_table text) RETURNS name
LANGUAGE sql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
    SELECT a.attname
    FROM pg_partitioned_table p
    JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
    WHERE p.partrelid = to_regclass(format('camcount.%I', p_table))
$$;
COMMENT ON FUNCTION partition_column(text) IS 'The column that cuts a table; NULL where it is not partitioned.';

-- DateStyle and time zone are fixed so that the bounds, which the catalog gives as text, read back as they are.
CREATE FUNCTION list_partitions(p_table text)
RETURNS TABLE (partition_name text, lower_bound timestamptz, upper_bound timestamptz)
LANGUAGE sql STABLE SET search_path = camcount, pg_catalog, pg_temp SET "DateStyle" = 'ISO' SET "TimeZone" = 'UTC' AS $$
    SELECT c.relname::text,
           coalesce(substring(bound.text FROM 'FROM \(''([^'']+)''\)')::timestamptz, '-infinity'),
           coalesce(substring(bound.text FROM 'TO \(''([^'']+)''\)')::timestamptz, 'infinity')
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS text) bound
    WHERE i.inhparent = to_regclass(format('camcount.%I', p_table)) AND bound.text <> 'DEFAULT'
    ORDER BY 2
$$;
COMMENT ON FUNCTION list_partitions(text) IS
    'The partitions of a table with their bounds, the default partition left out.';

CREATE FUNCTION has_rows_to_move(p_table text, p_from timestamptz, p_to timestamptz) RETURNS boolean
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_found boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM camcount.%1$I WHERE %2$I >= $1 AND %2$I < $2)',
                   p_table || '_default', partition_column(p_table))
    INTO v_found USING p_from, p_to;
    RETURN v_found;
END
$$;
COMMENT ON FUNCTION has_rows_to_move(text, timestamptz, timestamptz) IS
    'Whether the default partition of a table has rows of [p_from, p_to).';

CREATE FUNCTION make_partition(p_table text, p_interval interval, p_start timestamptz) RETURNS boolean
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_name    text := partition_name(p_table, p_interval, p_start);
    v_default text := p_table || '_default';
    v_end     timestamptz := partition_end(p_interval, p_start);
    v_moves   boolean;
    v_options text;
    v_owner   name;
BEGIN
    -- An unattached table of that name is one that pg_restore has made and will attach.
    IF to_regclass(format('camcount.%I', v_name)) IS NOT NULL
       OR EXISTS (SELECT FROM list_partitions(p_table) WHERE lower_bound < v_end AND upper_bound > p_start) THEN
        RETURN false;
    END IF;
    -- Writers wait: one that had chosen the default partition for its row and then waited would find that the row no
    -- longer belongs there, and fail. Where rows are to be moved, readers too: one that had looked up the partitions and
    -- then waited for the default partition would find the rows in neither. They are looked for before any lock, because
    -- one who reads and then writes must not meet somebody who does the same; rows that come meanwhile are the exception.
    v_moves := has_rows_to_move(p_table, p_start, v_end);
    EXECUTE format('LOCK TABLE ONLY camcount.%I IN %s MODE', p_table,
                   CASE WHEN v_moves THEN 'ACCESS EXCLUSIVE' ELSE 'SHARE ROW EXCLUSIVE' END);
    IF NOT v_moves AND has_rows_to_move(p_table, p_start, v_end) THEN
        EXECUTE format('LOCK TABLE ONLY camcount.%I IN ACCESS EXCLUSIVE MODE', p_table);
    END IF;
    EXECUTE format('LOCK TABLE camcount.%I IN ACCESS EXCLUSIVE MODE', v_default);

    SELECT 'WITH (' || array_to_string(d.reloptions, ', ') || ')', pg_get_userbyid(d.relowner)
    INTO v_options, v_owner
    FROM pg_class d WHERE d.oid = format('camcount.%I', v_default)::regclass;
    -- Without the identity: a partition takes that of its table.
    EXECUTE format('CREATE TABLE camcount.%I (LIKE camcount.%I INCLUDING ALL EXCLUDING IDENTITY) %s',
                   v_name, v_default, v_options);
    EXECUTE format('ALTER TABLE camcount.%I OWNER TO %I', v_name, v_owner);
    EXECUTE format('WITH moved AS (DELETE FROM camcount.%1$I WHERE %2$I >= $1 AND %2$I < $2 RETURNING *)
                    INSERT INTO camcount.%3$I SELECT * FROM moved',
                   v_default, partition_column(p_table), v_name)
    USING p_start, v_end;
    EXECUTE format('ALTER TABLE camcount.%I ATTACH PARTITION camcount.%I FOR VALUES FROM (%L) TO (%L)',
                   p_table, v_name, p_start, v_end);
    RETURN true;
END
$$;
COMMENT ON FUNCTION make_partition(text, interval, timestamptz) IS
    'Makes one partition and moves into it the rows of the default partition that fit; false where there is one.';

CREATE FUNCTION missing_partitions(p_policy retention_policies)
RETURNS TABLE (partition_start timestamptz, is_stray boolean)
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    -- A camera whose clock jumps about must not fill the catalog; its rows can rest in the default partition.
    c_most_partitions CONSTANT integer := 500;
    v_start  timestamptz := partition_start(p_policy.partition_interval, clock_timestamp());
    v_filled boolean;
BEGIN
    FOR i IN 0 .. p_policy.partitions_ahead LOOP
        IF to_regclass(format('camcount.%I',
               partition_name(p_policy.table_name, p_policy.partition_interval, v_start))) IS NULL THEN
            RETURN QUERY VALUES (v_start, false);
        END IF;
        v_start := partition_end(p_policy.partition_interval, v_start);
    END LOOP;

    EXECUTE format('SELECT EXISTS (SELECT FROM camcount.%I)', p_policy.table_name || '_default') INTO v_filled;
    IF v_filled AND (SELECT count(*) FROM list_partitions(p_policy.table_name)) < c_most_partitions THEN
        RETURN QUERY EXECUTE format(
            'SELECT start, true
             FROM (SELECT DISTINCT camcount.partition_start($1, %1$I) AS start FROM camcount.%2$I
                   WHERE isfinite(%1$I)) AS found
             WHERE to_regclass(format(''camcount.%%I'', camcount.partition_name($3, $1, start))) IS NULL
               AND ($2 IS NULL OR camcount.partition_end($1, start) > clock_timestamp() - $2)',
            partition_column(p_policy.table_name), p_policy.table_name || '_default')
        USING p_policy.partition_interval, p_policy.retention, p_policy.table_name;
    END IF;
END
$$;
COMMENT ON FUNCTION missing_partitions(retention_policies) IS
    'Starts of the partitions to make: for now and ahead, and (is_stray) for rows found in the default partition.';

-- Called every few seconds: with nothing to do it looks up a few names and finds the default partitions empty (1 to
-- 3 ms for all tables). Locks are waited for briefly, so that a long transaction on a table holds up its other writers
-- no longer than that, and the next call tries again. What is locked is let go well within deadlock_timeout (1 s): in a
-- deadlock with another transaction it is then this one that gives way.
CREATE FUNCTION create_partitions() RETURNS integer
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    c_most    CONSTANT integer := 32;
    c_longest CONSTANT interval := '500 ms';
    v_since   timestamptz;
    v_next    record;
    v_made    integer := 0;
    v_blocked text := '';
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('camcount partitions', 0)) THEN
        RETURN 0;
    END IF;
    FOR v_next IN
        SELECT p.table_name, p.partition_interval, m.partition_start
        FROM retention_policies p
        CROSS JOIN LATERAL missing_partitions(p) m
        WHERE p.is_active AND partition_column(p.table_name) IS NOT NULL
        ORDER BY m.is_stray, p.table_name, m.partition_start DESC
    LOOP
        CONTINUE WHEN v_next.table_name = v_blocked;
        v_since := coalesce(v_since, clock_timestamp());
        BEGIN
            IF make_partition(v_next.table_name, v_next.partition_interval, v_next.partition_start) THEN
                v_made := v_made + 1;
            END IF;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            -- Commit what is made: others may wait for it while this waits for them. With nothing made, nobody does.
            EXIT WHEN v_made > 0;
            v_blocked := v_next.table_name;
        END;
        EXIT WHEN v_made >= c_most OR v_made > 0 AND clock_timestamp() > v_since + c_longest;
    END LOOP;
    RETURN v_made;
END
$$;
COMMENT ON FUNCTION create_partitions() IS
    'Makes the partitions that are due, at most 32 a call and for half a second, and returns how many; the maintenance worker calls it.';

CREATE VIEW unfinished_items AS
SELECT id, queue_id, frame_timestamp, queued_at, status FROM stream_items
UNION ALL
SELECT m.id, m.queue_id, m.frame_timestamp, m.ingestion_timestamp,
       CASE WHEN l.id IS NULL THEN 'queued' ELSE 'processing' END
FROM (SELECT unnest(item_ids) AS id, unnest(frame_timestamps) AS frame_timestamp, false AS is_handed_over
      FROM waiting_entries
      UNION SELECT id, frame_timestamp, true FROM queue_retries) i
JOIN realtime_data_ingestion m USING (frame_timestamp, id, is_handed_over)
LEFT JOIN queue_leases() l USING (id)
WHERE m.processing_status = 'pending';
COMMENT ON VIEW unfinished_items IS 'What is still to be processed; the messages and pictures of it are kept.';
COMMENT ON COLUMN unfinished_items.id IS 'The message''s id.';
COMMENT ON COLUMN unfinished_items.queue_id IS 'Which queue.';
COMMENT ON COLUMN unfinished_items.frame_timestamp IS 'When its frame was taken.';
COMMENT ON COLUMN unfinished_items.queued_at IS 'When it came in.';
COMMENT ON COLUMN unfinished_items.status IS 'queued or processing.';

CREATE FUNCTION uncompressed_from() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT coalesce(clock_timestamp() - b.retention, '-infinity')
                     FROM retention_policies d, retention_policies b
                     WHERE d.table_name = 'timeseries_data' AND d.is_active AND d.compress_after IS NOT NULL
                       AND b.table_name = 'timeseries_blocks'), 'infinity')
$$;
COMMENT ON FUNCTION uncompressed_from() IS
    'Rows of timeseries_data from here on are kept until they are compressed; infinity where nothing is.';

-- PL/pgSQL on purpose: before PostgreSQL 18 a function in SQL keeps its plan through a transaction, with the partitions
-- in it that were dropped since.
CREATE FUNCTION has_unfinished_work(p_table text, p_from timestamptz, p_to timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    IF p_table = 'frames' THEN
        RETURN EXISTS (SELECT FROM unfinished_items WHERE queued_at >= p_from AND queued_at < p_to);
    ELSIF p_table = 'realtime_data_ingestion' THEN
        RETURN EXISTS (SELECT FROM unfinished_items WHERE frame_timestamp >= p_from AND frame_timestamp < p_to);
    ELSIF p_table = 'timeseries_data' THEN
        RETURN EXISTS (SELECT FROM timeseries_data
                       WHERE metric_timestamp >= greatest(p_from, uncompressed_from()) AND metric_timestamp < p_to);
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION has_unfinished_work(text, timestamptz, timestamptz) IS
    'Whether rows of a table in [p_from, p_to) are needed: by queue items that are not finished, or to be compressed.';

CREATE FUNCTION is_restored(p_table text, p_partition text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
    SELECT (SELECT count(*) FROM pg_index WHERE indrelid = to_regclass(format('camcount.%I', p_partition)))
        >= (SELECT count(*) FROM pg_index WHERE indrelid = to_regclass(format('camcount.%I', p_table || '_default')))
$$;
COMMENT ON FUNCTION is_restored(text, text) IS
    'Whether a partition has all its indexes: pg_restore, which makes them last, is done with it.';

CREATE FUNCTION drop_partition(p_table text, p_partition text, p_from timestamptz, p_to timestamptz) RETURNS boolean
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    IF has_unfinished_work(p_table, p_from, p_to) OR NOT is_restored(p_table, p_partition) THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE camcount.%I DETACH PARTITION camcount.%I', p_table, p_partition);
    EXECUTE format('DROP TABLE camcount.%I', p_partition);
    IF p_table = 'realtime_data_ingestion' THEN
        DELETE FROM failed_items WHERE frame_timestamp >= p_from AND frame_timestamp < p_to;
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION drop_partition(text, text, timestamptz, timestamptz) IS
    'Drops one partition; false where its rows are still needed.';

CREATE FUNCTION delete_expired_from_default(p_table text, p_before timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    c_batch  CONSTANT integer := 10000;
    v_unused text := CASE p_table
        WHEN 'frames' THEN $sql$NOT EXISTS (
            SELECT FROM camcount.unfinished_items i
            WHERE i.frame_timestamp = d.frame_timestamp AND i.queued_at = d.ingestion_timestamp)$sql$
        WHEN 'realtime_data_ingestion' THEN $sql$NOT EXISTS (
            SELECT FROM camcount.unfinished_items i
            WHERE i.frame_timestamp = d.frame_timestamp AND i.id = d.id)$sql$
        WHEN 'timeseries_data' THEN 'd.metric_timestamp < camcount.uncompressed_from()'
        ELSE 'true' END;
    v_deleted bigint;
BEGIN
    EXECUTE format('DELETE FROM camcount.%1$I
                    WHERE ctid = ANY (ARRAY(SELECT d.ctid FROM camcount.%1$I d WHERE d.%2$I < $1 AND %3$s LIMIT $2))',
                   p_table || '_default', partition_column(p_table), v_unused)
    USING p_before, c_batch;
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    RETURN v_deleted;
END
$$;
COMMENT ON FUNCTION delete_expired_from_default(text, timestamptz) IS
    'Deletes expired rows that never had a partition, at most 10,000 a call, and returns how many.';

CREATE FUNCTION drop_expired_partitions() RETURNS integer
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    c_longest   CONSTANT interval := '500 ms';
    v_policy    retention_policies;
    v_partition record;
    v_before    timestamptz;
    v_since     timestamptz;
    v_dropped   integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('camcount partitions', 0)) THEN
        RETURN 0;
    END IF;
    FOR v_policy IN
        SELECT * FROM retention_policies p
        WHERE p.is_active AND p.retention IS NOT NULL AND partition_column(p.table_name) IS NOT NULL
        ORDER BY p.table_name
    LOOP
        v_before := clock_timestamp() - v_policy.retention;
        BEGIN
            PERFORM delete_expired_from_default(v_policy.table_name, v_before);
            FOR v_partition IN
                SELECT * FROM list_partitions(v_policy.table_name) WHERE upper_bound <= v_before
            LOOP
                v_since := coalesce(v_since, clock_timestamp());
                IF drop_partition(v_policy.table_name, v_partition.partition_name,
                                  v_partition.lower_bound, v_partition.upper_bound) THEN
                    v_dropped := v_dropped + 1;
                END IF;
                -- As in create_partitions.
                IF clock_timestamp() > v_since + c_longest THEN
                    RETURN v_dropped;
                END IF;
            END LOOP;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            -- The table keeps its expired partitions until the next call.
            RETURN v_dropped;
        END;
    END LOOP;
    RETURN v_dropped;
END
$$;
COMMENT ON FUNCTION drop_expired_partitions() IS
    'Drops partitions whose rows are all past retention, for half a second, and returns how many; unfinished work is never dropped.';

-- Counted, not estimated: a default partition is normally empty, and the server's estimate lags behind.
CREATE FUNCTION count_default_rows(p_table text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_rows bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM camcount.%I', p_table || '_default') INTO v_rows;
    RETURN v_rows;
END
$$;
COMMENT ON FUNCTION count_default_rows(text) IS 'Rows of a partitioned table that have no partition.';

CREATE VIEW partition_status AS
SELECT p.table_name,
       count(l.partition_name) AS partitions,
       CASE WHEN partition_column(p.table_name) IS NOT NULL THEN count_default_rows(p.table_name) END
           AS rows_in_default,
       max(l.upper_bound) AS covered_until
FROM retention_policies p
LEFT JOIN LATERAL list_partitions(p.table_name) l ON true
GROUP BY p.table_name;
COMMENT ON VIEW partition_status IS 'How the partitioned tables stand.';
COMMENT ON COLUMN partition_status.table_name IS 'The partitioned table.';
COMMENT ON COLUMN partition_status.partitions IS 'Its partitions, the default partition left out.';
COMMENT ON COLUMN partition_status.rows_in_default IS 'Rows that have no partition; normally 0.';
COMMENT ON COLUMN partition_status.covered_until IS
    'Where the last partition ends; later rows go to the default partition.';
