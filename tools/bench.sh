#!/usr/bin/env bash
# The benchmarks, against the development cluster.

source "$(dirname "$0")/env.sh"
cd "$ROOT"

[ -x benches/run ] || die "there are no benchmarks yet: benches/run is missing"
CAMCOUNT_URL=$(tools/cluster.sh up)
CAMCOUNT_PSQL=$("$PG_CONFIG" --bindir)/psql
export CAMCOUNT_PSQL CAMCOUNT_URL CAMCOUNT_MODEL=$MODEL_FILE CAMCOUNT_VIDEO=$VIDEO_FILE CAMCOUNT_ONNXRUNTIME=$ONNXRUNTIME
exec benches/run
