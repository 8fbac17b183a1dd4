-- Models, each version with its file.

CREATE TABLE models (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_name      text NOT NULL CONSTRAINT models_model_name_length CHECK (length(model_name) BETWEEN 1 AND 100),
    model_version   integer NOT NULL CONSTRAINT models_model_version_positive CHECK (model_version > 0),
    sha256          text NOT NULL CONSTRAINT models_sha256_hex CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    onnx            bytea NOT NULL,
    config          jsonb NOT NULL,
    resolved_config jsonb NOT NULL,
    is_current      boolean NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT models_name_version_key UNIQUE (model_name, model_version)
);
-- Weights do not compress: keep them out of line as they are.
ALTER TABLE models ALTER COLUMN onnx SET STORAGE EXTERNAL;
-- One version serves; the worker asks for it by name.
CREATE UNIQUE INDEX models_current ON models (model_name) WHERE is_current;
COMMENT ON TABLE models IS 'Models as register_model stored them; write through it, not to this table.';
COMMENT ON COLUMN models.id IS 'Identifies a version over all models.';
COMMENT ON COLUMN models.model_name IS 'The name that pipelines use.';
COMMENT ON COLUMN models.model_version IS 'Counts from 1 for each name.';
COMMENT ON COLUMN models.sha256 IS 'Of the file, in hex.';
COMMENT ON COLUMN models.onnx IS 'The ONNX file.';
COMMENT ON COLUMN models.config IS 'The configuration as it was given.';
COMMENT ON COLUMN models.resolved_config IS 'What follows from the configuration and the file: inputs, classes, thresholds.';
COMMENT ON COLUMN models.is_current IS 'Whether this version serves.';
COMMENT ON COLUMN models.created_at IS 'When it was registered.';

CREATE FUNCTION list_models()
RETURNS TABLE (model_name text, model_version integer, is_current boolean, sha256 text, bytes bigint,
               head text, classes integer, created_at timestamptz)
LANGUAGE sql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
    SELECT m.model_name, m.model_version, m.is_current, m.sha256, octet_length(m.onnx)::bigint,
           m.resolved_config ->> 'head', jsonb_array_length(m.resolved_config -> 'classes'), m.created_at
    FROM models m
    ORDER BY m.model_name, m.model_version
$$;
COMMENT ON FUNCTION list_models() IS 'The registered models, every version, without their files.';
