-- $1 aggregate types, $2 aggregates, $3 keys, $4 event types, $5 sources, $6 where they are in $7, the events.
SELECT given.index, e.event_id,
       (e.event_type, e.source_system, e.event_data, e.event_metadata)
           IS NOT DISTINCT FROM (given.event_type, given.source, $7 -> given.index -> 'event_data',
                                 $7 -> given.index -> 'event_metadata')
FROM unnest($1, $2, $3, $4, $5, $6) AS given (aggregate_type, aggregate_id, key, event_type, source, index)
CROSS JOIN LATERAL (
    SELECT * FROM camcount.event_store s
    WHERE s.aggregate_type = given.aggregate_type AND s.aggregate_id = given.aggregate_id
      AND s.event_metadata ? 'idempotency_key' AND s.event_metadata ->> 'idempotency_key' = given.key
    OFFSET 0) e
ORDER BY given.index
