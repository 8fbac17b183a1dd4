-- $1 camera, $2 stream, $3 rows as JSON.
INSERT INTO camcount.tracks
    (camera_id, stream_id, pipeline_id, track_id, class, first_seen_at, last_seen_at, frame_count, confidence, bbox,
     velocity, predicted_position, occluded_frames, trajectory, status)
SELECT $1, $2, pipeline_id, track_id, class, first_seen_at, last_seen_at, frame_count, confidence, bbox,
       velocity, predicted_position, occluded_frames, trajectory, 'active'
FROM json_to_recordset($3::json) AS track
    (pipeline_id text, track_id bigint, class text, first_seen_at timestamptz, last_seen_at timestamptz,
     frame_count bigint, confidence double precision, bbox double precision[], velocity double precision[],
     predicted_position double precision[], occluded_frames integer, trajectory jsonb)
ON CONFLICT (camera_id, stream_id, pipeline_id, track_id, first_seen_at) DO UPDATE SET
    last_seen_at = excluded.last_seen_at, frame_count = excluded.frame_count, confidence = excluded.confidence,
    bbox = excluded.bbox, velocity = excluded.velocity, predicted_position = excluded.predicted_position,
    occluded_frames = excluded.occluded_frames, trajectory = excluded.trajectory, updated_at = clock_timestamp()
