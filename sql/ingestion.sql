-- What came in: one row a message, the picture of a frame beside it.

CREATE TABLE realtime_data_ingestion (
    id                    bigint GENERATED ALWAYS AS IDENTITY,
    ingestion_id          text NOT NULL
        CONSTRAINT realtime_data_ingestion_ingestion_id_length CHECK (length(ingestion_id) BETWEEN 1 AND 100),
    camera_id             text NOT NULL
        CONSTRAINT realtime_data_ingestion_camera_id_length CHECK (length(camera_id) BETWEEN 1 AND 100),
    stream_id             text NOT NULL
        CONSTRAINT realtime_data_ingestion_stream_id_length CHECK (length(stream_id) BETWEEN 1 AND 100),
    ingestion_timestamp   timestamptz NOT NULL DEFAULT clock_timestamp(),
    frame_timestamp       timestamptz NOT NULL,
    frame_number          bigint NOT NULL
        CONSTRAINT realtime_data_ingestion_frame_number_range CHECK (frame_number >= 0),
    data_type             text NOT NULL
        CONSTRAINT realtime_data_ingestion_data_type_known
        CHECK (data_type IN ('frame', 'detection', 'tracking', 'counting')),
    data_payload          jsonb NOT NULL,
    data_size_bytes       bigint NOT NULL
        CONSTRAINT realtime_data_ingestion_data_size_range CHECK (data_size_bytes >= 0),
    processing_status     text NOT NULL DEFAULT 'pending'
        CONSTRAINT realtime_data_ingestion_processing_status_known
        CHECK (processing_status IN ('pending', 'processing', 'completed', 'failed', 'skipped')),
    processing_priority   integer NOT NULL DEFAULT 0,
    retry_count           integer NOT NULL DEFAULT 0,
    ingestion_latency_ms  bigint,
    processing_latency_ms bigint,
    total_latency_ms      bigint,
    clock_skew            boolean NOT NULL DEFAULT false,
    error_message         text,
    error_code            text,
    created_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    queue_id              text,
    is_handed_over        boolean NOT NULL DEFAULT false,
    processing_started_at timestamptz,
    completed_at          timestamptz,
    claimed_by            text
) PARTITION BY RANGE (frame_timestamp);

-- Keys and indexes are made on the partitions, not on the partitioned table: see partitions.sql.
CREATE TABLE realtime_data_ingestion_default PARTITION OF realtime_data_ingestion (
    -- One message, one row: the id is made of all that identifies it. The time first, so that new rows go to the end of
    -- the index however large it is; message() finds a row by its id alone, which holds the time.
    CONSTRAINT realtime_data_ingestion_default_pkey PRIMARY KEY (frame_timestamp, ingestion_id, camera_id)
-- Room for the one change of each row, beside it: what became of the message. No index may depend on its columns.
) DEFAULT WITH (fillfactor = 50);

-- Documented: a camera's latest messages.
CREATE INDEX idx_realtime_data_ingestion_camera_timestamp
    ON realtime_data_ingestion_default (camera_id, ingestion_timestamp DESC);

COMMENT ON TABLE realtime_data_ingestion IS 'Every message that was accepted, and what became of it.';
COMMENT ON COLUMN realtime_data_ingestion.id IS 'Order of arrival.';
COMMENT ON COLUMN realtime_data_ingestion.ingestion_id IS 'What the ingestion function returned.';
COMMENT ON COLUMN realtime_data_ingestion.camera_id IS 'Which camera.';
COMMENT ON COLUMN realtime_data_ingestion.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN realtime_data_ingestion.ingestion_timestamp IS 'When it came in, by the server''s clock.';
COMMENT ON COLUMN realtime_data_ingestion.frame_timestamp IS 'When the frame was taken, by the camera''s clock.';
COMMENT ON COLUMN realtime_data_ingestion.frame_number IS 'The sender''s number of the frame.';
COMMENT ON COLUMN realtime_data_ingestion.data_type IS 'frame, detection, tracking or counting.';
COMMENT ON COLUMN realtime_data_ingestion.data_payload IS 'The message; for a frame its metadata, the picture is in frames.';
COMMENT ON COLUMN realtime_data_ingestion.data_size_bytes IS 'Octets of the payload, of the picture for a frame.';
COMMENT ON COLUMN realtime_data_ingestion.processing_status IS 'pending, processing, completed, failed or skipped.';
COMMENT ON COLUMN realtime_data_ingestion.processing_priority IS 'As in the queue: higher goes first.';
COMMENT ON COLUMN realtime_data_ingestion.retry_count IS 'Attempts that failed.';
COMMENT ON COLUMN realtime_data_ingestion.ingestion_latency_ms IS 'From the frame to its arrival; 0 where clock_skew.';
COMMENT ON COLUMN realtime_data_ingestion.processing_latency_ms IS 'From the claim to the counts.';
COMMENT ON COLUMN realtime_data_ingestion.total_latency_ms IS 'From arrival to the counts.';
COMMENT ON COLUMN realtime_data_ingestion.clock_skew IS 'The frame''s time was more than a second ahead of the server''s clock.';
COMMENT ON COLUMN realtime_data_ingestion.error_message IS 'Why it failed or was skipped.';
COMMENT ON COLUMN realtime_data_ingestion.error_code IS 'SQLSTATE of the failure.';
COMMENT ON COLUMN realtime_data_ingestion.created_at IS 'When the row was made.';
COMMENT ON COLUMN realtime_data_ingestion.queue_id IS 'The queue it was put into.';
COMMENT ON COLUMN realtime_data_ingestion.is_handed_over IS
    'It has left the queue''s order: see stream_items and queue_retries.';
COMMENT ON COLUMN realtime_data_ingestion.processing_started_at IS 'When it was last claimed, once it is finished.';
COMMENT ON COLUMN realtime_data_ingestion.completed_at IS 'When it was finished, for better or worse.';
COMMENT ON COLUMN realtime_data_ingestion.claimed_by IS 'The worker that finished it.';

CREATE TABLE frames (
    ingestion_id        text NOT NULL,
    camera_id           text NOT NULL,
    stream_id           text NOT NULL,
    ingestion_timestamp timestamptz NOT NULL,
    frame_timestamp     timestamptz NOT NULL,
    frame_number        bigint NOT NULL,
    format              text NOT NULL CONSTRAINT frames_format_known CHECK (format IN ('jpeg', 'png')),
    width               integer NOT NULL CONSTRAINT frames_width_range CHECK (width > 0),
    height              integer NOT NULL CONSTRAINT frames_height_range CHECK (height > 0),
    image               bytea NOT NULL
) PARTITION BY RANGE (ingestion_timestamp);
-- A JPEG does not compress.
ALTER TABLE frames ALTER COLUMN image SET STORAGE EXTERNAL;

-- Keys and indexes are made on the partitions, not on the partitioned table: see partitions.sql.
CREATE TABLE frames_default PARTITION OF frames (
    CONSTRAINT frames_default_pkey PRIMARY KEY (ingestion_id, camera_id, ingestion_timestamp)
) DEFAULT;
ALTER TABLE frames_default ALTER COLUMN image SET STORAGE EXTERNAL;

-- The latest picture of a camera, for heat maps and previews.
CREATE INDEX frames_camera_time ON frames_default (camera_id, frame_timestamp DESC);

COMMENT ON TABLE frames IS 'Pictures, kept for a short while: see retention_policies.';
COMMENT ON COLUMN frames.ingestion_id IS 'The message that brought it.';
COMMENT ON COLUMN frames.camera_id IS 'Which camera.';
COMMENT ON COLUMN frames.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN frames.ingestion_timestamp IS 'When it came in; the same as its message''s ingestion_timestamp.';
COMMENT ON COLUMN frames.frame_timestamp IS 'When it was taken.';
COMMENT ON COLUMN frames.frame_number IS 'The sender''s number.';
COMMENT ON COLUMN frames.format IS 'jpeg or png.';
COMMENT ON COLUMN frames.width IS 'Pixels across, once upright.';
COMMENT ON COLUMN frames.height IS 'Pixels down, once upright.';
COMMENT ON COLUMN frames.image IS 'The file, byte for byte.';

CREATE TABLE ingestion_rejects (
    id            bigint GENERATED ALWAYS AS IDENTITY,
    camera_id     text NOT NULL
        CONSTRAINT ingestion_rejects_camera_id_length CHECK (length(camera_id) <= 100),
    item          jsonb NOT NULL,
    item_index    integer NOT NULL,
    error_code    text NOT NULL,
    error_message text NOT NULL,
    rejected_at   timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (rejected_at);

CREATE TABLE ingestion_rejects_default PARTITION OF ingestion_rejects (
    CONSTRAINT ingestion_rejects_default_pkey PRIMARY KEY (id, camera_id, rejected_at)
) DEFAULT;

COMMENT ON TABLE ingestion_rejects IS 'Rows of a batch that were refused where skipping them was asked for.';
COMMENT ON COLUMN ingestion_rejects.id IS 'Order of refusal.';
COMMENT ON COLUMN ingestion_rejects.camera_id IS 'Which camera, as far as the row says it; empty where it does not.';
COMMENT ON COLUMN ingestion_rejects.item IS 'The row as it was sent.';
COMMENT ON COLUMN ingestion_rejects.item_index IS 'Its place in the batch, from 0.';
COMMENT ON COLUMN ingestion_rejects.error_code IS 'SQLSTATE of the refusal.';
COMMENT ON COLUMN ingestion_rejects.error_message IS 'Why it was refused.';
COMMENT ON COLUMN ingestion_rejects.rejected_at IS 'When.';

CREATE FUNCTION frame_timestamp_of(p_ingestion_id text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    -- Whole seconds and microseconds apart: a product of both would be rounded.
    SELECT timestamptz 'epoch' + (id[1] || id[2])::bigint * interval '1 second'
        + (id[1] || id[3])::integer * interval '1 microsecond'
    FROM pg_catalog.regexp_match(p_ingestion_id, '_(-?)(\d+)\.(\d{6})_[0-9a-f]{12}$') AS parts (id)
$$;
COMMENT ON FUNCTION frame_timestamp_of(text) IS 'The frame''s time, which its ingestion id holds.';

CREATE FUNCTION message(p_ingestion_id text) RETURNS SETOF realtime_data_ingestion
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT * FROM camcount.realtime_data_ingestion
    WHERE ingestion_id = p_ingestion_id AND frame_timestamp = camcount.frame_timestamp_of(p_ingestion_id)
$$;
COMMENT ON FUNCTION message(text) IS 'The message with an ingestion id, found by index.';
