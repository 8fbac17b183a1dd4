#!/usr/bin/env python3
"""Counts people in a video with camcount and says what it found. `make demo` calls it with its variables:

    VIDEO=file        a video file or a folder of images (default: the example video)
    MODEL=            the name of a model registered in the database camcount (default: default), or an ONNX file
    MODEL_HEAD=       what an ONNX file's outputs mean: centernet, yolox, nanodet or yolov8
    MODEL_CONFIG=     a JSON file with settings of the model that override what follows from its head
    LINES=            lines to count at, "name:x1,y1,x2,y2;...", in fractions of the picture's width and height
    OUT=folder        for report.json, tracks.csv, density.png and frame-*.jpg (default: .local/demo)

Every run has the database camcount_demo to itself, created anew.
"""

import argparse
import base64
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

CAMERA, DATABASE = "demo", "camcount_demo"
START_SECONDS, STALL_SECONDS = 30, 120

# These suit the example video.
DEFAULT_LINES = "path:0.31,0.30,0.31,0.56; road:0.70,0.26,0.93,0.36"
DEFAULT_ZONES = [
    {
        "name": "junction",
        "polygon": [[0.44, 0.36], [0.76, 0.34], [0.93, 0.52], [0.97, 0.82], [0.62, 0.68], [0.44, 0.54]],
    }
]

STATUS = """
SELECT json_build_object(
  'waiting', (SELECT coalesce(sum(queued + processing), 0) FROM camcount.queue_status),
  'done', (SELECT coalesce(sum(completed), 0) FROM camcount.queue_status),
  'failed', (SELECT coalesce(sum(failed), 0) FROM camcount.queue_status),
  'workers', (SELECT count(*) FROM camcount.workers WHERE kind = 'vision'),
  'lines', (SELECT coalesce(json_object_agg(line_name, json_build_object('in', count_in, 'out', count_out)), '{}')
            FROM camcount.line_counts))"""

FAILURES = """
SELECT coalesce(string_agg(format('%s frames: %s', number, error_message), E'\\n'), '') FROM (
  SELECT count(*) AS number, error_message FROM camcount.queue_items WHERE status = 'failed' GROUP BY error_message
) failures"""

SECONDS = """
SELECT extract(epoch FROM max(completed_at) - min(processing_started_at))
FROM camcount.queue_items WHERE status = 'completed'"""

ZONES = """
SELECT coalesce(json_object_agg(zone_name, json_build_object(
  'visits', visits, 'most_at_once', most_at_once, 'mean_dwell_seconds', mean_dwell)), '{}')
FROM (
  SELECT zone_name, count(*) AS visits, max(at_once) AS most_at_once,
    round(avg(dwell_seconds)::numeric, 1) AS mean_dwell
  FROM camcount.zone_visits AS visit, LATERAL (
    SELECT count(*) AS at_once FROM camcount.zone_visits AS other
    WHERE other.zone_name = visit.zone_name AND other.entered_at <= visit.entered_at
      AND (other.exited_at IS NULL OR other.exited_at > visit.entered_at)
  ) present
  GROUP BY zone_name
) zones"""

TRACKS = """
COPY (
  SELECT frame_number - (SELECT min(frame_number) FROM camcount.realtime_data_ingestion) + 1, track_id,
    round((x * picture_width)::numeric, 2), round((y * picture_height)::numeric, 2),
    round((w * picture_width)::numeric, 2), round((h * picture_height)::numeric, 2), round(confidence::numeric, 4)
  FROM camcount.frame_tracks ORDER BY frame_number, track_id
) TO STDOUT WITH (FORMAT csv)"""

PICTURES = """
SELECT json_agg(json_build_object('number', place, 'jpeg', encode(camcount.annotate_frame(ingestion_id), 'base64')))
FROM (
  SELECT ingestion_id, row_number() OVER (ORDER BY frame_number) AS place, count(*) OVER () AS frames
  FROM camcount.realtime_data_ingestion
) frame
WHERE place IN (SELECT ceil(frames * sixth / 6.0) FROM generate_series(1, 6) AS sixth)"""

DENSITY = f"""
SELECT encode(camcount.density_image('{CAMERA}', min(frame_timestamp), max(frame_timestamp) + interval '1 second'),
  'base64')
FROM camcount.realtime_data_ingestion"""


class Database:
    """A database reached with psql."""

    def __init__(self, psql, url):
        self.psql, self.url = psql, url

    def other(self, name):
        return Database(self.psql, re.sub(r"/[^/]*$", "/" + name, self.url))

    def run(self, script):
        """Runs SQL; returns what it prints, unaligned and without headers."""
        command = [self.psql, self.url, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        done = subprocess.run(command, input=script, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit("demo: the database refused:\n" + done.stderr.strip())
        return done.stdout.strip()

    def json(self, query):
        return json.loads(self.run(query))


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def parse_lines(text):
    """ "name:x1,y1,x2,y2;..." as the pipeline's lines."""
    lines = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, _, numbers = part.rpartition(":")
        try:
            x1, y1, x2, y2 = (float(number) for number in numbers.split(","))
        except ValueError:
            raise SystemExit(f"demo: LINES has {part!r} where it needs name:x1,y1,x2,y2") from None
        lines.append({"name": name.strip(), "from": [x1, y1], "to": [x2, y2]})
    return lines


def read_model(options, registry):
    """The bytes of the ONNX file, in base64, and the model's config."""
    config = json.loads(Path(options.model_config).read_text()) if options.model_config else {}
    if options.model_head:
        config["head"] = options.model_head
    if Path(options.model).is_file():
        if "head" not in config:
            raise SystemExit("demo: MODEL is a file, so MODEL_HEAD must say centernet, yolox, nanodet or yolov8")
        return base64.b64encode(Path(options.model).read_bytes()).decode(), config
    row = registry.run(
        "SELECT json_build_object('onnx', encode(onnx, 'base64'), 'config', config) FROM camcount.models"
        f" WHERE model_name = {quoted(options.model)} AND is_current"
    )
    if not row:
        raise SystemExit(f"demo: MODEL={options.model} is neither a file nor the name of a registered model")
    model = json.loads(row)
    return model["onnx"], model["config"] | config


def prepare(options, lines):
    """A fresh database with the model and the pipeline in it."""
    registry = Database(options.psql, options.url)
    onnx, model_config = read_model(options, registry)
    pipeline = {
        "cameras": [CAMERA],
        "model": "demo",
        "lines": lines,
        "zones": [] if options.lines else DEFAULT_ZONES,
        "density": {"columns": 48, "rows": 36, "half_life_seconds": 60},
    }
    registry.run(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE);\nCREATE DATABASE {DATABASE};")
    database = registry.other(DATABASE)
    database.run(f"""
        CREATE EXTENSION camcount;
        SELECT camcount.register_model('demo', decode('{onnx}', 'base64'), {quoted(json.dumps(model_config))});
        SELECT camcount.create_pipeline('demo', 'Demo', 'analytics', {quoted(json.dumps(pipeline))});""")
    return database


class Progress:
    """One line about the run: redrawn on a terminal, repeated now and then elsewhere."""

    def __init__(self):
        self.started, self.shown = time.monotonic(), 0.0
        self.terminal = sys.stdout.isatty()

    def show(self, status, last=False):
        now = time.monotonic()
        if not (self.terminal or last or now - self.shown >= 10):
            return
        self.shown = now
        total = status["done"] + status["waiting"]
        counts = "  ".join(f"{name} {line['in']} in {line['out']} out" for name, line in status["lines"].items())
        rate = status["done"] / (now - self.started)
        text = f"frames: {total} sent, {status['done']} done, {rate:.1f}/s  {counts}"
        print(f"\r\033[K{text}" if self.terminal else text, end="\n" if last or not self.terminal else "", flush=True)


def watch(database, gateway):
    """Shows progress until the gateway has sent all and the queue is empty; ends the program if that cannot be."""
    progress = Progress()
    moved_at, done_before = time.monotonic(), -1
    while True:
        gateway_status = gateway.poll()  # before the queue: nothing is sent between the two when it has ended
        status = database.json(STATUS)
        now = time.monotonic()
        if gateway_status not in (None, 0):
            raise SystemExit("\ndemo: camcount-gateway failed, see above")
        if status["failed"]:
            raise SystemExit("\ndemo: the worker failed on frames:\n" + database.run(FAILURES))
        if status["done"] != done_before:
            moved_at, done_before = now, status["done"]
        if not status["workers"] and now - moved_at > START_SECONDS:
            raise SystemExit("\ndemo: no vision worker is alive; the reason is in the server's log")
        if now - moved_at > STALL_SECONDS:
            workers = database.run("SELECT * FROM camcount.workers")
            raise SystemExit(f"\ndemo: no frame was finished for {STALL_SECONDS} s; camcount.workers:\n{workers}")
        finished = gateway_status == 0 and not status["waiting"]
        progress.show(status, last=finished)
        if finished:
            return status
        time.sleep(0.5)


def feed(options, database):
    arguments = ["--camera", CAMERA, "--stream", "main", "--rate", "max", "--quiet", options.video]
    environment = os.environ | {"CAMCOUNT_URL": database.url}  # not an argument: all users can see those
    gateway = subprocess.Popen([options.gateway, "feed", *arguments], env=environment)
    try:
        return watch(database, gateway)
    finally:
        if gateway.poll() is None:
            gateway.terminate()
            gateway.wait()


def write_results(database, status, lines, out):
    """Writes all files; returns the report."""
    seconds = float(database.run(SECONDS) or 0)
    report = {
        "frames": status["done"],
        "seconds": round(seconds, 3),
        "fps": round(status["done"] / seconds, 2) if seconds else None,
        "lines": {line["name"]: status["lines"].get(line["name"], {"in": 0, "out": 0}) for line in lines},
        "zones": database.json(ZONES),
    }
    out.mkdir(parents=True, exist_ok=True)
    for stale in out.glob("frame-*.jpg"):
        stale.unlink()
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (out / "tracks.csv").write_text(database.run(TRACKS) + "\n")
    (out / "density.png").write_bytes(base64.b64decode(database.run(DENSITY)))
    for picture in database.json(PICTURES) or []:
        (out / f"frame-{picture['number']:04}.jpg").write_bytes(base64.b64decode(picture["jpeg"]))
    return report


def summarise(report, out):
    print(f"\n{report['frames']} frames in {report['seconds']:.1f} s: {report['fps']} frames/s\n")
    print(f"{'line':<16}{'in':>8}{'out':>8}")
    for name, line in report["lines"].items():
        print(f"{name:<16}{line['in']:>8}{line['out']:>8}")
    if report["zones"]:
        print(f"\n{'zone':<16}{'visits':>8}{'at once':>10}{'mean dwell':>14}")
        for name, zone in report["zones"].items():
            dwell = "-" if zone["mean_dwell_seconds"] is None else f"{zone['mean_dwell_seconds']} s"
            print(f"{name:<16}{zone['visits']:>8}{zone['most_at_once']:>10}{dwell:>14}")
    print(f"\nPictures, density.png, tracks.csv and report.json are in {out}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("url", "psql", "gateway", "video", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--model", default="default")
    for name in ("model-head", "model-config", "lines"):
        parser.add_argument("--" + name, default="")
    options = parser.parse_args()
    if options.lines.isdigit():
        options.lines = ""  # LINES exported by a shell: the height of the terminal
    if not Path(options.video).exists():
        raise SystemExit(f"demo: VIDEO={options.video} does not exist")
    lines = parse_lines(options.lines or DEFAULT_LINES)
    database = prepare(options, lines)
    status = feed(options, database)
    if not status["done"]:
        raise SystemExit(f"demo: there are no frames in VIDEO={options.video}")
    summarise(write_results(database, status, lines, Path(options.out)), options.out)


if __name__ == "__main__":
    main()
