-- $1 camera, $2 stream, $3 rows as JSON.
INSERT INTO camcount.processing_results
    (pipeline_id, ingestion_id, camera_id, stream_id, frame_timestamp, frame_number, step_name, result_data,
     result_metadata, processing_time_ms, status, error_message)
SELECT pipeline_id, ingestion_id, $1, $2, frame_timestamp, frame_number, step_name, result_data,
       result_metadata, processing_time_ms, status, error_message
FROM json_to_recordset($3::json) AS result
    (pipeline_id text, ingestion_id text, frame_timestamp timestamptz, frame_number bigint, step_name text,
     result_data jsonb, result_metadata jsonb, processing_time_ms double precision, status text, error_message text)
