#!/usr/bin/env bash
# All tests: the crates; the extension and the cluster tests on PostgreSQL 18 and 15, or on the one server of PG_CONFIG;
# the examples in the documentation.

source "$(dirname "$0")/env.sh"
cd "$ROOT"

say "testing the crates"
export CAMCOUNT_MODEL=$MODEL_FILE CAMCOUNT_VIDEO=$VIDEO_FILE CAMCOUNT_ONNXRUNTIME=$ONNXRUNTIME
cargo test --workspace --exclude camcount --exclude camcount-cluster-tests

tools/test_server.sh
if [ "$PG_CONFIG" = "$EMBEDDED_PG_CONFIG" ]; then
  PG_CONFIG=$PRIVATE_PG15_CONFIG tools/test_server.sh
fi

say "running the examples in the documentation"
url=$(tools/cluster.sh up)
shopt -s nullglob
python3 tools/check_docs.py "$("$PG_CONFIG" --bindir)/psql" "$url" "$MODEL_FILE" README.md docs/*.md
