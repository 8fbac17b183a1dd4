-- $1 first pause in milliseconds. What a worker held that is gone, or whose lease ran out, is queued again; an item
-- without attempts left rests as failed. It has one more than after errors: the first was made in company, and not
-- every end of a worker is the fault of what it held.
WITH abandoned AS (
    SELECT camera_id, stream_id, claimed_by
    FROM camcount.stream_state AS stream
    WHERE claimed_by IS NOT NULL
      AND (lease_until < clock_timestamp()
           OR NOT EXISTS (SELECT FROM camcount.workers AS worker WHERE worker.worker_id = stream.claimed_by))
    FOR UPDATE SKIP LOCKED
), stream AS (
    UPDATE camcount.stream_state AS stream
    SET claimed_by = NULL, lease_until = NULL, updated_at = clock_timestamp()
    FROM abandoned
    WHERE stream.camera_id = abandoned.camera_id AND stream.stream_id = abandoned.stream_id
), item AS (
    SELECT item.*, attempts > max_attempts AS is_dead, 'XX000' AS code,
           'the worker that held this item ended' AS message, $1::double precision AS pause
    FROM abandoned
    JOIN camcount.stream_items AS item USING (camera_id, stream_id, claimed_by)
    WHERE item.status = 'processing'
    FOR UPDATE OF item
