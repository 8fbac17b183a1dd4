-- $1 queue, $2 how many, $3 error code, $4 error message.
WITH item AS (
    DELETE FROM camcount.stream_items AS item
    USING (SELECT camera_id, stream_id, frame_timestamp, frame_number, id FROM camcount.stream_items
           WHERE queue_id = $1 AND data_type = 'frame' AND status = 'queued'
           ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED) AS oldest
    WHERE (item.camera_id, item.stream_id, item.frame_timestamp, item.frame_number, item.id)
        = (oldest.camera_id, oldest.stream_id, oldest.frame_timestamp, oldest.frame_number, oldest.id)
    RETURNING item.id, item.frame_timestamp
)
UPDATE camcount.realtime_data_ingestion AS message
SET processing_status = 'skipped', error_code = $3, error_message = $4, completed_at = clock_timestamp()
FROM item
WHERE message.frame_timestamp = item.frame_timestamp AND message.id = item.id AND message.processing_status = 'pending'
