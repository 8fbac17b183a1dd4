"""The messages that the benchmarks send: two detected people, from cameras that number their frames upwards."""

PAYLOAD = (
    '{"width": 1920, "height": 1080, "detections": '
    '[{"class": "person", "confidence": 0.91, "bbox": [0.41, 0.22, 0.06, 0.31]},'
    ' {"class": "person", "confidence": 0.77, "bbox": [0.52, 0.25, 0.05, 0.29]}]}'
)
# Random numbers would scatter a camera's messages over the index, which no camera does.
FRAME_NUMBER = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
BATCH = 1000
BATCH_CAMERAS = 10


def batches(count):
    """A query of `count` batches as jsonb, b from 1, with messages that were not sent before."""
    return f"""
        SELECT b, jsonb_agg(jsonb_build_object(
            'camera_id', 'camera ' || i % {BATCH_CAMERAS}, 'stream_id', 'main', 'data_type', 'detection',
            'frame_timestamp', timestamptz 'epoch' + number * interval '1 microsecond', 'frame_number', number,
            'data_payload', '{PAYLOAD}'::jsonb) ORDER BY i) AS batch
        FROM generate_series(1, {count}) b, generate_series(1, {BATCH}) i, LATERAL (
            SELECT (extract(epoch FROM now()) * 1000000)::bigint + b * {BATCH} + i AS number) AS frame
        GROUP BY b"""


def stored_batches(count, *sides):
    """A table of `count` batches, and a sequence for each of the sides to take them in order."""
    sequences = "".join(f"CREATE SEQUENCE {side}_batch;" for side in sides)
    return f"""{sequences}
        CREATE TABLE bench_batches (id bigint PRIMARY KEY, batch jsonb NOT NULL);
        ALTER TABLE bench_batches ALTER COLUMN batch SET STORAGE EXTERNAL;
        INSERT INTO bench_batches {batches(count)};"""
