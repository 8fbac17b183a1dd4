"""Messages and frames into the database, beside the documented PL/pgSQL and a bare INSERT."""

import os
import tempfile
from pathlib import Path

import harness
from messages import BATCH, FRAME_NUMBER, PAYLOAD, stored_batches

SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
# A turn: a second or more, and not only the first look at everything.
BATCHES = 150
ROUNDS = 3

# What no function can do without: the message's columns, a key, and the index of each camera's latest messages.
PLAIN_SQL = """
    CREATE TABLE plain_messages (
        ingestion_id text NOT NULL,
        camera_id text NOT NULL,
        stream_id text NOT NULL,
        ingestion_timestamp timestamptz NOT NULL,
        frame_timestamp timestamptz NOT NULL,
        frame_number bigint NOT NULL,
        data_type text NOT NULL,
        data_payload jsonb NOT NULL,
        PRIMARY KEY (frame_timestamp, ingestion_id, camera_id)
    );
    CREATE INDEX ON plain_messages (camera_id, ingestion_timestamp DESC);
"""


def single(schema):
    """One message a transaction, every client with its own camera."""
    if schema == "plain":
        return f"""INSERT INTO plain_messages
            SELECT camera || '_' || number, camera, 'main', at, at, number, 'detection', '{PAYLOAD}'::jsonb
            FROM (SELECT 'camera ' || :client_id, clock_timestamp(), {FRAME_NUMBER}) AS message (camera, at, number);"""
    now = "clock_timestamp()" if schema == "camcount" else "clock_timestamp()::timestamp"
    return f"""SELECT {schema}.ingest_realtime_data('camera ' || :client_id, 'main', {now}, {FRAME_NUMBER},
                                                    'detection', '{PAYLOAD}'::jsonb);"""


def batch(schema):
    """A batch of 1000 messages, which is there already, a transaction."""
    return f"""SELECT {schema}.batch_ingest_data(batch) FROM bench_batches
        WHERE id = (SELECT nextval('{schema}_batch'));"""


def frame(schema):
    """A frame a transaction."""
    if schema == "camcount":
        return f"""
            SELECT camcount.ingest_frame('camera ' || :client_id, 'main', clock_timestamp(), {FRAME_NUMBER}, image)
            FROM bench_frame;"""
    return f"""
        INSERT INTO documented.bare_frames
        SELECT 'camera ' || :client_id, clock_timestamp(), {FRAME_NUMBER}, image FROM bench_frame;"""


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


def turn(server, script, clients, *limit):
    """Transactions a second. A checkpoint in the middle of one side's turn would be laid at its door."""
    server.run("CHECKPOINT")
    return server.pgbench(script, clients, *limit)


def single_turn(server, schema, clients=1):
    """Messages a second, one a transaction."""
    return turn(server, single(schema), clients, "-T", SECONDS)


def batch_turn(server, schema, clients=1):
    """Messages a second in batches."""
    return BATCH * turn(server, batch(schema), clients, "-t", BATCHES // clients)


def frame_turn(server, schema):
    """Frames a second, one a transaction."""
    return turn(server, frame(schema), 1, "-T", SECONDS)


def compare(server, name, label, measure, *arguments):
    """A row of what `measure` says of either schema."""
    ours, theirs = harness.in_turns(
        lambda: measure(server, "camcount", *arguments),
        lambda: measure(server, "documented", *arguments),
        rounds=ROUNDS,
    )
    harness.row(name, ours, label, theirs)


def compare_single(server, clients):
    """Single messages beside the PL/pgSQL, and beside a plain INSERT, which says what the commit leaves to be had."""
    ours, theirs, plain = harness.in_turns(
        lambda: single_turn(server, "camcount", clients),
        lambda: single_turn(server, "documented", clients),
        lambda: single_turn(server, "plain", clients),
        rounds=ROUNDS,
    )
    harness.row(f"messages/s, {clients} client(s)", ours, "documented PL/pgSQL", theirs)
    harness.row("  the same", ours, "plain INSERT, two indexes", plain)


def main():
    server = harness.Server()
    with harness.empty_databases(server):
        server.run((harness.ROOT / "benches/documented.sql").read_text())
        server.run(PLAIN_SQL)
        measure(server)


def measure(server):
    for clients in (1, 8):
        compare_single(server, clients)
    server.run(stored_batches(2 * ROUNDS * BATCHES, "camcount", "documented"))
    for clients in (1, 2):
        name = f"messages/s, batches of {BATCH}, {clients} client(s)"
        compare(server, name, "documented PL/pgSQL", batch_turn, clients)
    name = f"frames/s of {load_frame(server) // 1000} KB, 1 client"
    compare(server, name, "bare INSERT of the same bytes", frame_turn)
