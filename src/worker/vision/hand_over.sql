-- $1 items, $2 their frames' times.
WITH item AS (
    UPDATE camcount.realtime_data_ingestion AS message
    SET is_handed_over = true
    FROM unnest($1, $2) AS offered (id, frame_timestamp)
    WHERE message.frame_timestamp = offered.frame_timestamp AND message.id = offered.id
      AND message.processing_status = 'pending' AND NOT message.is_handed_over
      AND (message.data_type = 'counting'
           OR EXISTS (SELECT FROM camcount.stream_processing_pipeline AS pipeline
                      WHERE is_active
                        AND (NOT pipeline_config ? 'cameras'
                             OR pipeline_config -> 'cameras' ?| ARRAY['*', message.camera_id])))
    RETURNING message.*
), camera AS (
    -- Both are there unless somebody has deleted them since.
    INSERT INTO camcount.cameras (camera_id) SELECT DISTINCT camera_id FROM item ON CONFLICT DO NOTHING
), stream AS (
    INSERT INTO camcount.stream_state (camera_id, stream_id) SELECT DISTINCT camera_id, stream_id FROM item
    ON CONFLICT DO NOTHING
)
INSERT INTO camcount.stream_items
    (id, queue_id, item_priority, data_type, camera_id, stream_id, frame_timestamp, frame_number, ingestion_id,
     item_size_bytes, attempts, max_attempts, queued_at, available_at)
SELECT item.id, item.queue_id, item.processing_priority, item.data_type, item.camera_id, item.stream_id,
       item.frame_timestamp, item.frame_number, item.ingestion_id, item.data_size_bytes, item.retry_count,
       coalesce(queue.max_attempts, 3), item.ingestion_timestamp, item.ingestion_timestamp
FROM item LEFT JOIN camcount.ingestion_queue AS queue USING (queue_id)
RETURNING id
