-- Cameras and the people who work with them.

CREATE FUNCTION set_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = camcount, pg_catalog, pg_temp AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION set_updated_at() IS 'Trigger function: stamps the row with the time of the write.';

CREATE TABLE cameras (
    camera_id   text PRIMARY KEY CONSTRAINT cameras_camera_id_length CHECK (length(camera_id) BETWEEN 1 AND 100),
    camera_name text CONSTRAINT cameras_camera_name_length CHECK (length(camera_name) <= 200),
    -- Raises an error of its own for a zone that the server does not know.
    time_zone   text NOT NULL DEFAULT 'UTC'
        CONSTRAINT cameras_time_zone_known CHECK (timezone(time_zone, timestamptz '2000-01-01 00:00:00+00') IS NOT NULL),
    location    text,
    latitude    double precision CONSTRAINT cameras_latitude_range CHECK (latitude BETWEEN -90 AND 90),
    longitude   double precision CONSTRAINT cameras_longitude_range CHECK (longitude BETWEEN -180 AND 180),
    metadata    jsonb NOT NULL DEFAULT '{}',
    is_active   boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE cameras IS 'Every camera; one is added by itself when its first frame comes in.';
COMMENT ON COLUMN cameras.camera_id IS 'The id that applications send with each frame.';
COMMENT ON COLUMN cameras.camera_name IS 'What people call it.';
COMMENT ON COLUMN cameras.time_zone IS 'Where its hours, days, weeks and months begin, for example Asia/Ho_Chi_Minh.';
COMMENT ON COLUMN cameras.location IS 'Where it hangs, in words.';
COMMENT ON COLUMN cameras.latitude IS 'Degrees north.';
COMMENT ON COLUMN cameras.longitude IS 'Degrees east.';
COMMENT ON COLUMN cameras.metadata IS 'Whatever else the owner wants to keep.';
COMMENT ON COLUMN cameras.is_active IS 'For the owner''s lists; frames of an inactive camera are still taken.';
COMMENT ON COLUMN cameras.created_at IS 'When the row was made.';
COMMENT ON COLUMN cameras.updated_at IS 'When the row was last written.';

CREATE TRIGGER cameras_updated_at BEFORE UPDATE ON cameras FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE users (
    id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CONSTRAINT users_name_length CHECK (length(name) BETWEEN 1 AND 200)
);
COMMENT ON TABLE users IS 'Who caused an event, where somebody did.';
COMMENT ON COLUMN users.id IS 'What event_store.user_id refers to.';
COMMENT ON COLUMN users.name IS 'Name shown.';
