#!/usr/bin/env bash
# Builds the extension for release and installs it into the server in use, with ONNX Runtime beside it.
# Builds only where the sources are newer than what is installed. Options: --quiet prints no advice at the end;
# --runtime-only installs nothing but ONNX Runtime.

source "$(dirname "$0")/env.sh"
cd "$ROOT"

libdir=$("$PG_CONFIG" --pkglibdir)
installed=$libdir/camcount/installed
[ -w "$libdir" ] || die "no permission to write to $libdir: run this as a user who has it (root, for a packaged server)"

runtime=$libdir/camcount/libonnxruntime.so
if ! cmp -s "$ONNXRUNTIME" "$runtime"; then
  mkdir -p "$libdir/camcount"
  cp -L "$ONNXRUNTIME" "$runtime.new"
  mv "$runtime.new" "$runtime" # a running server has the old file mapped: it must not be written over
fi
[ "${1:-}" != --runtime-only ] || exit 0

sources=()
for path in Cargo.toml Cargo.lock camcount.control src sql crates/cache crates/counter crates/jsonb crates/vision crates/queue crates/series; do
  [ ! -e "$path" ] || sources+=("$path")
done

if [ ! -e "$installed" ] || [ -n "$(find "${sources[@]}" -newer "$installed" -print -quit)" ]; then
  say "building the extension for PostgreSQL $PG_MAJOR"
  touch "$installed.new" # the sources as they are now, not as they may be when the build ends
  cargo pgrx install --release --package camcount --pg-config "$PG_CONFIG" "${FEATURES[@]}" >/dev/null
  mv "$installed.new" "$installed"
fi

if [ "${1:-}" != --quiet ]; then
  cat <<TEXT
camcount is installed into $("$PG_CONFIG" --version).
Put this line into its postgresql.conf and restart it:
    shared_preload_libraries = 'camcount'
Then, as a superuser, in each database that shall count:
    CREATE EXTENSION camcount;
A first model to register, with its head "centernet": $MODEL_FILE
TEXT
fi
