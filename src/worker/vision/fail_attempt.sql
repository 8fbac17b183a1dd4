-- $1 worker, $2 camera, $3 stream, $4 error code, $5 error message, $6 first pause in milliseconds.
WITH stream AS (
    UPDATE camcount.stream_state
    SET claimed_by = NULL, lease_until = NULL, updated_at = clock_timestamp()
    WHERE camera_id = $2 AND stream_id = $3 AND claimed_by = $1
), item AS (
    SELECT *, attempts >= max_attempts AS is_dead, $4 AS code, $5 AS message, $6::double precision AS pause
    FROM camcount.stream_items
    WHERE camera_id = $2 AND stream_id = $3 AND status = 'processing' AND claimed_by = $1
    FOR UPDATE
