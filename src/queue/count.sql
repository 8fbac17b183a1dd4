-- $1 queue. Items that are not finished.
SELECT (SELECT count(*) FROM camcount.stream_items WHERE queue_id = $1)
     + (SELECT count(*) FROM camcount.queue_retries WHERE queue_id = $1)
     + (SELECT count(DISTINCT message.id)
        FROM (SELECT unnest(item_ids) AS id, unnest(frame_timestamps) AS frame_timestamp
              FROM camcount.waiting_entries WHERE queue_id = $1) AS item
        JOIN camcount.realtime_data_ingestion AS message USING (frame_timestamp, id)
        WHERE message.processing_status = 'pending' AND NOT message.is_handed_over)
