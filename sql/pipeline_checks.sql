-- Pipelines and steps are checked by the parsers that the worker uses, whoever writes the rows.

CREATE FUNCTION stream_processing_pipeline_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    PERFORM check_pipeline_config(NEW.pipeline_config);
    IF NEW.dependencies IS DISTINCT FROM NULL THEN
        PERFORM check_step_dependencies(NEW.dependencies);
    END IF;
    NEW.config_version := nextval('pipeline_config_version');
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION stream_processing_pipeline_check() IS
    'Trigger function: refuses a configuration with an unknown key, bad geometry or a value out of range.';

CREATE TRIGGER stream_processing_pipeline_check
    BEFORE INSERT OR UPDATE OF pipeline_type, pipeline_config, dependencies, is_active ON stream_processing_pipeline
    FOR EACH ROW EXECUTE FUNCTION stream_processing_pipeline_check();

CREATE FUNCTION processing_steps_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    PERFORM check_processing_step(NEW.step_name, NEW.step_type, NEW.step_config, NEW.step_conditions);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION processing_steps_check() IS
    'Trigger function: refuses a step whose configuration or conditions its type does not understand.';

CREATE TRIGGER processing_steps_check
    BEFORE INSERT OR UPDATE OF step_name, step_type, step_config, step_conditions ON processing_steps
    FOR EACH ROW EXECUTE FUNCTION processing_steps_check();

CREATE FUNCTION processing_steps_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    UPDATE stream_processing_pipeline
    SET config_version = nextval('pipeline_config_version')
    WHERE pipeline_id IN (OLD.pipeline_id, NEW.pipeline_id);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION processing_steps_changed() IS 'Trigger function: tells the workers that a pipeline''s steps changed.';

CREATE TRIGGER processing_steps_changed
    AFTER INSERT OR DELETE OR UPDATE OF
        pipeline_id, step_name, step_order, step_type, step_config, step_conditions, is_active, is_required
    ON processing_steps
    FOR EACH ROW EXECUTE FUNCTION processing_steps_changed();
