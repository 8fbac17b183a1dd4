-- What sessions remember of counters and time zones, and what is pending in shared memory, follows the tables.

CREATE FUNCTION realtime_counters_check_config() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    PERFORM check_counter_config(NEW.counter_config);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION realtime_counters_check_config() IS
    'Trigger function: refuses a configuration with an unknown key or value.';

-- Increments do not come here: most are written without the executor.
CREATE TRIGGER realtime_counters_check_config BEFORE INSERT OR UPDATE OF counter_config ON realtime_counters
    FOR EACH ROW WHEN (NEW.counter_config <> '{}') EXECUTE FUNCTION realtime_counters_check_config();

CREATE FUNCTION realtime_counters_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    PERFORM forget_counter(OLD.id);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION realtime_counters_changed() IS
    'Trigger function: the row was written by somebody who does not know what is buffered for it.';
CREATE TRIGGER realtime_counters_changed AFTER DELETE OR UPDATE ON realtime_counters
    FOR EACH ROW EXECUTE FUNCTION realtime_counters_changed();

CREATE FUNCTION realtime_counters_reconfigured() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    PERFORM forget_counters(TG_OP = 'TRUNCATE');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION realtime_counters_reconfigured() IS
    'Trigger function: tells all sessions that a counter''s name or configuration has changed, or that it is gone.';
CREATE TRIGGER realtime_counters_reconfigured
    AFTER DELETE OR UPDATE OF id, camera_id, counter_name, counter_config ON realtime_counters
    FOR EACH STATEMENT EXECUTE FUNCTION realtime_counters_reconfigured();
CREATE TRIGGER realtime_counters_truncated AFTER TRUNCATE ON realtime_counters
    FOR EACH STATEMENT EXECUTE FUNCTION realtime_counters_reconfigured();

CREATE FUNCTION cameras_time_zone_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    PERFORM forget_time_zones();
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION cameras_time_zone_changed() IS
    'Trigger function: tells all sessions that a camera''s time zone has changed. A camera that is not known has UTC.';
CREATE TRIGGER cameras_time_zone_set AFTER INSERT ON cameras
    FOR EACH ROW WHEN (NEW.time_zone <> 'UTC') EXECUTE FUNCTION cameras_time_zone_changed();
CREATE TRIGGER cameras_time_zone_changed AFTER UPDATE OF camera_id, time_zone ON cameras
    FOR EACH ROW WHEN (OLD.time_zone <> NEW.time_zone OR OLD.camera_id <> NEW.camera_id)
    EXECUTE FUNCTION cameras_time_zone_changed();
CREATE TRIGGER cameras_time_zone_gone AFTER DELETE ON cameras
    FOR EACH ROW WHEN (OLD.time_zone <> 'UTC') EXECUTE FUNCTION cameras_time_zone_changed();
CREATE TRIGGER cameras_time_zones_gone AFTER TRUNCATE ON cameras
    FOR EACH STATEMENT EXECUTE FUNCTION cameras_time_zone_changed();
