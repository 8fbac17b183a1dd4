-- $1 camera, $2 stream, $3 time and $4 number of the last frame, $5 items applied; of the last picture, NULL where none
-- was looked at: $6 score, $7 sharpness, $8 brightness, $9 fingerprint, $10 unchanged since, $11 whether it is frozen.
UPDATE camcount.stream_state
SET claimed_by = NULL, lease_until = NULL, last_frame_timestamp = $3, last_frame_number = $4,
    frames_processed = frames_processed + $5, updated_at = clock_timestamp(),
    image_quality_score = coalesce($6, image_quality_score), sharpness = coalesce($7, sharpness),
    brightness = coalesce($8, brightness), fingerprint = coalesce($9, fingerprint),
    unchanged_since = coalesce($10, unchanged_since), is_frozen = coalesce($11, is_frozen),
    picture_seen_at = CASE WHEN $6 IS NULL THEN picture_seen_at ELSE clock_timestamp() END
WHERE camera_id = $1 AND stream_id = $2
