-- Time series: one row a value, and their rollups.

CREATE TABLE timeseries_data (
    id                 bigint GENERATED ALWAYS AS IDENTITY,
    camera_id          text NOT NULL
        CONSTRAINT timeseries_data_camera_id_length CHECK (length(camera_id) BETWEEN 1 AND 100),
    metric_name        text NOT NULL
        CONSTRAINT timeseries_data_metric_name_length CHECK (length(metric_name) BETWEEN 1 AND 100),
    metric_timestamp   timestamptz NOT NULL
        CONSTRAINT timeseries_data_metric_timestamp_finite CHECK (isfinite(metric_timestamp)),
    -- NULL is a gap: the metric was due and could not be measured.
    metric_value       numeric
        CONSTRAINT timeseries_data_metric_value_finite CHECK (metric_value NOT IN ('NaN', 'Infinity', '-Infinity')),
    metric_unit        text CONSTRAINT timeseries_data_metric_unit_length CHECK (length(metric_unit) BETWEEN 1 AND 20),
    metric_tags        jsonb,
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
        CONSTRAINT timeseries_aggregations_count_values_range CHECK (count_values >= 0),
    sum_value             numeric,
    avg_value             numeric,
    min_value             numeric,
    max_value             numeric,
    std_dev_value         numeric CONSTRAINT timeseries_aggregations_std_dev_value_range CHECK (std_dev_value >= 0),
    first_value           numeric,
    last_value            numeric,
    value_range           numeric CONSTRAINT timeseries_aggregations_value_range_range CHECK (value_range >= 0),
    created_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT timeseries_aggregations_pkey PRIMARY KEY (id, camera_id),
    -- One row a bucket. It is also the documented index: a series' buckets over time, read backwards for the latest.
    CONSTRAINT timeseries_aggregations_bucket_key
        UNIQUE (camera_id, metric_name, aggregation_type, aggregation_timestamp)
);
COMMENT ON TABLE timeseries_aggregations IS 'Rollups of timeseries_data, one row for each bucket that has values.';
COMMENT ON COLUMN timeseries_aggregations.id IS 'Order of writing.';
COMMENT ON COLUMN timeseries_aggregations.camera_id IS 'Which camera.';
COMMENT ON COLUMN timeseries_aggregations.metric_name IS 'Which metric.';
COMMENT ON COLUMN timeseries_aggregations.aggregation_type IS 'Length of the bucket: minute, hour, day, week or month.';
COMMENT ON COLUMN timeseries_aggregations.aggregation_timestamp IS 'Start of the bucket, in the camera''s time zone.';
COMMENT ON COLUMN timeseries_aggregations.count_values IS 'Values in the bucket; gaps do not count.';
COMMENT ON COLUMN timeseries_aggregations.sum_value IS 'Their sum.';
COMMENT ON COLUMN timeseries_aggregations.avg_value IS 'Their mean.';
COMMENT ON COLUMN timeseries_aggregations.min_value IS 'The smallest.';
COMMENT ON COLUMN timeseries_aggregations.max_value IS 'The largest.';
COMMENT ON COLUMN timeseries_aggregations.std_dev_value IS 'Sample standard deviation; NULL below two values.';
COMMENT ON COLUMN timeseries_aggregations.first_value IS 'The earliest by metric_timestamp.';
COMMENT ON COLUMN timeseries_aggregations.last_value IS 'The latest by metric_timestamp.';
COMMENT ON COLUMN timeseries_aggregations.value_range IS 'max_value - min_value.';
COMMENT ON COLUMN timeseries_aggregations.created_at IS 'When the row was made.';
COMMENT ON COLUMN timeseries_aggregations.updated_at IS 'When the row was last written.';

CREATE TRIGGER timeseries_aggregations_updated_at BEFORE UPDATE ON timeseries_aggregations
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
