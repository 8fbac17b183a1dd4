-- $1 items, $2 their frames' times, $3 failed attempts, $4 when they were claimed, $5 status, $6 workers, $7 error code,
-- $8 error message, $9 now. For tables that only the executor can write: see finish.rs.
UPDATE camcount.realtime_data_ingestion AS message
SET processing_status = $5, retry_count = item.retries, claimed_by = item.worker, error_code = $7, error_message = $8,
    processing_latency_ms = extract(epoch FROM $9 - item.claimed_at) * 1000,
    total_latency_ms = extract(epoch FROM $9 - message.ingestion_timestamp) * 1000,
    processing_started_at = item.claimed_at, completed_at = $9
FROM unnest($1, $2, $3, $4, $6) AS item (id, frame_timestamp, retries, claimed_at, worker)
WHERE message.frame_timestamp = item.frame_timestamp AND message.id = item.id AND message.processing_status = 'pending'
RETURNING message.id
