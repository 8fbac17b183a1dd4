"""Claims and completions of the queue's items, beside the textbook's queue: one table, and SKIP LOCKED."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import harness
from messages import BATCH, PAYLOAD, batches

# By items a claim: as many of one client as take some seconds.
TRANSACTIONS = {1: 5000, 100: 1500, 1000: 150}

TEXTBOOK_SQL = """
    CREATE TABLE textbook_queue (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        queue_id text NOT NULL,
        status text NOT NULL,
        priority integer NOT NULL,
        payload jsonb NOT NULL,
        queued_at timestamptz NOT NULL,
        claimed_at timestamptz
    );
    CREATE INDEX textbook_queue_next ON textbook_queue (queue_id, priority DESC, id) WHERE status = 'queued';
"""


class Side(NamedTuple):
    """How one of the queues is filled with so many items, and how a worker takes so many; and what waits or is held."""

    fill: Callable[[int], str]
    work: Callable[[int], str]
    unfinished: str


def fill_camcount(items):
    return f"SELECT count(camcount.batch_ingest_data(batch)) FROM ({batches(items // BATCH)}) AS made;"


def work_camcount(size):
    return f"""
        SELECT coalesce(array_agg(id), '{{}}') AS ids, sum(pg_column_size(data_payload)) AS bytes
        FROM camcount.claim_queue_items('batch', 'worker ' || :client_id, {size}) \\gset
        SELECT cardinality(camcount.complete_queue_items(:ids::bigint[], 'worker ' || :client_id));"""


def fill_textbook(items):
    return f"""
        INSERT INTO textbook_queue (queue_id, status, priority, payload, queued_at)
        SELECT 'batch', 'queued', 10, '{PAYLOAD}', clock_timestamp() FROM generate_series(1, {items});"""


def work_textbook(size):
    return f"""
        WITH claimed AS (
            UPDATE textbook_queue SET status = 'processing', claimed_at = clock_timestamp()
            WHERE id = ANY (ARRAY(
                SELECT id FROM textbook_queue WHERE queue_id = 'batch' AND status = 'queued'
                ORDER BY queue_id, priority DESC, id LIMIT {size} FOR UPDATE SKIP LOCKED))
            RETURNING id, payload
        )
        SELECT coalesce(array_agg(id), '{{}}') AS ids, sum(pg_column_size(payload)) AS bytes FROM claimed \\gset
        DELETE FROM textbook_queue WHERE id = ANY (:ids::bigint[]);"""


CAMCOUNT = Side(fill_camcount, work_camcount, "SELECT sum(queued + processing) FROM camcount.queue_status")
TEXTBOOK = Side(fill_textbook, work_textbook, "SELECT count(*) FROM textbook_queue")


def turn(server, side, size, clients=1, held=False):
    """Items a second through a queue of just enough of them, claimed `size` at a time."""
    transactions = TRANSACTIONS[size] // clients
    server.run(side.fill(clients * transactions * size))
    # No turn sweeps up after the one before it.
    server.run("VACUUM ANALYZE")
    before = int(server.run(side.unfinished))
    with server.open_transaction() if held else nullcontext():
        server.run("CHECKPOINT")
        rate = server.pgbench(side.work(size), clients, "-t", transactions)
    # What was finished counts, not what was asked for: a claim may come back with less.
    finished = before - int(server.run(side.unfinished))
    return rate * finished / (clients * transactions)


def compare(server, size):
    """Both queues, undisturbed and beside a transaction that keeps dead rows from being removed."""
    ours, theirs, ours_held, theirs_held = harness.in_turns(
        lambda: turn(server, CAMCOUNT, size),
        lambda: turn(server, TEXTBOOK, size),
        lambda: turn(server, CAMCOUNT, size, held=True),
        lambda: turn(server, TEXTBOOK, size, held=True),
    )
    harness.row(f"items/s, batches of {size}, 1 client", ours, "textbook queue", theirs)
    harness.row("  beside an open transaction", ours_held, "textbook queue beside one", theirs_held)
    harness.row("  beside an open transaction", ours_held, "same, no transaction open", ours)


def compare_two_clients(server, size):
    ours, theirs = harness.in_turns(
        lambda: turn(server, CAMCOUNT, size, clients=2),
        lambda: turn(server, TEXTBOOK, size, clients=2),
    )
    harness.row(f"items/s, batches of {size}, 2 clients", ours, "textbook queue", theirs)


def main():
    server = harness.Server()
    with harness.empty_databases(server):
        server.run(TEXTBOOK_SQL)
        for size in TRANSACTIONS:
            compare(server, size)
        compare_two_clients(server, 100)
