-- $1 first pause in milliseconds. What a worker held that is gone, or whose lease ran out, is queued again; an item
-- without attempts left rests as failed. It has one more than after errors: the first was made in company, and not
-- every end of a worker is the fault of what it held.
WITH abandoned AS (
    SELECT camera_id, stream_id, claimed_by
    FROM camcount.stream_state AS stream
    WHERE claimed_by IS NOT NULL
      AND (lease_until < clock_timestamp()
           OR NOT EXISTS (SELECT FROM camcount.workers AS worker WHERE worker.worker_id = stream.claimed_by))
    FOR UPDATE SKIP LOCKED
), item AS (
    UPDATE camcount.queue_items AS item
    SET status = CASE WHEN attempts > max_attempts THEN 'failed' ELSE 'queued' END,
        completed_at = CASE WHEN attempts > max_attempts THEN clock_timestamp() END,
        available_at = clock_timestamp() + $1 * 2 ^ least(attempts - 1, 16) * interval '1 millisecond',
        claimed_by = NULL,
        error_code = 'XX000', error_message = 'the worker that held this item ended'
    FROM abandoned
    WHERE item.camera_id = abandoned.camera_id AND item.stream_id = abandoned.stream_id
      AND item.status = 'processing' AND item.claimed_by = abandoned.claimed_by
    RETURNING item.ingestion_id, item.camera_id, item.frame_timestamp, item.status, item.attempts,
              item.error_code, item.error_message
), message AS (
    UPDATE camcount.realtime_data_ingestion AS message
    SET processing_status = CASE item.status WHEN 'failed' THEN 'failed' ELSE 'pending' END,
        retry_count = item.attempts, error_code = item.error_code, error_message = item.error_message
    FROM item
    WHERE message.ingestion_id = item.ingestion_id AND message.camera_id = item.camera_id
      AND message.frame_timestamp = item.frame_timestamp
)
UPDATE camcount.stream_state AS stream
SET claimed_by = NULL, lease_until = NULL, updated_at = clock_timestamp()
FROM abandoned
WHERE stream.camera_id = abandoned.camera_id AND stream.stream_id = abandoned.stream_id
