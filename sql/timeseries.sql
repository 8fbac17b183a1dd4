-- Time series: one row a value, and their rollups.

CREATE TABLE timeseries_data (
    id                 bigint GENERATED ALWAYS AS IDENTITY,
    camera_id          text NOT NULL
        CONSTRAINT timeseries_data_camera_id_length CHECK (length(camera_id) BETWEEN 1 AND 100),
    metric_name        text NOT NULL
        CONSTRAINT timeseries_data_metric_name_length CHECK (length(metric_name) BETWEEN 1 AND 100),
    metric_timestamp   timestamptz NOT NULL
        -- Rollups have to begin at times too.
        CONSTRAINT timeseries_data_metric_timestamp_range
        CHECK (metric_timestamp >= '0001-01-01 00:00:00+00' AND metric_timestamp < '10000-01-01 00:00:00+00'),
    -- NULL is a gap: the metric was due and could not be measured.
    -- NaN is more than any number, so that it is refused too.
    metric_value       numeric
        CONSTRAINT timeseries_data_metric_value_finite CHECK (metric_value > -1e100 AND metric_value < 1e100),
    metric_unit        text CONSTRAINT timeseries_data_metric_unit_length CHECK (length(metric_unit) BETWEEN 1 AND 20),
    metric_tags        jsonb
        CONSTRAINT timeseries_data_metric_tags_size CHECK (pg_column_size(metric_tags) <= 8192),
    confidence_score   double precision
        CONSTRAINT timeseries_data_confidence_score_range CHECK (confidence_score BETWEEN 0 AND 1),
    data_quality_score double precision
        CONSTRAINT timeseries_data_data_quality_score_range CHECK (data_quality_score BETWEEN 0 AND 1),
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (metric_timestamp);

-- Keys and indexes are made on the partitions, not on the partitioned table: see partitions.sql.
CREATE TABLE timeseries_data_default PARTITION OF timeseries_data (
    CONSTRAINT timeseries_data_default_pkey PRIMARY KEY (id, camera_id, metric_timestamp)
) DEFAULT;

-- Documented: one series over time, its latest value first.
CREATE INDEX idx_timeseries_data_camera_metric_timestamp
    ON timeseries_data_default (camera_id, metric_name, metric_timestamp DESC);
-- Documented: a stretch of time over all series, as exports and compression read it. Values come in about in the order
-- of their times, so a block range index finds the stretch at next to no cost for writers.
CREATE INDEX idx_timeseries_data_timestamp ON timeseries_data_default USING brin (metric_timestamp);

COMMENT ON TABLE timeseries_data IS 'Metrics of cameras over time, one row a value; record_metric writes it.';
COMMENT ON COLUMN timeseries_data.id IS 'Order of writing.';
COMMENT ON COLUMN timeseries_data.camera_id IS 'Which camera.';
COMMENT ON COLUMN timeseries_data.metric_name IS 'Which metric, for example occupancy.hall.';
COMMENT ON COLUMN timeseries_data.metric_timestamp IS 'The time that the value holds for.';
COMMENT ON COLUMN timeseries_data.metric_value IS 'The value, a finite number; NULL is a gap.';
COMMENT ON COLUMN timeseries_data.metric_unit IS 'Its unit, for example persons.';
COMMENT ON COLUMN timeseries_data.metric_tags IS 'What else describes the value.';
COMMENT ON COLUMN timeseries_data.confidence_score IS 'How sure the detector was, 0 to 1.';
COMMENT ON COLUMN timeseries_data.data_quality_score IS 'How good the data behind it was, 0 to 1.';
COMMENT ON COLUMN timeseries_data.created_at IS 'When the row was made.';

CREATE VIEW timeseries_data_partitioned AS SELECT * FROM timeseries_data;
COMMENT ON VIEW timeseries_data_partitioned IS
    'The documented second name of timeseries_data, which is itself partitioned; can be written to.';

CREATE FUNCTION sample_standard_deviation(p_count bigint, p_sum numeric, p_sum_of_squares numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The sums are exact, and so is the difference of large numbers. NULL below two values.
    SELECT pg_catalog.sqrt(greatest(p_count * p_sum_of_squares - p_sum * p_sum, 0)
                           / nullif(p_count::numeric * (p_count - 1), 0))
$$;
COMMENT ON FUNCTION sample_standard_deviation(bigint, numeric, numeric) IS
    'Sample standard deviation of numbers, from how many they are and the sums of them and of their squares.';

CREATE TABLE timeseries_aggregations (
    id                    bigint GENERATED ALWAYS AS IDENTITY,
    camera_id             text NOT NULL
        CONSTRAINT timeseries_aggregations_camera_id_length CHECK (length(camera_id) BETWEEN 1 AND 100),
    metric_name           text NOT NULL
        CONSTRAINT timeseries_aggregations_metric_name_length CHECK (length(metric_name) BETWEEN 1 AND 100),
    aggregation_type      text NOT NULL
        CONSTRAINT timeseries_aggregations_aggregation_type_known
        CHECK (aggregation_type IN ('minute', 'hour', 'day', 'week', 'month')),
    aggregation_timestamp timestamptz NOT NULL
        CONSTRAINT timeseries_aggregations_aggregation_timestamp_finite CHECK (isfinite(aggregation_timestamp)),
    count_values          bigint NOT NULL
        CONSTRAINT timeseries_aggregations_count_values_positive CHECK (count_values > 0),
    sum_value             numeric NOT NULL,
    sum_of_squares        numeric NOT NULL
        CONSTRAINT timeseries_aggregations_sum_of_squares_range CHECK (sum_of_squares >= 0),
    avg_value             numeric GENERATED ALWAYS AS (sum_value / count_values) STORED,
    min_value             numeric NOT NULL,
    max_value             numeric NOT NULL,
    std_dev_value         numeric
        GENERATED ALWAYS AS (sample_standard_deviation(count_values, sum_value, sum_of_squares)) STORED,
    first_value           numeric NOT NULL,
    first_timestamp       timestamptz NOT NULL,
    last_value            numeric NOT NULL,
    last_timestamp        timestamptz NOT NULL,
    value_range           numeric GENERATED ALWAYS AS (max_value - min_value) STORED,
    created_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT timeseries_aggregations_pkey PRIMARY KEY (id, camera_id),
    -- One row a bucket. It is also the documented index: a series' buckets over time, read backwards for the latest.
    CONSTRAINT timeseries_aggregations_bucket_key
        UNIQUE (camera_id, metric_name, aggregation_type, aggregation_timestamp)
-- The latest buckets are written again with every pass, and no index covers what changes.
) WITH (fillfactor = 70);
-- Which series there are: each that has values has some of these.
CREATE INDEX idx_timeseries_aggregations_series ON timeseries_aggregations (camera_id, metric_name)
    WHERE aggregation_type = 'month';
COMMENT ON TABLE timeseries_aggregations IS
    'Rollups of timeseries_data, one row for each bucket that has values; compressed values are in them too.';
COMMENT ON COLUMN timeseries_aggregations.id IS 'Order of writing.';
COMMENT ON COLUMN timeseries_aggregations.camera_id IS 'Which camera.';
COMMENT ON COLUMN timeseries_aggregations.metric_name IS 'Which metric.';
COMMENT ON COLUMN timeseries_aggregations.aggregation_type IS 'Length of the bucket: minute, hour, day, week or month.';
COMMENT ON COLUMN timeseries_aggregations.aggregation_timestamp IS 'Start of the bucket, in the camera''s time zone.';
COMMENT ON COLUMN timeseries_aggregations.count_values IS 'Values in the bucket; gaps do not count.';
COMMENT ON COLUMN timeseries_aggregations.sum_value IS 'Their sum, exact.';
COMMENT ON COLUMN timeseries_aggregations.sum_of_squares IS 'The sum of their squares, exact.';
COMMENT ON COLUMN timeseries_aggregations.avg_value IS 'Their mean.';
COMMENT ON COLUMN timeseries_aggregations.min_value IS 'The smallest.';
COMMENT ON COLUMN timeseries_aggregations.max_value IS 'The largest.';
COMMENT ON COLUMN timeseries_aggregations.std_dev_value IS 'Sample standard deviation; NULL below two values.';
COMMENT ON COLUMN timeseries_aggregations.first_value IS
    'The earliest by metric_timestamp; of several at that time, the smallest.';
COMMENT ON COLUMN timeseries_aggregations.first_timestamp IS 'Its time.';
COMMENT ON COLUMN timeseries_aggregations.last_value IS
    'The latest by metric_timestamp; of several at that time, the largest.';
COMMENT ON COLUMN timeseries_aggregations.last_timestamp IS 'Its time.';
COMMENT ON COLUMN timeseries_aggregations.value_range IS 'max_value - min_value.';
COMMENT ON COLUMN timeseries_aggregations.created_at IS 'When the row was made.';
COMMENT ON COLUMN timeseries_aggregations.updated_at IS 'When the row was last written.';

CREATE TRIGGER timeseries_aggregations_updated_at BEFORE UPDATE ON timeseries_aggregations
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE timeseries_blocks (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    camera_id       text NOT NULL
        CONSTRAINT timeseries_blocks_camera_id_length CHECK (length(camera_id) BETWEEN 1 AND 100),
    metric_name     text NOT NULL
        CONSTRAINT timeseries_blocks_metric_name_length CHECK (length(metric_name) BETWEEN 1 AND 100),
    first_timestamp timestamptz NOT NULL,
    last_timestamp  timestamptz NOT NULL,
    count_points    integer NOT NULL CONSTRAINT timeseries_blocks_count_points_positive CHECK (count_points > 0),
    points          bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Readers find the blocks of a stretch by where they begin: none reaches beyond its calendar month.
    CONSTRAINT timeseries_blocks_month CHECK (
        first_timestamp <= last_timestamp
        AND date_trunc('month', first_timestamp, 'UTC') = date_trunc('month', last_timestamp, 'UTC'))
) PARTITION BY RANGE (first_timestamp);

CREATE TABLE timeseries_blocks_default PARTITION OF timeseries_blocks (
    CONSTRAINT timeseries_blocks_default_pkey PRIMARY KEY (id, camera_id, first_timestamp)
) DEFAULT;
-- They are compressed already.
ALTER TABLE timeseries_blocks ALTER COLUMN points SET STORAGE EXTERNAL;
ALTER TABLE timeseries_blocks_default ALTER COLUMN points SET STORAGE EXTERNAL;
CREATE INDEX idx_timeseries_blocks_series
    ON timeseries_blocks_default (camera_id, metric_name, first_timestamp, last_timestamp);

COMMENT ON TABLE timeseries_blocks IS
    'Values that compression has taken out of timeseries_data, without loss; timeseries_points() reads both.';
COMMENT ON COLUMN timeseries_blocks.id IS 'Order of writing.';
COMMENT ON COLUMN timeseries_blocks.camera_id IS 'Which camera.';
COMMENT ON COLUMN timeseries_blocks.metric_name IS 'Which metric.';
COMMENT ON COLUMN timeseries_blocks.first_timestamp IS 'Time of the first point.';
COMMENT ON COLUMN timeseries_blocks.last_timestamp IS 'Time of the last point, in the same calendar month (UTC).';
COMMENT ON COLUMN timeseries_blocks.count_points IS 'Points in the block, gaps included.';
COMMENT ON COLUMN timeseries_blocks.points IS
    'Times, values, units, tags, confidences and qualities of the points, with format version and checksum.';
COMMENT ON COLUMN timeseries_blocks.created_at IS 'When the block was made.';

CREATE TABLE timeseries_units (
    camera_id   text NOT NULL
        CONSTRAINT timeseries_units_camera_id_length CHECK (length(camera_id) BETWEEN 1 AND 100),
    metric_name text NOT NULL
        CONSTRAINT timeseries_units_metric_name_length CHECK (length(metric_name) BETWEEN 1 AND 100),
    metric_unit text NOT NULL
        CONSTRAINT timeseries_units_metric_unit_length CHECK (length(metric_unit) BETWEEN 1 AND 20),
    CONSTRAINT timeseries_units_pkey PRIMARY KEY (camera_id, metric_name, metric_unit)
);
COMMENT ON TABLE timeseries_units IS
    'The unit of each series. One that has several, through writes past record_metric, cannot be aggregated.';
COMMENT ON COLUMN timeseries_units.camera_id IS 'Which camera.';
COMMENT ON COLUMN timeseries_units.metric_name IS 'Which metric.';
COMMENT ON COLUMN timeseries_units.metric_unit IS 'Its unit.';

CREATE TABLE timeseries_progress (
    is_only        boolean PRIMARY KEY DEFAULT true CONSTRAINT timeseries_progress_is_only CHECK (is_only),
    rolled_up_id   bigint NOT NULL,
    minutes_from   timestamptz NOT NULL,
    pending_id      bigint,
    pending_writers text[]
);
COMMENT ON TABLE timeseries_progress IS 'How far rollups have come: one row, or none before the first of them.';
COMMENT ON COLUMN timeseries_progress.is_only IS 'True.';
COMMENT ON COLUMN timeseries_progress.rolled_up_id IS
    'Values with this id or a smaller one are in timeseries_aggregations, those with a larger one are not.';
COMMENT ON COLUMN timeseries_progress.minutes_from IS 'Rollups by the minute are kept from here on.';
COMMENT ON COLUMN timeseries_progress.pending_id IS
    'What the last pass could not come to, because of transactions that were writing; NULL before the first such.';
COMMENT ON COLUMN timeseries_progress.pending_writers IS 'The virtual ids of these transactions.';
