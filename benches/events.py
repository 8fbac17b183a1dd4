"""Publishing and reading events, beside the documented PL/pgSQL."""

import os
import time

import harness

SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS = 3
AGGREGATES = 1000
BATCH = 1000
MANY = 1_000_000
DATA = """'{"line": "door", "direction": "in", "track_id": 17}'"""


def single(schema, aggregates):
    """One event, of one aggregate or of many."""
    return f"""\\set camera random(1, {aggregates})
        SELECT {schema}.publish_event('camera ' || :camera, 'camera', 'line_crossed', {DATA});"""


def batch(schema):
    """A thousand events of a thousand aggregates; the documented functions have no batch."""
    if schema == "camcount":
        return "SELECT camcount.publish_events(events) FROM bench_events;"
    return f"""SELECT count(documented.publish_event('camera ' || n, 'camera', 'line_crossed', {DATA}))
        FROM generate_series(1, {BATCH}) AS n;"""


PREPARE = f"""
    CREATE TABLE bench_events AS
    SELECT jsonb_agg(jsonb_build_object('aggregate_id', 'camera ' || n, 'aggregate_type', 'camera',
        'event_type', 'line_crossed', 'event_data', {DATA}::jsonb)) AS events
    FROM generate_series(1, {BATCH}) AS n;
"""


def compare(server, name, script, clients, size=1):
    def turn(schema):
        server.run("CHECKPOINT")
        return server.pgbench(script(schema), clients, "-T", SECONDS) * size

    figures = harness.in_turns(lambda: turn("camcount"), lambda: turn("documented"), rounds=ROUNDS)
    harness.row(f"{name}, {clients} client(s)", figures[0], "documented PL/pgSQL", figures[1])


def publish(server):
    for clients in (1, 8):
        compare(server, f"events/s, {AGGREGATES} aggregates", lambda schema: single(schema, AGGREGATES), clients)
        compare(server, "events/s, one aggregate", lambda schema: single(schema, 1), clients)
    for clients in (1, 2):
        compare(server, f"events/s, batches of {BATCH}", batch, clients, BATCH)


def seconds_of(server, sql):
    started = time.monotonic()
    server.run(sql)
    return time.monotonic() - started


def read(server):
    """All events in order, as a reader that goes on from the last position; beside one plain query of them."""
    server.run("VACUUM ANALYZE camcount.event_store")
    reading = """DO $$
        DECLARE
            v_position bigint := 0;
            v_next     bigint;
        BEGIN
            LOOP
                SELECT max(global_position) INTO v_next FROM camcount.read_events(v_position, 1000);
                EXIT WHEN v_next IS NULL;
                v_position := v_next;
            END LOOP;
        END $$"""
    plain = "SELECT count(event_data) FROM (SELECT * FROM camcount.event_store ORDER BY global_position OFFSET 0) e"
    events = int(server.run("SELECT count(*) FROM camcount.event_store"))
    turns = [lambda sql=sql: events / seconds_of(server, sql) for sql in (reading, plain)]
    mine, all_at_once = harness.in_turns(*turns, rounds=2)
    harness.row("events/s, read_events of 1000", mine, "one plain query of all", all_at_once)
    stream = """\\set camera random(1, 1000)
        SELECT count(*) FROM camcount.read_stream('camera', 'camera ' || :camera, 1, 100);"""
    plain = """\\set camera random(1, 1000)
        SELECT count(*) FROM (SELECT * FROM camcount.event_store
            WHERE aggregate_type = 'camera' AND aggregate_id = 'camera ' || :camera AND event_version >= 1
            ORDER BY event_version LIMIT 100) e;"""
    turns = [lambda script=script: server.pgbench(script, 1, "-T", SECONDS) for script in (stream, plain)]
    mine, query = harness.in_turns(*turns)
    harness.row("streams/s, the first 100 events of one", mine, "the plain query", query)


def growth(empty, full):
    """Publishing with a million events behind it, in turns with an empty store."""
    full.run(f"""
        SELECT count(camcount.publish_events(events)) FROM bench_events, generate_series(1, {MANY // BATCH});
        VACUUM ANALYZE;""")

    def turn(server):
        server.run("CHECKPOINT")
        return server.pgbench(single("camcount", AGGREGATES), 8, "-T", SECONDS)

    figures = harness.in_turns(lambda: turn(full), lambda: turn(empty), rounds=ROUNDS)
    harness.row(f"events/s, {MANY:,} behind, 8 client(s)", figures[0], "the same, empty store", figures[1])


def main():
    server, full = harness.Server(), harness.Server(f"{harness.DATABASE}_full")
    with harness.empty_databases(server, full):
        server.run(PREPARE)
        full.run(PREPARE)
        server.run((harness.ROOT / "benches/documented_events.sql").read_text())
        publish(server)
        growth(server, full)
        read(full)
