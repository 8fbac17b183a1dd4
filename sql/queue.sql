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
    created_at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at               timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ingestion_queue IS 'The queues and their settings; queue_status shows what is in them.';
COMMENT ON COLUMN ingestion_queue.id IS 'Order of creation.';
COMMENT ON COLUMN ingestion_queue.queue_id IS 'Name of the queue.';
COMMENT ON COLUMN ingestion_queue.queue_type IS 'high_priority, normal or batch.';
COMMENT ON COLUMN ingestion_queue.max_size IS 'Items that may wait.';
COMMENT ON COLUMN ingestion_queue.current_size IS 'Items that wait, as last rolled up.';
COMMENT ON COLUMN ingestion_queue.processing_rate IS 'Items a second at most.';
COMMENT ON COLUMN ingestion_queue.is_active IS 'Whether the queue is served at all.';
COMMENT ON COLUMN ingestion_queue.is_paused IS 'Whether it is not served for now; items are still taken.';
COMMENT ON COLUMN ingestion_queue.last_processed_at IS 'When an item was last finished, as last rolled up.';
COMMENT ON COLUMN ingestion_queue.avg_processing_time_ms IS 'From claim to completion, as last rolled up.';
COMMENT ON COLUMN ingestion_queue.error_rate IS 'Percent of items that failed, as last rolled up.';
COMMENT ON COLUMN ingestion_queue.throughput_items_per_sec IS 'Items finished a second, as last rolled up.';
COMMENT ON COLUMN ingestion_queue.created_at IS 'When the row was made.';
COMMENT ON COLUMN ingestion_queue.updated_at IS 'When the row was last written.';

CREATE TRIGGER ingestion_queue_updated_at BEFORE UPDATE ON ingestion_queue
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

INSERT INTO ingestion_queue (queue_id, queue_type) VALUES
    ('high_priority', 'high_priority'),
    ('normal', 'normal'),
    ('batch', 'batch');

CREATE TABLE queue_items (
    id                    bigint GENERATED ALWAYS AS IDENTITY,
    -- No foreign key: each insert would lock the queue's one row. ingest functions know the queues.
    queue_id              text NOT NULL,
    item_priority         integer NOT NULL DEFAULT 0,
    item_type             text NOT NULL CONSTRAINT queue_items_item_type_length CHECK (length(item_type) BETWEEN 1 AND 50),
    item_data             jsonb NOT NULL,
    item_size_bytes       bigint,
    status                text NOT NULL DEFAULT 'queued'
        CONSTRAINT queue_items_status_known CHECK (status IN ('queued', 'processing', 'completed', 'failed', 'skipped')),
    attempts              integer NOT NULL DEFAULT 0,
    max_attempts          integer NOT NULL DEFAULT 3 CONSTRAINT queue_items_max_attempts_range CHECK (max_attempts > 0),
    queued_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    available_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    processing_started_at timestamptz,
    completed_at          timestamptz,
    claimed_by            bigint,
    camera_id             text NOT NULL,
    stream_id             text NOT NULL,
    ingestion_id          text NOT NULL,
    frame_timestamp       timestamptz NOT NULL,
    frame_number          bigint NOT NULL,
    data_type             text NOT NULL,
    error_message         text,
    error_code            text,
    created_at            timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (queued_at);

-- Keys and indexes are made on the partitions, not on the partitioned table: see partitions.sql.
CREATE TABLE queue_items_default PARTITION OF queue_items (
    CONSTRAINT queue_items_default_pkey PRIMARY KEY (id, camera_id, queued_at)
) DEFAULT;

-- The claim: a stream's next items in frame order.
CREATE INDEX queue_items_next ON queue_items_default (camera_id, stream_id, frame_timestamp, frame_number, id)
    WHERE status = 'queued';
-- Acknowledging, releasing and reclaiming what a worker holds.
CREATE INDEX queue_items_held ON queue_items_default (claimed_by) WHERE status = 'processing';
-- Dead letters.
CREATE INDEX queue_items_failed ON queue_items_default (queue_id, completed_at) WHERE status = 'failed';

COMMENT ON TABLE queue_items IS 'Messages on their way to counts. Finished ones stay until retention drops their partition.';
COMMENT ON COLUMN queue_items.id IS 'Identifies the item.';
COMMENT ON COLUMN queue_items.queue_id IS 'Which queue.';
COMMENT ON COLUMN queue_items.item_priority IS 'Streams with a higher one at their head go first.';
COMMENT ON COLUMN queue_items.item_type IS 'realtime_processing.';
COMMENT ON COLUMN queue_items.item_data IS 'ingestion_id, camera_id and data_type.';
COMMENT ON COLUMN queue_items.item_size_bytes IS 'Octets of the message''s payload or picture.';
COMMENT ON COLUMN queue_items.status IS 'queued, processing, completed, failed (a dead letter) or skipped (came too late).';
COMMENT ON COLUMN queue_items.attempts IS 'How often it was claimed.';
COMMENT ON COLUMN queue_items.max_attempts IS 'After so many it rests as failed.';
COMMENT ON COLUMN queue_items.queued_at IS 'When it came in.';
COMMENT ON COLUMN queue_items.available_at IS 'Not to be claimed before: a retry waits.';
COMMENT ON COLUMN queue_items.processing_started_at IS 'When it was last claimed.';
COMMENT ON COLUMN queue_items.completed_at IS 'When it was finished, for better or worse.';
COMMENT ON COLUMN queue_items.claimed_by IS 'worker_id of the worker that holds it.';
COMMENT ON COLUMN queue_items.camera_id IS 'Which camera.';
COMMENT ON COLUMN queue_items.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN queue_items.ingestion_id IS 'The message.';
COMMENT ON COLUMN queue_items.frame_timestamp IS 'When the frame was taken: the order of processing.';
COMMENT ON COLUMN queue_items.frame_number IS 'The sender''s number: breaks ties.';
COMMENT ON COLUMN queue_items.data_type IS 'frame, detection, tracking or counting.';
COMMENT ON COLUMN queue_items.error_message IS 'Why it failed or was skipped.';
COMMENT ON COLUMN queue_items.error_code IS 'SQLSTATE of the failure.';
COMMENT ON COLUMN queue_items.created_at IS 'When the row was made.';
