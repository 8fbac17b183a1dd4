-- A value as it stands, over a running window.

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
    sum_value             numeric,
    count_values          bigint CONSTRAINT realtime_aggregations_count_values_range CHECK (count_values >= 0),
    aggregation_config    jsonb NOT NULL DEFAULT '{}',
    last_updated          timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT realtime_aggregations_pkey PRIMARY KEY (id, camera_id),
    CONSTRAINT realtime_aggregations_window_whole CHECK ((window_start IS NULL) = (window_seconds IS NULL)),
    -- One row a window. It is also the documented index: a key's windows over time, read backwards for the latest.
    CONSTRAINT realtime_aggregations_key_time_key UNIQUE (camera_id, aggregation_key, aggregation_timestamp)
-- A window's row is rewritten with every value and no index covers what changes. updated_at is set by the statement that
-- writes it, not by a trigger, for speed.
) WITH (fillfactor = 70);
-- For remove_expired_aggregations: the oldest windows, without looking at the others.
CREATE INDEX realtime_aggregations_age_idx ON realtime_aggregations (aggregation_timestamp);
COMMENT ON TABLE realtime_aggregations IS
    'A value as it stands, against the one before, for each camera, key and window; update_realtime_aggregation writes it.';
COMMENT ON COLUMN realtime_aggregations.id IS 'Order of writing.';
COMMENT ON COLUMN realtime_aggregations.camera_id IS 'Which camera.';
COMMENT ON COLUMN realtime_aggregations.aggregation_key IS 'Which value, for example count_in_1min.';
COMMENT ON COLUMN realtime_aggregations.aggregation_timestamp IS
    'Start of the window; where the key has none, the time of the value.';
COMMENT ON COLUMN realtime_aggregations.window_start IS 'Start of the window; NULL where the key has none.';
COMMENT ON COLUMN realtime_aggregations.window_seconds IS 'Length of the window; NULL where the key has none.';
COMMENT ON COLUMN realtime_aggregations.current_value IS 'The latest value.';
COMMENT ON COLUMN realtime_aggregations.previous_value IS 'The one before it, of whichever window.';
COMMENT ON COLUMN realtime_aggregations.change_value IS
    'current_value - previous_value; NULL where that is missing.';
COMMENT ON COLUMN realtime_aggregations.change_percent IS
    'The change in percent of |previous_value|; NULL where that is missing or 0.';
COMMENT ON COLUMN realtime_aggregations.trend_direction IS
    'increasing, decreasing or stable: within the dead band, or without a previous value.';
COMMENT ON COLUMN realtime_aggregations.trend_strength IS
    'The change as a share of |previous_value|, 0 (stable) to 1 (a doubling or more, or up or down from 0).';
COMMENT ON COLUMN realtime_aggregations.min_value IS 'The smallest in the window.';
COMMENT ON COLUMN realtime_aggregations.max_value IS 'The largest in the window.';
COMMENT ON COLUMN realtime_aggregations.avg_value IS 'The mean over the window.';
COMMENT ON COLUMN realtime_aggregations.sum_value IS 'The sum over the window, of which the mean is made.';
COMMENT ON COLUMN realtime_aggregations.count_values IS 'Values in the window.';
COMMENT ON COLUMN realtime_aggregations.aggregation_config IS 'The configuration that the latest call gave.';
COMMENT ON COLUMN realtime_aggregations.last_updated IS 'When the latest value came in.';
COMMENT ON COLUMN realtime_aggregations.created_at IS 'When the row was made.';
COMMENT ON COLUMN realtime_aggregations.updated_at IS 'When the row was last written.';

-- Also what serialises the values of a key: whoever has its row comes first, whichever window the value belongs to.
CREATE TABLE realtime_aggregation_keys (
    camera_id       text NOT NULL,
    aggregation_key text NOT NULL,
    current_value   numeric NOT NULL,
    previous_value  numeric,
    observed_at     timestamptz NOT NULL,
    CONSTRAINT realtime_aggregation_keys_pkey PRIMARY KEY (camera_id, aggregation_key)
) WITH (fillfactor = 50);
COMMENT ON TABLE realtime_aggregation_keys IS 'What each key of each camera stood at last, whenever that was.';
COMMENT ON COLUMN realtime_aggregation_keys.camera_id IS 'Which camera.';
COMMENT ON COLUMN realtime_aggregation_keys.aggregation_key IS 'Which value.';
COMMENT ON COLUMN realtime_aggregation_keys.current_value IS 'The latest value.';
COMMENT ON COLUMN realtime_aggregation_keys.previous_value IS 'The one before it.';
COMMENT ON COLUMN realtime_aggregation_keys.observed_at IS
    'When the latest value came in, by the server''s clock, and always after the one before it.';
