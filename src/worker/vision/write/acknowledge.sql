-- $1 camera, $2 stream, $3 rows as JSON.
-- The queue item and its message end together.
WITH verdict AS (
    SELECT *
    FROM json_to_recordset($3::json) AS v
        (id bigint, queued_at timestamptz, ingestion_id text, frame_timestamp timestamptz, status text,
         error_code text, error_message text)
), item AS (
    UPDATE camcount.queue_items AS item
    SET status = verdict.status, completed_at = clock_timestamp(), claimed_by = NULL,
        error_code = verdict.error_code, error_message = verdict.error_message
    FROM verdict
    WHERE item.id = verdict.id AND item.camera_id = $1 AND item.queued_at = verdict.queued_at
      AND item.status = 'processing'
    RETURNING item.ingestion_id, item.processing_started_at, item.queued_at, item.attempts
)
UPDATE camcount.realtime_data_ingestion AS message
SET processing_status = verdict.status,
    retry_count = item.attempts - 1,
    processing_latency_ms = extract(epoch FROM clock_timestamp() - item.processing_started_at) * 1000,
    total_latency_ms = extract(epoch FROM clock_timestamp() - item.queued_at) * 1000,
    error_code = verdict.error_code,
    error_message = verdict.error_message
FROM verdict JOIN item USING (ingestion_id)
WHERE message.ingestion_id = verdict.ingestion_id AND message.camera_id = $1
  AND message.frame_timestamp = verdict.frame_timestamp
