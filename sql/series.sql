-- Reading series: rows, blocks and rollups as one.

-- Rows that a query's snapshot sees in the default partition may have been moved since (make_partition). The planner
-- knows the new partition and looks for them there, where the snapshot does not see them. So where a partition is
-- newer than the snapshot, the query must not be told which partitions to leave out.
CREATE FUNCTION partition_condition(p_table regclass, p_column text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(current_partitions(p_table)) AS current (partition)
               WHERE partition NOT IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = p_table)) THEN
        RETURN format('(%s + interval ''0'')', p_column);
    END IF;
    RETURN p_column;
END
$$;
COMMENT ON FUNCTION partition_condition(regclass, text) IS
    'How a query names the column that cuts a table, so that it finds all rows of its snapshot.';

CREATE FUNCTION timeseries_points(p_camera_id text, p_metric_name text, p_from timestamptz, p_to timestamptz)
RETURNS TABLE (metric_timestamp timestamptz, metric_value numeric, metric_unit text, metric_tags jsonb,
               confidence_score double precision, data_quality_score double precision)
LANGUAGE plpgsql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    PERFORM check_series(p_camera_id, p_metric_name, p_from, p_to, false);
    RETURN QUERY EXECUTE format(
        'SELECT metric_timestamp, metric_value, metric_unit, metric_tags, confidence_score, data_quality_score
         FROM timeseries_data
         WHERE camera_id = $1 AND metric_name = $2 AND %1$s >= $3 AND %1$s < $4
         UNION ALL
         SELECT p.*
         FROM timeseries_blocks b CROSS JOIN LATERAL block_points(b.points, $3, $4) p
         WHERE b.camera_id = $1 AND b.metric_name = $2
           AND %2$s >= date_trunc(''month'', greatest($3, ''0001-01-01 00:00:00+00''), ''UTC'')
           AND %2$s < $4 AND b.last_timestamp >= $3
         ORDER BY 1',
        partition_condition('timeseries_data', 'metric_timestamp'),
        partition_condition('timeseries_blocks', 'b.first_timestamp'))
    USING p_camera_id, p_metric_name, p_from, p_to;
END
$$;
COMMENT ON FUNCTION timeseries_points(text, text, timestamptz, timestamptz) IS
    'The values of a series in [p_from, p_to), compressed or not, in the order of their times; gaps are NULL.';

-- Of a whole range of time, or of its two ends where rollups cover what is between.
CREATE FUNCTION timeseries_parts(
    p_camera_id text, p_metric_name text, p_from timestamptz, p_to timestamptz, p_level text
)
RETURNS TABLE (part_start timestamptz, count_values bigint, sum_value numeric, sum_of_squares numeric,
               min_value numeric, max_value numeric, first_value numeric, first_timestamp timestamptz,
               last_value numeric, last_timestamp timestamptz, metric_unit text, other_unit text)
LANGUAGE plpgsql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_step      interval := '1 ' || p_level;
    v_origin    timestamptz := hour_origin(camera_time_zone(p_camera_id));
    v_rolled_up bigint := 0;
    v_minutes   timestamptz := 'infinity';
    v_first     timestamptz;
    v_end       timestamptz;
BEGIN
    SELECT rolled_up_id, minutes_from INTO v_rolled_up, v_minutes FROM timeseries_progress;
    -- The steps from v_first to v_end are whole ones, and rolled up.
    v_first := date_bin(v_step, p_from + v_step - interval '1 microsecond', v_origin);
    v_end := date_bin(v_step, p_to, v_origin);
    IF p_level = 'microsecond' OR v_first >= v_end OR v_rolled_up IS NULL
       OR (p_level = 'minute' AND v_first < v_minutes) THEN
        v_first := p_to;
        v_end := p_to;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT aggregation_timestamp, count_values, sum_value, sum_of_squares, min_value, max_value,
                first_value, first_timestamp, last_value, last_timestamp, NULL::text, NULL::text
         FROM timeseries_aggregations
         WHERE camera_id = $1 AND metric_name = $2 AND aggregation_type = $7
           AND aggregation_timestamp >= $5 AND aggregation_timestamp < $6
         UNION ALL
         SELECT start, (summary).*
         FROM (SELECT date_bin($8, at, $9) AS start, summarise(value, at, unit) AS summary
               FROM (SELECT metric_timestamp, metric_value, metric_unit FROM timeseries_data
                     WHERE camera_id = $1 AND metric_name = $2 AND %1$s >= $3 AND %1$s < $5
                     UNION ALL
                     SELECT metric_timestamp, metric_value, metric_unit FROM timeseries_data
                     WHERE camera_id = $1 AND metric_name = $2 AND %1$s >= $6 AND %1$s < $4
                     UNION ALL
                     SELECT metric_timestamp, metric_value, metric_unit FROM timeseries_data
                     WHERE id > $10 AND camera_id = $1 AND metric_name = $2
                       AND %1$s >= $5 AND %1$s < $6
                     UNION ALL
                     SELECT p.metric_timestamp, p.metric_value, p.metric_unit
                     FROM timeseries_blocks b
                     CROSS JOIN LATERAL (VALUES ($3, $5), ($6, $4)) ends (since, until)
                     CROSS JOIN LATERAL block_points(b.points, ends.since, ends.until) p
                     WHERE b.camera_id = $1 AND b.metric_name = $2 AND ends.since < ends.until
                       AND %2$s >= date_trunc(''month'', $3, ''UTC'') AND %2$s < $4
                       AND b.first_timestamp < ends.until AND b.last_timestamp >= ends.since
                    ) points (at, value, unit)
               WHERE value IS NOT NULL
               GROUP BY 1) summaries',
        partition_condition('timeseries_data', 'metric_timestamp'),
        partition_condition('timeseries_blocks', 'b.first_timestamp'))
    USING p_camera_id, p_metric_name, p_from, p_to, v_first, v_end, p_level, v_step, v_origin, v_rolled_up;
END
$$;
COMMENT ON FUNCTION timeseries_parts(text, text, timestamptz, timestamptz, text) IS
    'What the values of a series in [p_from, p_to) amount to by the hour or minute (p_level), from rollups and points; an hour or minute may come in two parts.';

CREATE FUNCTION units_of(p_camera_id text, p_metric_name text, p_others text[]) RETURNS text[]
LANGUAGE sql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
    SELECT array_agg(unit ORDER BY unit)
    FROM (SELECT metric_unit AS unit FROM timeseries_units
          WHERE camera_id = p_camera_id AND metric_name = p_metric_name
          UNION SELECT unnest(p_others)) AS units
    WHERE unit IS NOT NULL
$$;
COMMENT ON FUNCTION units_of(text, text, text[]) IS 'The units that a series is known to have, and others.';

CREATE FUNCTION aggregate_timeseries_data(
    p_camera_id text, p_metric_name text, p_aggregation_type text,
    p_start_timestamp timestamptz, p_end_timestamp timestamptz
) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_level  text := CASE p_aggregation_type WHEN 'minute' THEN 'minute' ELSE 'hour' END;
    v_zone   text := camera_time_zone(p_camera_id);
    v_totals record;
BEGIN
    PERFORM check_aggregation(p_camera_id, p_metric_name, p_aggregation_type, p_start_timestamp, p_end_timestamp);
    WITH parts AS (
        SELECT CASE p_aggregation_type WHEN v_level THEN part_start
                    ELSE date_trunc(p_aggregation_type, part_start, v_zone) END AS start, p.*
        FROM timeseries_parts(p_camera_id, p_metric_name, p_start_timestamp, p_end_timestamp, v_level) p
    ), buckets AS MATERIALIZED (
        SELECT start, sum(count_values)::bigint AS count, sum(sum_value) AS sum, sum(sum_of_squares) AS squares,
               min(min_value) AS min, max(max_value) AS max,
               first(first_value, first_timestamp) AS first, min(first_timestamp) AS first_at,
               last(last_value, last_timestamp) AS last, max(last_timestamp) AS last_at,
               min(metric_unit) AS unit, max(coalesce(other_unit, metric_unit)) AS other_unit
        FROM parts
        GROUP BY start
    )
    SELECT coalesce(sum(count), 0)::bigint AS count, sum(sum) AS sum, sum(squares) AS squares,
           min(min) AS min, max(max) AS max, first(first, first_at) AS first, last(last, last_at) AS last,
           units_of(p_camera_id, p_metric_name, ARRAY[min(unit), max(other_unit)]) AS units,
           coalesce(jsonb_agg(jsonb_build_object(
               'start', start, 'count', count, 'sum', sum, 'avg', sum / count, 'min', min, 'max', max,
               'std_dev', sample_standard_deviation(count, sum, squares),
               'first_value', first, 'last_value', last) ORDER BY start)
               FILTER (WHERE check_bucket_count((SELECT count(*) FROM buckets))), '[]') AS buckets
    INTO v_totals
    FROM buckets;
    PERFORM check_units(v_totals.units);
    RETURN jsonb_build_object(
        'camera_id', p_camera_id,
        'metric_name', p_metric_name,
        'aggregation_type', p_aggregation_type,
        'start_timestamp', p_start_timestamp,
        'end_timestamp', p_end_timestamp,
        'unit', v_totals.units[1],
        'count', v_totals.count,
        'sum', v_totals.sum,
        'avg', v_totals.sum / nullif(v_totals.count, 0),
        'min', v_totals.min,
        'max', v_totals.max,
        'std_dev', sample_standard_deviation(v_totals.count, v_totals.sum, v_totals.squares),
        'first_value', v_totals.first,
        'last_value', v_totals.last,
        'buckets', v_totals.buckets);
END
$$;
COMMENT ON FUNCTION aggregate_timeseries_data(text, text, text, timestamptz, timestamptz) IS
    'What the values of a series in [p_start_timestamp, p_end_timestamp) amount to, in all and by minute, hour, day, week or month (p_aggregation_type) in the camera''s time zone; compressed or not, late or not.';

-- One expression each, so that the planner puts them in place of their calls.
CREATE FUNCTION bucket_months(p_bucket interval) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT extract(month FROM p_bucket) + 12 * extract(year FROM p_bucket)
$$;
COMMENT ON FUNCTION bucket_months(interval) IS 'The months of a bucket; 0 for one that is shorter.';

-- Days and longer begin at midnight in the time zone; shorter buckets are counted from midnight.
CREATE FUNCTION bucket_start(p_bucket interval, p_at timestamptz, p_time_zone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN p_bucket < interval '1 day' THEN
            pg_catalog.date_bin(p_bucket, p_at, pg_catalog.date_trunc('day', p_at, p_time_zone))
        WHEN camcount.bucket_months(p_bucket) = 0 THEN
            pg_catalog.date_bin(p_bucket, p_at AT TIME ZONE p_time_zone, timestamp '2001-01-01') AT TIME ZONE p_time_zone
        ELSE (timestamp '2000-01-01' + interval '1 month' * (camcount.bucket_months(p_bucket) * floor(
                 (12 * (extract(year FROM p_at AT TIME ZONE p_time_zone) - 2000)
                  + extract(month FROM p_at AT TIME ZONE p_time_zone) - 1) / camcount.bucket_months(p_bucket)
             ))::double precision) AT TIME ZONE p_time_zone END
$$;
COMMENT ON FUNCTION bucket_start(interval, timestamptz, text) IS
    'Where the bucket begins that a time belongs to; weeks begin on Monday, years in January.';

CREATE FUNCTION bucket_end(p_bucket interval, p_start timestamptz, p_time_zone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN p_bucket < interval '1 day' THEN
            least(p_start + p_bucket, (date_trunc('day', p_start AT TIME ZONE p_time_zone) + interval '1 day')
                                      AT TIME ZONE p_time_zone)
        -- From midnight, also where clocks skip it and the day begins at one.
        ELSE (date_trunc('day', p_start AT TIME ZONE p_time_zone) + p_bucket) AT TIME ZONE p_time_zone END
$$;
COMMENT ON FUNCTION bucket_end(interval, timestamptz, text) IS 'Where the bucket ends that begins at p_start.';

CREATE FUNCTION bucket_grid(p_bucket interval, p_from timestamptz, p_to timestamptz, p_time_zone text)
RETURNS SETOF timestamptz
LANGUAGE plpgsql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_start timestamptz := bucket_start(p_bucket, p_from, p_time_zone);
    v_count bigint := 0;
BEGIN
    WHILE p_from < p_to AND v_start < p_to LOOP
        v_count := v_count + 1;
        PERFORM check_bucket_count(v_count);
        RETURN NEXT v_start;
        v_start := bucket_end(p_bucket, v_start, p_time_zone);
    END LOOP;
END
$$;
COMMENT ON FUNCTION bucket_grid(interval, timestamptz, timestamptz, text) IS
    'The starts of all buckets that [p_from, p_to) touches.';

CREATE FUNCTION bucket_summaries(
    p_camera_id text, p_metric_name text, p_bucket interval, p_from timestamptz, p_to timestamptz, p_level text
)
RETURNS TABLE (start timestamptz, count bigint, sum numeric, squares numeric, min numeric, max numeric,
               first numeric, last numeric, unit text, other_unit text)
LANGUAGE sql STABLE AS $$
    SELECT camcount.bucket_start(p_bucket, part_start, camcount.camera_time_zone(p_camera_id)),
           sum(count_values)::bigint, sum(sum_value), sum(sum_of_squares), min(min_value), max(max_value),
           camcount.first(first_value, first_timestamp), camcount.last(last_value, last_timestamp),
           min(metric_unit), max(coalesce(other_unit, metric_unit))
    FROM camcount.timeseries_parts(p_camera_id, p_metric_name, p_from, p_to, p_level)
    GROUP BY 1
$$;
COMMENT ON FUNCTION bucket_summaries(text, text, interval, timestamptz, timestamptz, text) IS
    'The buckets of a series in [p_from, p_to) that have values, made of parts of p_level.';

CREATE FUNCTION fill_buckets(
    p_camera_id text, p_metric_name text, p_bucket interval, p_from timestamptz, p_to timestamptz, p_level text,
    p_fill text
)
RETURNS TABLE (start timestamptz, count bigint, sum numeric, squares numeric, min numeric, max numeric,
               first numeric, last numeric, unit text, other_unit text, average numeric)
LANGUAGE sql STABLE AS $$
    WITH buckets AS (
        SELECT grid.start AS at, f.*, f.sum / f.count AS average
        FROM camcount.bucket_grid(p_bucket, p_from, p_to, camcount.camera_time_zone(p_camera_id)) grid (start)
        LEFT JOIN camcount.bucket_summaries(p_camera_id, p_metric_name, p_bucket, p_from, p_to, p_level) f
            ON f.start = grid.start
    ), numbered AS (
        -- Buckets without values have the number of the last one before them, and of the next one, that has some.
        SELECT b.*, count(average) OVER (ORDER BY at) AS before, count(average) OVER (ORDER BY at DESC) AS after
        FROM buckets b
    ), neighbours AS (
        SELECT n.*,
               max(average) OVER previous AS previous_average, max(start) OVER previous AS previous_start,
               max(average) OVER next AS next_average, max(start) OVER next AS next_start
        FROM numbered n
        WINDOW previous AS (PARTITION BY before), next AS (PARTITION BY after)
    )
    SELECT at, coalesce(count, 0), sum, squares, min, max, first, last, unit, other_unit,
           CASE WHEN average IS NOT NULL OR p_fill = 'null' THEN average
                WHEN p_fill = 'previous' THEN previous_average
                ELSE previous_average + (next_average - previous_average) * extract(epoch FROM at - previous_start)
                                        / nullif(extract(epoch FROM next_start - previous_start), 0) END
    FROM neighbours
$$;
COMMENT ON FUNCTION fill_buckets(text, text, interval, timestamptz, timestamptz, text, text) IS
    'All buckets of a series in [p_from, p_to), with an average for those without values by p_fill.';

CREATE FUNCTION timeseries_buckets(
    p_camera_id text, p_metric_name text, p_bucket interval, p_from timestamptz, p_to timestamptz,
    p_fill text DEFAULT 'none'
)
RETURNS TABLE (bucket_start timestamptz, count_values bigint, sum_value numeric, avg_value numeric, min_value numeric,
               max_value numeric, std_dev_value numeric, first_value numeric, last_value numeric)
LANGUAGE plpgsql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_level text := check_buckets(p_camera_id, p_metric_name, p_bucket, p_from, p_to, p_fill);
BEGIN
    RETURN QUERY
    WITH buckets AS MATERIALIZED (
        SELECT s.*, s.sum / s.count AS average
        FROM bucket_summaries(p_camera_id, p_metric_name, p_bucket, p_from, p_to, v_level) s
        WHERE p_fill = 'none'
        UNION ALL
        SELECT *
        FROM fill_buckets(p_camera_id, p_metric_name, p_bucket, p_from, p_to, v_level, p_fill)
        WHERE p_fill <> 'none'
    )
    SELECT b.start, b.count, b.sum, b.average, b.min, b.max,
           sample_standard_deviation(b.count, b.sum, b.squares), b.first, b.last
    FROM buckets b
    WHERE (SELECT check_bucket_count(pg_catalog.count(*)) AND check_units(units_of(
               p_camera_id, p_metric_name, ARRAY[pg_catalog.min(unit), pg_catalog.max(other_unit)])) FROM buckets)
    ORDER BY b.start;
END
$$;
COMMENT ON FUNCTION timeseries_buckets(text, text, interval, timestamptz, timestamptz, text) IS
    'A series in [p_from, p_to) by buckets of any length. p_fill says what becomes of buckets without values: none leaves them out; null, previous and linear return them, with an avg_value that is NULL, the one before, or between its neighbours.';
