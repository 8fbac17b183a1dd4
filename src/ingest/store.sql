-- $1 queue, $2 to $14 a column each of the messages, $15 the time of their arrival.
-- What rows/ writes directly where it can: this is for tables that only the executor can write, and for messages that
-- are there already.
WITH arrival AS (
    SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        AS arrival (ingestion_id, camera_id, stream_id, frame_timestamp, frame_number, data_type, priority, size,
                    payload, image, format, width, height)
), message AS (
    INSERT INTO camcount.realtime_data_ingestion
        (ingestion_id, camera_id, stream_id, ingestion_timestamp, frame_timestamp, frame_number, data_type,
         data_payload, data_size_bytes, processing_priority, ingestion_latency_ms, clock_skew, created_at, queue_id)
    SELECT ingestion_id, camera_id, stream_id, $15, frame_timestamp, frame_number, data_type, payload, size, priority,
           greatest(0, extract(epoch FROM $15 - frame_timestamp) * 1000)::bigint,
           frame_timestamp > $15 + interval '1 second', $15, $1
    FROM arrival
    -- In one order for all sessions, so that two that send the same messages do not wait for each other.
    ORDER BY frame_timestamp, ingestion_id
    ON CONFLICT DO NOTHING
    RETURNING id, ctid::text::point AS row_id, ingestion_id, camera_id, stream_id, frame_timestamp, frame_number, processing_priority
), picture AS (
    INSERT INTO camcount.frames
        (ingestion_id, camera_id, stream_id, ingestion_timestamp, frame_timestamp, frame_number,
         format, width, height, image)
    SELECT message.ingestion_id, message.camera_id, message.stream_id, $15, message.frame_timestamp,
           message.frame_number, format, width, height, image
    FROM message JOIN arrival USING (ingestion_id)
    WHERE image IS NOT NULL
), entry AS (
    INSERT INTO camcount.waiting_entries
        (id, queue_id, item_priority, transaction_id, queued_at, item_ids, frame_timestamps, row_ids)
    SELECT min(id), $1, processing_priority, 0, $15, array_agg(id ORDER BY id),
           array_agg(frame_timestamp ORDER BY id), 
           array_agg(row_id[0]::bigint << 16 | row_id[1]::bigint ORDER BY id)
    FROM (SELECT *, (row_number() OVER (PARTITION BY processing_priority ORDER BY id) - 1) / 64 AS part
          FROM message) AS message
    GROUP BY processing_priority, part
)
SELECT ingestion_id FROM message
