"""What the benchmarks share: a database, pgbench, and the table of figures."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "camcount_bench"


class Server:
    """The development cluster, with a database that the benchmarks may fill."""

    def __init__(self):
        self.url = os.environ["CAMCOUNT_URL"]
        self.bin = Path(os.environ["CAMCOUNT_PSQL"]).parent

    def database(self, name=DATABASE):
        return re.sub(r"/[^/]*$", "/" + name, self.url)

    def run(self, sql, name=DATABASE):
        command = [self.bin / "psql", self.database(name), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        done = subprocess.run(command, input=sql, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout.strip()

    def create(self):
        """An empty database with the extension."""
        self.drop()
        self.run(f"CREATE DATABASE {DATABASE}", "postgres")
        self.run("CREATE EXTENSION camcount")

    def drop(self):
        self.run(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", "postgres")

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
    print(f"{'':<36}{'camcount':>10}   {'baseline':<34}{'':>10}   {'ratio':>6}", flush=True)


def row(name, figure, label, baseline):
    print(f"{name:<36}{number(figure):>10}   {label:<34}{number(baseline):>10}   {figure / baseline:>6.2f}", flush=True)


def number(figure):
    return f"{figure:,.1f}" if figure < 1000 else f"{figure:,.0f}"


def paired(ours, theirs, rounds=3):
    """Means of both, measured in turns, so that a machine that drifts does not favour either."""
    pairs = [(ours(), theirs()) if turn % 2 else (theirs(), ours())[::-1] for turn in range(rounds)]
    return tuple(sum(figures) / rounds for figures in zip(*pairs))
