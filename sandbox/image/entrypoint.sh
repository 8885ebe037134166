#!/bin/sh
# Starts PostgreSQL the way the official image does, as far as a throwaway server needs it:
# POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS, and server options as arguments.
set -eu

PATH="$(echo /usr/lib/postgresql/*/bin):$PATH"
data=${PGDATA:-/var/lib/postgresql/data}
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
: "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD}"

if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres -m 0700 "$data"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ ! -s "$data/PG_VERSION" ]; then
    secret=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$secret"
    # shellcheck disable=SC2086  # the arguments are words, as in the official image
    initdb --pgdata="$data" --username="$user" --pwfile="$secret" --auth=scram-sha-256 --no-sync \
        --encoding=UTF8 --locale=C.UTF-8 ${POSTGRES_INITDB_ARGS:-} >/dev/null
    rm "$secret"
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    if [ "$database" != postgres ]; then
        echo "CREATE DATABASE \"$database\"" | postgres --single -D "$data" postgres >/dev/null
    fi
fi

[ "${1:-postgres}" = postgres ] && shift "$(($# > 0))"
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp "$@"
