-- The documented PL/pgSQL of the time series, repaired just enough to run: the first and last value (a window function
-- within an aggregate's query always fails; both take the same sorted array, which is made once), and the constraint
-- that ON CONFLICT needs.
CREATE SCHEMA documented;
SET search_path = documented;

CREATE TABLE timeseries_data (
    id SERIAL PRIMARY KEY,
    camera_id VARCHAR(100) NOT NULL,
    metric_name VARCHAR(100) NOT NULL,
    metric_timestamp TIMESTAMP NOT NULL,
    metric_value NUMERIC,
    metric_unit VARCHAR(20),
    metric_tags JSONB,
    confidence_score DECIMAL(3,2),
    data_quality_score DECIMAL(3,2),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_timeseries_data_camera_metric_timestamp
    ON timeseries_data (camera_id, metric_name, metric_timestamp DESC);
CREATE INDEX idx_timeseries_data_timestamp ON timeseries_data (metric_timestamp DESC);

CREATE TABLE timeseries_aggregations (
    id SERIAL PRIMARY KEY,
    camera_id VARCHAR(100) NOT NULL,
    metric_name VARCHAR(100) NOT NULL,
    aggregation_type VARCHAR(20) NOT NULL,
    aggregation_timestamp TIMESTAMP NOT NULL,
    count_values INTEGER,
    sum_value NUMERIC,
    avg_value NUMERIC,
    min_value NUMERIC,
    max_value NUMERIC,
    std_dev_value NUMERIC,
    first_value NUMERIC,
    last_value NUMERIC,
    value_range NUMERIC,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (camera_id, metric_name, aggregation_type, aggregation_timestamp)
);
CREATE INDEX idx_timeseries_aggregations_camera_metric_type_timestamp
    ON timeseries_aggregations (camera_id, metric_name, aggregation_type, aggregation_timestamp DESC);

CREATE FUNCTION aggregate_timeseries_data(
    p_camera_id VARCHAR(100), p_metric_name VARCHAR(100), p_aggregation_type VARCHAR(20),
    p_start_timestamp TIMESTAMP, p_end_timestamp TIMESTAMP)
RETURNS JSONB AS $$
DECLARE
    v_result JSONB;
BEGIN
    SELECT jsonb_build_object(
        'camera_id', p_camera_id,
        'metric_name', p_metric_name,
        'aggregation_type', p_aggregation_type,
        'start_timestamp', p_start_timestamp,
        'end_timestamp', p_end_timestamp,
        'count', COUNT(*),
        'sum', SUM(metric_value),
        'avg', AVG(metric_value),
        'min', MIN(metric_value),
        'max', MAX(metric_value),
        'std_dev', STDDEV(metric_value),
        'first_value', (ARRAY_AGG(metric_value ORDER BY metric_timestamp))[1],
        'last_value', (ARRAY_AGG(metric_value ORDER BY metric_timestamp))[COUNT(*)::INTEGER]
    )
    INTO v_result
    FROM documented.timeseries_data
    WHERE camera_id = p_camera_id
      AND metric_name = p_metric_name
      AND metric_timestamp BETWEEN p_start_timestamp AND p_end_timestamp;
    RETURN v_result;
END;
$$ LANGUAGE plpgsql;

CREATE FUNCTION compress_timeseries_data(
    p_camera_id VARCHAR(100), p_metric_name VARCHAR(100), p_retention_days INTEGER DEFAULT 30)
RETURNS INTEGER AS $$
DECLARE
    v_compressed_count INTEGER := 0;
    v_cutoff_date DATE;
BEGIN
    v_cutoff_date := CURRENT_DATE - INTERVAL '1 day' * p_retention_days;
    INSERT INTO documented.timeseries_aggregations (
        camera_id, metric_name, aggregation_type, aggregation_timestamp,
        count_values, sum_value, avg_value, min_value, max_value, std_dev_value
    )
    SELECT camera_id, metric_name, 'hour' AS aggregation_type,
           DATE_TRUNC('hour', metric_timestamp) AS aggregation_timestamp,
           COUNT(*) AS count_values, SUM(metric_value) AS sum_value, AVG(metric_value) AS avg_value,
           MIN(metric_value) AS min_value, MAX(metric_value) AS max_value, STDDEV(metric_value) AS std_dev_value
    FROM documented.timeseries_data
    WHERE camera_id = p_camera_id AND metric_name = p_metric_name AND metric_timestamp < v_cutoff_date
    GROUP BY camera_id, metric_name, DATE_TRUNC('hour', metric_timestamp)
    ON CONFLICT (camera_id, metric_name, aggregation_type, aggregation_timestamp)
    DO UPDATE SET
        count_values = EXCLUDED.count_values,
        sum_value = EXCLUDED.sum_value,
        avg_value = EXCLUDED.avg_value,
        min_value = EXCLUDED.min_value,
        max_value = EXCLUDED.max_value,
        std_dev_value = EXCLUDED.std_dev_value,
        updated_at = CURRENT_TIMESTAMP;
    DELETE FROM documented.timeseries_data
    WHERE camera_id = p_camera_id AND metric_name = p_metric_name AND metric_timestamp < v_cutoff_date;
    GET DIAGNOSTICS v_compressed_count = ROW_COUNT;
    RETURN v_compressed_count;
END;
$$ LANGUAGE plpgsql;
RESET search_path;
