#!/bin/sh
# Stops what docker/up.sh started, the engine first, which lets live calls finish (SHUTDOWN_GRACE_SECONDS).
# Database, audio and .env stay; the next docker/up.sh goes on with them.
set -eu
cd "$(dirname "$0")/.."

fail() { printf 'make down: %s\n' "$*" >&2; exit 1; }
command -v docker >/dev/null || fail 'there is no docker here'
[ -e .env ] || fail 'there is no .env: nothing was started from here by `make up`'
docker compose --env-file .env -f docker/compose.yaml --profile '*' down ||
  fail 'docker compose could not stop everything; its message is above'
