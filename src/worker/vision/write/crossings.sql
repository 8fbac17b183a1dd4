-- $1 camera, $2 stream, $3 rows as JSON.
INSERT INTO camcount.line_crossings
    (camera_id, stream_id, pipeline_id, line_name, track_id, sequence, direction, label, class, x, y, crossed_at,
     ingestion_id)
SELECT $1, $2, pipeline_id, line_name, track_id, sequence, direction, label, class, x, y, crossed_at, ingestion_id
FROM json_to_recordset($3::json) AS crossing
    (pipeline_id text, line_name text, track_id bigint, sequence bigint, direction text, label text, class text,
     x double precision, y double precision, crossed_at timestamptz, ingestion_id text)
