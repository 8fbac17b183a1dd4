-- What keeps the queues' figures and settings up to date.

CREATE FUNCTION announce_queue_settings() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM camcount.forget_queue_settings();
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION announce_queue_settings() IS 'Trigger function: all sessions read the queues'' settings again.';
CREATE TRIGGER ingestion_queue_announce
    AFTER INSERT OR DELETE OR TRUNCATE
        OR UPDATE OF queue_id, max_size, processing_rate, is_active, is_paused, overflow_policy, max_attempts
    ON ingestion_queue FOR EACH STATEMENT EXECUTE FUNCTION announce_queue_settings();

-- With its owner's rights: whoever puts in the first message after a start of the server counts, and needs no rights to
-- what others have put in.
CREATE FUNCTION count_unfinished_items(p_queue_id text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = camcount, pg_catalog, pg_temp AS $$
    SELECT (SELECT count(*) FROM stream_items WHERE queue_id = p_queue_id)
         + (SELECT count(*) FROM queue_retries WHERE queue_id = p_queue_id)
         + (SELECT count(DISTINCT m.id)
            FROM (SELECT unnest(item_ids) AS id, unnest(frame_timestamps) AS frame_timestamp
                  FROM waiting_entries WHERE queue_id = p_queue_id) item
            JOIN realtime_data_ingestion m USING (frame_timestamp, id)
            WHERE m.processing_status = 'pending' AND NOT m.is_handed_over)
$$;
COMMENT ON FUNCTION count_unfinished_items(text) IS 'How many items of a queue are not finished, counted.';

CREATE FUNCTION remove_finished_entries(p_most integer, p_from double precision DEFAULT 0) RETURNS bigint
LANGUAGE sql SET search_path = camcount, pg_catalog, pg_temp AS $$
    -- Only so many of each queue and priority are looked at.
    WITH removed AS (
        DELETE FROM waiting_entries entry
        USING ingestion_queue q
        CROSS JOIN unnest(ARRAY[10, 9, 8, 5]) AS priority
        CROSS JOIN LATERAL (
            SELECT min(e.transaction_id) + (p_from * (max(e.transaction_id) - min(e.transaction_id)))::bigint AS first
            FROM waiting_entries e WHERE e.queue_id = q.queue_id AND e.item_priority = priority
        ) place
        CROSS JOIN LATERAL (
            SELECT e.queue_id, e.item_priority, e.transaction_id, e.id, e.item_ids, e.frame_timestamps
            FROM waiting_entries e
            WHERE e.queue_id = q.queue_id AND e.item_priority = priority AND e.transaction_id >= place.first
            ORDER BY e.transaction_id, e.id LIMIT p_most
        ) front
        WHERE NOT EXISTS (
            SELECT FROM unnest(front.item_ids, front.frame_timestamps) AS item (id, frame_timestamp)
            JOIN realtime_data_ingestion m USING (id, frame_timestamp)
            WHERE m.processing_status = 'pending' AND NOT m.is_handed_over)
          AND entry.queue_id = front.queue_id AND entry.item_priority = front.item_priority
          AND entry.transaction_id = front.transaction_id AND entry.id = front.id
        RETURNING 1
    )
    SELECT count(*) FROM removed
$$;
COMMENT ON FUNCTION remove_finished_entries(integer, double precision) IS
    'Removes entries of the order of arrival whose items are all finished or handed over, of so many from p_from on (0 the front, 1 the end); returns how many.';

CREATE FUNCTION roll_up_queues(p_seconds double precision, p_before jsonb) RETURNS jsonb
LANGUAGE sql SET search_path = camcount, pg_catalog, pg_temp AS $$
    WITH figure AS MATERIALIZED (
        SELECT f.*, f.completed - coalesce(before.completed, 0) AS new_completed,
               f.failed - coalesce(before.failed, 0) AS new_failed,
               f.busy_ms - coalesce(before.busy_ms, 0) AS new_busy_ms
        FROM queue_figures() f
        LEFT JOIN jsonb_to_recordset(p_before)
            AS before (queue_id text, completed bigint, failed bigint, busy_ms bigint) USING (queue_id)
    ), written AS (
        UPDATE ingestion_queue q
        SET current_size = greatest(f.size, 0),
            last_processed_at = coalesce(f.last_processed_at, q.last_processed_at),
            avg_processing_time_ms = coalesce(
                f.new_busy_ms::double precision / nullif(f.new_completed + f.new_failed, 0), q.avg_processing_time_ms),
            error_rate = coalesce(
                100.0 * f.failed / nullif(f.completed + f.failed, 0), q.error_rate),
            throughput_items_per_sec = (f.new_completed + f.new_failed) / p_seconds
        FROM figure f
        WHERE f.queue_id = q.queue_id
          AND (q.current_size, coalesce(q.throughput_items_per_sec, 0), f.new_completed + f.new_failed)
              IS DISTINCT FROM (greatest(f.size, 0), 0::double precision, 0::bigint)
    )
    SELECT coalesce(jsonb_agg(to_jsonb(figure)), '[]') FROM figure
$$;
COMMENT ON FUNCTION roll_up_queues(double precision, jsonb) IS
    'Writes the queues'' figures of the last p_seconds into ingestion_queue, given what this returned before.';
