-- One clock reading dates all rows, so that a picture is found by its item's queued_at.
, clock AS MATERIALIZED (
    SELECT clock_timestamp() AS now
), message AS (
    INSERT INTO camcount.realtime_data_ingestion
        (ingestion_id, camera_id, stream_id, ingestion_timestamp, frame_timestamp, frame_number, data_type,
         data_payload, data_size_bytes, processing_priority, ingestion_latency_ms, clock_skew)
    SELECT ingestion_id, camera_id, stream_id, now, frame_timestamp, frame_number, data_type,
           CASE data_type WHEN 'frame' THEN coalesce(exif, '{}') || payload ELSE payload END, size, priority,
           greatest(0, extract(epoch FROM now - frame_timestamp) * 1000)::bigint,
           frame_timestamp > now + interval '1 second'
    FROM arrival CROSS JOIN clock
    -- In one order for all sessions, so that two that send the same messages do not wait for each other.
    ORDER BY ingestion_id
    ON CONFLICT DO NOTHING
    RETURNING ingestion_id, camera_id, stream_id, ingestion_timestamp, frame_timestamp, frame_number, data_type,
              data_size_bytes, processing_priority
), picture AS (
    INSERT INTO camcount.frames
        (ingestion_id, camera_id, stream_id, ingestion_timestamp, frame_timestamp, frame_number,
         format, width, height, image)
    SELECT message.ingestion_id, message.camera_id, message.stream_id, ingestion_timestamp, message.frame_timestamp,
           message.frame_number, format, width, height, image
    FROM message JOIN arrival USING (ingestion_id)
    WHERE image IS NOT NULL
)
INSERT INTO camcount.queue_items
    (queue_id, item_priority, item_type, item_data, item_size_bytes, queued_at, available_at,
     camera_id, stream_id, ingestion_id, frame_timestamp, frame_number, data_type)
SELECT $1, processing_priority, 'realtime_processing',
       jsonb_build_object('ingestion_id', ingestion_id, 'camera_id', camera_id, 'data_type', data_type),
       data_size_bytes, ingestion_timestamp, ingestion_timestamp, camera_id, stream_id, ingestion_id, frame_timestamp,
       frame_number, data_type
FROM message
