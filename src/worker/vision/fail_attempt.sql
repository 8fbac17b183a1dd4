-- $1 worker, $2 camera, $3 stream, $4 error code, $5 error message, $6 first pause in milliseconds.
WITH stream AS (
    UPDATE camcount.stream_state
    SET claimed_by = NULL, lease_until = NULL, updated_at = clock_timestamp()
    WHERE camera_id = $2 AND stream_id = $3 AND claimed_by = $1
), item AS (
    UPDATE camcount.queue_items
    SET status = CASE WHEN attempts >= max_attempts THEN 'failed' ELSE 'queued' END,
        completed_at = CASE WHEN attempts >= max_attempts THEN clock_timestamp() END,
        available_at = clock_timestamp() + $6 * 2 ^ least(attempts - 1, 16) * interval '1 millisecond',
        claimed_by = NULL, error_code = $4, error_message = $5
    WHERE camera_id = $2 AND stream_id = $3 AND status = 'processing' AND claimed_by = $1
    RETURNING ingestion_id, camera_id, frame_timestamp, status, attempts
)
UPDATE camcount.realtime_data_ingestion AS message
SET processing_status = CASE item.status WHEN 'failed' THEN 'failed' ELSE 'pending' END,
    retry_count = item.attempts, error_code = $4, error_message = $5
FROM item
WHERE message.ingestion_id = item.ingestion_id AND message.camera_id = item.camera_id
  AND message.frame_timestamp = item.frame_timestamp
