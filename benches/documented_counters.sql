-- The documented PL/pgSQL counter, which runs as it is written.
DROP SCHEMA IF EXISTS documented CASCADE;
CREATE SCHEMA documented;
SET search_path = documented;

CREATE TABLE realtime_counters (
    id SERIAL PRIMARY KEY,
    camera_id VARCHAR(100) NOT NULL,
    counter_name VARCHAR(100) NOT NULL,
    current_count INTEGER DEFAULT 0,
    total_count INTEGER DEFAULT 0,
    reset_count INTEGER DEFAULT 0,
    hourly_count INTEGER DEFAULT 0,
    daily_count INTEGER DEFAULT 0,
    weekly_count INTEGER DEFAULT 0,
    monthly_count INTEGER DEFAULT 0,
    last_increment_at TIMESTAMP,
    last_reset_at TIMESTAMP,
    counter_config JSONB,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (camera_id, counter_name)
);

CREATE FUNCTION increment_realtime_counter(
    p_camera_id VARCHAR(100), p_counter_name VARCHAR(100), p_increment_value INTEGER DEFAULT 1)
RETURNS INTEGER AS $$
DECLARE
    v_new_count INTEGER;
BEGIN
    INSERT INTO documented.realtime_counters (
        camera_id, counter_name, current_count, total_count,
        hourly_count, daily_count, weekly_count, monthly_count,
        last_increment_at
    ) VALUES (
        p_camera_id, p_counter_name, p_increment_value, p_increment_value,
        p_increment_value, p_increment_value, p_increment_value, p_increment_value,
        CURRENT_TIMESTAMP
    )
    ON CONFLICT (camera_id, counter_name)
    DO UPDATE SET
        current_count = realtime_counters.current_count + p_increment_value,
        total_count = realtime_counters.total_count + p_increment_value,
        hourly_count = realtime_counters.hourly_count + p_increment_value,
        daily_count = realtime_counters.daily_count + p_increment_value,
        weekly_count = realtime_counters.weekly_count + p_increment_value,
        monthly_count = realtime_counters.monthly_count + p_increment_value,
        last_increment_at = CURRENT_TIMESTAMP,
        updated_at = CURRENT_TIMESTAMP;

    SELECT current_count INTO v_new_count
    FROM documented.realtime_counters
    WHERE camera_id = p_camera_id AND counter_name = p_counter_name;

    RETURN v_new_count;
END;
$$ LANGUAGE plpgsql;
RESET search_path;
