-- $1 camera, $2 stream, $3 rows as JSON.
INSERT INTO camcount.timeseries_data
    (camera_id, metric_name, metric_timestamp, metric_value, metric_unit, metric_tags)
SELECT $1, metric_name, metric_timestamp, metric_value, metric_unit, metric_tags
FROM json_to_recordset($3::json) AS metric
    (metric_name text, metric_timestamp timestamptz, metric_value numeric, metric_unit text, metric_tags jsonb)
