"""The cache beside a table that is read and upserted by key."""

import os

import harness

SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS = 3
# As many keys as a building has zones; what a dashboard shows of one.
KEYS = 1000
VALUE = '{"occupancy": 17, "is_overcrowded": false, "zone_name": "hall", "as_of": "2026-01-05T08:00:00.123456Z"}'


def table(name, kind):
    """What an application makes of a cache without one, with room for new versions of a row on its page."""
    return f"""
        CREATE {kind} TABLE {name} (
            cache_key text PRIMARY KEY,
            cache_value jsonb NOT NULL,
            expires_at timestamptz NOT NULL
        ) WITH (fillfactor = 50);
        INSERT INTO {name}
        SELECT 'occupancy:' || n, '{VALUE}', now() + interval '1 hour' FROM generate_series(1, {KEYS}) AS n;"""


FILL = f"SELECT count(camcount.cache_set('occupancy:' || n, '{VALUE}', 3600)) FROM generate_series(1, {KEYS}) AS n;"
KEY = f"\\set number random(1, {KEYS})\n"


def get(side):
    if side == "camcount":
        return f"{KEY}SELECT camcount.cache_get('occupancy:' || :number);"
    return f"""{KEY}SELECT cache_value FROM {side}
        WHERE cache_key = 'occupancy:' || :number AND expires_at > clock_timestamp();"""


def set_value(side):
    if side == "camcount":
        return f"{KEY}SELECT camcount.cache_set('occupancy:' || :number, '{VALUE}', 3600);"
    return f"""{KEY}INSERT INTO {side}
        VALUES ('occupancy:' || :number, '{VALUE}', clock_timestamp() + interval '1 hour')
        ON CONFLICT (cache_key) DO UPDATE SET cache_value = excluded.cache_value, expires_at = excluded.expires_at;"""


def compare(server, name, script, baselines, clients):
    """Calls a second beside each of the tables."""

    def turn(side):
        return lambda: server.pgbench(script(side), clients, "-T", SECONDS)

    ours, *theirs = harness.in_turns(turn("camcount"), *(turn(side) for side, _ in baselines), rounds=ROUNDS)
    names = [f"{name}, {clients} client(s)"] + ["  the same"] * (len(baselines) - 1)
    for row_name, (_, label), baseline in zip(names, baselines, theirs, strict=True):
        harness.row(row_name, ours, label, baseline)


def main():
    server = harness.Server()
    with harness.empty_databases(server):
        server.run(table("logged", "") + table("unlogged", "UNLOGGED") + FILL)
        for clients in (1, 8):
            compare(server, "cache_get/s", get, [("unlogged", "SELECT by key")], clients)
            tables = [("unlogged", "upsert by key, unlogged table"), ("logged", "upsert by key, logged table")]
            compare(server, "cache_set/s", set_value, tables, clients)
