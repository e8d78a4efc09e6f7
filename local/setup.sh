#!/bin/sh
# Installs what this machine lacks: system packages, Node 24 and the npm packages, the Asterisk tree. Every
# step looks first, so that a second run takes a second. Needs root only for what root must install.
set -eu
cd "$(dirname "$0")/.."
mkdir -p var/log

# Runs a step with its output in a log file; on a terminal with one living line, else with a plain line.
step() {
  name=$1
  shift
  log=var/log/setup-$(echo "$name" | tr ' ' '-').log
  began=$(date +%s)
  "$@" >"$log" 2>&1 &
  pid=$!
  trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
  if [ -t 1 ]; then
    while kill -0 "$pid" 2>/dev/null; do
      last=$(tail -c 300 "$log" | tr '\r' '\n' | grep -v '^ *$' | tail -n 1 | tr -cd '[:print:]' | cut -c1-60)
      printf '\r\033[K  %s: %d s  %s' "$name" $(($(date +%s) - began)) "$last"
      sleep 0.3
    done
    printf '\r\033[K'
  else
    printf '  %s …\n' "$name"
  fi
  if wait "$pid"; then
    trap - INT TERM
    printf '  %s: done in %d s\n' "$name" $(($(date +%s) - began))
  else
    tail -n 20 "$log" >&2
    printf '\n%s failed; the whole output is in %s\n' "$name" "$log" >&2
    exit 1
  fi
}

# What the programs are for: sipp (sip-tester) the simulated carrier; flite, espeak-ng the voices; sox
# the carrier's sounds; mmdebstrap the Asterisk tree; setpriv (util-linux) children that die with their parent.
packages="sip-tester flite espeak-ng sox mmdebstrap util-linux ca-certificates"

missing_packages() {
  for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done
}

install_packages() {
  apt-get update
  # A list of words.
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $1
}

install_node_packages() {
  npm ci --no-audit --no-fund --loglevel=error
}

require() {
  command -v "$1" >/dev/null || {
    echo "make setup needs $1: $2" >&2
    exit 1
  }
}
require apt-get 'this way is for Debian and Ubuntu; use Docker (make up) elsewhere'
require npm 'install Node 20 or newer, with npm'

missing=$(missing_packages | tr '\n' ' ')
if [ -n "$missing" ]; then
  [ "$(id -u)" = 0 ] || {
    echo "these packages are missing, and only root can install them: $missing" >&2
    exit 1
  }
  step 'system packages' install_packages "$missing"
fi
if ! cmp -s package-lock.json node_modules/.rollcall-lock 2>/dev/null; then
  step 'npm packages' install_node_packages
  cp package-lock.json node_modules/.rollcall-lock
fi
# PostgreSQL refuses to run as root.
if [ "$(id -u)" = 0 ] && ! getent passwd postgres >/dev/null; then
  step 'user for PostgreSQL' useradd --system --no-create-home --shell /usr/sbin/nologin postgres
fi
# Looks for itself whether the tree is there and of the right version.
step 'Asterisk' sh docker/asterisk-root.sh var/asterisk-root
