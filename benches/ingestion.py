"""Messages and frames into the database, beside the documented PL/pgSQL and a bare INSERT."""

import os
import tempfile
from pathlib import Path

import harness

SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
BATCHES = 40
PAYLOAD = (
    '{"width": 1920, "height": 1080, "detections": '
    '[{"class": "person", "confidence": 0.91, "bbox": [0.41, 0.22, 0.06, 0.31]},'
    ' {"class": "person", "confidence": 0.77, "bbox": [0.52, 0.25, 0.05, 0.29]}]}'
)


def single(schema):
    """One message a transaction, every client with its own camera."""
    now = "clock_timestamp()" if schema == "camcount" else "clock_timestamp()::timestamp"
    return f"""\\set n random(1, 1000000000000)
        SELECT {schema}.ingest_realtime_data('camera ' || :client_id, 'main', {now}, :n,
                                             'detection', '{PAYLOAD}'::jsonb);"""


def batch(schema):
    """A batch of 1000 messages, which is there already, a transaction."""
    return f"""SELECT {schema}.batch_ingest_data(batch) FROM bench_batches
        WHERE id = (SELECT nextval('{schema}_batch'));"""


BATCHES_SQL = f"""
    CREATE TABLE bench_batches (id bigint PRIMARY KEY, batch jsonb NOT NULL);
    ALTER TABLE bench_batches ALTER COLUMN batch SET STORAGE EXTERNAL;
    INSERT INTO bench_batches
    SELECT b, jsonb_agg(jsonb_build_object(
        'camera_id', 'batch ' || i % 10, 'stream_id', 'main', 'frame_number', b * 1000 + i, 'data_type', 'detection',
        'frame_timestamp', now() + (b * 1000 + i) * interval '1 ms', 'data_payload', '{PAYLOAD}'::jsonb))
    FROM generate_series(1, {BATCHES * 9}) b, generate_series(1, 1000) i GROUP BY b;
    CREATE SEQUENCE camcount_batch;
    CREATE SEQUENCE documented_batch;
"""


def load_frame(server):
    """A JPEG of about 50 KB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame.jpg")
        harness.extract_frames(path, 1, quality=4)
        image = path.read_bytes()
    server.run(f"""CREATE TABLE bench_frame (image bytea NOT NULL);
        ALTER TABLE bench_frame ALTER COLUMN image SET STORAGE EXTERNAL;
        INSERT INTO bench_frame VALUES (decode('{image.hex()}', 'hex'));""")
    return len(image)


def main():
    server = harness.Server()
    server.create()
    # No pipeline wants these messages, but a worker would look at each.
    server.configure("camcount.vision_workers", 0)
    try:
        server.run((harness.ROOT / "benches/documented.sql").read_text())
        measure(server)
    finally:
        server.configure("camcount.vision_workers", None)
        server.drop()


def measure(server):
    def compare(name, ours, label, theirs, clients, *limit, factor=1):
        # A checkpoint in the middle of one side's turn would be laid at its door.
        def run(script):
            server.run("CHECKPOINT")
            return factor * server.pgbench(script, clients, *limit)

        figure, baseline = harness.paired(lambda: run(ours), lambda: run(theirs))
        harness.row(name, figure, label, baseline)

    for clients in (1, 8):
        compare(f"messages/s, {clients} client(s)", single("camcount"), "documented PL/pgSQL", single("documented"),
                clients, "-T", SECONDS)
    server.run(BATCHES_SQL)
    for clients in (1, 2):
        compare(f"messages/s, batches of 1000, {clients} client(s)", batch("camcount"), "documented PL/pgSQL",
                batch("documented"), clients, "-t", BATCHES // clients, factor=1000)
    size = load_frame(server)
    ours = """\\set n random(1, 1000000000000)
        SELECT camcount.ingest_frame('camera ' || :client_id, 'main', clock_timestamp(), :n, image) FROM bench_frame;"""
    theirs = """\\set n random(1, 1000000000000)
        INSERT INTO documented.bare_frames SELECT 'camera ' || :client_id, clock_timestamp(), :n, image FROM bench_frame;"""
    compare(f"frames/s of {size // 1000} KB, 1 client", ours, "bare INSERT of the same bytes", theirs, 1,
            "-T", SECONDS)
