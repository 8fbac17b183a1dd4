-- $1 event ids, $2 aggregate types, $3 aggregates, $4 event types, $5 versions, $6 sources, $7 users, $8 where they are
-- in $9, the events, $10 whether any has metadata. The aggregates are locked.
WITH event AS (
    INSERT INTO camcount.event_store
        (event_id, aggregate_id, aggregate_type, event_type, event_version, event_data, event_metadata,
         event_timestamp, event_sequence, source_system, user_id)
    SELECT event_id, aggregate_id, aggregate_type, event_type, version, $9 -> index -> 'event_data',
           CASE WHEN $10 THEN coalesce(nullif($9 -> index -> 'event_metadata', 'null'), '{}') ELSE '{}' END,
           clock_timestamp(), version, source, "user"
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
         AS given (event_id, aggregate_type, aggregate_id, event_type, version, source, "user", index)
    RETURNING event_id, aggregate_type, aggregate_id, event_type, global_position
), queued AS (
    INSERT INTO camcount.event_processing_queue (event_id, aggregate_id, handler_name, processing_priority)
    SELECT event.event_id, event.aggregate_id, h.handler_name,
           CASE h.handler_type WHEN 'processor' THEN 10 WHEN 'projector' THEN 5 ELSE 1 END
    FROM event
    JOIN camcount.event_handlers h
        ON h.is_active AND camcount.event_type_matches(h.event_types, event.event_type)
    ORDER BY event.global_position
)
SELECT count(*) FROM event
