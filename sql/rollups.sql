-- Rollups: what the values of each series amount to by the minute, hour, day, week and month.
--
-- A value is in the rollups or it is not, and its id says which: passes go by id, however late a value's time is, and
-- readers add to the rollups what has come since. Only ids that nobody can still be writing are passed.

CREATE FUNCTION camera_time_zone(p_camera_id text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce((SELECT time_zone FROM camcount.cameras WHERE camera_id = p_camera_id), 'UTC')
$$;
COMMENT ON FUNCTION camera_time_zone(text) IS 'The time zone of a camera; UTC for one that is not registered.';

-- One grid for all times, which daylight saving does not move, so that every hour has 60 minutes. Of a recent year:
-- the full hours of Asia/Colombo and Pacific/Norfolk have moved by half an hour since 2000.
CREATE FUNCTION hour_origin(p_time_zone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT timestamp '2025-01-01 00:00' AT TIME ZONE p_time_zone $$;
COMMENT ON FUNCTION hour_origin(text) IS 'Where one of the full hours of a time zone begins.';

CREATE FUNCTION last_timeseries_id() RETURNS bigint
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_id bigint;
BEGIN
    EXECUTE format('SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM %s',
                   pg_get_serial_sequence('camcount.timeseries_data', 'id'))
    INTO v_id;
    RETURN v_id;
END
$$;
COMMENT ON FUNCTION last_timeseries_id() IS 'The last id that was given to a row of timeseries_data; 0 before the first.';

CREATE FUNCTION timeseries_writers(OUT last_id bigint, OUT writers text[])
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    -- In this order: who takes an id holds the lock before, and until the row is committed.
    last_id := last_timeseries_id();
    SELECT coalesce(array_agg(DISTINCT l.virtualtransaction), '{}') INTO writers
    FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.granted
      AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.relation = 'timeseries_data'::regclass
           OR l.relation IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'timeseries_data'::regclass))
      AND l.pid IS DISTINCT FROM pg_backend_pid();
END
$$;
COMMENT ON FUNCTION timeseries_writers() IS
    'The last id of timeseries_data, and the transactions that may be writing rows with this id or a smaller one.';

CREATE FUNCTION settled_timeseries_id(p_wait interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_until   timestamptz := clock_timestamp() + p_wait;
    v_pending bigint;
    v_last_id bigint;
    v_writers text[];
BEGIN
    -- What waited for writers who have ended since: those who take turns hold up nothing for ever.
    SELECT pending_id INTO v_pending
    FROM timeseries_progress p
    WHERE pending_id > rolled_up_id
      AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.virtualtransaction = ANY (p.pending_writers));
    SELECT last_id, writers INTO v_last_id, v_writers FROM timeseries_writers();
    WHILE EXISTS (SELECT FROM pg_locks WHERE virtualtransaction = ANY (v_writers)) LOOP
        IF clock_timestamp() >= v_until THEN
            UPDATE timeseries_progress SET pending_id = v_last_id, pending_writers = v_writers
            WHERE v_pending IS NOT NULL OR pending_id IS NULL OR pending_id <= rolled_up_id;
            RETURN v_pending;
        END IF;
        PERFORM pg_sleep(0.002);
    END LOOP;
    RETURN v_last_id;
END
$$;
COMMENT ON FUNCTION settled_timeseries_id(interval) IS
    'An id with which, and below which, no row of timeseries_data can appear any more; NULL where writers outlast the wait.';

CREATE FUNCTION merge_new_values(p_after bigint, p_until bigint, p_minutes_from timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    -- Planned for these ids, each time.
    EXECUTE $sql$
        WITH minutes AS (
            SELECT camera_id, metric_name, minute, (summary).*
            FROM (SELECT camera_id, metric_name,
                         date_bin('1 minute', metric_timestamp, '2000-01-01 00:00:00+00') AS minute,
                         summarise(metric_value, metric_timestamp, NULL) AS summary
                  FROM timeseries_data
                  WHERE id > $1 AND id <= $2 AND metric_value IS NOT NULL
                  GROUP BY 1, 2, 3) summaries
        ), hours AS (
            SELECT m.camera_id, m.metric_name, z.zone, date_bin('1 hour', m.minute, z.origin) AS hour,
                   sum(count_values) AS count_values, sum(sum_value) AS sum_value,
                   sum(sum_of_squares) AS sum_of_squares, min(min_value) AS min_value, max(max_value) AS max_value,
                   first(first_value, first_timestamp) AS first_value, min(first_timestamp) AS first_timestamp,
                   last(last_value, last_timestamp) AS last_value, max(last_timestamp) AS last_timestamp
            FROM minutes m
            JOIN (SELECT camera_id, zone, hour_origin(zone) AS origin
                  FROM (SELECT DISTINCT camera_id, camera_time_zone(camera_id) AS zone FROM minutes) cameras) z
                USING (camera_id)
            GROUP BY 1, 2, 3, 4
        )
        INSERT INTO timeseries_aggregations AS a
            (camera_id, metric_name, aggregation_type, aggregation_timestamp, count_values, sum_value, sum_of_squares,
             min_value, max_value, first_value, first_timestamp, last_value, last_timestamp)
        SELECT camera_id, metric_name, 'minute', minute, count_values, sum_value, sum_of_squares,
               min_value, max_value, first_value, first_timestamp, last_value, last_timestamp
        FROM minutes WHERE minute >= $3
        UNION ALL
        SELECT camera_id, metric_name, 'hour', hour, count_values, sum_value, sum_of_squares,
               min_value, max_value, first_value, first_timestamp, last_value, last_timestamp
        FROM hours
        UNION ALL
        SELECT camera_id, metric_name, type, date_trunc(type, hour, zone), sum(count_values), sum(sum_value),
               sum(sum_of_squares), min(min_value), max(max_value), first(first_value, first_timestamp),
               min(first_timestamp), last(last_value, last_timestamp), max(last_timestamp)
        FROM hours CROSS JOIN unnest('{day,week,month}'::text[]) AS types (type)
        GROUP BY 1, 2, 3, 4
        ON CONFLICT (camera_id, metric_name, aggregation_type, aggregation_timestamp) DO UPDATE SET
            count_values = a.count_values + excluded.count_values,
            sum_value = a.sum_value + excluded.sum_value,
            sum_of_squares = a.sum_of_squares + excluded.sum_of_squares,
            min_value = least(a.min_value, excluded.min_value),
            max_value = greatest(a.max_value, excluded.max_value),
            first_value = CASE
                WHEN (a.first_timestamp, a.first_value) < (excluded.first_timestamp, excluded.first_value)
                THEN a.first_value ELSE excluded.first_value END,
            first_timestamp = least(a.first_timestamp, excluded.first_timestamp),
            last_value = CASE
                WHEN (a.last_timestamp, a.last_value) > (excluded.last_timestamp, excluded.last_value)
                THEN a.last_value ELSE excluded.last_value END,
            last_timestamp = greatest(a.last_timestamp, excluded.last_timestamp)
        $sql$
    USING p_after, p_until, p_minutes_from;
    INSERT INTO timeseries_units (camera_id, metric_name, metric_unit)
    SELECT DISTINCT camera_id, metric_name, metric_unit
    FROM timeseries_data
    WHERE id > p_after AND id <= p_until AND metric_unit IS NOT NULL
    ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION merge_new_values(bigint, bigint, timestamptz) IS
    'Adds the values with ids in (p_after, p_until] to the rollups, to those by the minute from p_minutes_from on, and their units to timeseries_units.';

CREATE FUNCTION roll_up_timeseries(p_wait interval DEFAULT '1 second', p_most bigint DEFAULT 1000000) RETURNS bigint
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    c_pass     CONSTANT bigint := 100000;
    v_keep     interval;
    v_settled  bigint;
    v_after    bigint;
    v_until    bigint;
    v_minutes  timestamptz;
    v_begun_at bigint;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'rollups and compression need the isolation level READ COMMITTED'
            USING ERRCODE = 'invalid_transaction_state',
                  HINT = 'They have to see what was committed while they waited for writers to end.';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('camcount rollups', 0)) THEN
        IF p_wait < interval '1 second' THEN
            RETURN 0;
        END IF;
        PERFORM pg_advisory_xact_lock(hashtextextended('camcount rollups', 0));
    END IF;
    IF last_timeseries_id() = coalesce((SELECT rolled_up_id FROM timeseries_progress), 0) THEN
        RETURN 0;
    ELSIF last_timeseries_id() < (SELECT rolled_up_id FROM timeseries_progress) THEN
        RAISE EXCEPTION 'the sequence of timeseries_data.id was set back'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Set it to timeseries_progress.rolled_up_id or more: values with smaller ids are never rolled up.';
    END IF;
    SELECT compress_after INTO v_keep FROM retention_policies WHERE table_name = 'timeseries_data';
    SELECT rolled_up_id, minutes_from INTO v_begun_at, v_minutes FROM timeseries_progress;
    IF NOT FOUND THEN
        v_begun_at := 0;
        v_minutes := coalesce(date_trunc('day', clock_timestamp() - v_keep, 'UTC'), '-infinity');
        INSERT INTO timeseries_progress (rolled_up_id, minutes_from) VALUES (v_begun_at, v_minutes);
    END IF;
    v_settled := settled_timeseries_id(p_wait);
    v_after := v_begun_at;
    WHILE v_after < v_settled AND v_after - v_begun_at < p_most LOOP
        v_until := least(v_settled, v_after + c_pass);
        PERFORM merge_new_values(v_after, v_until, v_minutes);
        v_after := v_until;
    END LOOP;
    IF v_after > v_begun_at THEN
        UPDATE timeseries_progress SET rolled_up_id = v_after;
    END IF;
    RETURN v_after - v_begun_at;
END
$$;
COMMENT ON FUNCTION roll_up_timeseries(interval, bigint) IS
    'Brings the rollups up to date, as the maintenance worker does every few seconds; returns how many ids it passed. It waits for transactions that are writing values no longer than p_wait.';

CREATE FUNCTION remove_old_minutes(p_most integer DEFAULT 10000) RETURNS integer
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_keep    interval;
    v_from    timestamptz;
    v_removed integer;
BEGIN
    SELECT compress_after INTO v_keep FROM retention_policies WHERE table_name = 'timeseries_data' AND is_active;
    IF v_keep IS NULL THEN
        RETURN 0;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('camcount rollups', 0)) THEN
        RETURN 0;
    END IF;
    v_from := date_trunc('day', clock_timestamp() - v_keep, 'UTC');
    UPDATE timeseries_progress SET minutes_from = v_from WHERE minutes_from < v_from;
    DELETE FROM timeseries_aggregations WHERE ctid = ANY (ARRAY(
        SELECT a.ctid
        FROM (SELECT DISTINCT camera_id, metric_name FROM timeseries_aggregations WHERE aggregation_type = 'month') s
        CROSS JOIN LATERAL (
            SELECT ctid FROM timeseries_aggregations m
            WHERE (m.camera_id, m.metric_name, m.aggregation_type) = (s.camera_id, s.metric_name, 'minute')
              AND m.aggregation_timestamp < (SELECT minutes_from FROM timeseries_progress)) a
        LIMIT p_most));
    GET DIAGNOSTICS v_removed = ROW_COUNT;
    RETURN v_removed;
END
$$;
COMMENT ON FUNCTION remove_old_minutes(integer) IS
    'Removes rollups by the minute that are older than retention_policies.compress_after says; returns how many.';

-- The hours before the first value that is still there stay as they are.
CREATE FUNCTION rebuild_hours(p_camera_id text, p_metric_name text, p_origin timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_since timestamptz;
BEGIN
    SELECT min(a.aggregation_timestamp) INTO v_since
    FROM timeseries_aggregations a
    WHERE a.camera_id = p_camera_id AND a.metric_name = p_metric_name AND a.aggregation_type = 'hour'
      AND a.aggregation_timestamp >= least(
          (SELECT date_bin('1 hour', min(metric_timestamp), a.aggregation_timestamp) FROM timeseries_data
           WHERE camera_id = p_camera_id AND metric_name = p_metric_name),
          (SELECT date_bin('1 hour', min(first_timestamp), a.aggregation_timestamp) FROM timeseries_blocks
           WHERE camera_id = p_camera_id AND metric_name = p_metric_name));
    DELETE FROM timeseries_aggregations
    WHERE camera_id = p_camera_id AND metric_name = p_metric_name AND aggregation_type = 'hour'
      AND aggregation_timestamp >= v_since;
    INSERT INTO timeseries_aggregations
        (camera_id, metric_name, aggregation_type, aggregation_timestamp, count_values, sum_value, sum_of_squares,
         min_value, max_value, first_value, first_timestamp, last_value, last_timestamp)
    SELECT p_camera_id, p_metric_name, 'hour', hour, (s).count_values, (s).sum_value, (s).sum_of_squares,
           (s).min_value, (s).max_value, (s).first_value, (s).first_timestamp, (s).last_value, (s).last_timestamp
    FROM (SELECT date_bin('1 hour', metric_timestamp, p_origin) AS hour,
                 summarise(metric_value, metric_timestamp, NULL) AS s
          FROM (SELECT metric_timestamp, metric_value FROM timeseries_data
                WHERE camera_id = p_camera_id AND metric_name = p_metric_name AND metric_timestamp >= v_since
                  AND id <= (SELECT rolled_up_id FROM timeseries_progress)
                UNION ALL
                SELECT p.metric_timestamp, p.metric_value
                FROM timeseries_blocks b CROSS JOIN LATERAL block_points(b.points, v_since, 'infinity') p
                WHERE b.camera_id = p_camera_id AND b.metric_name = p_metric_name AND b.last_timestamp >= v_since
               ) points
          WHERE metric_value IS NOT NULL
          GROUP BY 1) hours;
END
$$;
COMMENT ON FUNCTION rebuild_hours(text, text, timestamptz) IS
    'Makes the hours of a series anew, on the grid that p_origin is on, from its values.';

CREATE FUNCTION rebuild_rollups(p_camera_id text) RETURNS void
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_zone   text := camera_time_zone(p_camera_id);
    v_origin timestamptz := hour_origin(v_zone);
    v_metric text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('camcount rollups', 0));
    DELETE FROM timeseries_aggregations
    WHERE camera_id = p_camera_id AND aggregation_type IN ('day', 'week', 'month');
    -- Hours of another grid are made anew from the values, as far as there are any.
    FOR v_metric IN
        SELECT DISTINCT metric_name FROM timeseries_aggregations
        WHERE camera_id = p_camera_id AND aggregation_type = 'hour'
          AND date_bin('1 hour', aggregation_timestamp, v_origin) <> aggregation_timestamp
    LOOP
        PERFORM rebuild_hours(p_camera_id, v_metric, v_origin);
    END LOOP;
    INSERT INTO timeseries_aggregations
        (camera_id, metric_name, aggregation_type, aggregation_timestamp, count_values, sum_value, sum_of_squares,
         min_value, max_value, first_value, first_timestamp, last_value, last_timestamp)
    SELECT p_camera_id, metric_name, type, date_trunc(type, aggregation_timestamp, v_zone), sum(count_values),
           sum(sum_value), sum(sum_of_squares), min(min_value), max(max_value),
           first(first_value, first_timestamp), min(first_timestamp),
           last(last_value, last_timestamp), max(last_timestamp)
    FROM timeseries_aggregations CROSS JOIN unnest('{day,week,month}'::text[]) AS types (type)
    WHERE camera_id = p_camera_id AND aggregation_type = 'hour'
    GROUP BY 2, 3, 4;
END
$$;
COMMENT ON FUNCTION rebuild_rollups(text) IS
    'Makes the rollups of a camera by the day and longer anew, as a change of its time zone does.';

-- With its owner's rights: who may register a camera need not have any to rollups.
CREATE FUNCTION follow_time_zone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM rebuild_rollups(OLD.camera_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM rebuild_rollups(NEW.camera_id);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION follow_time_zone() IS 'Trigger function: rollups begin at the hours and days of the camera.';
-- A camera that is not registered is taken to be in UTC.
CREATE TRIGGER cameras_rollups_given AFTER INSERT ON cameras
    FOR EACH ROW WHEN (NEW.time_zone <> 'UTC') EXECUTE FUNCTION follow_time_zone();
CREATE TRIGGER cameras_rollups_changed AFTER UPDATE OF camera_id, time_zone ON cameras
    FOR EACH ROW WHEN (OLD.camera_id <> NEW.camera_id OR OLD.time_zone <> NEW.time_zone)
    EXECUTE FUNCTION follow_time_zone();
CREATE TRIGGER cameras_rollups_forgotten AFTER DELETE ON cameras
    FOR EACH ROW WHEN (OLD.time_zone <> 'UTC') EXECUTE FUNCTION follow_time_zone();
