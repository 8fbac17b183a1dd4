-- $1 camera, $2 stream, $3 rows as JSON.
INSERT INTO camcount.zone_visits
    (camera_id, stream_id, pipeline_id, zone_name, track_id, sequence, class, entered_at)
SELECT $1, $2, pipeline_id, zone_name, track_id, sequence, class, entered_at
FROM json_to_recordset($3::json) AS visit
    (pipeline_id text, zone_name text, track_id bigint, sequence bigint, class text, entered_at timestamptz)
