"""Time series beside the documented PL/pgSQL: writing values, what they amount to, and compression."""

import subprocess
import sys
import time
from contextlib import contextmanager

import harness
import ingestion

DAY = 86_400
# Midnight in UTC, in seconds since 1970: whatever ends here is old enough to be compressed, in every time zone.
END = (int(time.time()) // DAY - 2) * DAY
COLUMNS = "camera_id, metric_name, metric_timestamp, metric_value, metric_unit"
METRICS = ["occupancy", "latency_ms"]
CAMERAS = 6
BULK = 100_000
BULKS = 3
# Queries wait for no disk: their turns can be shorter than those of commits.
QUERY_SECONDS = 2
# Points of a block, as compression makes them.
BLOCK = 16_384
# Of its columnstore, for the same 1,036,800 points; measured once, not here.
TIMESCALEDB_BYTES = 5.3


def instant(schema, seconds):
    """A time as the schema's tables have it. No colons, which pgbench would take for variables."""
    at = f"to_timestamp({seconds})"
    return at if schema == "camcount" else f"{at} AT TIME ZONE 'UTC'"


def stretch(schema, seconds):
    """The two arguments for the time that the points of so many seconds are in."""
    return f"{instant(schema, END - seconds)}, {instant(schema, END)}"


def raw_rows(camera, metric, seconds):
    """The same in the documented table."""
    start, end = instant("documented", END - seconds), instant("documented", END)
    return f"""documented.timeseries_data WHERE camera_id = '{camera}' AND metric_name = '{metric}'
        AND metric_timestamp >= {start} AND metric_timestamp < {end}"""


def names(cameras, metrics):
    return [(f"camera {camera}", metric) for camera in range(1, cameras + 1) for metric in metrics]


def store_points(server, seconds, cameras, metrics):
    """A table of one point a second of each series, in the order in which they would come, and partitions for them."""
    metric_names = ", ".join(f"'{metric}'" for metric in metrics)
    server.run(f"""
        SELECT camcount.make_partition(table_name, partition_interval,
                                       camcount.partition_start(partition_interval, at))
        FROM camcount.retention_policies
        CROSS JOIN generate_series({stretch("camcount", seconds)}, interval '12 hours') AS at
        WHERE table_name IN ('timeseries_data', 'timeseries_blocks');
        SELECT setseed(0.5);
        CREATE UNLOGGED TABLE bench_points AS
        SELECT 'camera ' || camera AS camera_id, metric_name,
               {instant("camcount", END - seconds)} + t * interval '1 second' AS metric_timestamp,
               CASE metric_name
                   WHEN 'occupancy' THEN greatest(0, round((20 + 15 * sin(t / 3600.0) + 6 * random() - 3)::numeric))
                   ELSE round((12 + 3 * random())::numeric, 2) END AS metric_value,
               CASE metric_name WHEN 'occupancy' THEN 'persons' ELSE 'ms' END AS metric_unit
        FROM generate_series(0, {seconds - 1}) t
        CROSS JOIN generate_series(1, {cameras}) camera
        CROSS JOIN unnest(ARRAY[{metric_names}]) metric_name
        ORDER BY metric_timestamp, camera_id, metric_name;""")


def load(server, schema):
    """The stored points become values of a schema."""
    at = "metric_timestamp" if schema == "camcount" else "metric_timestamp AT TIME ZONE 'UTC'"
    server.run(f"""
        INSERT INTO {schema}.timeseries_data ({COLUMNS})
        SELECT camera_id, metric_name, {at}, metric_value, metric_unit FROM bench_points;
        VACUUM ANALYZE;""")


def check(server, condition, otherwise):
    if server.run(condition) != "t":
        sys.exit(otherwise)


def roll_up(server, points):
    """Rolls up so many values, all there are, and returns how many a second."""
    rate = ingestion.turn(server, f"SELECT camcount.roll_up_timeseries(p_most => {points});", 1, "-t", 1)
    rolled_up = "SELECT sum(count_values) FROM camcount.timeseries_aggregations WHERE aggregation_type = 'hour'"
    check(server, f"SELECT ({rolled_up}) = {points}", "not all values were rolled up")
    return points * rate


def compress(schema, series):
    calls = (f"SELECT {schema}.compress_timeseries_data('{camera}', '{metric}', 1);" for camera, metric in series)
    return "\n".join(calls)


def compare(server, name, label, scripts, limit=("-T", QUERY_SECONDS), scale=1):
    """A row of two scripts' transactions a second, times `scale`; returns ours."""
    measures = [lambda script=script: scale * ingestion.turn(server, script, 1, *limit) for script in scripts]
    ours, theirs = harness.in_turns(*measures, rounds=ingestion.ROUNDS)
    harness.row(name, ours, label, theirs)
    return ours


def single(schema):
    """One value a transaction."""
    if schema == "camcount":
        return "SELECT camcount.record_metric('camera ' || :client_id, 'occupancy', clock_timestamp(), 12, 'persons');"
    return f"""INSERT INTO documented.timeseries_data ({COLUMNS})
        VALUES ('camera ' || :client_id, 'occupancy', clock_timestamp()::timestamp, 12, 'persons');"""


def bulk(schema):
    """Many values a transaction, of ten cameras."""
    now = "clock_timestamp()" if schema == "camcount" else "clock_timestamp()::timestamp"
    return f"""INSERT INTO {schema}.timeseries_data ({COLUMNS})
        SELECT 'camera ' || i % 10, 'occupancy', {now}, i % 40, 'persons' FROM generate_series(1, {BULK}) i;"""


def writing(server):
    scripts = [single("camcount"), single("documented")]
    compare(server, "points/s, 1 client", "plain INSERT, documented table", scripts, ("-T", ingestion.SECONDS))
    scripts = [bulk("camcount"), bulk("documented")]
    compare(server, f"points/s, INSERT of {BULK:,}", "same, documented table", scripts, ("-t", BULKS), BULK)


def aggregate(schema, points):
    return f"{schema}.aggregate_timeseries_data('camera 1', 'occupancy', 'hour', {stretch(schema, points)})"


def compare_aggregates(server, name, points):
    """Ours as the values are by now; the PL/pgSQL over its rows."""
    ours, theirs = aggregate("camcount", points), aggregate("documented", points)
    same = f"""SELECT bool_and(ours -> key = theirs -> key) FROM {ours} AS ours, {theirs} AS theirs,
        unnest('{{count,sum,min,max,first_value,last_value}}'::text[]) AS key"""
    check(server, same, f"the aggregates differ: {name.strip()}")
    scripts = [f"SELECT {ours};", f"SELECT {theirs};"]
    compare(server, name, "documented PL/pgSQL, raw rows", scripts, scale=points / 1_000_000)


def aggregates(server, points):
    """One series, a point a second: as it was written, rolled up, and compressed."""
    store_points(server, points, 1, ["occupancy"])
    for schema in ("camcount", "documented"):
        load(server, schema)
    compare_aggregates(server, f"M points/s aggregated, {points // 1_000_000} million, raw", points)
    roll_up(server, points)
    server.run("VACUUM ANALYZE")
    compare_aggregates(server, "  rolled up", points)
    server.run(compress("camcount", names(1, ["occupancy"])))
    server.run("VACUUM ANALYZE")
    compare_aggregates(server, "  rolled up and compressed", points)


def hours(server):
    """The hours of 30 days of one series, from rollups."""
    seconds = 30 * DAY
    store_points(server, seconds, 1, ["occupancy"])
    for schema in ("camcount", "documented"):
        load(server, schema)
    roll_up(server, seconds)
    server.run("VACUUM ANALYZE")
    buckets = f"camcount.timeseries_buckets('camera 1', 'occupancy', '1 hour', {stretch('camcount', seconds)})"
    complete = f"SELECT count(*) = 720 AND sum(count_values) = {seconds} FROM {buckets}"
    check(server, complete, "the buckets are not those of 30 days")
    by_hour = f"""
        SELECT date_trunc('hour', metric_timestamp), count(*), sum(metric_value), avg(metric_value),
               min(metric_value), max(metric_value), stddev(metric_value)
        FROM {raw_rows("camera 1", "occupancy", seconds)} GROUP BY 1 ORDER BY 1;"""
    scripts = [f"SELECT * FROM {buckets};", by_hour]
    rate = compare(server, "queries/s, 30 days by the hour", "date_trunc over raw rows", scripts)
    print(f"30 days by the hour take {1000 / rate:.1f} ms from rollups, and should take less than 5 ms", flush=True)


def compression(server):
    """A day of six cameras: how fast it is compressed, how small it gets, and how fast it is read."""
    series = names(CAMERAS, METRICS)
    points = len(series) * DAY
    store_points(server, DAY, CAMERAS, METRICS)
    compare_compression(server, series, points)
    report_size(server, points)
    compare_reading(server, series, points)


def compare_compression(server, series, points):
    rolled_up = []

    def ours():
        server.run("TRUNCATE camcount.timeseries_data, camcount.timeseries_blocks, camcount.timeseries_aggregations")
        load(server, "camcount")
        rolled_up.append(roll_up(server, points))
        return points * ingestion.turn(server, compress("camcount", series), 1, "-t", 1)

    def theirs():
        server.run("TRUNCATE documented.timeseries_data, documented.timeseries_aggregations")
        load(server, "documented")
        return points * ingestion.turn(server, compress("documented", series), 1, "-t", 1)

    compressed, baseline = harness.in_turns(ours, theirs, rounds=ingestion.ROUNDS)
    rolled = sum(rolled_up) / len(rolled_up)
    harness.row("points/s compressed", compressed, "documented one, keeps no points", baseline)
    harness.row("  rolled up before", rolled, "same, which aggregates too", baseline)
    harness.row("  one after the other", 1 / (1 / compressed + 1 / rolled), "same", baseline)


def report_size(server, points):
    compressed = f"""SELECT (SELECT sum(count_points) FROM camcount.timeseries_blocks) = {points}
        AND NOT EXISTS (SELECT FROM camcount.timeseries_data)"""
    check(server, compressed, "not all points were compressed")
    server.run("VACUUM")
    size = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('camcount.timeseries_blocks')"
    bytes_a_point = int(server.run(size)) / points
    harness.row("bytes a point, fewer are better", bytes_a_point, "TimescaleDB, not of this run", TIMESCALEDB_BYTES)


def points_of(camera, metric):
    return f"camcount.timeseries_points('{camera}', '{metric}', {stretch('camcount', DAY)})"


def compare_reading(server, series, points):
    kept = " UNION ALL ".join(
        f"SELECT '{camera}' AS camera_id, '{metric}' AS metric_name, p.* FROM {points_of(camera, metric)} p"
        for camera, metric in series
    )
    columns = "camera_id, metric_name, metric_timestamp, metric_value::text, metric_unit"
    lost = f"SELECT {columns} FROM bench_points EXCEPT ALL SELECT {columns} FROM ({kept}) kept"
    check(server, f"SELECT NOT EXISTS ({lost})", "the blocks do not have the points that went into them")
    load(server, "documented")
    sources = [[points_of(*one) for one in series], [raw_rows(*one, DAY) for one in series]]
    scripts = ["\n".join(f"SELECT count(*), sum(metric_value) FROM {source};" for source in side) for side in sources]
    compare(server, "points/s read back", "same query of raw rows", scripts, scale=points)


def codec():
    """What the blocks' code does on its own, without a database."""
    command = ["cargo", "run", "--quiet", "--release", "--package", "camcount-series", "--example", "codec"]
    done = subprocess.run(command, cwd=harness.ROOT, check=True, capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    for name, _, octets, build, columns, each in (line for line in lines if line[1:2] == [str(BLOCK)]):
        print(
            f"the codec alone, {name}: {octets} bytes a point, M points/s: {build} built, {each} read,"
            f" {columns} as columns",
            flush=True,
        )


@contextmanager
def database(server):
    """An empty database for the block, where nothing but the block works, on one core."""
    with harness.empty_databases(server):
        server.stop_workers()
        server.run(f"ALTER DATABASE {server.name} SET max_parallel_workers_per_gather = 0")
        server.run((harness.ROOT / "benches/documented_timeseries.sql").read_text())
        # Rollups have begun, as they have wherever the workers run.
        server.run("SELECT camcount.roll_up_timeseries()")
        yield


def main():
    server = harness.Server()
    for measure in (writing, lambda server: aggregates(server, 1_000_000), hours, compression):
        with database(server):
            measure(server)
    codec()


def ten_million():
    server = harness.Server()
    with database(server):
        aggregates(server, 10_000_000)
