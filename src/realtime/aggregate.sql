-- $1 camera, $2 key, $3 value, $4 configuration, $5 seconds of a window or NULL, $6 dead band, $7 the same in percent.
-- The key's row comes first: until this transaction ends it keeps out all others, who then find this value in it.
WITH latest AS (
    INSERT INTO camcount.realtime_aggregation_keys AS known (camera_id, aggregation_key, current_value, observed_at)
    VALUES ($1, $2, $3, clock_timestamp())
    ON CONFLICT (camera_id, aggregation_key) DO UPDATE SET
        current_value = excluded.current_value,
        previous_value = known.current_value,
        observed_at = greatest(clock_timestamp(), known.observed_at + interval '1 microsecond')
    RETURNING current_value, previous_value, observed_at
), change AS (
    SELECT observed_at AS now, previous_value AS previous, current_value - previous_value AS value,
           round(100 * (current_value - previous_value) / nullif(abs(previous_value), 0), 2) AS percent,
           coalesce((SELECT time_zone FROM camcount.cameras WHERE camera_id = $1), 'UTC') AS zone
    FROM latest
), trend AS (
    SELECT *,
           CASE WHEN previous IS NULL OR abs(value) <= $6::numeric OR 100 * abs(value) <= $7::numeric * abs(previous)
                THEN 'stable'
                WHEN value > 0 THEN 'increasing'
                ELSE 'decreasing' END AS direction,
           CASE WHEN $5 IS NULL THEN NULL
                WHEN $5 % 86400 = 0
                THEN date_bin($5 * interval '1 second', date_trunc('day', now AT TIME ZONE zone), timestamp '2000-01-03')
                     AT TIME ZONE zone
                WHEN 86400 % $5 = 0
                THEN date_bin($5 * interval '1 second', now, date_trunc('day', now, zone))
                ELSE date_bin($5 * interval '1 second', now, timestamptz '2000-01-01 00:00:00+00') END AS window_start
    FROM change
)
INSERT INTO camcount.realtime_aggregations AS kept
    (camera_id, aggregation_key, aggregation_timestamp, window_start, window_seconds, current_value, previous_value,
     change_value, change_percent, trend_direction, trend_strength, min_value, max_value, avg_value, sum_value,
     count_values, aggregation_config, last_updated)
SELECT $1, $2, coalesce(window_start, now), window_start, $5, $3, previous, value, percent, direction,
       CASE WHEN direction = 'stable' THEN 0 ELSE coalesce(least(abs(percent) / 100, 1), 1) END,
       $3, $3, $3, $3, 1, $4, now
FROM trend
ON CONFLICT (camera_id, aggregation_key, aggregation_timestamp) DO UPDATE SET
    window_start = excluded.window_start,
    window_seconds = excluded.window_seconds,
    current_value = excluded.current_value,
    previous_value = excluded.previous_value,
    change_value = excluded.change_value,
    change_percent = excluded.change_percent,
    trend_direction = excluded.trend_direction,
    trend_strength = excluded.trend_strength,
    min_value = least(kept.min_value, excluded.min_value),
    max_value = greatest(kept.max_value, excluded.max_value),
    avg_value = (kept.sum_value + excluded.sum_value) / (kept.count_values + 1),
    sum_value = kept.sum_value + excluded.sum_value,
    count_values = kept.count_values + 1,
    aggregation_config = excluded.aggregation_config,
    last_updated = excluded.last_updated,
    updated_at = excluded.last_updated
RETURNING jsonb_build_object(
    'camera_id', camera_id,
    'aggregation_key', aggregation_key,
    'aggregation_timestamp', aggregation_timestamp,
    'window_start', window_start,
    'window_seconds', window_seconds,
    'current_value', current_value,
    'previous_value', previous_value,
    'change_value', change_value,
    'change_percent', change_percent,
    'trend_direction', trend_direction,
    'trend_strength', trend_strength,
    'min_value', min_value,
    'max_value', max_value,
    'avg_value', trim_scale(avg_value),
    'count_values', count_values,
    'last_updated', last_updated)
