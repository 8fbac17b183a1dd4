-- What holds now: aggregations over a running window, counters, and a cache of results.

CREATE TABLE realtime_aggregations (
    id                    bigint GENERATED ALWAYS AS IDENTITY,
    camera_id             text NOT NULL
        CONSTRAINT realtime_aggregations_camera_id_length CHECK (length(camera_id) BETWEEN 1 AND 100),
    aggregation_key       text NOT NULL
        CONSTRAINT realtime_aggregations_aggregation_key_length CHECK (length(aggregation_key) BETWEEN 1 AND 200),
    aggregation_timestamp timestamptz NOT NULL,
    window_start          timestamptz,
    window_seconds        integer
        CONSTRAINT realtime_aggregations_window_seconds_positive CHECK (window_seconds > 0),
    current_value         numeric,
    previous_value        numeric,
    change_value          numeric,
    change_percent        numeric,
    trend_direction       text
        CONSTRAINT realtime_aggregations_trend_direction_known
        CHECK (trend_direction IN ('increasing', 'decreasing', 'stable')),
    trend_strength        double precision
        CONSTRAINT realtime_aggregations_trend_strength_range CHECK (trend_strength BETWEEN 0 AND 1),
    min_value             numeric,
    max_value             numeric,
    avg_value             numeric,
    count_values          bigint CONSTRAINT realtime_aggregations_count_values_range CHECK (count_values >= 0),
    aggregation_config    jsonb NOT NULL DEFAULT '{}',
    last_updated          timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT realtime_aggregations_pkey PRIMARY KEY (id, camera_id),
    CONSTRAINT realtime_aggregations_window_whole CHECK ((window_start IS NULL) = (window_seconds IS NULL)),
    -- One row a window. It is also the documented index: a key's windows over time, read backwards for the latest.
    CONSTRAINT realtime_aggregations_key_time_key UNIQUE (camera_id, aggregation_key, aggregation_timestamp)
) WITH (fillfactor = 70);
COMMENT ON TABLE realtime_aggregations IS
    'A value as it stands, against the one before, for each camera, key and window.';
COMMENT ON COLUMN realtime_aggregations.id IS 'Order of writing.';
COMMENT ON COLUMN realtime_aggregations.camera_id IS 'Which camera.';
COMMENT ON COLUMN realtime_aggregations.aggregation_key IS 'Which value, for example count_in_1min.';
COMMENT ON COLUMN realtime_aggregations.aggregation_timestamp IS
    'Start of the window; where the key has none, the time of the value.';
COMMENT ON COLUMN realtime_aggregations.window_start IS 'Start of the window; NULL where the key has none.';
COMMENT ON COLUMN realtime_aggregations.window_seconds IS 'Length of the window; NULL where the key has none.';
COMMENT ON COLUMN realtime_aggregations.current_value IS 'The latest value.';
COMMENT ON COLUMN realtime_aggregations.previous_value IS 'The one before it, of whichever window.';
COMMENT ON COLUMN realtime_aggregations.change_value IS 'current_value - previous_value.';
COMMENT ON COLUMN realtime_aggregations.change_percent IS
    'The change in percent of |previous_value|; NULL where that is missing or 0.';
COMMENT ON COLUMN realtime_aggregations.trend_direction IS 'increasing, decreasing or stable.';
COMMENT ON COLUMN realtime_aggregations.trend_strength IS 'Share of the change, 0 to 1; 1 is a doubling or more.';
COMMENT ON COLUMN realtime_aggregations.min_value IS 'The smallest in the window.';
COMMENT ON COLUMN realtime_aggregations.max_value IS 'The largest in the window.';
COMMENT ON COLUMN realtime_aggregations.avg_value IS 'The mean over the window.';
COMMENT ON COLUMN realtime_aggregations.count_values IS 'Values in the window.';
COMMENT ON COLUMN realtime_aggregations.aggregation_config IS 'The configuration that the latest call gave.';
COMMENT ON COLUMN realtime_aggregations.last_updated IS 'When the latest value came in.';
COMMENT ON COLUMN realtime_aggregations.created_at IS 'When the row was made.';
COMMENT ON COLUMN realtime_aggregations.updated_at IS 'When the row was last written.';

CREATE TRIGGER realtime_aggregations_updated_at BEFORE UPDATE ON realtime_aggregations
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE realtime_counters (
    id                bigint GENERATED ALWAYS AS IDENTITY,
    camera_id         text NOT NULL
        CONSTRAINT realtime_counters_camera_id_length CHECK (length(camera_id) BETWEEN 1 AND 100),
    counter_name      text NOT NULL
        CONSTRAINT realtime_counters_counter_name_length CHECK (length(counter_name) BETWEEN 1 AND 100),
    current_count     bigint NOT NULL DEFAULT 0
        CONSTRAINT realtime_counters_current_count_range CHECK (current_count >= 0),
    total_count       bigint NOT NULL DEFAULT 0
        CONSTRAINT realtime_counters_total_count_range CHECK (total_count >= 0),
    reset_count       bigint NOT NULL DEFAULT 0
        CONSTRAINT realtime_counters_reset_count_range CHECK (reset_count >= 0),
    hourly_count      bigint NOT NULL DEFAULT 0
        CONSTRAINT realtime_counters_hourly_count_range CHECK (hourly_count >= 0),
    daily_count       bigint NOT NULL DEFAULT 0
        CONSTRAINT realtime_counters_daily_count_range CHECK (daily_count >= 0),
    weekly_count      bigint NOT NULL DEFAULT 0
        CONSTRAINT realtime_counters_weekly_count_range CHECK (weekly_count >= 0),
    monthly_count     bigint NOT NULL DEFAULT 0
        CONSTRAINT realtime_counters_monthly_count_range CHECK (monthly_count >= 0),
    hour_start        timestamptz,
    day_start         timestamptz,
    week_start        timestamptz,
    month_start       timestamptz,
    last_increment_at timestamptz,
    last_reset_at     timestamptz,
    counter_config    jsonb NOT NULL DEFAULT '{}',
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT realtime_counters_pkey PRIMARY KEY (id, camera_id),
    CONSTRAINT realtime_counters_name_key UNIQUE (camera_id, counter_name)
-- A counter's row is rewritten with every increment and no index covers what changes: the new version finds room on
-- its own page (a HOT update). updated_at is set by the statement that writes it, not by a trigger, for speed.
) WITH (fillfactor = 50);
COMMENT ON TABLE realtime_counters IS 'Counters of cameras; increment_realtime_counter writes it.';
COMMENT ON COLUMN realtime_counters.id IS 'Order of creation.';
COMMENT ON COLUMN realtime_counters.camera_id IS 'Which camera.';
COMMENT ON COLUMN realtime_counters.counter_name IS 'Which counter, for example door.in.';
COMMENT ON COLUMN realtime_counters.current_count IS
    'Since the last reset, negative increments taken off, never below 0.';
COMMENT ON COLUMN realtime_counters.total_count IS 'All positive increments ever.';
COMMENT ON COLUMN realtime_counters.reset_count IS 'How often it was reset.';
COMMENT ON COLUMN realtime_counters.hourly_count IS 'Positive increments of the hour that began at hour_start.';
COMMENT ON COLUMN realtime_counters.daily_count IS 'Positive increments of the day that began at day_start.';
COMMENT ON COLUMN realtime_counters.weekly_count IS 'Positive increments of the week that began at week_start.';
COMMENT ON COLUMN realtime_counters.monthly_count IS 'Positive increments of the month that began at month_start.';
COMMENT ON COLUMN realtime_counters.hour_start IS
    'Start of the hour of the last increment, in the camera''s time zone.';
COMMENT ON COLUMN realtime_counters.day_start IS 'Start of the day of the last increment, in the camera''s time zone.';
COMMENT ON COLUMN realtime_counters.week_start IS
    'Monday of the week of the last increment, in the camera''s time zone.';
COMMENT ON COLUMN realtime_counters.month_start IS
    'Start of the month of the last increment, in the camera''s time zone.';
COMMENT ON COLUMN realtime_counters.last_increment_at IS 'When it was last incremented.';
COMMENT ON COLUMN realtime_counters.last_reset_at IS 'When it was last reset.';
COMMENT ON COLUMN realtime_counters.counter_config IS 'Settings of this counter.';
COMMENT ON COLUMN realtime_counters.created_at IS 'When the row was made.';
COMMENT ON COLUMN realtime_counters.updated_at IS 'When the row was last written.';

CREATE TABLE realtime_metrics_cache (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cache_key        text NOT NULL CONSTRAINT realtime_metrics_cache_cache_key_key UNIQUE
        CONSTRAINT realtime_metrics_cache_cache_key_length CHECK (length(cache_key) BETWEEN 1 AND 200),
    cache_value      jsonb NOT NULL,
    cache_timestamp  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ttl_seconds      integer NOT NULL DEFAULT 300
        CONSTRAINT realtime_metrics_cache_ttl_seconds_positive CHECK (ttl_seconds > 0),
    cache_size_bytes bigint CONSTRAINT realtime_metrics_cache_cache_size_bytes_range CHECK (cache_size_bytes >= 0),
    hit_count        bigint NOT NULL DEFAULT 0
        CONSTRAINT realtime_metrics_cache_hit_count_range CHECK (hit_count >= 0),
    miss_count       bigint NOT NULL DEFAULT 0
        CONSTRAINT realtime_metrics_cache_miss_count_range CHECK (miss_count >= 0),
    last_accessed    timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 70);
COMMENT ON TABLE realtime_metrics_cache IS
    'Results kept for a while; an entry is valid for ttl_seconds from cache_timestamp.';
COMMENT ON COLUMN realtime_metrics_cache.id IS 'Order of creation.';
COMMENT ON COLUMN realtime_metrics_cache.cache_key IS 'What was asked for.';
COMMENT ON COLUMN realtime_metrics_cache.cache_value IS 'The answer.';
COMMENT ON COLUMN realtime_metrics_cache.cache_timestamp IS 'When the answer was found.';
COMMENT ON COLUMN realtime_metrics_cache.ttl_seconds IS 'How long it is valid.';
COMMENT ON COLUMN realtime_metrics_cache.cache_size_bytes IS 'Octets of the answer.';
COMMENT ON COLUMN realtime_metrics_cache.hit_count IS 'How often it served.';
COMMENT ON COLUMN realtime_metrics_cache.miss_count IS 'How often it was asked for when it had expired.';
COMMENT ON COLUMN realtime_metrics_cache.last_accessed IS 'When it was last asked for.';
COMMENT ON COLUMN realtime_metrics_cache.created_at IS 'When the row was made.';
COMMENT ON COLUMN realtime_metrics_cache.updated_at IS 'When the row was last written.';

CREATE TRIGGER realtime_metrics_cache_updated_at BEFORE UPDATE ON realtime_metrics_cache
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
