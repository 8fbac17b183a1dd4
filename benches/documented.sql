-- The documented PL/pgSQL, repaired just enough to run: the size of a payload (jsonb_array_length fails on objects), and
-- the row of ingestion_queue that queue_items refers to.
DROP SCHEMA IF EXISTS documented CASCADE;
CREATE SCHEMA documented;
SET search_path = documented;

CREATE TABLE realtime_data_ingestion (
    id SERIAL PRIMARY KEY,
    ingestion_id VARCHAR(100) UNIQUE NOT NULL,
    camera_id VARCHAR(100) NOT NULL,
    stream_id VARCHAR(100) NOT NULL,
    ingestion_timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    frame_timestamp TIMESTAMP NOT NULL,
    frame_number BIGINT NOT NULL,
    data_type VARCHAR(50) NOT NULL,
    data_payload JSONB NOT NULL,
    data_size_bytes INTEGER,
    processing_status VARCHAR(20) DEFAULT 'pending',
    processing_priority INTEGER DEFAULT 0,
    retry_count INTEGER DEFAULT 0,
    ingestion_latency_ms INTEGER,
    processing_latency_ms INTEGER,
    total_latency_ms INTEGER,
    error_message TEXT,
    error_code VARCHAR(50),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_realtime_data_ingestion_camera_timestamp
    ON realtime_data_ingestion (camera_id, ingestion_timestamp DESC);
CREATE INDEX idx_realtime_data_ingestion_status
    ON realtime_data_ingestion (processing_status, processing_priority DESC);

CREATE TABLE ingestion_queue (
    id SERIAL PRIMARY KEY,
    queue_id VARCHAR(100) UNIQUE NOT NULL,
    queue_type VARCHAR(50) NOT NULL,
    max_size INTEGER DEFAULT 10000,
    current_size INTEGER DEFAULT 0,
    processing_rate INTEGER DEFAULT 1000,
    is_active BOOLEAN DEFAULT TRUE,
    is_paused BOOLEAN DEFAULT FALSE
);
INSERT INTO ingestion_queue (queue_id, queue_type) VALUES ('high_priority', 'high_priority');

CREATE TABLE queue_items (
    id SERIAL PRIMARY KEY,
    queue_id VARCHAR(100) REFERENCES ingestion_queue (queue_id),
    item_priority INTEGER DEFAULT 0,
    item_type VARCHAR(50) NOT NULL,
    item_data JSONB NOT NULL,
    item_size_bytes INTEGER,
    status VARCHAR(20) DEFAULT 'queued',
    attempts INTEGER DEFAULT 0,
    max_attempts INTEGER DEFAULT 3,
    queued_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    processing_started_at TIMESTAMP,
    completed_at TIMESTAMP,
    error_message TEXT,
    error_code VARCHAR(50),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_queue_items_status_priority ON queue_items (status, item_priority DESC, queued_at ASC);

CREATE FUNCTION ingest_realtime_data(
    p_camera_id VARCHAR(100), p_stream_id VARCHAR(100), p_frame_timestamp TIMESTAMP, p_frame_number BIGINT,
    p_data_type VARCHAR(50), p_data_payload JSONB)
RETURNS VARCHAR(100) AS $$
DECLARE
    v_ingestion_id VARCHAR(100);
    v_start_time TIMESTAMP;
BEGIN
    v_start_time := NOW();
    v_ingestion_id := p_camera_id || '_' || p_frame_number || '_' || EXTRACT(EPOCH FROM p_frame_timestamp);
    INSERT INTO documented.realtime_data_ingestion (
        ingestion_id, camera_id, stream_id, frame_timestamp, frame_number,
        data_type, data_payload, data_size_bytes, ingestion_latency_ms
    ) VALUES (
        v_ingestion_id, p_camera_id, p_stream_id, p_frame_timestamp, p_frame_number,
        p_data_type, p_data_payload, octet_length(p_data_payload::text),
        EXTRACT(EPOCH FROM (NOW() - v_start_time)) * 1000
    );
    INSERT INTO documented.queue_items (queue_id, item_type, item_data, item_priority)
    VALUES (
        'high_priority', 'realtime_processing',
        jsonb_build_object('ingestion_id', v_ingestion_id, 'camera_id', p_camera_id, 'data_type', p_data_type),
        CASE WHEN p_data_type = 'detection' THEN 10 WHEN p_data_type = 'tracking' THEN 8
             WHEN p_data_type = 'counting' THEN 9 ELSE 5 END
    );
    RETURN v_ingestion_id;
END;
$$ LANGUAGE plpgsql;

CREATE FUNCTION batch_ingest_data(p_data_batch JSONB) RETURNS INTEGER AS $$
DECLARE
    v_item JSONB;
    v_count INTEGER := 0;
BEGIN
    FOR v_item IN SELECT * FROM jsonb_array_elements(p_data_batch)
    LOOP
        PERFORM documented.ingest_realtime_data(
            v_item->>'camera_id', v_item->>'stream_id', (v_item->>'frame_timestamp')::TIMESTAMP,
            (v_item->>'frame_number')::BIGINT, v_item->>'data_type', v_item->'data_payload');
        v_count := v_count + 1;
    END LOOP;
    RETURN v_count;
END;
$$ LANGUAGE plpgsql;

-- What any way of storing a picture has to do.
CREATE TABLE bare_frames (
    camera_id text NOT NULL,
    frame_timestamp timestamptz NOT NULL,
    frame_number bigint NOT NULL,
    image bytea NOT NULL
);
ALTER TABLE bare_frames ALTER COLUMN image SET STORAGE EXTERNAL;
RESET search_path;
