-- $1 camera, $2 stream, $3 worker, $4 most items, $5 most bytes, $6 whether a pipeline serves the stream.
-- The stream's next items in frame order, up to the first that has to wait: one that is not due yet, in another queue,
-- or of no use without a pipeline. An item that was attempted before is taken alone, so that one which kills its worker takes no other with it.
WITH head AS (
    SELECT id, frame_timestamp, frame_number, item_size_bytes,
           attempts = 0 AND available_at <= clock_timestamp() AND ($6 OR data_type = 'counting')
               AND queue_id = first_value(queue_id) OVER (ORDER BY frame_timestamp, frame_number, id) AS goes_along
    FROM camcount.stream_items
    WHERE camera_id = $1 AND stream_id = $2 AND status = 'queued'
    ORDER BY frame_timestamp, frame_number, id
    LIMIT $4
), next AS (
    SELECT id, frame_timestamp, frame_number, row_number() OVER frame_order = 1 AS is_first,
           bool_and(goes_along) OVER frame_order AS all_go_along,
           sum(item_size_bytes) OVER frame_order AS bytes
    FROM head
    WINDOW frame_order AS (ORDER BY frame_timestamp, frame_number, id)
), taken AS (
    UPDATE camcount.stream_items AS item
    SET status = 'processing', attempts = attempts + 1, processing_started_at = clock_timestamp(), claimed_by = $3
    FROM next
    WHERE (next.is_first OR next.all_go_along AND next.bytes <= $5)
      AND item.camera_id = $1 AND item.stream_id = $2 AND item.frame_timestamp = next.frame_timestamp
      AND item.frame_number = next.frame_number AND item.id = next.id
    RETURNING item.*
)
SELECT taken.id, taken.queued_at, taken.ingestion_id, taken.frame_timestamp, taken.frame_number, taken.data_type,
       frame.image,
       CASE WHEN taken.data_type <> 'frame' THEN message.data_payload END,
       -- What travels with results, unless it is so much that it would outweigh them.
       CASE WHEN octet_length(context.value::text) <= 8192 THEN context.value END,
       taken.attempts > 1
FROM taken
LEFT JOIN camcount.frames AS frame
       ON frame.ingestion_id = taken.ingestion_id AND frame.camera_id = $1
      AND frame.ingestion_timestamp = taken.queued_at
LEFT JOIN camcount.realtime_data_ingestion AS message
       ON message.ingestion_id = taken.ingestion_id AND message.camera_id = $1
      AND message.frame_timestamp = taken.frame_timestamp
-- All keys at once: the payload may have to be fetched and decompressed.
LEFT JOIN LATERAL jsonb_to_record(CASE WHEN taken.data_type <> 'counting' THEN message.data_payload END)
       AS told (location jsonb, weather jsonb, events jsonb, context jsonb, exif jsonb) ON true
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(key, field) AS value
    FROM (VALUES ('location', coalesce(nullif(told.location, 'null'), told.exif -> 'location')),
                 ('weather', told.weather), ('events', told.events), ('context', told.context)) AS fields (key, field)
    WHERE field IS NOT NULL
) AS context
ORDER BY taken.frame_timestamp, taken.frame_number, taken.id
