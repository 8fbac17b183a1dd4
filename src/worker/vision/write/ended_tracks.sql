-- $1 camera, $2 stream, $3 rows as JSON.
UPDATE camcount.tracks AS track
SET status = 'ended', updated_at = clock_timestamp()
FROM json_to_recordset($3::json) AS ended (pipeline_id text, track_id bigint, first_seen_at timestamptz)
WHERE track.camera_id = $1 AND track.stream_id = $2 AND track.pipeline_id = ended.pipeline_id
  AND track.track_id = ended.track_id AND track.first_seen_at = ended.first_seen_at
