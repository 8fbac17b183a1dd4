-- $1 camera, $2 metric, $3 since, $4 until, $5 last id that is rolled up. The columns are those that deleted.rs reads.
DELETE FROM camcount.timeseries_data
WHERE camera_id = $1 AND metric_name = $2 AND metric_timestamp >= $3 AND metric_timestamp < $4 AND id <= $5
RETURNING id, metric_timestamp, metric_value, metric_unit, metric_tags::text, confidence_score, data_quality_score
