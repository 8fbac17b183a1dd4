"""What the benchmarks share: a database, pgbench, and the table of figures."""

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "camcount_bench"


class Server:
    """The development cluster, with a database that the benchmarks may fill."""

    def __init__(self, name=DATABASE):
        self.url = os.environ["CAMCOUNT_URL"]
        self.bin = Path(os.environ["CAMCOUNT_PSQL"]).parent
        self.name = name

    def database(self, name=None):
        return re.sub(r"/[^/]*$", "/" + (name or self.name), self.url)

    def psql(self, name=None):
        return [self.bin / "psql", self.database(name), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]

    def by_socket(self):
        """The same server, by its socket: of a call that costs little, the network would be the most."""
        parts = urlsplit(self.url)
        folder = self.run("SELECT split_part(current_setting('unix_socket_directories'), ',', 1)", "postgres")
        self.url = f"postgresql://{parts.username}:{parts.password}@{quote(folder, safe='')}:{parts.port}{parts.path}"
        return self

    def run(self, sql, name=None):
        done = subprocess.run(self.psql(name), input=sql, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout.strip()

    def create(self):
        """An empty database with the extension."""
        self.drop()
        self.run(f"CREATE DATABASE {self.name}", "postgres")
        self.run("CREATE EXTENSION camcount")

    def drop(self):
        self.run(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)", "postgres")

    def create_partitions(self):
        """Without them, rows come first and are moved in the middle of a measurement."""
        while self.run("SELECT camcount.create_partitions()") != "0":
            pass

    def wait_until(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while self.run(f"SELECT {condition}") != "t":
            if time.monotonic() > deadline:
                sys.exit(f"not within {seconds} seconds: {condition}")
            time.sleep(0.1)

    def stop_workers(self):
        """Maintenance too, which else works in the middle of a measurement. A new database's starts after a moment."""
        self.wait_until("camcount.stop_workers() > 0")
        self.wait_until("NOT EXISTS (SELECT FROM camcount.workers)")

    @contextmanager
    def open_transaction(self):
        """For the block, another session's transaction is open that has a snapshot and has written."""
        self.run("CREATE TABLE IF NOT EXISTS bench_open_transaction (id bigint)")
        session = subprocess.Popen(self.psql(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            session.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ;\n")
            session.stdin.write("INSERT INTO bench_open_transaction VALUES (1) RETURNING 'open';\n")
            session.stdin.flush()
            if session.stdout.readline() != "open\n":
                sys.exit("the transaction that was to stay open did not begin")
            yield
        finally:
            session.communicate("ROLLBACK;\n")

    def configure(self, setting, value):
        """Sets a server-wide setting; None puts the configured value back."""
        change = f"RESET {setting}" if value is None else f"SET {setting} = {value}"
        self.run(f"ALTER SYSTEM {change}", "postgres")
        self.run("SELECT pg_reload_conf()", "postgres")

    def pgbench(self, script, clients, *limit):
        """Transactions a second of a script, its statements prepared; `limit` is pgbench's own, -T or -t."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            command = [self.bin / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2))]
            command += [*map(str, limit), "-f", file.name, self.database()]
            done = subprocess.run(command, capture_output=True, text=True)
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        if done.returncode or not found or "aborted" in done.stderr:
            sys.exit(done.stdout + done.stderr)
        return float(found[1])


def extract_frames(target, count, quality):
    """Writes the first frames of the sample video as JPEGs; quality is ffmpeg's, 2 (best) to 31."""
    command = ["ffmpeg", "-loglevel", "error", "-i", os.environ["CAMCOUNT_VIDEO"], "-q:v", str(quality)]
    subprocess.run([*command, "-frames:v", str(count), str(target)], check=True)


def header():
    print(f"{'':<40}{'camcount':>10}   {'baseline':<34}{'':>10}   {'ratio':>6}", flush=True)


def row(name, figure, label, baseline):
    print(f"{name:<40}{number(figure):>10}   {label:<34}{number(baseline):>10}   {figure / baseline:>6.2f}", flush=True)


def number(figure):
    digits = 0 if figure >= 1000 else 1 if figure >= 10 else 2
    return f"{figure:,.{digits}f}"


def in_turns(*measures, rounds=3):
    """The mean of each, measured in turns and in changing order, so that a machine that drifts favours none."""
    totals = [0] * len(measures)
    for turn in range(rounds):
        for place in range(len(measures))[:: 1 if turn % 2 else -1]:
            totals[place] += measures[place]()
    return tuple(total / rounds for total in totals)


@contextmanager
def empty_databases(*servers):
    """Databases for the block alone, with queues that take and give whatever is asked."""
    # No pipeline wants these messages, but a worker would look at each.
    servers[0].configure("camcount.vision_workers", 0)
    try:
        for server in servers:
            server.create()
            server.create_partitions()
            server.run("UPDATE camcount.ingestion_queue SET max_size = 100000000, processing_rate = 100000000")
        yield
    finally:
        servers[0].configure("camcount.vision_workers", None)
        for server in servers:
            server.drop()
