#!/usr/bin/env bash
# A development cluster of the server in use, under .local/: tools/cluster.sh up|down|url
# It has one database, `camcount`, with the extension and the default model.

source "$(dirname "$0")/env.sh"

[ -x "$PG_CONFIG" ] || die "PostgreSQL is not set up yet: make up does it"
BIN=$("$PG_CONFIG" --bindir)
DATA=$LOCAL/cluster-$PG_MAJOR
URL_FILE=$DATA.url

running() { as_server "$BIN/pg_ctl" status -D "$DATA" >/dev/null 2>&1; }
stop() { ! running || as_server "$BIN/pg_ctl" stop -D "$DATA" -m fast -w >/dev/null; }

sql() { # database, then more of psql's arguments
  local url
  url=$(cat "$URL_FILE")
  PGOPTIONS='-c client_min_messages=warning' "$BIN/psql" "${url%/*}/$1" -X -q -A -t -v ON_ERROR_STOP=1 "${@:2}"
}

# Any, so that the clusters of two clones, or of two servers, do not meet; below those that the system gives out.
free_port() {
  python3 - <<'PYTHON'
import random
import socket

for port in random.sample(range(20000, 32000), 100):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(port)
        break
PYTHON
}

create() {
  local port password password_file
  port=$(free_port)
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  say "creating a cluster of PostgreSQL $PG_MAJOR in $DATA"
  rm -rf "$DATA" "$DATA.schema"
  install -d -m 700 "$DATA"
  password_file=$(mktemp)
  echo "$password" >"$password_file"
  ! is_root || chown "$SERVER_USER" "$DATA" "$password_file"
  as_server "$BIN/initdb" -D "$DATA" -U camcount -E UTF8 --locale=C --auth=scram-sha-256 --pwfile="$password_file" >/dev/null
  rm -f "$password_file"
  as_server tee -a "$DATA/postgresql.conf" >/dev/null <<CONF

# set by tools/cluster.sh
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = '/tmp'
shared_preload_libraries = 'camcount'
shared_buffers = 256MB
max_worker_processes = 16
max_wal_size = 2GB
CONF
  (umask 077 && echo "postgresql://camcount:$password@127.0.0.1:$port/camcount" >"$URL_FILE")
}

start() {
  # Else errors would come with a backtrace.
  as_server env -u RUST_BACKTRACE "$BIN/pg_ctl" start -D "$DATA" -l "$DATA/server.log" -w >/dev/null ||
    die "PostgreSQL did not start; the end of $DATA/server.log says:
$(as_server tail -n 15 "$DATA/server.log")"
}

# Brings the extension in the database to what is installed.
refresh_extension() {
  local script installed
  script=$(cat "$("$PG_CONFIG" --sharedir)"/extension/camcount--*.sql | sha256sum)
  [ "$(cat "$DATA.schema" 2>/dev/null)" != "$script" ] || return 0
  installed=$(sql camcount -c "SELECT extversion = default_version FROM pg_extension JOIN pg_available_extensions
    ON name = extname WHERE extname = 'camcount'")
  case $installed in
    '') sql camcount -c 'CREATE EXTENSION camcount' ;;
    f) sql camcount -c 'ALTER EXTENSION camcount UPDATE' ;;
    t)
      say "the SQL of the extension changed within its version: creating it anew, its data in this cluster is lost"
      sql camcount -c 'DROP EXTENSION camcount CASCADE' -c 'CREATE EXTENSION camcount'
      ;;
  esac
  echo "$script" >"$DATA.schema"
}

up() {
  "$ROOT/tools/install.sh" --quiet
  [ -e "$DATA/PG_VERSION" ] && [ -e "$URL_FILE" ] || create
  local installed pid_file=$DATA/postmaster.pid
  installed=$("$PG_CONFIG" --pkglibdir)/camcount/installed
  if running && { [ "$installed" -nt "$pid_file" ] || ! grep -q "^$BIN/" "$DATA/postmaster.opts"; }; then
    say "restarting the server: the extension was installed anew"
    stop
  fi
  running || start
  sql postgres <<<"SELECT 'CREATE DATABASE camcount'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'camcount') \gexec"
  refresh_extension
  sql camcount -v model="$MODEL_FILE" >/dev/null <<<"SELECT camcount.register_model('default', pg_read_binary_file(:'model'),
    '{\"head\": \"centernet\"}')"
  cat "$URL_FILE"
}

case ${1:-} in
  up) up ;;
  down) stop ;;
  url) cat "$URL_FILE" 2>/dev/null || die "there is no cluster of PostgreSQL $PG_MAJOR yet: make up creates it" ;;
  *) die "usage: tools/cluster.sh up|down|url" ;;
esac
