-- The documented PL/pgSQL event store, repaired just enough to run: its ids repeat, which a unique column refuses.
DROP SCHEMA IF EXISTS documented CASCADE;
CREATE SCHEMA documented;
SET search_path = documented;

CREATE TABLE event_store (
    id SERIAL PRIMARY KEY,
    event_id VARCHAR(100) UNIQUE NOT NULL,
    aggregate_id VARCHAR(100) NOT NULL,
    aggregate_type VARCHAR(100) NOT NULL,
    event_type VARCHAR(100) NOT NULL,
    event_version INTEGER NOT NULL,
    event_data JSONB NOT NULL,
    event_metadata JSONB,
    event_timestamp TIMESTAMP NOT NULL,
    event_sequence BIGINT NOT NULL,
    source_system VARCHAR(100),
    user_id INTEGER,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE event_handlers (
    id SERIAL PRIMARY KEY,
    handler_name VARCHAR(100) UNIQUE NOT NULL,
    handler_type VARCHAR(50) NOT NULL,
    event_types TEXT[] NOT NULL,
    is_active BOOLEAN DEFAULT TRUE
);

CREATE TABLE event_processing_queue (
    id SERIAL PRIMARY KEY,
    event_id VARCHAR(100) REFERENCES event_store(event_id),
    handler_name VARCHAR(100) REFERENCES event_handlers(handler_name),
    processing_status VARCHAR(50) DEFAULT 'pending',
    processing_priority INTEGER DEFAULT 0,
    queued_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_event_store_aggregate_sequence ON event_store(aggregate_id, event_sequence);
CREATE INDEX idx_event_processing_queue_status_priority
    ON event_processing_queue(processing_status, processing_priority DESC, queued_at ASC);

CREATE FUNCTION publish_event(
    p_aggregate_id VARCHAR(100),
    p_aggregate_type VARCHAR(100),
    p_event_type VARCHAR(100),
    p_event_data JSONB,
    p_event_metadata JSONB DEFAULT '{}'::jsonb,
    p_source_system VARCHAR(100) DEFAULT 'database',
    p_user_id INTEGER DEFAULT NULL
)
RETURNS VARCHAR(100) AS $$
DECLARE
    v_event_id VARCHAR(100);
    v_event_sequence BIGINT;
    v_event_version INTEGER;
BEGIN
    v_event_id := p_aggregate_type || '_' || p_aggregate_id || '_' || gen_random_uuid();

    SELECT COALESCE(MAX(event_sequence), 0) + 1 INTO v_event_sequence
    FROM documented.event_store
    WHERE aggregate_id = p_aggregate_id;

    SELECT COALESCE(MAX(event_version), 0) + 1 INTO v_event_version
    FROM documented.event_store
    WHERE aggregate_id = p_aggregate_id;

    INSERT INTO documented.event_store (
        event_id, aggregate_id, aggregate_type, event_type, event_version,
        event_data, event_metadata, event_timestamp, event_sequence,
        source_system, user_id
    ) VALUES (
        v_event_id, p_aggregate_id, p_aggregate_type, p_event_type, v_event_version,
        p_event_data, p_event_metadata, CURRENT_TIMESTAMP, v_event_sequence,
        p_source_system, p_user_id
    );

    INSERT INTO documented.event_processing_queue (event_id, handler_name, processing_priority)
    SELECT v_event_id, handler_name,
           CASE
               WHEN handler_type = 'processor' THEN 10
               WHEN handler_type = 'projector' THEN 5
               ELSE 1
           END
    FROM documented.event_handlers
    WHERE is_active = TRUE
      AND p_event_type = ANY(event_types);

    RETURN v_event_id;
END;
$$ LANGUAGE plpgsql;

RESET search_path;
