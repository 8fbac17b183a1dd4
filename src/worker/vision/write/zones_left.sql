-- $1 camera, $2 stream, $3 rows as JSON.
UPDATE camcount.zone_visits AS visit
SET exited_at = ended.exited_at, dwell_seconds = ended.dwell_seconds
FROM json_to_recordset($3::json) AS ended
    (pipeline_id text, zone_name text, track_id bigint, sequence bigint, entered_at timestamptz,
     exited_at timestamptz, dwell_seconds double precision)
WHERE visit.camera_id = $1 AND visit.stream_id = $2 AND visit.pipeline_id = ended.pipeline_id
  AND visit.zone_name = ended.zone_name AND visit.track_id = ended.track_id
  AND visit.sequence = ended.sequence AND visit.entered_at = ended.entered_at
