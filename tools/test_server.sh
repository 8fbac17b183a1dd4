#!/usr/bin/env bash
# The tests that need a server, on the one in use: those inside the extension, then those of an outside client.
# The development cluster of that server is stopped for it.

source "$(dirname "$0")/env.sh"
cd "$ROOT"

tools/setup.sh install
say "testing on $("$PG_CONFIG" --version)"
tools/cluster.sh down

data=$(mktemp -d /tmp/camcount-test.XXXXXX) # a short path, because it holds a socket
trap 'rm -rf "$data"' EXIT
run_as=()
if is_root; then
  chown "$SERVER_USER" "$data"
  run_as=(--runas "$SERVER_USER")
  export CAMCOUNT_RUN_AS=$SERVER_USER
fi

export CAMCOUNT_MODEL=$MODEL_FILE CAMCOUNT_MODEL_HEAD=centernet CAMCOUNT_VIDEO=$VIDEO_FILE CAMCOUNT_ONNXRUNTIME=$ONNXRUNTIME
tools/install.sh --runtime-only
rm -f "$("$PG_CONFIG" --pkglibdir)/camcount/installed" # the next line installs a build for tests
cargo pgrx test "pg$PG_MAJOR" --package camcount "${FEATURES[@]}" --pgdata "$data/cluster" "${run_as[@]}"

tools/install.sh --quiet
export CAMCOUNT_PG_CONFIG=$PG_CONFIG
cargo test --package camcount-cluster-tests
