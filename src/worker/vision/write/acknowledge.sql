-- $1 camera, $2 stream, $3 rows as JSON.
-- The item ends, and its message says how.
WITH verdict AS (
    SELECT *
    FROM json_to_recordset($3::json) AS v
        (id bigint, frame_timestamp timestamptz, status text, error_code text, error_message text)
), item AS (
    DELETE FROM camcount.stream_items AS item
    USING verdict
    WHERE item.camera_id = $1 AND item.stream_id = $2 AND item.frame_timestamp = verdict.frame_timestamp
      AND item.id = verdict.id AND item.status = 'processing'
    RETURNING item.*, verdict.status AS verdict, verdict.error_code AS code, verdict.error_message AS message
), dead AS (
    INSERT INTO camcount.failed_items (id, camera_id, queue_id, frame_timestamp)
    SELECT id, camera_id, queue_id, frame_timestamp FROM item WHERE verdict = 'failed'
)
UPDATE camcount.realtime_data_ingestion AS message
SET processing_status = item.verdict,
    retry_count = CASE item.verdict WHEN 'failed' THEN item.attempts ELSE item.attempts - 1 END,
    processing_latency_ms = extract(epoch FROM clock_timestamp() - item.processing_started_at) * 1000,
    total_latency_ms = extract(epoch FROM clock_timestamp() - item.queued_at) * 1000,
    processing_started_at = item.processing_started_at,
    completed_at = clock_timestamp(),
    claimed_by = item.claimed_by::text,
    error_code = item.code,
    error_message = item.message
FROM item
WHERE message.frame_timestamp = item.frame_timestamp AND message.ingestion_id = item.ingestion_id
  AND message.camera_id = $1
RETURNING item.queue_id, item.verdict, message.processing_latency_ms
