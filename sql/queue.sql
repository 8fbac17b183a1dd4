-- The queues, and what waits in them.

CREATE TABLE ingestion_queue (
    id                       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue_id                 text NOT NULL CONSTRAINT ingestion_queue_queue_id_key UNIQUE
        CONSTRAINT ingestion_queue_queue_id_length CHECK (length(queue_id) BETWEEN 1 AND 100),
    queue_type               text NOT NULL
        CONSTRAINT ingestion_queue_queue_type_known CHECK (queue_type IN ('high_priority', 'normal', 'batch')),
    max_size                 bigint NOT NULL DEFAULT 10000
        CONSTRAINT ingestion_queue_max_size_range CHECK (max_size > 0),
    current_size             bigint NOT NULL DEFAULT 0
        CONSTRAINT ingestion_queue_current_size_range CHECK (current_size >= 0),
    processing_rate          integer NOT NULL DEFAULT 1000
        CONSTRAINT ingestion_queue_processing_rate_range CHECK (processing_rate > 0),
    is_active                boolean NOT NULL DEFAULT true,
    is_paused                boolean NOT NULL DEFAULT false,
    last_processed_at        timestamptz,
    avg_processing_time_ms   double precision,
    error_rate               double precision
        CONSTRAINT ingestion_queue_error_rate_range CHECK (error_rate BETWEEN 0 AND 100),
    throughput_items_per_sec double precision,
    overflow_policy          text NOT NULL DEFAULT 'reject'
        CONSTRAINT ingestion_queue_overflow_policy_known CHECK (overflow_policy IN ('reject', 'drop_oldest')),
    max_attempts             integer NOT NULL DEFAULT 3
        CONSTRAINT ingestion_queue_max_attempts_range CHECK (max_attempts > 0),
    created_at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at               timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ingestion_queue IS 'The queues and their settings; queue_status shows what is in them.';
COMMENT ON COLUMN ingestion_queue.id IS 'Order of creation.';
COMMENT ON COLUMN ingestion_queue.queue_id IS 'Name of the queue.';
COMMENT ON COLUMN ingestion_queue.queue_type IS 'high_priority, normal or batch.';
COMMENT ON COLUMN ingestion_queue.max_size IS 'Items that may wait or be processed at once.';
COMMENT ON COLUMN ingestion_queue.current_size IS
    'Items that are not finished, as last rolled up; queue_status has the live figure.';
COMMENT ON COLUMN ingestion_queue.processing_rate IS 'Items a second at most.';
COMMENT ON COLUMN ingestion_queue.is_active IS 'Whether the queue is served at all.';
COMMENT ON COLUMN ingestion_queue.is_paused IS 'Whether it is not served for now; items are still taken.';
COMMENT ON COLUMN ingestion_queue.last_processed_at IS 'When an item was last finished, as last rolled up.';
COMMENT ON COLUMN ingestion_queue.avg_processing_time_ms IS 'From claim to completion, as last rolled up.';
COMMENT ON COLUMN ingestion_queue.error_rate IS 'Percent of items that failed, as last rolled up.';
COMMENT ON COLUMN ingestion_queue.throughput_items_per_sec IS 'Items finished a second, as last rolled up.';
COMMENT ON COLUMN ingestion_queue.overflow_policy IS
    'What a full queue does: reject refuses messages, drop_oldest gives up its oldest frames first.';
COMMENT ON COLUMN ingestion_queue.max_attempts IS 'After so many attempts an item is a dead letter.';
COMMENT ON COLUMN ingestion_queue.created_at IS 'When the row was made.';
COMMENT ON COLUMN ingestion_queue.updated_at IS 'When the row was last written.';

CREATE TRIGGER ingestion_queue_updated_at BEFORE UPDATE ON ingestion_queue
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

-- Pictures wait for a model and are large; results and batches are small and come in bursts.
INSERT INTO ingestion_queue (queue_id, queue_type, max_size, processing_rate) VALUES
    ('high_priority', 'high_priority', 1000000, 1000000),
    ('normal', 'normal', 100000, 1000000),
    ('batch', 'batch', 1000000, 1000000);

-- The order in which messages came in, by queue and priority. Nothing here is updated: how far the queue has been
-- given out is a position in this order, which skips what is behind it however long a transaction keeps it from being
-- removed. One entry stands for all items of one statement, 64 at most.
CREATE TABLE waiting_entries (
    id               bigint NOT NULL,
    queue_id         text NOT NULL,
    item_priority    integer NOT NULL,
    -- Commits do not come in the order of ids: a position is valid for the transactions that had ended by then.
    transaction_id   bigint NOT NULL,
    queued_at        timestamptz NOT NULL,
    item_ids         bigint[] NOT NULL,
    frame_timestamps timestamptz[] NOT NULL,
    row_ids          bigint[] NOT NULL,
    CONSTRAINT waiting_entries_pkey PRIMARY KEY (queue_id, item_priority, transaction_id, id)
);
-- Whoever else writes entries enters them here and now: pg_restore brings those of another server, whose transactions
-- this one does not know. It brings them after the messages, by their names, so that no worker looks for one in vain.
CREATE FUNCTION enter_now() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.transaction_id := pg_catalog.pg_current_xact_id()::text::bigint;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION enter_now() IS 'Trigger function: an entry comes in with the transaction that writes it.';
CREATE TRIGGER waiting_entries_enter_now BEFORE INSERT ON waiting_entries
    FOR EACH ROW EXECUTE FUNCTION enter_now();
COMMENT ON TABLE waiting_entries IS 'The order of arrival; an entry goes when all its items are finished or handed over.';
COMMENT ON COLUMN waiting_entries.id IS 'The id of its first item.';
COMMENT ON COLUMN waiting_entries.queue_id IS 'Which queue.';
COMMENT ON COLUMN waiting_entries.item_priority IS 'Higher goes first.';
COMMENT ON COLUMN waiting_entries.transaction_id IS 'The transaction that wrote it.';
COMMENT ON COLUMN waiting_entries.queued_at IS 'When the items came in.';
COMMENT ON COLUMN waiting_entries.item_ids IS 'The messages'' ids.';
COMMENT ON COLUMN waiting_entries.frame_timestamps IS 'Their times, one for each.';
COMMENT ON COLUMN waiting_entries.row_ids IS 'Where their rows were written, block times 65536 plus line: a hint.';

-- What the vision worker has taken from the queues and has not finished: streams need the order of their frames, not
-- that of arrival.
CREATE TABLE stream_items (
    id                    bigint NOT NULL,
    queue_id              text NOT NULL,
    item_priority         integer NOT NULL,
    data_type             text NOT NULL,
    camera_id             text NOT NULL,
    stream_id             text NOT NULL,
    frame_timestamp       timestamptz NOT NULL,
    frame_number          bigint NOT NULL,
    ingestion_id          text NOT NULL,
    item_size_bytes       bigint NOT NULL,
    status                text NOT NULL DEFAULT 'queued'
        CONSTRAINT stream_items_status_known CHECK (status IN ('queued', 'processing')),
    attempts              integer NOT NULL DEFAULT 0,
    max_attempts          integer NOT NULL,
    queued_at             timestamptz NOT NULL,
    available_at          timestamptz NOT NULL,
    processing_started_at timestamptz,
    claimed_by            bigint,
    error_message         text,
    error_code            text,
    CONSTRAINT stream_items_pkey PRIMARY KEY (camera_id, stream_id, frame_timestamp, frame_number, id)
-- Claims change no indexed column, so that they can stay on their page.
) WITH (fillfactor = 50);
COMMENT ON TABLE stream_items IS 'Items on their way through the vision worker. Finished ones are deleted.';
COMMENT ON COLUMN stream_items.id IS 'The message''s id.';
COMMENT ON COLUMN stream_items.queue_id IS 'Which queue it came from.';
COMMENT ON COLUMN stream_items.item_priority IS 'Streams with a higher one at their head go first.';
COMMENT ON COLUMN stream_items.data_type IS 'frame, detection, tracking or counting.';
COMMENT ON COLUMN stream_items.camera_id IS 'Which camera.';
COMMENT ON COLUMN stream_items.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN stream_items.frame_timestamp IS 'When the frame was taken: the order of processing.';
COMMENT ON COLUMN stream_items.frame_number IS 'The sender''s number: breaks ties.';
COMMENT ON COLUMN stream_items.ingestion_id IS 'The message.';
COMMENT ON COLUMN stream_items.item_size_bytes IS 'Octets of the message''s payload or picture.';
COMMENT ON COLUMN stream_items.status IS 'queued or processing.';
COMMENT ON COLUMN stream_items.attempts IS 'How often it was claimed.';
COMMENT ON COLUMN stream_items.max_attempts IS 'After so many it is a dead letter.';
COMMENT ON COLUMN stream_items.queued_at IS 'When it came in.';
COMMENT ON COLUMN stream_items.available_at IS 'Not to be claimed before: a retry waits.';
COMMENT ON COLUMN stream_items.processing_started_at IS 'When it was last claimed.';
COMMENT ON COLUMN stream_items.claimed_by IS 'worker_id of the worker that holds it.';
COMMENT ON COLUMN stream_items.error_message IS 'Why the last attempt failed.';
COMMENT ON COLUMN stream_items.error_code IS 'SQLSTATE of that failure.';

CREATE TABLE queue_retries (
    id              bigint NOT NULL,
    camera_id       text NOT NULL,
    queue_id        text NOT NULL,
    frame_timestamp timestamptz NOT NULL,
    available_at    timestamptz NOT NULL,
    CONSTRAINT queue_retries_pkey PRIMARY KEY (id, camera_id)
);
-- The claim of retries.
CREATE INDEX queue_retries_next ON queue_retries (queue_id, available_at);
COMMENT ON TABLE queue_retries IS 'Items of outside workers that failed and are to be tried again.';
COMMENT ON COLUMN queue_retries.id IS 'The message''s id.';
COMMENT ON COLUMN queue_retries.camera_id IS 'Which camera.';
COMMENT ON COLUMN queue_retries.queue_id IS 'Which queue.';
COMMENT ON COLUMN queue_retries.frame_timestamp IS 'When its frame was taken.';
COMMENT ON COLUMN queue_retries.available_at IS 'Not to be claimed before.';

CREATE TABLE failed_items (
    id              bigint NOT NULL,
    camera_id       text NOT NULL,
    queue_id        text NOT NULL,
    frame_timestamp timestamptz NOT NULL,
    CONSTRAINT failed_items_pkey PRIMARY KEY (id, camera_id)
);
-- Retention.
CREATE INDEX failed_items_time ON failed_items (frame_timestamp);
COMMENT ON TABLE failed_items IS 'Where the dead letters are; the view dead_letters shows them.';
COMMENT ON COLUMN failed_items.id IS 'The message''s id.';
COMMENT ON COLUMN failed_items.camera_id IS 'Which camera.';
COMMENT ON COLUMN failed_items.queue_id IS 'Which queue.';
COMMENT ON COLUMN failed_items.frame_timestamp IS 'When its frame was taken.';
