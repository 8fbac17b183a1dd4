-- $1 ingestion id, $2 camera, $3 stream, $4 frame time, $5 frame number, $6 data type, $7 payload, $8 bytes,
-- $9 queue, $10 priority, $11 image, $12 format, $13 width, $14 height.
-- One clock reading dates all three rows, so that the picture is found by its item's queued_at.
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS now
), arrival AS (
    INSERT INTO camcount.realtime_data_ingestion
        (ingestion_id, camera_id, stream_id, ingestion_timestamp, frame_timestamp, frame_number, data_type,
         data_payload, data_size_bytes, processing_priority, ingestion_latency_ms, clock_skew)
    SELECT $1, $2, $3, now, $4, $5, $6, $7::jsonb, $8, $10,
           greatest(0, extract(epoch FROM now - $4) * 1000)::bigint,
           $4 > now + interval '1 second'
    FROM clock
    ON CONFLICT DO NOTHING
    RETURNING ingestion_timestamp
), picture AS (
    INSERT INTO camcount.frames
        (ingestion_id, camera_id, stream_id, ingestion_timestamp, frame_timestamp, frame_number,
         format, width, height, image)
    SELECT $1, $2, $3, ingestion_timestamp, $4, $5, $12, $13, $14, $11
    FROM arrival
    WHERE $11 IS NOT NULL
)
INSERT INTO camcount.queue_items
    (queue_id, item_priority, item_type, item_data, item_size_bytes, queued_at, available_at,
     camera_id, stream_id, ingestion_id, frame_timestamp, frame_number, data_type)
SELECT $9, $10, 'realtime_processing',
       jsonb_build_object('ingestion_id', $1, 'camera_id', $2, 'data_type', $6), $8,
       ingestion_timestamp, ingestion_timestamp, $2, $3, $1, $4, $5, $6
FROM arrival
