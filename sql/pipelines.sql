-- Pipelines, their steps, and what they found in each frame.

-- A configuration's version is never used twice, not even by a pipeline that is made anew under an old id.
CREATE SEQUENCE pipeline_config_version;

CREATE TABLE stream_processing_pipeline (
    id                     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline_id            text NOT NULL CONSTRAINT stream_processing_pipeline_pipeline_id_key UNIQUE
        CONSTRAINT stream_processing_pipeline_pipeline_id_length CHECK (length(pipeline_id) BETWEEN 1 AND 100),
    pipeline_name          text NOT NULL
        CONSTRAINT stream_processing_pipeline_pipeline_name_length CHECK (length(pipeline_name) BETWEEN 1 AND 200),
    pipeline_type          text NOT NULL
        CONSTRAINT stream_processing_pipeline_pipeline_type_known
        CHECK (pipeline_type IN ('detection', 'tracking', 'counting', 'analytics')),
    pipeline_config        jsonb NOT NULL,
    processing_steps       jsonb,
    dependencies           jsonb,
    is_active              boolean NOT NULL DEFAULT true,
    is_running             boolean NOT NULL DEFAULT false,
    current_step           text,
    frames_processed       bigint NOT NULL DEFAULT 0,
    frames_failed          bigint NOT NULL DEFAULT 0,
    processing_rate_fps    double precision,
    avg_processing_time_ms double precision,
    error_rate             double precision
        CONSTRAINT stream_processing_pipeline_error_rate_range CHECK (error_rate BETWEEN 0 AND 100),
    config_version         bigint NOT NULL DEFAULT nextval('pipeline_config_version'),
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at             timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE stream_processing_pipeline IS 'What is done with which cameras.';
COMMENT ON COLUMN stream_processing_pipeline.id IS 'Order of creation.';
COMMENT ON COLUMN stream_processing_pipeline.pipeline_id IS 'Name used everywhere else.';
COMMENT ON COLUMN stream_processing_pipeline.pipeline_name IS 'What people call it.';
COMMENT ON COLUMN stream_processing_pipeline.pipeline_type IS
    'How far a frame goes: detection, tracking, counting (lines and zones) or analytics (density as well).';
COMMENT ON COLUMN stream_processing_pipeline.pipeline_config IS
    'Cameras, model, classes, lines, zones, density grid and outputs; checked on writing. See docs/pipelines.md.';
COMMENT ON COLUMN stream_processing_pipeline.processing_steps IS
    'As documented; not read: the rows of the table processing_steps count.';
COMMENT ON COLUMN stream_processing_pipeline.dependencies IS
    'Which steps need which, for example {"report": ["count"]}; refused where it has a cycle.';
COMMENT ON COLUMN stream_processing_pipeline.is_active IS 'Whether workers serve it.';
COMMENT ON COLUMN stream_processing_pipeline.is_running IS 'Whether frames went through it lately.';
COMMENT ON COLUMN stream_processing_pipeline.current_step IS 'The last step that ran.';
COMMENT ON COLUMN stream_processing_pipeline.frames_processed IS 'Since it was made.';
COMMENT ON COLUMN stream_processing_pipeline.frames_failed IS 'Since it was made.';
COMMENT ON COLUMN stream_processing_pipeline.processing_rate_fps IS 'Frames a second, as last rolled up.';
COMMENT ON COLUMN stream_processing_pipeline.avg_processing_time_ms IS 'For one frame, model run included, as last rolled up.';
COMMENT ON COLUMN stream_processing_pipeline.error_rate IS 'Percent of frames that failed, since it was made.';
COMMENT ON COLUMN stream_processing_pipeline.config_version IS 'Changes with everything that workers must take up.';
COMMENT ON COLUMN stream_processing_pipeline.created_at IS 'When the row was made.';
COMMENT ON COLUMN stream_processing_pipeline.updated_at IS 'When the row was last written.';

CREATE TRIGGER stream_processing_pipeline_updated_at BEFORE UPDATE ON stream_processing_pipeline
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE processing_steps (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline_id           text NOT NULL
        CONSTRAINT processing_steps_pipeline_id_fkey
        REFERENCES stream_processing_pipeline (pipeline_id) ON UPDATE CASCADE ON DELETE CASCADE,
    step_name             text NOT NULL
        CONSTRAINT processing_steps_step_name_length CHECK (length(step_name) BETWEEN 1 AND 100),
    step_order            integer NOT NULL,
    step_type             text NOT NULL
        CONSTRAINT processing_steps_step_type_known CHECK (step_type IN ('filter', 'transform', 'aggregate', 'output')),
    step_config           jsonb NOT NULL DEFAULT '{}',
    step_conditions       jsonb NOT NULL DEFAULT '{}',
    is_active             boolean NOT NULL DEFAULT true,
    is_required           boolean NOT NULL DEFAULT true,
    execution_count       bigint NOT NULL DEFAULT 0,
    avg_execution_time_ms double precision,
    success_rate          double precision
        CONSTRAINT processing_steps_success_rate_range CHECK (success_rate BETWEEN 0 AND 100),
    error_count           bigint NOT NULL DEFAULT 0,
    created_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Also serves the foreign key.
    CONSTRAINT processing_steps_name_key UNIQUE (pipeline_id, step_name)
);
COMMENT ON TABLE processing_steps IS 'What a pipeline does with a frame''s detections between the detector and the tracker.';
COMMENT ON COLUMN processing_steps.id IS 'Order of creation.';
COMMENT ON COLUMN processing_steps.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN processing_steps.step_name IS 'Name of the step; results carry it.';
COMMENT ON COLUMN processing_steps.step_order IS 'Steps run in this order, where dependencies do not say otherwise.';
COMMENT ON COLUMN processing_steps.step_type IS 'filter, transform, aggregate or output.';
COMMENT ON COLUMN processing_steps.step_config IS 'What it does; see docs/pipelines.md.';
COMMENT ON COLUMN processing_steps.step_conditions IS 'When it runs; always, where empty.';
COMMENT ON COLUMN processing_steps.is_active IS 'Whether it runs at all.';
COMMENT ON COLUMN processing_steps.is_required IS 'Whether its failure fails the frame.';
COMMENT ON COLUMN processing_steps.execution_count IS 'How often it ran.';
COMMENT ON COLUMN processing_steps.avg_execution_time_ms IS 'Over all executions.';
COMMENT ON COLUMN processing_steps.success_rate IS 'Percent of executions that did not fail.';
COMMENT ON COLUMN processing_steps.error_count IS 'Executions that failed.';
COMMENT ON COLUMN processing_steps.created_at IS 'When the row was made.';

CREATE TABLE processing_results (
    id                 bigint GENERATED ALWAYS AS IDENTITY,
    -- No foreign keys: they would lock the pipeline's row with every frame, and the ingestion row is dropped with its
    -- partition. The worker writes results only of pipelines and messages that it has read.
    pipeline_id        text NOT NULL,
    ingestion_id       text NOT NULL,
    camera_id          text NOT NULL,
    stream_id          text NOT NULL,
    frame_timestamp    timestamptz NOT NULL,
    frame_number       bigint NOT NULL,
    step_name          text NOT NULL,
    result_data        jsonb,
    result_metadata    jsonb,
    processing_time_ms double precision,
    memory_usage_mb    double precision,
    cpu_usage_percent  double precision,
    status             text NOT NULL DEFAULT 'completed'
        CONSTRAINT processing_results_status_known CHECK (status IN ('completed', 'failed', 'skipped')),
    error_message      text,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (frame_timestamp);

-- Keys and indexes are made on the partitions, not on the partitioned table: see partitions.sql.
CREATE TABLE processing_results_default PARTITION OF processing_results (
    -- A frame gives each step of a pipeline one result, however often it is tried.
    CONSTRAINT processing_results_default_pkey
        PRIMARY KEY (ingestion_id, pipeline_id, step_name, camera_id, frame_timestamp)
) DEFAULT;

-- A stream's results over time: trails, exports.
CREATE INDEX processing_results_stream_time ON processing_results_default (camera_id, stream_id, frame_timestamp);

COMMENT ON TABLE processing_results IS 'What each step of a pipeline made of each frame.';
COMMENT ON COLUMN processing_results.id IS 'Order of writing.';
COMMENT ON COLUMN processing_results.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN processing_results.ingestion_id IS 'Which message.';
COMMENT ON COLUMN processing_results.camera_id IS 'Which camera.';
COMMENT ON COLUMN processing_results.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN processing_results.frame_timestamp IS 'When the frame was taken.';
COMMENT ON COLUMN processing_results.frame_number IS 'The sender''s number.';
COMMENT ON COLUMN processing_results.step_name IS 'detect, track, or the name of a row of processing_steps.';
COMMENT ON COLUMN processing_results.result_data IS
    'detect: width, height, detections. track: width, height, tracks, occupancy. Boxes are [x, y, w, h], normalised.';
COMMENT ON COLUMN processing_results.result_metadata IS 'The frame''s metadata that travels with results.';
COMMENT ON COLUMN processing_results.processing_time_ms IS 'Time of the step for this frame.';
COMMENT ON COLUMN processing_results.memory_usage_mb IS 'NULL: not measured per frame.';
COMMENT ON COLUMN processing_results.cpu_usage_percent IS 'NULL: not measured per frame.';
COMMENT ON COLUMN processing_results.status IS 'completed, failed or skipped.';
COMMENT ON COLUMN processing_results.error_message IS 'Why it failed or was skipped.';
COMMENT ON COLUMN processing_results.created_at IS 'When the row was made.';
