-- $1 queue, $2 items, or NULL for all.
WITH dead AS (
    DELETE FROM camcount.failed_items WHERE queue_id = $1 AND ($2 IS NULL OR id = ANY($2))
    RETURNING id, frame_timestamp
), message AS (
    UPDATE camcount.realtime_data_ingestion AS message
    SET processing_status = 'pending', is_handed_over = false, retry_count = 0, error_code = NULL, error_message = NULL,
        processing_started_at = NULL, completed_at = NULL, claimed_by = NULL, processing_latency_ms = NULL,
        total_latency_ms = NULL
    FROM dead
    WHERE message.frame_timestamp = dead.frame_timestamp AND message.id = dead.id
      AND message.processing_status = 'failed'
    RETURNING message.id, message.frame_timestamp, message.processing_priority
), entry AS (
    -- A line pointer of 0 is none: the messages are found by their key.
    INSERT INTO camcount.waiting_entries
        (id, queue_id, item_priority, transaction_id, queued_at, item_ids, frame_timestamps, row_ids)
    -- An id of its own: an earlier entry may begin with the same message.
    SELECT nextval('camcount.realtime_data_ingestion_id_seq'), $1, processing_priority, 0, clock_timestamp(),
           array_agg(id ORDER BY id), array_agg(frame_timestamp ORDER BY id),
           array_agg(4294967295::bigint << 16 ORDER BY id)
    FROM (SELECT *, (row_number() OVER (PARTITION BY processing_priority ORDER BY id) - 1) / 64 AS part
          FROM message) AS message
    GROUP BY processing_priority, part
)
SELECT count(*) FROM message
