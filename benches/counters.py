"""Increments of one counter and of a thousand, beside the documented PL/pgSQL."""

import os

import harness

SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS = 3
COUNTERS = 1000

KINDS = {
    "durable": "camcount.increment_realtime_counter('durable '",
    "buffered": "camcount.increment_realtime_counter('buffered '",
    "documented": "documented.increment_realtime_counter('camera '",
}


def hot(kind):
    """One counter for all clients."""
    return f"SELECT {KINDS[kind]} || 1, 'door.in');"


def spread(kind):
    """A thousand counters, taken at random."""
    return f"\\set camera random(1, {COUNTERS})\nSELECT {KINDS[kind]} || :camera, 'door.in');"


def plain():
    """What any increment by itself has to do: a row is changed, and the commit is waited for."""
    return f"\\set camera random(1, {COUNTERS})\nUPDATE plain_counters SET count = count + 1 WHERE id = :camera;"


PREPARE = f"""
    SELECT count(camcount.increment_realtime_counter('durable ' || n, 'door.in', 1)),
           count(camcount.configure_realtime_counter('buffered ' || n, 'door.in', '{{"mode": "buffered"}}')),
           count(documented.increment_realtime_counter('camera ' || n, 'door.in', 1))
    FROM generate_series(1, {COUNTERS}) AS n;
    CREATE TABLE plain_counters (id integer PRIMARY KEY, count bigint NOT NULL) WITH (fillfactor = 50);
    INSERT INTO plain_counters SELECT n, 0 FROM generate_series(1, {COUNTERS}) AS n;
"""


def turns(server, scripts, clients):
    """Each script's increments a second. A checkpoint in the middle of one's turn would be laid at its door."""

    def turn(script):
        server.run("CHECKPOINT")
        return server.pgbench(script, clients, "-T", SECONDS)

    return harness.in_turns(*(lambda script=script: turn(script) for script in scripts), rounds=ROUNDS)


def compare_hot(server, clients):
    """Both modes beside the PL/pgSQL."""
    durable, buffered, documented = turns(server, [hot(kind) for kind in KINDS], clients)
    name = f"increments/s, one, {clients} client(s)"
    harness.row(f"{name}, durable", durable, "documented PL/pgSQL", documented)
    harness.row(f"{name}, buffered", buffered, "documented PL/pgSQL", documented)


def compare_spread(server, clients):
    """The same, and beside a plain UPDATE, which says what the commit leaves to be had."""
    scripts = [*(spread(kind) for kind in KINDS), plain()]
    durable, buffered, documented, update = turns(server, scripts, clients)
    name = f"increments/s, {COUNTERS}, {clients} client(s)"
    harness.row(f"{name}, durable", durable, "documented PL/pgSQL", documented)
    harness.row("  the same", durable, "plain UPDATE of one column", update)
    harness.row(f"{name}, buffered", buffered, "documented PL/pgSQL", documented)


def main():
    server = harness.Server().by_socket()
    with harness.empty_databases(server):
        server.run((harness.ROOT / "benches/documented_counters.sql").read_text())
        server.run(PREPARE)
        for clients in (1, 8):
            compare_hot(server, clients)
        for clients in (1, 8):
            compare_spread(server, clients)
