-- $1 minutes that windows are kept, $2 windows at most. A key goes with its last window; what somebody writes to is left.
WITH cutoff AS MATERIALIZED (
    SELECT clock_timestamp() - $1 * interval '1 minute' AS at
), old AS (
    SELECT id, camera_id FROM camcount.realtime_aggregations
    WHERE aggregation_timestamp < (SELECT at FROM cutoff) AND last_updated < (SELECT at FROM cutoff)
    ORDER BY aggregation_timestamp
    LIMIT $2
    FOR UPDATE SKIP LOCKED
), removed AS (
    DELETE FROM camcount.realtime_aggregations AS kept USING old
    WHERE (kept.id, kept.camera_id) = (old.id, old.camera_id)
    RETURNING kept.camera_id, kept.aggregation_key
), old_keys AS (
    SELECT camera_id, aggregation_key FROM camcount.realtime_aggregation_keys
    WHERE (camera_id, aggregation_key) IN (SELECT camera_id, aggregation_key FROM removed)
      AND observed_at < (SELECT at FROM cutoff)
    FOR UPDATE SKIP LOCKED
), removed_keys AS (
    DELETE FROM camcount.realtime_aggregation_keys AS known USING old_keys
    WHERE (known.camera_id, known.aggregation_key) = (old_keys.camera_id, old_keys.aggregation_key)
)
SELECT count(*) FROM removed
