-- Results kept for a while. They are in shared memory, not in a table: reading them writes nothing.

-- What tells this database's values from those of another one that had its number before. A dump leaves it out.
CREATE TABLE cache_identity (
    identity bigint NOT NULL DEFAULT hashtextextended(gen_random_uuid()::text, 0)
);
COMMENT ON TABLE cache_identity IS 'One row: whose the values in the cache are.';
COMMENT ON COLUMN cache_identity.identity IS 'A random number, made with the extension.';
INSERT INTO cache_identity DEFAULT VALUES;
-- Whoever may call the functions.
GRANT SELECT ON cache_identity TO PUBLIC;

CREATE VIEW realtime_metrics_cache AS
SELECT id, cache_key, cache_value, cache_timestamp, ttl_seconds, cache_size_bytes, hit_count, miss_count, last_accessed,
       created_at, cache_timestamp AS updated_at, expires_at
FROM cache_entries();
COMMENT ON VIEW realtime_metrics_cache IS
    'The values in the cache that have not expired: cache_set puts them there. Looking at them here is no use of them.';
COMMENT ON COLUMN realtime_metrics_cache.id IS 'Order of creation, over all databases.';
COMMENT ON COLUMN realtime_metrics_cache.cache_key IS 'What was asked for.';
COMMENT ON COLUMN realtime_metrics_cache.cache_value IS 'The answer.';
COMMENT ON COLUMN realtime_metrics_cache.cache_timestamp IS 'When the answer was put there.';
COMMENT ON COLUMN realtime_metrics_cache.ttl_seconds IS 'How long it is valid.';
COMMENT ON COLUMN realtime_metrics_cache.cache_size_bytes IS 'Octets of the answer.';
COMMENT ON COLUMN realtime_metrics_cache.hit_count IS 'How often cache_get has returned a value of the key.';
COMMENT ON COLUMN realtime_metrics_cache.miss_count IS
    'How often the key was asked for while its value had expired; of keys that are not there, cache_statistics has the sum.';
COMMENT ON COLUMN realtime_metrics_cache.last_accessed IS 'When it was last asked for or written.';
COMMENT ON COLUMN realtime_metrics_cache.created_at IS 'When the key first had a value, not deleted or evicted since.';
COMMENT ON COLUMN realtime_metrics_cache.updated_at IS 'When it was last written.';
COMMENT ON COLUMN realtime_metrics_cache.expires_at IS 'It is not returned from then on.';

CREATE VIEW cache_statistics AS
SELECT entries, used_bytes, free_bytes, largest_value_bytes, hits, misses,
       round(hits / nullif(hits + misses, 0)::numeric, 4) AS hit_ratio, evictions, expirations
FROM cache_figures();
COMMENT ON VIEW cache_statistics IS
    'The cache of all databases, since the server started; no row where the library is not preloaded.';
COMMENT ON COLUMN cache_statistics.entries IS 'Values in it, those included that have expired and were not removed yet.';
COMMENT ON COLUMN cache_statistics.used_bytes IS 'Octets that they take.';
COMMENT ON COLUMN cache_statistics.free_bytes IS 'Octets that are free. Where none are, what was not used for long makes room.';
COMMENT ON COLUMN cache_statistics.largest_value_bytes IS 'Octets of the largest value that is taken.';
COMMENT ON COLUMN cache_statistics.hits IS 'Values that cache_get has returned.';
COMMENT ON COLUMN cache_statistics.misses IS 'Values that were asked for and not there, or expired.';
COMMENT ON COLUMN cache_statistics.hit_ratio IS 'Hits of all that was asked for, 0 to 1; NULL before the first.';
COMMENT ON COLUMN cache_statistics.evictions IS 'Values that made room for others before they had expired.';
COMMENT ON COLUMN cache_statistics.expirations IS 'Values that were removed after they had expired.';
