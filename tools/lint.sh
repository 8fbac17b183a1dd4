#!/usr/bin/env bash
# Formatting and lints of Rust, Python and shell.

source "$(dirname "$0")/env.sh"
cd "$ROOT"

cargo fmt --all --check
cargo clippy --workspace --all-targets "${FEATURES[@]}" -- -D warnings
"$VENV/bin/ruff" check --quiet --config tools/ruff.toml tools benches/run
"$VENV/bin/ruff" format --quiet --check --config tools/ruff.toml tools benches/run
"$VENV/bin/shellcheck" --external-sources --source-path=SCRIPTDIR tools/*.sh .ci/run
