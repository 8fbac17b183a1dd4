-- $1 event id, $2 aggregate type, $3 aggregate, $4 event type, $5 data, $6 metadata, $7 source, $8 user.
-- The aggregate's row is locked until commit: its versions have no gaps, other aggregates do not wait.
WITH aggregate AS (
    INSERT INTO camcount.event_aggregates AS a (aggregate_type, aggregate_id, last_version)
    VALUES ($2, $3, 1)
    ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET last_version = a.last_version + 1
    RETURNING last_version
), event AS (
    INSERT INTO camcount.event_store
        (event_id, aggregate_id, aggregate_type, event_type, event_version, event_data, event_metadata,
         event_timestamp, event_sequence, source_system, user_id)
    SELECT $1, $3, $2, $4, last_version, $5, $6, clock_timestamp(), last_version, $7, $8
    FROM aggregate
    RETURNING global_position
), queued AS (
    INSERT INTO camcount.event_processing_queue (event_id, aggregate_id, handler_name, processing_priority)
    SELECT $1, $3, handler_name, CASE handler_type WHEN 'processor' THEN 10 WHEN 'projector' THEN 5 ELSE 1 END
    FROM camcount.event_handlers, event
    WHERE is_active
      AND camcount.event_type_matches(event_types, $4)
)
SELECT global_position FROM event
