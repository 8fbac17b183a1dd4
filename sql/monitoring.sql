-- How the system does, sampled over time, and the workers as they say of themselves. A measure that could not be taken
-- is NULL.

-- Keys and indexes are made on the partitions, not on the partitioned table: see partitions.sql.

CREATE TABLE realtime_performance_metrics (
    id                        bigint GENERATED ALWAYS AS IDENTITY,
    metric_timestamp          timestamptz NOT NULL DEFAULT clock_timestamp(),
    ingestion_rate_fps        double precision
        CONSTRAINT realtime_performance_metrics_ingestion_rate_fps_range CHECK (ingestion_rate_fps >= 0),
    ingestion_latency_ms      double precision
        CONSTRAINT realtime_performance_metrics_ingestion_latency_ms_range CHECK (ingestion_latency_ms >= 0),
    ingestion_throughput_mbps double precision
        CONSTRAINT realtime_performance_metrics_ingestion_throughput_mbps_range CHECK (ingestion_throughput_mbps >= 0),
    processing_rate_fps       double precision
        CONSTRAINT realtime_performance_metrics_processing_rate_fps_range CHECK (processing_rate_fps >= 0),
    processing_latency_ms     double precision
        CONSTRAINT realtime_performance_metrics_processing_latency_ms_range CHECK (processing_latency_ms >= 0),
    queue_size                bigint CONSTRAINT realtime_performance_metrics_queue_size_range CHECK (queue_size >= 0),
    queue_wait_time_ms        double precision
        CONSTRAINT realtime_performance_metrics_queue_wait_time_ms_range CHECK (queue_wait_time_ms >= 0),
    query_response_time_ms    double precision
        CONSTRAINT realtime_performance_metrics_query_response_time_ms_range CHECK (query_response_time_ms >= 0),
    connection_count          bigint
        CONSTRAINT realtime_performance_metrics_connection_count_range CHECK (connection_count >= 0),
    cache_hit_ratio           double precision
        CONSTRAINT realtime_performance_metrics_cache_hit_ratio_range CHECK (cache_hit_ratio BETWEEN 0 AND 100),
    cpu_usage_percent         double precision
        CONSTRAINT realtime_performance_metrics_cpu_usage_percent_range CHECK (cpu_usage_percent BETWEEN 0 AND 100),
    memory_usage_percent      double precision
        CONSTRAINT realtime_performance_metrics_memory_usage_percent_range
        CHECK (memory_usage_percent BETWEEN 0 AND 100),
    disk_io_mbps              double precision
        CONSTRAINT realtime_performance_metrics_disk_io_mbps_range CHECK (disk_io_mbps >= 0),
    network_bandwidth_mbps    double precision
        CONSTRAINT realtime_performance_metrics_network_bandwidth_mbps_range CHECK (network_bandwidth_mbps >= 0),
    created_at                timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (metric_timestamp);

CREATE TABLE realtime_performance_metrics_default PARTITION OF realtime_performance_metrics (
    CONSTRAINT realtime_performance_metrics_default_pkey PRIMARY KEY (id, metric_timestamp)
) DEFAULT;

-- The latest samples: alerts look at the last minutes.
CREATE INDEX realtime_performance_metrics_time ON realtime_performance_metrics_default (metric_timestamp DESC);

COMMENT ON TABLE realtime_performance_metrics IS 'The whole database''s performance over time.';
COMMENT ON COLUMN realtime_performance_metrics.id IS 'Order of writing.';
COMMENT ON COLUMN realtime_performance_metrics.metric_timestamp IS 'End of the stretch of time that the row measures.';
COMMENT ON COLUMN realtime_performance_metrics.ingestion_rate_fps IS 'Messages that came in, a second.';
COMMENT ON COLUMN realtime_performance_metrics.ingestion_latency_ms IS 'From the frame to its arrival, mean.';
COMMENT ON COLUMN realtime_performance_metrics.ingestion_throughput_mbps IS 'Megabits that came in, a second.';
COMMENT ON COLUMN realtime_performance_metrics.processing_rate_fps IS 'Messages finished, a second.';
COMMENT ON COLUMN realtime_performance_metrics.processing_latency_ms IS 'From the claim to the counts, mean.';
COMMENT ON COLUMN realtime_performance_metrics.queue_size IS 'Items that wait, over all queues.';
COMMENT ON COLUMN realtime_performance_metrics.queue_wait_time_ms IS 'From arrival to the claim, mean.';
COMMENT ON COLUMN realtime_performance_metrics.query_response_time_ms IS 'Of a trivial query.';
COMMENT ON COLUMN realtime_performance_metrics.connection_count IS 'Connections to the database.';
COMMENT ON COLUMN realtime_performance_metrics.cache_hit_ratio IS 'Percent of block reads that shared buffers served.';
COMMENT ON COLUMN realtime_performance_metrics.cpu_usage_percent IS 'Of the processors the server may use.';
COMMENT ON COLUMN realtime_performance_metrics.memory_usage_percent IS 'Of the machine''s memory.';
COMMENT ON COLUMN realtime_performance_metrics.disk_io_mbps IS 'Megabits read and written, a second.';
COMMENT ON COLUMN realtime_performance_metrics.network_bandwidth_mbps IS 'Megabits sent and received, a second.';
COMMENT ON COLUMN realtime_performance_metrics.created_at IS 'When the row was made.';

CREATE TABLE ingestion_monitoring (
    id                        bigint GENERATED ALWAYS AS IDENTITY,
    camera_id                 text NOT NULL
        CONSTRAINT ingestion_monitoring_camera_id_length CHECK (length(camera_id) BETWEEN 1 AND 100),
    metric_timestamp          timestamptz NOT NULL DEFAULT clock_timestamp(),
    ingestion_rate_fps        double precision
        CONSTRAINT ingestion_monitoring_ingestion_rate_fps_range CHECK (ingestion_rate_fps >= 0),
    ingestion_latency_ms      double precision
        CONSTRAINT ingestion_monitoring_ingestion_latency_ms_range CHECK (ingestion_latency_ms >= 0),
    ingestion_throughput_mbps double precision
        CONSTRAINT ingestion_monitoring_ingestion_throughput_mbps_range CHECK (ingestion_throughput_mbps >= 0),
    queue_size                bigint CONSTRAINT ingestion_monitoring_queue_size_range CHECK (queue_size >= 0),
    queue_processing_rate     double precision
        CONSTRAINT ingestion_monitoring_queue_processing_rate_range CHECK (queue_processing_rate >= 0),
    queue_wait_time_ms        double precision
        CONSTRAINT ingestion_monitoring_queue_wait_time_ms_range CHECK (queue_wait_time_ms >= 0),
    error_count               bigint CONSTRAINT ingestion_monitoring_error_count_range CHECK (error_count >= 0),
    error_rate                double precision
        CONSTRAINT ingestion_monitoring_error_rate_range CHECK (error_rate BETWEEN 0 AND 100),
    retry_count               bigint CONSTRAINT ingestion_monitoring_retry_count_range CHECK (retry_count >= 0),
    cpu_usage_percent         double precision
        CONSTRAINT ingestion_monitoring_cpu_usage_percent_range CHECK (cpu_usage_percent BETWEEN 0 AND 100),
    memory_usage_percent      double precision
        CONSTRAINT ingestion_monitoring_memory_usage_percent_range CHECK (memory_usage_percent BETWEEN 0 AND 100),
    network_bandwidth_mbps    double precision
        CONSTRAINT ingestion_monitoring_network_bandwidth_mbps_range CHECK (network_bandwidth_mbps >= 0),
    created_at                timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (metric_timestamp);

CREATE TABLE ingestion_monitoring_default PARTITION OF ingestion_monitoring (
    CONSTRAINT ingestion_monitoring_default_pkey PRIMARY KEY (id, camera_id, metric_timestamp)
) DEFAULT;

-- A camera's latest samples.
CREATE INDEX ingestion_monitoring_camera_time ON ingestion_monitoring_default (camera_id, metric_timestamp DESC);

COMMENT ON TABLE ingestion_monitoring IS 'Each camera''s ingestion over time.';
COMMENT ON COLUMN ingestion_monitoring.id IS 'Order of writing.';
COMMENT ON COLUMN ingestion_monitoring.camera_id IS 'Which camera.';
COMMENT ON COLUMN ingestion_monitoring.metric_timestamp IS 'End of the stretch of time that the row measures.';
COMMENT ON COLUMN ingestion_monitoring.ingestion_rate_fps IS 'Messages that came in, a second.';
COMMENT ON COLUMN ingestion_monitoring.ingestion_latency_ms IS 'From the frame to its arrival, mean.';
COMMENT ON COLUMN ingestion_monitoring.ingestion_throughput_mbps IS 'Megabits that came in, a second.';
COMMENT ON COLUMN ingestion_monitoring.queue_size IS 'Items of the camera that wait.';
COMMENT ON COLUMN ingestion_monitoring.queue_processing_rate IS 'Items finished, a second.';
COMMENT ON COLUMN ingestion_monitoring.queue_wait_time_ms IS 'From arrival to the claim, mean.';
COMMENT ON COLUMN ingestion_monitoring.error_count IS 'Messages that failed.';
COMMENT ON COLUMN ingestion_monitoring.error_rate IS 'Percent of messages that failed.';
COMMENT ON COLUMN ingestion_monitoring.retry_count IS 'Attempts that failed and were repeated.';
COMMENT ON COLUMN ingestion_monitoring.cpu_usage_percent IS 'Of the processors the server may use.';
COMMENT ON COLUMN ingestion_monitoring.memory_usage_percent IS 'Of the machine''s memory.';
COMMENT ON COLUMN ingestion_monitoring.network_bandwidth_mbps IS 'Megabits sent and received, a second.';
COMMENT ON COLUMN ingestion_monitoring.created_at IS 'When the row was made.';

CREATE TABLE stream_processing_monitoring (
    id                    bigint GENERATED ALWAYS AS IDENTITY,
    pipeline_id           text NOT NULL
        CONSTRAINT stream_processing_monitoring_pipeline_id_length CHECK (length(pipeline_id) BETWEEN 1 AND 100),
    metric_timestamp      timestamptz NOT NULL DEFAULT clock_timestamp(),
    input_rate_fps        double precision
        CONSTRAINT stream_processing_monitoring_input_rate_fps_range CHECK (input_rate_fps >= 0),
    output_rate_fps       double precision
        CONSTRAINT stream_processing_monitoring_output_rate_fps_range CHECK (output_rate_fps >= 0),
    processing_latency_ms double precision
        CONSTRAINT stream_processing_monitoring_processing_latency_ms_range CHECK (processing_latency_ms >= 0),
    queue_size            bigint CONSTRAINT stream_processing_monitoring_queue_size_range CHECK (queue_size >= 0),
    cpu_usage_percent     double precision
        CONSTRAINT stream_processing_monitoring_cpu_usage_percent_range CHECK (cpu_usage_percent BETWEEN 0 AND 100),
    memory_usage_percent  double precision
        CONSTRAINT stream_processing_monitoring_memory_usage_percent_range
        CHECK (memory_usage_percent BETWEEN 0 AND 100),
    gpu_usage_percent     double precision
        CONSTRAINT stream_processing_monitoring_gpu_usage_percent_range CHECK (gpu_usage_percent BETWEEN 0 AND 100),
    accuracy_percent      double precision
        CONSTRAINT stream_processing_monitoring_accuracy_percent_range CHECK (accuracy_percent BETWEEN 0 AND 100),
    precision_percent     double precision
        CONSTRAINT stream_processing_monitoring_precision_percent_range CHECK (precision_percent BETWEEN 0 AND 100),
    recall_percent        double precision
        CONSTRAINT stream_processing_monitoring_recall_percent_range CHECK (recall_percent BETWEEN 0 AND 100),
    error_count           bigint CONSTRAINT stream_processing_monitoring_error_count_range CHECK (error_count >= 0),
    error_rate            double precision
        CONSTRAINT stream_processing_monitoring_error_rate_range CHECK (error_rate BETWEEN 0 AND 100),
    retry_count           bigint CONSTRAINT stream_processing_monitoring_retry_count_range CHECK (retry_count >= 0),
    created_at            timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (metric_timestamp);

CREATE TABLE stream_processing_monitoring_default PARTITION OF stream_processing_monitoring (
    CONSTRAINT stream_processing_monitoring_default_pkey PRIMARY KEY (id, pipeline_id, metric_timestamp)
) DEFAULT;

-- A pipeline's latest samples.
CREATE INDEX stream_processing_monitoring_pipeline_time
    ON stream_processing_monitoring_default (pipeline_id, metric_timestamp DESC);

COMMENT ON TABLE stream_processing_monitoring IS 'Each pipeline''s work over time.';
COMMENT ON COLUMN stream_processing_monitoring.id IS 'Order of writing.';
COMMENT ON COLUMN stream_processing_monitoring.pipeline_id IS 'Which pipeline; its samples outlive it.';
COMMENT ON COLUMN stream_processing_monitoring.metric_timestamp IS 'End of the stretch of time that the row measures.';
COMMENT ON COLUMN stream_processing_monitoring.input_rate_fps IS 'Frames that came in for it, a second.';
COMMENT ON COLUMN stream_processing_monitoring.output_rate_fps IS 'Frames it finished, a second.';
COMMENT ON COLUMN stream_processing_monitoring.processing_latency_ms IS 'From the claim to the counts, mean.';
COMMENT ON COLUMN stream_processing_monitoring.queue_size IS 'Frames that wait for it.';
COMMENT ON COLUMN stream_processing_monitoring.cpu_usage_percent IS 'Of the processors the server may use.';
COMMENT ON COLUMN stream_processing_monitoring.memory_usage_percent IS 'Of the machine''s memory.';
COMMENT ON COLUMN stream_processing_monitoring.gpu_usage_percent IS 'Of the accelerator, where one is used.';
COMMENT ON COLUMN stream_processing_monitoring.accuracy_percent IS
    'Against labelled frames; NULL where there are none.';
COMMENT ON COLUMN stream_processing_monitoring.precision_percent IS
    'Against labelled frames; NULL where there are none.';
COMMENT ON COLUMN stream_processing_monitoring.recall_percent IS 'Against labelled frames; NULL where there are none.';
COMMENT ON COLUMN stream_processing_monitoring.error_count IS 'Frames that failed.';
COMMENT ON COLUMN stream_processing_monitoring.error_rate IS 'Percent of frames that failed.';
COMMENT ON COLUMN stream_processing_monitoring.retry_count IS 'Attempts that failed and were repeated.';
COMMENT ON COLUMN stream_processing_monitoring.created_at IS 'When the row was made.';

CREATE TABLE worker_status (
    worker_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind               text NOT NULL
        CONSTRAINT worker_status_kind_known CHECK (kind IN ('maintenance', 'vision', 'events')),
    pid                integer NOT NULL,
    backend_start      timestamptz NOT NULL,
    state              text NOT NULL,
    detail             text,
    execution_provider text,
    frames_processed   bigint NOT NULL DEFAULT 0
        CONSTRAINT worker_status_frames_processed_range CHECK (frames_processed >= 0),
    last_error         text,
    last_error_at      timestamptz,
    started_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at         timestamptz NOT NULL DEFAULT clock_timestamp()
-- A handful of rows, rewritten every second: leave room for HOT updates.
) WITH (fillfactor = 30);
COMMENT ON TABLE worker_status IS
    'What each worker last said of itself, those included that have ended since; the view workers shows the living.';
COMMENT ON COLUMN worker_status.worker_id IS 'Identifies one run of a worker, never used again; claims carry it.';
COMMENT ON COLUMN worker_status.kind IS 'maintenance, vision or events.';
COMMENT ON COLUMN worker_status.pid IS 'Its process.';
COMMENT ON COLUMN worker_status.backend_start IS 'When that process began: pids are used again.';
COMMENT ON COLUMN worker_status.state IS 'What it does.';
COMMENT ON COLUMN worker_status.detail IS 'What it waits for, where something is missing.';
COMMENT ON COLUMN worker_status.execution_provider IS 'What its models run on.';
COMMENT ON COLUMN worker_status.frames_processed IS 'Messages it has applied.';
COMMENT ON COLUMN worker_status.last_error IS 'The last thing that went wrong.';
COMMENT ON COLUMN worker_status.last_error_at IS 'When that was.';
COMMENT ON COLUMN worker_status.started_at IS 'When the worker began.';
COMMENT ON COLUMN worker_status.updated_at IS 'When the row was last written.';
