-- $1 item, $2 its frame's time, $3 queue, $4 failed attempts, $5 error code, $6 error message, $7 when it is due.
WITH message AS (
    UPDATE camcount.realtime_data_ingestion
    SET retry_count = $4, error_code = $5, error_message = $6, is_handed_over = true
    WHERE frame_timestamp = $2 AND id = $1 AND processing_status = 'pending'
    RETURNING id, camera_id, frame_timestamp
)
INSERT INTO camcount.queue_retries (id, camera_id, queue_id, frame_timestamp, available_at)
SELECT id, camera_id, $3, frame_timestamp, $7 FROM message
ON CONFLICT (id, camera_id) DO UPDATE SET available_at = excluded.available_at
