-- Goes on after fail_attempt.sql and reclaim.sql, whose item is what was tried in vain.
), retry AS (
    UPDATE camcount.stream_items AS waiting
    SET status = 'queued', claimed_by = NULL, error_code = item.code, error_message = item.message,
        available_at = clock_timestamp() + item.pause * 2 ^ least(item.attempts - 1, 16) * interval '1 millisecond'
    FROM item
    WHERE waiting.camera_id = item.camera_id AND waiting.stream_id = item.stream_id
      AND waiting.frame_timestamp = item.frame_timestamp AND waiting.frame_number = item.frame_number
      AND waiting.id = item.id AND NOT item.is_dead
), gone AS (
    DELETE FROM camcount.stream_items AS dead
    USING item
    WHERE dead.camera_id = item.camera_id AND dead.stream_id = item.stream_id
      AND dead.frame_timestamp = item.frame_timestamp AND dead.frame_number = item.frame_number
      AND dead.id = item.id AND item.is_dead
), dead AS (
    INSERT INTO camcount.failed_items (id, camera_id, queue_id, frame_timestamp)
    SELECT id, camera_id, queue_id, frame_timestamp FROM item WHERE is_dead
)
UPDATE camcount.realtime_data_ingestion AS message
SET processing_status = CASE WHEN item.is_dead THEN 'failed' ELSE 'pending' END,
    retry_count = item.attempts, error_code = item.code, error_message = item.message,
    processing_started_at = item.processing_started_at, claimed_by = item.claimed_by::text,
    completed_at = CASE WHEN item.is_dead THEN clock_timestamp() END
FROM item
WHERE message.frame_timestamp = item.frame_timestamp AND message.ingestion_id = item.ingestion_id
  AND message.camera_id = item.camera_id
RETURNING item.queue_id, item.is_dead
