-- Streams, and what is seen in them: tracks, crossings, visits, density. All of it is written by the vision worker,
-- in the transaction that acknowledges the frames it comes from.

CREATE TABLE stream_state (
    camera_id            text NOT NULL
        CONSTRAINT stream_state_camera_id_fkey REFERENCES cameras (camera_id) ON UPDATE CASCADE,
    stream_id            text NOT NULL CONSTRAINT stream_state_stream_id_length CHECK (length(stream_id) BETWEEN 1 AND 100),
    last_frame_timestamp timestamptz,
    last_frame_number    bigint,
    frames_processed     bigint NOT NULL DEFAULT 0,
    claimed_by           bigint,
    lease_until          timestamptz,
    image_quality_score  double precision
        CONSTRAINT stream_state_image_quality_score_range CHECK (image_quality_score BETWEEN 0 AND 100),
    sharpness            double precision CONSTRAINT stream_state_sharpness_range CHECK (sharpness >= 0),
    brightness           double precision CONSTRAINT stream_state_brightness_range CHECK (brightness BETWEEN 0 AND 1),
    fingerprint          bigint,
    unchanged_since      timestamptz,
    is_frozen            boolean,
    picture_seen_at      timestamptz,
    updated_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT stream_state_pkey PRIMARY KEY (camera_id, stream_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE stream_state IS 'One row for each stream: how far it is, and which worker holds it.';
COMMENT ON COLUMN stream_state.camera_id IS 'Which camera.';
COMMENT ON COLUMN stream_state.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN stream_state.last_frame_timestamp IS 'Time of the last frame applied; an older one comes too late.';
COMMENT ON COLUMN stream_state.last_frame_number IS 'Number of the last frame applied.';
COMMENT ON COLUMN stream_state.frames_processed IS 'Messages applied so far.';
COMMENT ON COLUMN stream_state.claimed_by IS 'worker_id of the worker that holds the stream, NULL where it is free.';
COMMENT ON COLUMN stream_state.lease_until IS 'How long the claim is valid without renewal.';
COMMENT ON COLUMN stream_state.image_quality_score IS 'Sharpness and exposure of the last picture in one figure, 0 to 100.';
COMMENT ON COLUMN stream_state.sharpness IS 'Variance of its Laplacian; below about 100 it is blurred.';
COMMENT ON COLUMN stream_state.brightness IS 'Its mean luma, 0 to 1.';
COMMENT ON COLUMN stream_state.fingerprint IS 'Its checksum.';
COMMENT ON COLUMN stream_state.unchanged_since IS 'Time of the first frame that showed the very same picture.';
COMMENT ON COLUMN stream_state.is_frozen IS 'The picture has not changed for five seconds of frame time.';
COMMENT ON COLUMN stream_state.picture_seen_at IS 'When a picture was last looked at, by the server''s clock.';
COMMENT ON COLUMN stream_state.updated_at IS 'When the row was last written.';

CREATE TABLE tracker_state (
    camera_id   text NOT NULL,
    stream_id   text NOT NULL,
    pipeline_id text NOT NULL
        CONSTRAINT tracker_state_pipeline_id_fkey
        REFERENCES stream_processing_pipeline (pipeline_id) ON UPDATE CASCADE ON DELETE CASCADE,
    state       bytea NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT tracker_state_pkey PRIMARY KEY (camera_id, stream_id, pipeline_id),
    CONSTRAINT tracker_state_stream_fkey FOREIGN KEY (camera_id, stream_id)
        REFERENCES stream_state (camera_id, stream_id) ON UPDATE CASCADE ON DELETE CASCADE
) WITH (fillfactor = 50);
-- The foreign key to the pipeline.
CREATE INDEX tracker_state_pipeline ON tracker_state (pipeline_id);
COMMENT ON TABLE tracker_state IS 'What a pipeline remembers of a stream between two frames.';
COMMENT ON COLUMN tracker_state.camera_id IS 'Which camera.';
COMMENT ON COLUMN tracker_state.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN tracker_state.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN tracker_state.state IS 'Tracks, line and zone states and the density grid, in a versioned binary form.';
COMMENT ON COLUMN tracker_state.updated_at IS 'When the row was last written.';

CREATE TABLE tracks (
    camera_id          text NOT NULL,
    stream_id          text NOT NULL,
    pipeline_id        text NOT NULL,
    track_id           bigint NOT NULL,
    class              text NOT NULL,
    first_seen_at      timestamptz NOT NULL,
    last_seen_at       timestamptz NOT NULL,
    frame_count        bigint NOT NULL,
    confidence         double precision CONSTRAINT tracks_confidence_range CHECK (confidence BETWEEN 0 AND 1),
    bbox               double precision[] NOT NULL,
    velocity           double precision[],
    predicted_position double precision[],
    occluded_frames    integer NOT NULL DEFAULT 0,
    trajectory         jsonb NOT NULL DEFAULT '[]',
    status             text NOT NULL CONSTRAINT tracks_status_known CHECK (status IN ('active', 'ended')),
    updated_at         timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (first_seen_at);

-- Keys and indexes are made on the partitions, not on the partitioned table: see partitions.sql.
CREATE TABLE tracks_default PARTITION OF tracks (
    CONSTRAINT tracks_default_pkey PRIMARY KEY (camera_id, stream_id, pipeline_id, track_id, first_seen_at)
) DEFAULT;

COMMENT ON TABLE tracks IS 'Objects that were followed.';
COMMENT ON COLUMN tracks.camera_id IS 'Which camera.';
COMMENT ON COLUMN tracks.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN tracks.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN tracks.track_id IS 'Identity within the stream and pipeline.';
COMMENT ON COLUMN tracks.class IS 'What it is, for example person.';
COMMENT ON COLUMN tracks.first_seen_at IS 'Time of its first frame.';
COMMENT ON COLUMN tracks.last_seen_at IS 'Time of the latest frame it was seen in.';
COMMENT ON COLUMN tracks.frame_count IS 'Frames it was seen in.';
COMMENT ON COLUMN tracks.confidence IS 'Score of its latest detection.';
COMMENT ON COLUMN tracks.bbox IS 'Latest box: x, y, w, h, normalised.';
COMMENT ON COLUMN tracks.velocity IS 'Picture widths and heights a second.';
COMMENT ON COLUMN tracks.predicted_position IS 'Where its foot is expected one second on, normalised.';
COMMENT ON COLUMN tracks.occluded_frames IS 'Frames since it was last seen.';
COMMENT ON COLUMN tracks.trajectory IS 'Where its foot was lately: [[x, y], …], oldest first, bounded.';
COMMENT ON COLUMN tracks.status IS 'active or ended.';
COMMENT ON COLUMN tracks.updated_at IS 'When the row was last written.';

CREATE TABLE line_crossings (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    camera_id       text NOT NULL,
    stream_id       text NOT NULL,
    pipeline_id     text NOT NULL,
    line_name       text NOT NULL,
    track_id        bigint NOT NULL,
    sequence        bigint NOT NULL CONSTRAINT line_crossings_sequence_positive CHECK (sequence > 0),
    direction       text NOT NULL CONSTRAINT line_crossings_direction_known CHECK (direction IN ('in', 'out')),
    label           text NOT NULL,
    class           text NOT NULL,
    x               double precision NOT NULL,
    y               double precision NOT NULL,
    crossed_at      timestamptz NOT NULL,
    ingestion_id    text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (crossed_at);

-- Keys and indexes are made on the partitions, not on the partitioned table: see partitions.sql.
CREATE TABLE line_crossings_default PARTITION OF line_crossings (
    CONSTRAINT line_crossings_default_pkey
        PRIMARY KEY (camera_id, stream_id, pipeline_id, line_name, track_id, sequence, crossed_at)
) DEFAULT;

-- A camera's crossings over time: counts per hour.
CREATE INDEX line_crossings_camera_time ON line_crossings_default (camera_id, crossed_at);

COMMENT ON TABLE line_crossings IS 'Each crossing of a line, once.';
COMMENT ON COLUMN line_crossings.id IS 'Order of writing.';
COMMENT ON COLUMN line_crossings.camera_id IS 'Which camera.';
COMMENT ON COLUMN line_crossings.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN line_crossings.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN line_crossings.line_name IS 'Which line.';
COMMENT ON COLUMN line_crossings.track_id IS 'Who crossed.';
COMMENT ON COLUMN line_crossings.sequence IS 'Which crossing of this line by this track it is.';
COMMENT ON COLUMN line_crossings.direction IS
    'in: toward the right-hand side when looking from the line''s start to its end; out: the other way.';
COMMENT ON COLUMN line_crossings.label IS 'What the line calls that way.';
COMMENT ON COLUMN line_crossings.class IS 'The track''s class.';
COMMENT ON COLUMN line_crossings.x IS 'Where, normalised.';
COMMENT ON COLUMN line_crossings.y IS 'Where, normalised.';
COMMENT ON COLUMN line_crossings.crossed_at IS 'Time of the first frame on the new side.';
COMMENT ON COLUMN line_crossings.ingestion_id IS 'The message whose frame confirmed it.';
COMMENT ON COLUMN line_crossings.created_at IS 'When the row was made.';

CREATE TABLE zone_visits (
    id            bigint GENERATED ALWAYS AS IDENTITY,
    camera_id     text NOT NULL,
    stream_id     text NOT NULL,
    pipeline_id   text NOT NULL,
    zone_name     text NOT NULL,
    track_id      bigint NOT NULL,
    sequence      bigint NOT NULL CONSTRAINT zone_visits_sequence_positive CHECK (sequence > 0),
    class         text NOT NULL,
    entered_at    timestamptz NOT NULL,
    exited_at     timestamptz CONSTRAINT zone_visits_exited_later CHECK (exited_at >= entered_at),
    dwell_seconds double precision CONSTRAINT zone_visits_dwell_range CHECK (dwell_seconds >= 0),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (entered_at);

-- Keys and indexes are made on the partitions, not on the partitioned table: see partitions.sql.
CREATE TABLE zone_visits_default PARTITION OF zone_visits (
    CONSTRAINT zone_visits_default_pkey
        PRIMARY KEY (camera_id, stream_id, pipeline_id, zone_name, track_id, sequence, entered_at)
) DEFAULT;

-- A camera's visits over time: visits per day, dwell times.
CREATE INDEX zone_visits_camera_time ON zone_visits_default (camera_id, entered_at);

COMMENT ON TABLE zone_visits IS 'Each stay of a track in a zone.';
COMMENT ON COLUMN zone_visits.id IS 'Order of writing.';
COMMENT ON COLUMN zone_visits.camera_id IS 'Which camera.';
COMMENT ON COLUMN zone_visits.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN zone_visits.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN zone_visits.zone_name IS 'Which zone.';
COMMENT ON COLUMN zone_visits.track_id IS 'Who.';
COMMENT ON COLUMN zone_visits.sequence IS 'Which visit of this zone by this track it is.';
COMMENT ON COLUMN zone_visits.class IS 'The track''s class.';
COMMENT ON COLUMN zone_visits.entered_at IS 'First time it was seen inside.';
COMMENT ON COLUMN zone_visits.exited_at IS 'Last time it was seen inside; NULL while it is there.';
COMMENT ON COLUMN zone_visits.dwell_seconds IS 'From the first to the last sighting inside, by frame time.';
COMMENT ON COLUMN zone_visits.created_at IS 'When the row was made.';

CREATE TABLE zone_state (
    camera_id      text NOT NULL,
    stream_id      text NOT NULL,
    pipeline_id    text NOT NULL
        CONSTRAINT zone_state_pipeline_id_fkey
        REFERENCES stream_processing_pipeline (pipeline_id) ON UPDATE CASCADE ON DELETE CASCADE,
    zone_name      text NOT NULL,
    occupancy      integer NOT NULL CONSTRAINT zone_state_occupancy_range CHECK (occupancy >= 0),
    is_overcrowded boolean NOT NULL,
    as_of          timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT zone_state_pkey PRIMARY KEY (camera_id, stream_id, pipeline_id, zone_name)
) WITH (fillfactor = 50);
-- The foreign key to the pipeline.
CREATE INDEX zone_state_pipeline ON zone_state (pipeline_id);
COMMENT ON TABLE zone_state IS 'How many are in each zone now.';
COMMENT ON COLUMN zone_state.camera_id IS 'Which camera.';
COMMENT ON COLUMN zone_state.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN zone_state.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN zone_state.zone_name IS 'Which zone.';
COMMENT ON COLUMN zone_state.occupancy IS 'Tracks inside, those hidden for the moment included.';
COMMENT ON COLUMN zone_state.is_overcrowded IS 'Whether it has been at its limit for as long as configured.';
COMMENT ON COLUMN zone_state.as_of IS 'Time of the frame that says so.';
COMMENT ON COLUMN zone_state.updated_at IS 'When the row was last written.';

CREATE TABLE density_cells (
    camera_id      text NOT NULL,
    stream_id      text NOT NULL,
    pipeline_id    text NOT NULL,
    bucket_start   timestamptz NOT NULL,
    grid_columns   integer NOT NULL CONSTRAINT density_cells_grid_columns_range CHECK (grid_columns > 0),
    grid_rows      integer NOT NULL CONSTRAINT density_cells_grid_rows_range CHECK (grid_rows > 0),
    cell_x         integer NOT NULL CONSTRAINT density_cells_cell_x_range CHECK (cell_x >= 0),
    cell_y         integer NOT NULL CONSTRAINT density_cells_cell_y_range CHECK (cell_y >= 0),
    person_seconds double precision NOT NULL CONSTRAINT density_cells_person_seconds_range CHECK (person_seconds >= 0),
    heat           double precision NOT NULL CONSTRAINT density_cells_heat_range CHECK (heat >= 0)
) PARTITION BY RANGE (bucket_start);

-- Keys and indexes are made on the partitions, not on the partitioned table: see partitions.sql.
CREATE TABLE density_cells_default PARTITION OF density_cells (
    CONSTRAINT density_cells_default_pkey
        PRIMARY KEY (camera_id, stream_id, pipeline_id, bucket_start, grid_columns, grid_rows, cell_x, cell_y)
) DEFAULT WITH (fillfactor = 70);

COMMENT ON TABLE density_cells IS 'How long somebody stood in each cell of a grid over the picture, minute by minute.';
COMMENT ON COLUMN density_cells.camera_id IS 'Which camera.';
COMMENT ON COLUMN density_cells.stream_id IS 'Which stream of the camera.';
COMMENT ON COLUMN density_cells.pipeline_id IS 'Which pipeline.';
COMMENT ON COLUMN density_cells.bucket_start IS 'The minute.';
COMMENT ON COLUMN density_cells.grid_columns IS 'Cells across.';
COMMENT ON COLUMN density_cells.grid_rows IS 'Cells down.';
COMMENT ON COLUMN density_cells.cell_x IS 'From 0 at the left.';
COMMENT ON COLUMN density_cells.cell_y IS 'From 0 at the top.';
COMMENT ON COLUMN density_cells.person_seconds IS 'Persons times seconds.';
COMMENT ON COLUMN density_cells.heat IS
    'Person-seconds that fade with the grid''s half-life, as of the last frame of the minute that touched the cell.';
