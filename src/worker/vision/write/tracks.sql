-- $1 camera, $2 stream, $3 rows as JSON. A stream has one writer at a time, so that MERGE, which takes no lock on rows
-- that do not exist yet, cannot insert one twice.
MERGE INTO camcount.tracks AS track
USING json_to_recordset($3::json) AS seen
    (pipeline_id text, track_id bigint, class text, first_seen_at timestamptz, last_seen_at timestamptz,
     frame_count bigint, confidence double precision, bbox double precision[], velocity double precision[],
     predicted_position double precision[], occluded_frames integer, trajectory jsonb)
   ON track.camera_id = $1 AND track.stream_id = $2 AND track.pipeline_id = seen.pipeline_id
  AND track.track_id = seen.track_id AND track.first_seen_at = seen.first_seen_at
WHEN MATCHED THEN UPDATE SET
    last_seen_at = seen.last_seen_at, frame_count = seen.frame_count, confidence = seen.confidence, bbox = seen.bbox,
    velocity = seen.velocity, predicted_position = seen.predicted_position, occluded_frames = seen.occluded_frames,
    trajectory = seen.trajectory, updated_at = clock_timestamp()
WHEN NOT MATCHED THEN INSERT
    (camera_id, stream_id, pipeline_id, track_id, class, first_seen_at, last_seen_at, frame_count, confidence, bbox,
     velocity, predicted_position, occluded_frames, trajectory, status)
VALUES ($1, $2, seen.pipeline_id, seen.track_id, seen.class, seen.first_seen_at, seen.last_seen_at, seen.frame_count,
        seen.confidence, seen.bbox, seen.velocity, seen.predicted_position, seen.occluded_frames, seen.trajectory,
        'active')
