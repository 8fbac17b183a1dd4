-- $1 queue, $2 items that are leased.
WITH waiting AS (
    SELECT unnest(item_ids) AS id, unnest(frame_timestamps) AS frame_timestamp
    FROM camcount.waiting_entries WHERE queue_id = $1
), retry AS (
    DELETE FROM camcount.queue_retries WHERE queue_id = $1 AND id <> ALL ($2) RETURNING id, frame_timestamp
), item AS (
    DELETE FROM camcount.stream_items WHERE queue_id = $1 AND status = 'queued' RETURNING id, frame_timestamp
), message AS (
    UPDATE camcount.realtime_data_ingestion AS message
    SET processing_status = 'skipped', error_message = 'purged', completed_at = clock_timestamp()
    FROM (SELECT id, frame_timestamp, false AS is_handed_over FROM waiting
          UNION SELECT id, frame_timestamp, true FROM retry
          UNION SELECT id, frame_timestamp, true FROM item) AS purged
    WHERE message.frame_timestamp = purged.frame_timestamp AND message.id = purged.id
      AND message.is_handed_over = purged.is_handed_over AND message.processing_status = 'pending'
      AND message.id <> ALL ($2)
    RETURNING message.id
)
SELECT count(*) FROM message
