-- $1 camera, $2 counter, $3 value, $4 when it was made (NULL is now). One statement and one row version; the periods are
-- the camera's. What comes late, because the row was waited for or it was buffered, does not count in periods that have
-- begun since.
WITH clock AS MATERIALIZED (
    SELECT made_at, date_trunc('hour', made_at, zone) AS hour_start, date_trunc('day', made_at, zone) AS day_start,
           date_trunc('week', made_at, zone) AS week_start, date_trunc('month', made_at, zone) AS month_start
    FROM (SELECT coalesce($4, clock_timestamp()) AS made_at,
                 coalesce((SELECT time_zone FROM camcount.cameras WHERE camera_id = $1), 'UTC') AS zone) AS camera
)
INSERT INTO camcount.realtime_counters AS counter
    (camera_id, counter_name, current_count, total_count, hourly_count, daily_count, weekly_count, monthly_count,
     hour_start, day_start, week_start, month_start, last_increment_at)
SELECT $1, $2, added, added, added, added, added, added, hour_start, day_start, week_start, month_start, made_at
FROM clock, LATERAL (SELECT greatest($3, 0)::bigint AS added) AS increment
ON CONFLICT (camera_id, counter_name) DO UPDATE SET
    current_count = greatest(counter.current_count + $3, 0),
    total_count = counter.total_count + excluded.total_count,
    hourly_count = CASE
        WHEN counter.hour_start = excluded.hour_start THEN counter.hourly_count + excluded.hourly_count
        WHEN excluded.last_increment_at < counter.last_increment_at THEN counter.hourly_count
        ELSE excluded.hourly_count END,
    daily_count = CASE
        WHEN counter.day_start = excluded.day_start THEN counter.daily_count + excluded.daily_count
        WHEN excluded.last_increment_at < counter.last_increment_at THEN counter.daily_count
        ELSE excluded.daily_count END,
    weekly_count = CASE
        WHEN counter.week_start = excluded.week_start THEN counter.weekly_count + excluded.weekly_count
        WHEN excluded.last_increment_at < counter.last_increment_at THEN counter.weekly_count
        ELSE excluded.weekly_count END,
    monthly_count = CASE
        WHEN counter.month_start = excluded.month_start THEN counter.monthly_count + excluded.monthly_count
        WHEN excluded.last_increment_at < counter.last_increment_at THEN counter.monthly_count
        ELSE excluded.monthly_count END,
    hour_start = CASE WHEN excluded.last_increment_at < counter.last_increment_at THEN counter.hour_start ELSE excluded.hour_start END,
    day_start = CASE WHEN excluded.last_increment_at < counter.last_increment_at THEN counter.day_start ELSE excluded.day_start END,
    week_start = CASE WHEN excluded.last_increment_at < counter.last_increment_at THEN counter.week_start ELSE excluded.week_start END,
    month_start = CASE WHEN excluded.last_increment_at < counter.last_increment_at THEN counter.month_start ELSE excluded.month_start END,
    last_increment_at = greatest(counter.last_increment_at, excluded.last_increment_at),
    updated_at = clock_timestamp()
RETURNING current_count
