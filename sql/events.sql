-- The event store, and the work that its events cause.

CREATE TABLE event_aggregates (
    aggregate_type text NOT NULL
        CONSTRAINT event_aggregates_aggregate_type_length CHECK (length(aggregate_type) BETWEEN 1 AND 100),
    aggregate_id   text NOT NULL
        CONSTRAINT event_aggregates_aggregate_id_length CHECK (length(aggregate_id) BETWEEN 1 AND 100),
    last_version   integer NOT NULL CONSTRAINT event_aggregates_last_version_range CHECK (last_version >= 0),
    CONSTRAINT event_aggregates_pkey PRIMARY KEY (aggregate_type, aggregate_id)
-- Rewritten with every event, never an indexed column: leave room for HOT updates.
) WITH (fillfactor = 50);
COMMENT ON TABLE event_aggregates IS
    'One row for each aggregate that has events. Publishing locks it until commit, so that versions have no gaps.';
COMMENT ON COLUMN event_aggregates.aggregate_type IS 'Kind of the aggregate, for example camera.';
COMMENT ON COLUMN event_aggregates.aggregate_id IS 'Which one.';
COMMENT ON COLUMN event_aggregates.last_version IS 'Version of its latest event; 0 only while the first is published.';

CREATE TABLE event_store (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    event_id        text NOT NULL
        CONSTRAINT event_store_event_id_length CHECK (length(event_id) BETWEEN 1 AND 100),
    aggregate_id    text NOT NULL
        CONSTRAINT event_store_aggregate_id_length CHECK (length(aggregate_id) BETWEEN 1 AND 100),
    aggregate_type  text NOT NULL
        CONSTRAINT event_store_aggregate_type_length CHECK (length(aggregate_type) BETWEEN 1 AND 100),
    event_type      text NOT NULL
        CONSTRAINT event_store_event_type_length CHECK (length(event_type) BETWEEN 1 AND 100),
    event_version   integer NOT NULL CONSTRAINT event_store_event_version_positive CHECK (event_version > 0),
    event_data      jsonb NOT NULL,
    event_metadata  jsonb NOT NULL DEFAULT '{}',
    event_timestamp timestamptz NOT NULL,
    event_sequence  bigint NOT NULL CONSTRAINT event_store_event_sequence_positive CHECK (event_sequence > 0),
    source_system   text CONSTRAINT event_store_source_system_length CHECK (length(source_system) BETWEEN 1 AND 100),
    user_id         integer
        CONSTRAINT event_store_user_id_fkey REFERENCES users (id) ON UPDATE CASCADE ON DELETE SET NULL,
    -- The same number under the name that says what it is for.
    global_position bigint GENERATED ALWAYS AS (id) STORED NOT NULL,
    transaction_id  xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- Read after the id was taken, because the defaults are evaluated in this order.
    horizon         xid8 NOT NULL DEFAULT next_transaction_id(),
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Reading all events in order.
    CONSTRAINT event_store_pkey PRIMARY KEY (global_position, aggregate_id),
    -- Reading one aggregate's events in order, which is what the documented index is for.
    CONSTRAINT event_store_version_key UNIQUE (aggregate_type, aggregate_id, event_version),
    -- Ids are unique by construction (UUID version 7); also serves the look-up by id alone.
    CONSTRAINT event_store_event_id_key UNIQUE (event_id, aggregate_id)
);
-- The foreign key to users.
CREATE INDEX event_store_user_id ON event_store (user_id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX event_store_idempotency_key
    ON event_store (aggregate_type, aggregate_id, (event_metadata ->> 'idempotency_key'))
    WHERE event_metadata ? 'idempotency_key';

COMMENT ON TABLE event_store IS 'What happened, in order; publish_event appends, nothing changes or removes.';
COMMENT ON COLUMN event_store.id IS 'Order of writing.';
COMMENT ON COLUMN event_store.event_id IS 'Identifies the event; what publish_event returned.';
COMMENT ON COLUMN event_store.aggregate_id IS 'What it happened to.';
COMMENT ON COLUMN event_store.aggregate_type IS 'What kind of thing that is: camera, detection, counting and so on.';
COMMENT ON COLUMN event_store.event_type IS 'What happened, for example line_crossed.';
COMMENT ON COLUMN event_store.event_version IS 'Counts the events of its aggregate from 1, without gaps.';
COMMENT ON COLUMN event_store.event_data IS 'What the event says.';
COMMENT ON COLUMN event_store.event_metadata IS 'What is said about the event.';
COMMENT ON COLUMN event_store.event_timestamp IS 'When it happened.';
COMMENT ON COLUMN event_store.event_sequence IS 'As documented: the same as event_version.';
COMMENT ON COLUMN event_store.source_system IS 'Who published it.';
COMMENT ON COLUMN event_store.user_id IS 'Which user caused it; NULL where none did, or the user was removed.';
COMMENT ON COLUMN event_store.global_position IS
    'Order over all aggregates. Transactions commit out of this order: read with read_events, which waits for open ones.';
COMMENT ON COLUMN event_store.transaction_id IS 'Transaction that wrote the row.';
COMMENT ON COLUMN event_store.horizon IS
    'Whoever took a smaller position is a transaction below this one; when all those have ended, none can appear.';
COMMENT ON COLUMN event_store.created_at IS 'When the row was made.';

CREATE FUNCTION event_store_stamp() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    NEW.transaction_id := pg_current_xact_id();
    NEW.horizon := next_transaction_id();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION event_store_stamp() IS
    'Trigger function: a restored event belongs to the transaction that restores it, not to one of another server.';

CREATE TRIGGER event_store_stamp BEFORE INSERT ON event_store
    FOR EACH ROW WHEN (NEW.transaction_id <> pg_current_xact_id()) EXECUTE FUNCTION event_store_stamp();
ALTER TABLE event_store ENABLE ALWAYS TRIGGER event_store_stamp;

CREATE FUNCTION event_store_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    -- Removing a user takes the user's name off the events.
    IF TG_OP = 'UPDATE'
       AND to_jsonb(NEW) - 'user_id' - 'global_position' = to_jsonb(OLD) - 'user_id' - 'global_position' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'event_store is append-only: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Publish an event that corrects the earlier one.';
END
$$;
COMMENT ON FUNCTION event_store_refuse() IS 'Trigger function: events are not changed and not removed.';

CREATE TRIGGER event_store_refuse BEFORE UPDATE OR DELETE ON event_store
    FOR EACH ROW EXECUTE FUNCTION event_store_refuse();
CREATE TRIGGER event_store_refuse_truncate BEFORE TRUNCATE ON event_store
    FOR EACH STATEMENT EXECUTE FUNCTION event_store_refuse();

CREATE FUNCTION event_type_matches(p_patterns text[], p_event_type text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT EXISTS (SELECT FROM unnest(p_patterns) AS pattern
                   WHERE pattern IN ('*', p_event_type)
                      OR pg_catalog.right(pattern, 2) = '.*'
                         AND pg_catalog.starts_with(p_event_type, pg_catalog.left(pattern, -1)))
$$;
COMMENT ON FUNCTION event_type_matches(text[], text) IS
    'Whether an event type is among patterns: exact types, prefix.* or *.';

CREATE FUNCTION read_stream(
    p_aggregate_type text, p_aggregate_id text, p_from_version integer DEFAULT 1, p_max integer DEFAULT 1000
) RETURNS SETOF event_store
LANGUAGE plpgsql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    PERFORM check_read_stream(p_aggregate_type, p_aggregate_id, p_from_version, p_max);
    RETURN QUERY
    SELECT * FROM event_store e
    WHERE e.aggregate_type = p_aggregate_type AND e.aggregate_id = p_aggregate_id
      AND e.event_version >= p_from_version
    ORDER BY e.event_version
    LIMIT p_max;
END
$$;
COMMENT ON FUNCTION read_stream(text, text, integer, integer) IS
    'The events of one aggregate from a version on, in order, at most p_max of them.';

CREATE FUNCTION read_events(p_after_position bigint, p_max integer DEFAULT 1000, p_event_types text[] DEFAULT NULL)
RETURNS SETOF event_store
LANGUAGE plpgsql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    PERFORM check_read_events(p_after_position, p_max, p_event_types);
    RETURN QUERY
    WITH batch AS MATERIALIZED (
        SELECT * FROM event_store e
        WHERE e.global_position > p_after_position
          AND (p_event_types IS NULL OR event_type_matches(p_event_types, e.event_type))
        ORDER BY e.global_position
        LIMIT p_max
    )
    SELECT * FROM batch b
    WHERE b.global_position <= (SELECT max(s.global_position) FROM batch s
                                WHERE s.horizon <= pg_snapshot_xmin(pg_current_snapshot()))
    ORDER BY b.global_position;
END
$$;
COMMENT ON FUNCTION read_events(bigint, integer, text[]) IS
    'The events after a position, in order, at most p_max of them; none before which another can still appear.';

CREATE FUNCTION last_settled_position() RETURNS bigint
LANGUAGE sql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT global_position FROM event_store
                     WHERE horizon <= pg_snapshot_xmin(pg_current_snapshot())
                     ORDER BY global_position DESC LIMIT 1), 0)
$$;
COMMENT ON FUNCTION last_settled_position() IS
    'The position up to which no event can appear any more. A reader of few event types asks for it first, and goes on from there where read_events returns less than p_max.';

CREATE TABLE event_projections (
    id                   bigint GENERATED ALWAYS AS IDENTITY,
    projection_name      text NOT NULL
        CONSTRAINT event_projections_projection_name_length CHECK (length(projection_name) BETWEEN 1 AND 100),
    aggregate_id         text NOT NULL
        CONSTRAINT event_projections_aggregate_id_length CHECK (length(aggregate_id) BETWEEN 1 AND 100),
    projection_data      jsonb NOT NULL,
    projection_version   integer NOT NULL
        CONSTRAINT event_projections_projection_version_range CHECK (projection_version >= 0),
    last_event_id        text,
    last_event_timestamp timestamptz,
    last_event_sequence  bigint,
    is_current           boolean NOT NULL DEFAULT true,
    created_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT event_projections_pkey PRIMARY KEY (id, aggregate_id),
    CONSTRAINT event_projections_name_key UNIQUE (projection_name, aggregate_id)
);
COMMENT ON TABLE event_projections IS 'Read models: what the events of an aggregate amount to.';
COMMENT ON COLUMN event_projections.id IS 'Order of creation.';
COMMENT ON COLUMN event_projections.projection_name IS 'Which read model.';
COMMENT ON COLUMN event_projections.aggregate_id IS 'Of which aggregate.';
COMMENT ON COLUMN event_projections.projection_data IS 'The read model itself.';
COMMENT ON COLUMN event_projections.projection_version IS 'How many events it has taken in.';
COMMENT ON COLUMN event_projections.last_event_id IS 'The latest event in it.';
COMMENT ON COLUMN event_projections.last_event_timestamp IS 'When that happened.';
COMMENT ON COLUMN event_projections.last_event_sequence IS 'That event''s event_sequence.';
COMMENT ON COLUMN event_projections.is_current IS 'Whether it holds every event; false while it is rebuilt.';
COMMENT ON COLUMN event_projections.created_at IS 'When the row was made.';
COMMENT ON COLUMN event_projections.updated_at IS 'When the row was last written.';

CREATE TRIGGER event_projections_updated_at BEFORE UPDATE ON event_projections
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE event_handlers (
    id                      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    handler_name            text NOT NULL CONSTRAINT event_handlers_handler_name_key UNIQUE
        CONSTRAINT event_handlers_handler_name_length CHECK (length(handler_name) BETWEEN 1 AND 100),
    handler_type            text NOT NULL
        CONSTRAINT event_handlers_handler_type_known CHECK (handler_type IN ('processor', 'projector', 'notifier')),
    event_types             text[] NOT NULL
        CONSTRAINT event_handlers_event_types_given
        CHECK (cardinality(event_types) > 0 AND array_position(event_types, NULL) IS NULL),
    handler_config          jsonb NOT NULL DEFAULT '{}',
    is_active               boolean NOT NULL DEFAULT true,
    is_running              boolean NOT NULL DEFAULT false,
    processed_events_count  bigint NOT NULL DEFAULT 0
        CONSTRAINT event_handlers_processed_events_count_range CHECK (processed_events_count >= 0),
    last_processed_event_id text,
    last_processed_at       timestamptz,
    error_count             bigint NOT NULL DEFAULT 0
        CONSTRAINT event_handlers_error_count_range CHECK (error_count >= 0),
    last_error_message      text,
    last_error_at           timestamptz,
    created_at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at              timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE event_handlers IS 'Who wants to hear of which events.';
COMMENT ON COLUMN event_handlers.id IS 'Order of creation.';
COMMENT ON COLUMN event_handlers.handler_name IS 'Name of the handler.';
COMMENT ON COLUMN event_handlers.handler_type IS 'processor, projector or notifier.';
COMMENT ON COLUMN event_handlers.event_types IS 'Event types: exact, prefix.* or *.';
COMMENT ON COLUMN event_handlers.handler_config IS 'Settings of the handler.';
COMMENT ON COLUMN event_handlers.is_active IS 'Whether events are queued for it and served.';
COMMENT ON COLUMN event_handlers.is_running IS 'Whether it is serving one now.';
COMMENT ON COLUMN event_handlers.processed_events_count IS 'Events it has finished.';
COMMENT ON COLUMN event_handlers.last_processed_event_id IS 'The latest of them.';
COMMENT ON COLUMN event_handlers.last_processed_at IS 'When that was.';
COMMENT ON COLUMN event_handlers.error_count IS 'Attempts that failed.';
COMMENT ON COLUMN event_handlers.last_error_message IS 'Why the latest of them failed.';
COMMENT ON COLUMN event_handlers.last_error_at IS 'When that was.';
COMMENT ON COLUMN event_handlers.created_at IS 'When the row was made.';
COMMENT ON COLUMN event_handlers.updated_at IS 'When the row was last written.';

CREATE TRIGGER event_handlers_updated_at BEFORE UPDATE ON event_handlers
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE event_processing_queue (
    id                    bigint GENERATED ALWAYS AS IDENTITY,
    event_id              text NOT NULL,
    aggregate_id          text NOT NULL,
    handler_name          text NOT NULL
        CONSTRAINT event_processing_queue_handler_name_fkey
        REFERENCES event_handlers (handler_name) ON UPDATE CASCADE ON DELETE CASCADE,
    processing_status     text NOT NULL DEFAULT 'pending'
        CONSTRAINT event_processing_queue_processing_status_known
        CHECK (processing_status IN ('pending', 'processing', 'completed', 'failed')),
    processing_priority   integer NOT NULL DEFAULT 0,
    attempts              integer NOT NULL DEFAULT 0
        CONSTRAINT event_processing_queue_attempts_range CHECK (attempts >= 0),
    max_attempts          integer NOT NULL DEFAULT 3
        CONSTRAINT event_processing_queue_max_attempts_range CHECK (max_attempts > 0),
    queued_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    processing_started_at timestamptz,
    completed_at          timestamptz,
    error_message         text,
    error_code            text,
    created_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT event_processing_queue_pkey PRIMARY KEY (id, aggregate_id),
    -- An event is a handler's once. It also serves the foreign key to the event.
    CONSTRAINT event_processing_queue_event_handler_key UNIQUE (event_id, aggregate_id, handler_name),
    CONSTRAINT event_processing_queue_event_fkey FOREIGN KEY (event_id, aggregate_id)
        REFERENCES event_store (event_id, aggregate_id)
);
-- What is to be done next, in the documented order, without a walk through what is done.
CREATE INDEX idx_event_processing_queue_status_priority
    ON event_processing_queue (processing_priority DESC, queued_at, id) WHERE processing_status = 'pending';
-- The foreign key to the handler.
CREATE INDEX event_processing_queue_handler_name ON event_processing_queue (handler_name);

COMMENT ON TABLE event_processing_queue IS 'Events on their way to their handlers.';
COMMENT ON COLUMN event_processing_queue.id IS 'Order of queueing.';
COMMENT ON COLUMN event_processing_queue.event_id IS 'Which event.';
COMMENT ON COLUMN event_processing_queue.aggregate_id IS 'The event''s aggregate.';
COMMENT ON COLUMN event_processing_queue.handler_name IS 'For which handler.';
COMMENT ON COLUMN event_processing_queue.processing_status IS 'pending, processing, completed or failed.';
COMMENT ON COLUMN event_processing_queue.processing_priority IS 'Higher goes first.';
COMMENT ON COLUMN event_processing_queue.attempts IS 'How often it was tried.';
COMMENT ON COLUMN event_processing_queue.max_attempts IS 'After so many it rests as failed.';
COMMENT ON COLUMN event_processing_queue.queued_at IS 'When it was queued.';
COMMENT ON COLUMN event_processing_queue.processing_started_at IS 'When it was last tried.';
COMMENT ON COLUMN event_processing_queue.completed_at IS 'When it was finished, for better or worse.';
COMMENT ON COLUMN event_processing_queue.error_message IS 'Why it failed.';
COMMENT ON COLUMN event_processing_queue.error_code IS 'SQLSTATE of the failure.';
COMMENT ON COLUMN event_processing_queue.created_at IS 'When the row was made.';
