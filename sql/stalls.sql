-- Cameras that have fallen silent.

CREATE TABLE stalled_cameras (
    camera_id       text PRIMARY KEY
        CONSTRAINT stalled_cameras_camera_id_fkey REFERENCES cameras (camera_id) ON UPDATE CASCADE ON DELETE CASCADE,
    last_message_at timestamptz NOT NULL,
    noticed_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE stalled_cameras IS
    'Cameras that have streams and have sent nothing for camcount.stall_after; a row goes with the next message.';
COMMENT ON COLUMN stalled_cameras.camera_id IS 'Which camera.';
COMMENT ON COLUMN stalled_cameras.last_message_at IS 'When its last message came in.';
COMMENT ON COLUMN stalled_cameras.noticed_at IS 'When that was found to be too long ago.';

CREATE FUNCTION wants_event(p_camera_id text, p_event_type text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = camcount, pg_catalog, pg_temp AS $$
    -- A configuration that names no cameras serves all, and one that names no events asks for all.
    SELECT EXISTS (SELECT FROM stream_processing_pipeline
                   WHERE is_active AND coalesce(pipeline_config -> 'cameras' ?| ARRAY['*', p_camera_id], true)
                     AND coalesce(pipeline_config #> '{outputs,events}' ? p_event_type, true))
$$;
COMMENT ON FUNCTION wants_event(text, text) IS
    'Whether a pipeline that serves the camera asks for this kind of event.';

CREATE FUNCTION note_stalled_cameras(p_after interval) RETURNS integer
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
DECLARE
    v_noted  integer := 0;
    v_camera record;
BEGIN
    IF p_after > interval '0' IS NOT TRUE THEN
        RAISE EXCEPTION 'p_after must be positive, got %', coalesce(p_after::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR v_camera IN
        WITH recovered AS (
            DELETE FROM stalled_cameras s
            WHERE EXISTS (SELECT FROM realtime_data_ingestion m
                          WHERE m.camera_id = s.camera_id AND m.ingestion_timestamp > s.last_message_at)
            RETURNING camera_id, last_message_at
        )
        SELECT r.camera_id, r.last_message_at,
               (SELECT min(m.ingestion_timestamp) FROM realtime_data_ingestion m
                WHERE m.camera_id = r.camera_id AND m.ingestion_timestamp > r.last_message_at) AS recovered_at
        FROM recovered r
        ORDER BY r.camera_id
    LOOP
        v_noted := v_noted + 1;
        IF wants_event(v_camera.camera_id, 'camera_recovered') THEN
            PERFORM publish_event(v_camera.camera_id, 'camera', 'camera_recovered', jsonb_build_object(
                'last_message_at', v_camera.last_message_at, 'recovered_at', v_camera.recovered_at,
                'silent_seconds', round(extract(epoch FROM v_camera.recovered_at - v_camera.last_message_at), 3)),
                '{}', 'camcount');
        END IF;
    END LOOP;

    -- While the server was down no camera could be heard.
    IF pg_postmaster_start_time() > clock_timestamp() - p_after THEN
        RETURN v_noted;
    END IF;
    FOR v_camera IN
        WITH stalled AS (
            INSERT INTO stalled_cameras (camera_id, last_message_at)
            SELECT s.camera_id, coalesce(
                       (SELECT max(m.ingestion_timestamp) FROM realtime_data_ingestion m
                        WHERE m.camera_id = s.camera_id), max(s.updated_at))
            FROM stream_state s
            WHERE NOT EXISTS (SELECT FROM realtime_data_ingestion m
                              WHERE m.camera_id = s.camera_id
                                AND m.ingestion_timestamp > clock_timestamp() - p_after)
              AND NOT EXISTS (SELECT FROM stalled_cameras k WHERE k.camera_id = s.camera_id)
            GROUP BY s.camera_id
            ON CONFLICT (camera_id) DO NOTHING
            RETURNING camera_id, last_message_at, noticed_at
        )
        SELECT * FROM stalled ORDER BY camera_id
    LOOP
        v_noted := v_noted + 1;
        IF wants_event(v_camera.camera_id, 'camera_stalled') THEN
            PERFORM publish_event(v_camera.camera_id, 'camera', 'camera_stalled', jsonb_build_object(
                'last_message_at', v_camera.last_message_at,
                'silent_seconds', round(extract(epoch FROM v_camera.noticed_at - v_camera.last_message_at), 3)),
                '{}', 'camcount');
        END IF;
    END LOOP;
    RETURN v_noted;
END
$$;
COMMENT ON FUNCTION note_stalled_cameras(interval) IS
    'Notes cameras that fell silent or are heard again, publishes camera_stalled and camera_recovered for pipelines that ask for them, and returns how many; the maintenance worker calls it.';
