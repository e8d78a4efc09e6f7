#!/bin/sh
# Builds and starts Rollcall in Docker, and waits until all its parts are healthy.
#
#   docker/up.sh [SECONDS]       how long they may take, besides downloads and building; 180 when left out
#
# Exits with 0 when all are healthy. Otherwise with 1 and the last log lines of those that are not.
set -eu
cd "$(dirname "$0")/.."

deadline=${1:-180}
say() { printf '%s\n' "$*"; }
fail() { printf 'make up: %s\n' "$*" >&2; exit 1; }
compose() { docker compose --env-file .env -f docker/compose.yaml "$@"; }

command -v docker >/dev/null ||
  fail 'there is no docker here. Install Docker Engine with its compose plugin, or use `make serve`, which needs none'
docker compose version >/dev/null 2>&1 ||
  fail 'docker has no compose plugin (`docker compose version` fails). Install Docker Compose 2 or newer (package docker-compose-plugin or docker-compose-v2)'
reason=$(docker info 2>&1 >/dev/null) ||
  fail "no Docker engine answers: $(printf '%s' "$reason" | tail -n 1). Start it, or use \`make serve\`, which needs none"

# The value of a variable as compose will see it: the environment's, else the one in .env.
setting() {
  eval "value=\${$1:-}"
  [ -n "$value" ] || value=$(sed -n "s/^$1=//p" .env | tail -n 1)
  printf '%s' "$value"
}

(
  umask 077
  if [ ! -e .env ]; then
    cp .env.example .env
    chmod 600 .env
    say 'made .env from .env.example'
  fi
  for name in POSTGRES_PASSWORD ARI_PASSWORD AMI_PASSWORD SECRET_KEY; do
    [ -z "$(setting "$name")" ] || continue
    # The database took its password at its first start, and a new one would lock the engine out.
    [ "$name" != POSTGRES_PASSWORD ] || ! docker volume inspect rollcall_postgres >/dev/null 2>&1 ||
      fail 'there is a database already (volume rollcall_postgres), but .env lacks its POSTGRES_PASSWORD. Put the old .env back'
    # 24 bytes; hexadecimal digits need no quoting anywhere. The key is 32 bytes as base64.
    if [ "$name" = SECRET_KEY ]; then secret=$(head -c 32 /dev/urandom | base64)
    else secret=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n'); fi
    [ "${#secret}" -ge 44 ] || fail 'could not read random bytes from /dev/urandom'
    # Over a file of our own, and not by sed -i, so that nobody sees half of it.
    { grep -v "^$name=" .env || :; printf '%s=%s\n' "$name" "$secret"; } >.env.new
    mv .env.new .env
  done
)

services=$(compose config --services) || exit 1
compose build || fail 'an image could not be built; the messages are above'

log=$(mktemp)
up=
trap '[ -z "$up" ] || kill "$up" 2>/dev/null || :; rm -f "$log"' EXIT
trap 'say "stopped waiting; what was started goes on (make down ends it)"; exit 130' INT TERM

# In the background, since it waits itself for what others depend on, and would show nothing of that.
compose up --detach --no-build >"$log" 2>&1 &
up=$!

# One word for a service: healthy, starting, unhealthy, failing (ends again and again), or Docker's state.
state_of() {
  id=$(compose ps --all --quiet "$1" 2>/dev/null | head -n 1)
  [ -n "$id" ] || { echo waiting; return; }
  # Three words.
  # shellcheck disable=SC2046
  set -- $(docker inspect --format '{{.RestartCount}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$id" 2>/dev/null)
  if [ "${1:-0}" -ge 3 ]; then echo failing
  elif [ "${2:-}" = running ]; then echo "${3:-running}"
  else echo "${2:-waiting}"
  fi
}

began=$(date +%s)
result=0
shown=
drawn=0
while :; do
  seconds=$(($(date +%s) - began))
  lines=
  healthy=1 broken=
  for service in $services; do
    state=$(state_of "$service")
    lines="$lines$(printf '  %-10s %s' "$service" "$state")
"
    [ "$state" = healthy ] || healthy=0
    case $state in unhealthy | failing | exited | dead) broken=1 ;; esac
  done
  # Only what has changed, so that a log of a terminal-less run stays short.
  if [ "$lines" != "$shown" ]; then
    if [ -t 1 ] && [ "$drawn" -gt 0 ]; then printf '\033[%dA\033[J' "$drawn"; fi
    printf 'after %d s\n%s' "$seconds" "$lines"
    drawn=$(($(printf '%s' "$lines" | wc -l) + 1))
    shown=$lines
  fi
  if [ -n "$up" ] && ! kill -0 "$up" 2>/dev/null; then
    wait "$up" || result=$?
    up=
    [ "$result" -eq 0 ] || { tail -n 5 "$log" >&2; break; }
  fi
  # Containers of an earlier start count only once compose has looked at them.
  if [ -z "$up" ]; then
    [ "$healthy" -eq 0 ] || break
    [ -z "$broken" ] || { result=1; break; }
  fi
  if [ "$seconds" -ge "$deadline" ]; then
    say "not all are healthy after $deadline s" >&2
    result=1
    break
  fi
  sleep 1
done

if [ "$result" -ne 0 ]; then
  for service in $services; do
    state=$(state_of "$service")
    [ "$state" != healthy ] || continue
    {
      printf '\n%s is %s. Its last health check and log lines:\n' "$service" "$state"
      id=$(compose ps --all --quiet "$service" | head -n 1)
      [ -z "$id" ] ||
        docker inspect --format '{{if .State.Health}}{{range .State.Health.Log}}{{.Output}}{{end}}{{end}}' "$id" | tail -n 3
      compose logs --no-log-prefix --tail 20 "$service"
    } >&2 || :
  done
  fail 'not all services are healthy. They go on trying; make down ends them'
fi

command='docker compose'
[ -n "$(setting COMPOSE_FILE)" ] || command='docker compose --env-file .env -f docker/compose.yaml'
port=$(setting HTTP_PORT)
say "
  API documentation     http://127.0.0.1:${port:-8080}/docs
  A first API key       $command exec engine node engine/main.ts create-key office administrator
  Logs                  $command logs --follow engine
  Stop                  make down; the data stays"
