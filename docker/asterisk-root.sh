#!/bin/sh
# Builds the directory tree of Debian's Asterisk 22 without Docker: the same packages as
# docker/asterisk.Dockerfile, unpacked by mmdebstrap. local/asterisk.ts runs Asterisk from it with
# the tree's own dynamic loader, so that nothing is mounted and the machine's own packages stay as
# they are. About 305 MB and 25 s besides the download.
#
#   docker/asterisk-root.sh DIR
#
# A finished tree holds a stamp and is left alone. DEBIAN_MIRROR=URL replaces apt's own mirror.
set -eu

suite=forky
oldest=22.10.1 # older ones lack tech_cause or let a read-only ARI user write: see engine/ari
stamp_text="$suite asterisk 1" # raise the number when the package list below changes
packages=asterisk

say() { printf 'asterisk-root: %s\n' "$*"; }
fail() { printf 'asterisk-root: %s\n' "$*" >&2; exit 1; }

[ $# -eq 1 ] && [ -n "$1" ] || fail 'usage: docker/asterisk-root.sh DIR'
dir=${1%/}
case $dir in '' | . | ..) fail "refusing to build into '$1': name a directory of its own" ;; esac

if [ "$(cat "$dir/.rollcall-stamp" 2>/dev/null)" = "$stamp_text" ]; then
  say "already built: $dir"
  exit 0
fi
[ "$(id -u)" -eq 0 ] || fail 'must run as root, because it unpacks Debian packages: use sudo'
command -v apt-get >/dev/null || fail 'needs Debian or Ubuntu (apt-get was not found)'

if ! command -v mmdebstrap >/dev/null; then
  say 'installing mmdebstrap'
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mmdebstrap >/dev/null ||
    fail 'could not install mmdebstrap: check that "apt-get update" works, then try again'
fi

# The mirror is the one that this machine's apt uses for Debian. Security archives have other
# suites. Where apt knows no Debian (Ubuntu), mmdebstrap falls back on its own default.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
  sed -n 's/^Debian|Debian|//p' | head -n 1)}
if [ -z "$mirror" ]; then
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -e "$keyring" ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debian-archive-keyring >/dev/null ||
    fail 'needs the package debian-archive-keyring, which could not be installed'
fi

tmp=$dir.tmp
mkdir -p "$(dirname "$dir")"
rm -rf --one-file-system "$tmp"
trap 'rm -rf --one-file-system "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "unpacking Debian $suite with $packages (about 25 s besides the download)"
# A testing mirror's release file can be past its date; its signature is still checked.
mmdebstrap --quiet --variant=essential --include="$packages" \
  --aptopt='Acquire::Check-Valid-Until "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  "$suite" "$tmp" ${mirror:+"$mirror"} ||
  fail "mmdebstrap failed (its messages are above). Needed: a Debian mirror with $suite that this machine reaches (set DEBIAN_MIRROR=URL for another one), and 1 GB of disk"

version=$(chroot "$tmp" dpkg-query -W -f '${Version}' asterisk) || fail 'the tree has no asterisk package'
say "has Asterisk $version"
dpkg --compare-versions "${version#*:}" ge "$oldest" ||
  fail "the mirror's Asterisk $version is older than $oldest: choose a newer mirror with DEBIAN_MIRROR=URL"

# Asterisk runs as an unprivileged user and only reads here.
chmod 755 "$tmp"
printf '%s\n' "$stamp_text" >"$tmp/.rollcall-stamp"
rm -rf --one-file-system "$dir"
mv "$tmp" "$dir"
say "done: $dir"
