-- Counters of cameras, with their hour, day, week and month.

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
COMMENT ON TABLE realtime_counters IS
    'Counters of cameras; increment_realtime_counter writes it. What is buffered comes within a second.';
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
COMMENT ON COLUMN realtime_counters.counter_config IS 'Settings of this counter: {"mode": "durable"}, which is the default, or {"mode": "buffered"}.';
COMMENT ON COLUMN realtime_counters.created_at IS 'When the row was made.';
COMMENT ON COLUMN realtime_counters.updated_at IS 'When the row was last written.';
