"""Frames of a real video from the queue to counts, beside the bare model."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness

FRAMES = int(os.environ.get("BENCH_FRAMES", "400"))
PIPELINE = {
    "lines": [
        {"name": "a", "from": [0.45, 0.24], "to": [0.45, 0.56]},
        {"name": "b", "from": [0, 0.45], "to": [1, 0.45]},
        {"name": "c", "from": [0.7, 0.2], "to": [0.7, 1]},
    ],
    "zones": [{"name": "junction", "polygon": [[0.4, 0.35], [0.8, 0.35], [0.95, 0.8], [0.4, 0.6]]}],
    "density": {"columns": 48, "rows": 36},
}


def bare_loop(frames, config):
    command = ["cargo", "run", "--quiet", "--release", "--package", "camcount-vision", "--example", "bare_loop", "--"]
    command += [os.environ["CAMCOUNT_MODEL"], str(config), str(frames)]
    return json.loads(subprocess.run(command, cwd=harness.ROOT, check=True, capture_output=True, text=True).stdout)


def prepare_database(server):
    model = Path(os.environ["CAMCOUNT_MODEL"]).read_bytes().hex()
    server.create()
    server.run(f"""SELECT camcount.register_model('default', decode('{model}', 'hex'), '{{"head": "centernet"}}');
        SELECT camcount.create_pipeline('bench', 'Bench', 'analytics', '{json.dumps(PIPELINE)}');
        UPDATE camcount.ingestion_queue SET is_paused = true;""")


def end_to_end(server, frames):
    """Frames a second of the worker, and the share of its time that is not the model's."""
    prepare_database(server)
    gateway = ["cargo", "run", "--quiet", "--release", "--package", "camcount-gateway", "--", "feed", "--quiet"]
    gateway += ["--camera", "bench", "--rate", "max", "--fps", "10", str(frames)]
    environment = dict(os.environ, CAMCOUNT_URL=server.database())
    subprocess.run(gateway, cwd=harness.ROOT, check=True, env=environment, stdout=subprocess.DEVNULL)
    server.run("UPDATE camcount.ingestion_queue SET is_paused = false; CHECKPOINT;")
    deadline = time.monotonic() + 600
    while server.run("SELECT sum(queued + processing) FROM camcount.queue_status") != "0":
        if time.monotonic() > deadline:
            sys.exit("the queue was not drained within ten minutes")
        time.sleep(0.5)
    return json.loads(
        server.run("""
        WITH item AS (
            SELECT count(*) AS frames,
                   extract(epoch FROM max(completed_at) - min(processing_started_at)) AS seconds
            FROM camcount.queue_items WHERE status = 'completed'
        ), model AS (
            SELECT sum(processing_time_ms) / 1000 AS seconds
            FROM camcount.processing_results WHERE step_name = 'detect'
        )
        SELECT json_build_object('frames', frames, 'fps', frames / item.seconds,
                                 'rest', 1 - model.seconds / item.seconds)
        FROM item, model""")
    )


def main():
    server = harness.Server()
    with tempfile.TemporaryDirectory() as folder:
        frames, config = Path(folder, "frames"), Path(folder, "config.json")
        frames.mkdir()
        config.write_text('{"head": "centernet"}')
        harness.extract_frames(frames / "%04d.jpg", FRAMES, quality=3)
        before = bare_loop(frames, config)
        ours = end_to_end(server, frames)
        after = bare_loop(frames, config)
    server.drop()
    for key, label in (("model_alone", "model alone"), ("decode_and_model", "decode, then model")):
        harness.row("frames/s, default model", ours["fps"], label, (before[key] + after[key]) / 2)
    print(f"all that is not the model (claim, track, count, write) takes {100 * ours['rest']:.1f} % of a frame's time")
