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
    jitter_ms                 double precision CONSTRAINT ingestion_monitoring_jitter_ms_range CHECK (jitter_ms >= 0),
    lost_frames               bigint CONSTRAINT ingestion_monitoring_lost_frames_range CHECK (lost_frames >= 0),
    image_quality_score       double precision
        CONSTRAINT ingestion_monitoring_image_quality_score_range CHECK (image_quality_score BETWEEN 0 AND 100),
    sharpness                 double precision CONSTRAINT ingestion_monitoring_sharpness_range CHECK (sharpness >= 0),
    brightness                double precision
        CONSTRAINT ingestion_monitoring_brightness_range CHECK (brightness BETWEEN 0 AND 1),
    is_frozen                 boolean,
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
COMMENT ON COLUMN ingestion_monitoring.jitter_ms IS 'Interarrival jitter of RFC 3550 over the last minute; of several streams the worst.';
COMMENT ON COLUMN ingestion_monitoring.lost_frames IS 'Gaps in the frame numbers.';
COMMENT ON COLUMN ingestion_monitoring.image_quality_score IS 'Sharpness and exposure in one figure, 0 to 100; of several streams the worst, 0 where one is frozen; NULL where no picture was looked at.';
COMMENT ON COLUMN ingestion_monitoring.sharpness IS 'Variance of the Laplacian; below about 100 a picture is blurred; of several streams the worst.';
COMMENT ON COLUMN ingestion_monitoring.brightness IS 'Mean luma, 0 to 1; of several streams the mean.';
COMMENT ON COLUMN ingestion_monitoring.is_frozen IS 'A stream shows the very same picture for five seconds.';
COMMENT ON COLUMN ingestion_monitoring.created_at IS 'When the row was made.';

-- RFC 3550, section 6.4.1: a sixteenth of each difference between two transit times.
CREATE FUNCTION interarrival_jitter_step(p_state double precision[], p_transit_ms double precision)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN ARRAY[coalesce(p_state[1], 0) + (abs(p_transit_ms - p_state[2]) - coalesce(p_state[1], 0)) / 16, p_transit_ms];
COMMENT ON FUNCTION interarrival_jitter_step(double precision[], double precision) IS 'State of interarrival_jitter after one more message.';

CREATE FUNCTION interarrival_jitter_of(p_state double precision[])
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN p_state[1];
COMMENT ON FUNCTION interarrival_jitter_of(double precision[]) IS 'Result of interarrival_jitter; NULL of less than two messages.';

CREATE AGGREGATE interarrival_jitter(p_transit_ms double precision) (
    SFUNC = interarrival_jitter_step,
    STYPE = double precision[],
    FINALFUNC = interarrival_jitter_of,
    INITCOND = '{NULL,NULL}'
);
COMMENT ON AGGREGATE interarrival_jitter(double precision) IS 'Jitter of RFC 3550, in milliseconds, of transit times (arrival minus sending), in order of arrival.';

CREATE FUNCTION sample_ingestion(p_from timestamptz, p_to timestamptz)
RETURNS bigint
LANGUAGE sql
BEGIN ATOMIC
WITH arrived AS MATERIALIZED (
    SELECT message.camera_id, message.stream_id, message.ingestion_timestamp, message.frame_timestamp,
           message.data_size_bytes, message.ingestion_latency_ms, message.processing_status, message.retry_count,
           message.total_latency_ms - message.processing_latency_ms AS wait_ms,
           message.ingestion_timestamp >= p_from AS is_new,
           greatest(0, message.frame_number - 1 - lag(message.frame_number) OVER (
               PARTITION BY message.camera_id, message.stream_id
               ORDER BY message.frame_timestamp, message.frame_number)) AS gap
    FROM cameras
    -- A camera at a time, so that the index by camera and time serves.
    CROSS JOIN LATERAL (
        SELECT * FROM realtime_data_ingestion AS message
        WHERE message.camera_id = cameras.camera_id
          AND message.ingestion_timestamp >= least(p_from, p_to - interval '1 minute')
          AND message.ingestion_timestamp < p_to
    ) AS message
), jitter AS (
    SELECT stream.camera_id, max(stream.jitter_ms) AS jitter_ms
    FROM (
        SELECT camera_id, stream_id,
               interarrival_jitter(extract(epoch FROM ingestion_timestamp - frame_timestamp)::double precision * 1000
                                   ORDER BY ingestion_timestamp, frame_timestamp) AS jitter_ms
        FROM arrived GROUP BY camera_id, stream_id
    ) AS stream
    GROUP BY stream.camera_id
), sample AS (
    SELECT camera_id, count(*) AS messages, avg(ingestion_latency_ms) AS latency_ms, sum(data_size_bytes) AS bytes,
           avg(wait_ms) AS wait_ms, count(*) FILTER (WHERE processing_status = 'failed') AS errors,
           sum(retry_count) AS retries, sum(gap) AS lost
    FROM arrived
    WHERE is_new
    GROUP BY camera_id
), picture AS (
    SELECT camera_id, min(CASE WHEN is_frozen THEN 0 ELSE image_quality_score END) AS score,
           min(sharpness) AS sharpness, avg(brightness) AS brightness, bool_or(is_frozen) AS is_frozen
    FROM stream_state
    WHERE picture_seen_at >= p_from
    GROUP BY camera_id
), written AS (
    INSERT INTO ingestion_monitoring
        (camera_id, metric_timestamp, ingestion_rate_fps, ingestion_latency_ms, ingestion_throughput_mbps, queue_size,
         queue_wait_time_ms, error_count, error_rate, retry_count, jitter_ms, lost_frames, image_quality_score,
         sharpness, brightness, is_frozen)
    SELECT cameras.camera_id, p_to,
           coalesce(sample.messages, 0) / extract(epoch FROM p_to - p_from),
           sample.latency_ms,
           coalesce(sample.bytes, 0) * 8 / 1e6 / extract(epoch FROM p_to - p_from),
           (SELECT count(*) FROM stream_items AS item
            WHERE item.camera_id = cameras.camera_id AND item.status = 'queued'),
           sample.wait_ms, coalesce(sample.errors, 0), 100.0 * sample.errors / sample.messages,
           coalesce(sample.retries, 0), jitter.jitter_ms, coalesce(sample.lost, 0), picture.score, picture.sharpness,
           picture.brightness, picture.is_frozen
    FROM cameras
    LEFT JOIN sample USING (camera_id)
    LEFT JOIN jitter USING (camera_id)
    LEFT JOIN picture USING (camera_id)
    -- A camera that has fallen silent has one row that says so, and then none.
    WHERE sample.messages > 0 OR picture.score IS NOT NULL OR 0 < (
        SELECT before.ingestion_rate_fps FROM ingestion_monitoring AS before
        WHERE before.camera_id = cameras.camera_id ORDER BY before.metric_timestamp DESC LIMIT 1)
    RETURNING 1
)
SELECT count(*) FROM written;
END;
COMMENT ON FUNCTION sample_ingestion(timestamptz, timestamptz) IS 'Measures each camera''s ingestion between two moments, the second excluded, into ingestion_monitoring; returns how many rows. The maintenance worker calls it every camcount.monitor_interval.';

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
