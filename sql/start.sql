-- The last of the script: who may not do what, and the workers' start.

REVOKE EXECUTE ON FUNCTION start_workers(), stop_workers(), create_partitions(), drop_expired_partitions(),
    remove_expired_aggregations(), note_stalled_cameras(interval) FROM PUBLIC;
-- As a table's content would be.
REVOKE EXECUTE ON FUNCTION cache_get(text), cache_set(text, jsonb, integer), cache_delete(text), cache_evict_expired(),
    cache_entries() FROM PUBLIC;

DO $$
BEGIN
    IF current_setting('shared_preload_libraries') ~ '\mcamcount\M' THEN
        PERFORM camcount.start_workers();
    ELSE
        RAISE NOTICE 'camcount is not in shared_preload_libraries: no worker will process what is ingested'
            USING HINT = 'Add it and restart the server, or call camcount.start_workers() after each start.';
    END IF;
END
$$;
