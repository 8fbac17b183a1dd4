"""The same work with millions of finished messages in the tables, beside a database without them."""

import os
import sys
import time

import claims
import harness
import ingestion
from messages import PAYLOAD, stored_batches

ROWS = int(os.environ.get("GROWTH_ROWS", "10000000"))
ROUNDS = 3
# Among them those that go on sending while it is measured.
CAMERAS = 100

# Since midnight, in the order in which they would have come: all in the partition that the measurement writes to.
FINISHED_SQL = f"""
    INSERT INTO camcount.realtime_data_ingestion
        (ingestion_id, camera_id, stream_id, ingestion_timestamp, frame_timestamp, frame_number, data_type,
         data_payload, data_size_bytes, processing_status, processing_priority, ingestion_latency_ms,
         processing_latency_ms, total_latency_ms, created_at)
    SELECT format('%s_%s_%s_%s', camera, number, extract(epoch FROM taken), left(md5(i::text), 12)), camera, 'main',
           taken, taken, number, 'detection', '{PAYLOAD}', {len(PAYLOAD)}, 'completed', 10, 0, 5, 30, taken
    FROM generate_series(1, {ROWS}) i
    CROSS JOIN date_trunc('day', now(), 'UTC') AS midnight
    CROSS JOIN LATERAL (
        SELECT 'camera ' || i % {CAMERAS} AS camera, midnight + (now() - midnight) * (i / {ROWS}.0) AS taken
    ) AS message
    CROSS JOIN LATERAL (SELECT (extract(epoch FROM taken) * 1000000)::bigint AS number) AS frame;
"""


def fill(server):
    start = time.monotonic()
    server.run(FINISHED_SQL)
    server.run("VACUUM ANALYZE")
    size = server.run(f"SELECT pg_size_pretty(pg_database_size('{server.name}'))")
    print(
        f"beside {ROWS:,} finished messages, a database of {size}, made in {time.monotonic() - start:.0f} s", flush=True
    )


def compare(name, large, small, measure, *arguments):
    """A row of what `measure` says of either database."""
    figure, baseline = harness.in_turns(
        lambda: measure(large, *arguments), lambda: measure(small, *arguments), rounds=ROUNDS
    )
    harness.row(name, figure, "same, without them", baseline)


def today(server):
    return server.run("SELECT (now() AT TIME ZONE 'UTC')::date")


def main():
    large, small = harness.Server(f"{harness.DATABASE}_large"), harness.Server()
    with harness.empty_databases(large, small):
        day = today(large)
        fill(large)
        for server in (large, small):
            server.run(stored_batches(ROUNDS * ingestion.BATCHES, "camcount"))
        measure(large, small)
        if today(large) != day:
            sys.exit("midnight in UTC passed: what was measured went to another partition than what was there")


def measure(large, small):
    # The claims first: ingestion leaves its messages in the queue.
    compare("items/s, batches of 100, 1 client", large, small, claims.turn, claims.CAMCOUNT, 100)
    compare("messages/s, batches of 1000, 1 client", large, small, ingestion.batch_turn, "camcount")
    compare("messages/s, 1 client", large, small, ingestion.single_turn, "camcount")
