#!/usr/bin/env bash
# Starts the development cluster and runs tools/demo.py against it.

source "$(dirname "$0")/env.sh"
cd "$ROOT"

url=$(tools/cluster.sh up)
cargo build --quiet --release --package camcount-gateway
gateway=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/camcount-gateway
exec python3 tools/demo.py --url "$url" --psql "$("$PG_CONFIG" --bindir)/psql" --gateway "$gateway" \
  --video "${VIDEO:-$VIDEO_FILE}" --out "${OUT:-.local/demo}" --lines "${DEMO_LINES:-}" \
  --model "${MODEL:-default}" --model-head "${MODEL_HEAD:-}" --model-config "${MODEL_CONFIG:-}"
