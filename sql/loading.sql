-- Loading many frames at once: COPY, or INSERT … SELECT, into a view.

CREATE VIEW frame_loader AS
SELECT ''::text AS camera_id, ''::text AS stream_id, now() AS frame_timestamp, 0::bigint AS frame_number,
       ''::bytea AS image, '{}'::jsonb AS metadata, NULL::text AS queue_id
WHERE false;
COMMENT ON VIEW frame_loader IS 'Rows that are copied or inserted into it go through ingest_frame; it shows none.';
COMMENT ON COLUMN frame_loader.camera_id IS 'Which camera.';
COMMENT ON COLUMN frame_loader.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN frame_loader.frame_timestamp IS 'When the frame was taken.';
COMMENT ON COLUMN frame_loader.frame_number IS 'The sender''s number of the frame.';
COMMENT ON COLUMN frame_loader.image IS 'A JPEG or PNG file.';
COMMENT ON COLUMN frame_loader.metadata IS 'What travels with the frame; {} where it is left out.';
COMMENT ON COLUMN frame_loader.queue_id IS 'Another queue than normal.';

CREATE FUNCTION load_frame() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM camcount.ingest_frame(NEW.camera_id, NEW.stream_id, NEW.frame_timestamp, NEW.frame_number, NEW.image,
                                  coalesce(NEW.metadata, '{}'), NEW.queue_id);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION load_frame() IS 'Trigger function: ingests the row.';
CREATE TRIGGER frame_loader_load INSTEAD OF INSERT ON frame_loader FOR EACH ROW EXECUTE FUNCTION load_frame();
