#!/usr/bin/env python3
"""Runs the SQL examples of the documentation: check_docs.py PSQL URL MODEL.onnx FILE...

The blocks fenced as ```sql in one file run in order, in one session, in a scratch database that has the extension and
the default model. A block fenced as ```sql skip is not run.
"""

import re
import subprocess
import sys
from pathlib import Path

SCRATCH = "camcount_docs"
PREPARE = """CREATE EXTENSION camcount;
SELECT camcount.register_model('default', pg_read_binary_file('{model}'), '{{"head": "centernet"}}');"""


def examples(text):
    """The SQL of a Markdown text, every other line left empty: psql then reports the line numbers of the file."""
    lines, inside = [], False
    for line in text.splitlines():
        if line.strip().startswith("```"):
            inside = not inside and line.strip() == "```sql"
            lines.append("")
        else:
            lines.append(line if inside else "")
    return "\n".join(lines)


def main():
    psql, url, model, *files = sys.argv[1:]
    scratch_url = re.sub(r"/[^/]*$", f"/{SCRATCH}", url)

    def run(database_url, script, name):
        command = [psql, database_url, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-P", "pager=off", "-f", "-"]
        done = subprocess.run(command, input=script, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"check_docs: {name}\n{done.stderr.replace('<stdin>', name)}")

    for name in files:
        script = examples(Path(name).read_text())
        if not script.strip():
            continue
        recreate = f"DROP DATABASE IF EXISTS {SCRATCH} WITH (FORCE);\nCREATE DATABASE {SCRATCH};"
        run(url, recreate, "recreating the scratch database")
        run(scratch_url, PREPARE.format(model=model), "preparing the scratch database")
        run(scratch_url, script, name)
        print(f"check_docs: {name} is right")
    run(url, f"DROP DATABASE IF EXISTS {SCRATCH} WITH (FORCE);", "dropping the scratch database")


if __name__ == "__main__":
    main()
