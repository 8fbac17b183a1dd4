-- $1 camera, $2 metric, $3 before, $4 rows at most, $5 blocks at most. No row where there is nothing to compress.
WITH progress AS MATERIALIZED (
    SELECT rolled_up_id FROM camcount.timeseries_progress
), start AS MATERIALIZED (
    SELECT metric_timestamp AS since
    FROM camcount.timeseries_data, progress
    WHERE camera_id = $1 AND metric_name = $2 AND metric_timestamp < $3 AND id <= rolled_up_id
    ORDER BY metric_timestamp LIMIT 1
), ends AS (
    SELECT since, least(
        (date_trunc('month', since AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC', $3,
        (SELECT metric_timestamp FROM camcount.timeseries_data, progress
         WHERE camera_id = $1 AND metric_name = $2 AND metric_timestamp >= since AND metric_timestamp < $3
           AND id <= rolled_up_id
         ORDER BY metric_timestamp OFFSET $4 LIMIT 1),
        (SELECT first_timestamp FROM camcount.timeseries_blocks
         WHERE camera_id = $1 AND metric_name = $2
           AND first_timestamp >= pg_catalog.date_trunc('month', since, 'UTC')
           AND first_timestamp < $3 AND last_timestamp >= since
         ORDER BY first_timestamp OFFSET $5 LIMIT 1)) AS until
    FROM start
)
-- Where too many are of one time, they are taken together.
SELECT since, greatest(until, since + interval '1 microsecond'), rolled_up_id FROM ends, progress
