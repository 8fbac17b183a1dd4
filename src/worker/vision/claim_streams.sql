-- $1 worker, $2 lease in seconds, $3 most streams, $4 whether an item that was attempted before may be at their head.
-- Streams that nobody holds and whose next item is due, served by a queue that runs and wanted by a pipeline.
WITH due AS (
    SELECT stream.camera_id, stream.stream_id, wanted.is_served
    FROM camcount.stream_state AS stream
    CROSS JOIN LATERAL (
        SELECT queue_id, item_priority, data_type, queued_at, available_at, attempts
        FROM camcount.stream_items
        WHERE camera_id = stream.camera_id AND stream_id = stream.stream_id AND status = 'queued'
        ORDER BY frame_timestamp, frame_number, id
        LIMIT 1
    ) AS head
    JOIN camcount.ingestion_queue AS queue USING (queue_id)
    CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM camcount.stream_processing_pipeline AS pipeline
                       WHERE is_active
                         AND (NOT pipeline_config ? 'cameras'
                              OR pipeline_config -> 'cameras' ?| ARRAY['*', stream.camera_id])) AS is_served
    ) AS wanted
    WHERE stream.claimed_by IS NULL
      AND head.available_at <= clock_timestamp()
      AND ($4 OR head.attempts = 0)
      AND queue.is_active AND NOT queue.is_paused
      AND (head.data_type = 'counting' OR wanted.is_served)
    ORDER BY head.item_priority DESC, head.queued_at
    LIMIT $3
    FOR UPDATE OF stream SKIP LOCKED
)
UPDATE camcount.stream_state AS stream
SET claimed_by = $1, lease_until = clock_timestamp() + $2 * interval '1 second', updated_at = clock_timestamp()
FROM due
WHERE stream.camera_id = due.camera_id AND stream.stream_id = due.stream_id
RETURNING stream.camera_id, stream.stream_id, stream.last_frame_timestamp, stream.last_frame_number, stream.fingerprint,
          stream.unchanged_since, due.is_served
