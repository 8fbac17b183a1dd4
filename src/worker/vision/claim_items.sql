-- $1 camera, $2 stream, $3 worker, $4 most items.
-- The stream's next items in frame order. An item that was attempted before is taken alone, so that one which kills
-- its worker takes no other with it; an item that is not due yet holds back those behind it.
WITH next AS (
    SELECT id, queued_at, row_number() OVER frame_order AS place,
           bool_and(attempts = 0 AND available_at <= clock_timestamp()) OVER frame_order AS plain,
           queue_id = first_value(queue_id) OVER frame_order AS same_queue
    FROM (SELECT * FROM camcount.queue_items
          WHERE camera_id = $1 AND stream_id = $2 AND status = 'queued'
          ORDER BY frame_timestamp, frame_number, id
          LIMIT $4) AS head
    WINDOW frame_order AS (ORDER BY frame_timestamp, frame_number, id)
), taken AS (
    UPDATE camcount.queue_items AS item
    SET status = 'processing', attempts = attempts + 1, processing_started_at = clock_timestamp(), claimed_by = $3
    FROM next
    WHERE (next.place = 1 OR next.plain AND next.same_queue)
      AND item.id = next.id AND item.camera_id = $1 AND item.queued_at = next.queued_at
    RETURNING item.*
)
SELECT taken.id, taken.queued_at, taken.ingestion_id, taken.frame_timestamp, taken.frame_number, taken.data_type,
       frame.image,
       CASE WHEN taken.data_type <> 'frame' THEN message.data_payload END
FROM taken
LEFT JOIN camcount.frames AS frame
       ON frame.ingestion_id = taken.ingestion_id AND frame.camera_id = $1
      AND frame.ingestion_timestamp = taken.queued_at
LEFT JOIN camcount.realtime_data_ingestion AS message
       ON message.ingestion_id = taken.ingestion_id AND message.camera_id = $1
      AND message.frame_timestamp = taken.frame_timestamp
ORDER BY taken.frame_timestamp, taken.frame_number, taken.id
