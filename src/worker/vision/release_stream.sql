-- $1 camera, $2 stream, $3 time and $4 number of the last frame, $5 items applied.
UPDATE camcount.stream_state
SET claimed_by = NULL, lease_until = NULL, last_frame_timestamp = $3, last_frame_number = $4,
    frames_processed = frames_processed + $5, updated_at = clock_timestamp()
WHERE camera_id = $1 AND stream_id = $2
