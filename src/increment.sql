-- $1 camera, $2 counter, $3 value. One statement and one row version; the periods are the camera's.
WITH clock AS MATERIALIZED (
    SELECT now, date_trunc('hour', now, zone) AS hour_start, date_trunc('day', now, zone) AS day_start,
           date_trunc('week', now, zone) AS week_start, date_trunc('month', now, zone) AS month_start
    FROM (SELECT clock_timestamp() AS now,
                 coalesce((SELECT time_zone FROM camcount.cameras WHERE camera_id = $1), 'UTC') AS zone) AS camera
)
INSERT INTO camcount.realtime_counters AS counter
    (camera_id, counter_name, current_count, total_count, hourly_count, daily_count, weekly_count, monthly_count,
     hour_start, day_start, week_start, month_start, last_increment_at)
SELECT $1, $2, added, added, added, added, added, added, hour_start, day_start, week_start, month_start, now
FROM clock, LATERAL (SELECT greatest($3, 0)::bigint AS added) AS increment
ON CONFLICT (camera_id, counter_name) DO UPDATE SET
    current_count = greatest(counter.current_count + $3, 0),
    total_count = counter.total_count + excluded.total_count,
    hourly_count = excluded.hourly_count
        + CASE WHEN counter.hour_start = excluded.hour_start THEN counter.hourly_count ELSE 0 END,
    daily_count = excluded.daily_count
        + CASE WHEN counter.day_start = excluded.day_start THEN counter.daily_count ELSE 0 END,
    weekly_count = excluded.weekly_count
        + CASE WHEN counter.week_start = excluded.week_start THEN counter.weekly_count ELSE 0 END,
    monthly_count = excluded.monthly_count
        + CASE WHEN counter.month_start = excluded.month_start THEN counter.monthly_count ELSE 0 END,
    hour_start = excluded.hour_start,
    day_start = excluded.day_start,
    week_start = excluded.week_start,
    month_start = excluded.month_start,
    last_increment_at = excluded.last_increment_at,
    updated_at = excluded.last_increment_at
RETURNING current_count
